//! A vetted run, and putting an address in the place of its name.
//!
//! Holding one is the proof that a call fits its profile and the scope. It can't
//! be changed, only pinned, which vets the address.
//!
//! Invariants: made in `settle` only.

use std::net::IpAddr;
use std::time::Duration;

use super::answers;
use super::settle::{Draft, finish};
use crate::aim;
use crate::grammar::element_of;
use crate::lasts;
use crate::profile::{Form, Need, Profile, Requirement, Substitute};
use crate::refusal::{Detail, Refusal, RefusalKind};
use crate::scope::Scope;
use crate::target::Target;
use crate::value::Value;

/// A run that fits its profile and the scope.
///
/// ```compile_fail,E0451
/// # use sandbox_profiles::VettedRun;
/// # fn f(run: VettedRun) -> VettedRun {
/// VettedRun { argv: vec!["/bin/sh".into()], ..run } // not vetted
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct VettedRun {
    pub(super) tool: String,
    pub(super) argv: Vec<String>,
    pub(super) needs: Vec<Requirement>,
    pub(super) intrusive: bool,
    /// What the run was made from; pinning makes it again.
    pub(super) draft: Draft,
}

impl VettedRun {
    /// The profile's name of the tool.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The argument vector, the program path first.
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// What the run is aimed at: one target, since every tool takes one.
    pub fn targets(&self) -> &[Target] {
        std::slice::from_ref(&self.draft.target)
    }

    /// What the run needs of the executor, sorted, one row per capability.
    pub fn needs(&self) -> &[Requirement] {
        &self.needs
    }

    /// How long the run can take, if the profile says so: the time that it needs
    /// where nothing answers.
    pub fn lasts(&self, profile: &Profile) -> Option<Duration> {
        lasts::lasts(profile, &self.draft.settings)
    }

    /// What was corrected or decided on the way, for the result to say so.
    pub fn notes(&self) -> &[String] {
        &self.draft.notes
    }

    /// Whether the run is one that only an intrusive policy allows.
    pub const fn intrusive(&self) -> bool {
        self.intrusive
    }

    /// The host name to resolve before the run can be sent.
    pub fn unresolved(&self) -> Option<&str> {
        match &self.draft.target {
            Target::Name { name, pinned: None } => Some(name),
            Target::Name {
                pinned: Some(_), ..
            }
            | Target::Address(_)
            | Target::Network(_) => None,
        }
    }

    /// The address that the name was pinned to, where the target is a pinned name.
    pub fn pinned(&self) -> Option<IpAddr> {
        match self.draft.target {
            Target::Name { pinned, .. } => pinned,
            Target::Address(_) | Target::Network(_) => None,
        }
    }

    /// Puts an address in the place of the unresolved name, after every check
    /// that a call for the address itself would get. The name stays in
    /// [`VettedRun::targets`]. A run without a name to resolve stays as it is.
    ///
    /// This looks at one address only; [`VettedRun::pin_answers`] is the way to
    /// hold all answers of a name server against the scope.
    ///
    /// # Errors
    ///
    /// The address is outside the scope, or of a family that the call, the tool
    /// or the scope doesn't take.
    pub fn pin(self, profile: &Profile, scope: &Scope, address: IpAddr) -> Result<Self, Refusal> {
        let Some(name) = self.unresolved().map(ToOwned::to_owned) else {
            return Ok(self);
        };
        let scope = scope.for_tool(&profile.name);
        aim::admit_address(profile, scope, address).map_err(|refusal| for_name(refusal, &name))?;
        let target = Target::Name {
            name,
            pinned: Some(address),
        };
        finish(
            profile,
            scope,
            Draft {
                target,
                ..self.draft
            },
        )
        .map_err(|trouble| *trouble.refusal)
    }

    /// Pins the run to one of the addresses that its name resolved to, if every
    /// one of them is allowed; otherwise the name could lead out of the scope the
    /// next time. Takes the first address of the family that the call asks for,
    /// else the first IPv4 one, else the first.
    ///
    /// # Errors
    ///
    /// There are no answers, too many, or a forbidden one among them.
    pub fn pin_answers(
        self,
        profile: &Profile,
        scope: &Scope,
        answers: &[IpAddr],
    ) -> Result<Self, Refusal> {
        let Some(name) = self.unresolved().map(ToOwned::to_owned) else {
            return Ok(self);
        };
        let scope = scope.for_tool(&profile.name);
        let asked = self.draft.families.first().copied();
        let chosen = answers::choose(profile, scope, &name, asked, answers)?;
        self.pin(profile, scope, chosen)
    }

    /// The refusal of this run where what it needs is not to be had, with the
    /// reason of each flag and the nearest arguments that need no capability.
    pub fn refuse_without(&self, profile: &Profile, missing: Requirement) -> Refusal {
        let capability = missing.capability;
        let lacks = |needs: &[Need]| {
            let found = needs.iter().find(|need| need.what.capability == capability);
            found.cloned()
        };
        let whole = lacks(&profile.needs);
        let mut kept: Vec<Vec<String>> = Vec::new();
        let mut asking = Vec::new();
        let mut reasons: Vec<String> = whole.iter().map(|need| need.reason.clone()).collect();
        for (id, value) in &self.draft.settings {
            let Some(flag) = profile.flag(*id) else {
                continue;
            };
            match lacks(&flag.needs) {
                None => kept.push(element_of(flag, value)),
                Some(need) => {
                    kept.extend(self.instead(profile, &need, value));
                    asking.push(flag.spelling.clone());
                    reasons.push(format!("{}: {}", flag.spelling, need.reason));
                }
            }
        }
        if whole.is_some() || asking.is_empty() {
            asking = vec![self.tool.clone()];
        }
        // An empty list says nothing that the remedy doesn't.
        let nearest =
            Some(self.said(profile, kept)).filter(|words| whole.is_none() && !words.is_empty());
        let way = match &nearest {
            Some(nearest) => format!(
                "the nearest call that needs no capability: {}",
                nearest.join(" ")
            ),
            None if whole.is_some() => missing.remedy(),
            None => format!(
                "leave {} out: the call then needs no capability",
                asking.join(" ")
            ),
        };
        let remedy = match missing.or {
            Substitute::IcmpSocket if whole.is_none() => format!("{way}; or {}", missing.remedy()),
            Substitute::IcmpSocket | Substitute::Nothing => way,
        };
        Refusal::new(
            "NM9",
            absence_of(missing),
            &asking.join(" "),
            format!("{}; {remedy}", reasons.join("; ")),
        )
        .of_kind(RefusalKind::Capability)
        .with("needs", Detail::List(vec![missing.to_string()]))
        .with_nearest(nearest)
    }

    /// The arguments without what would be added anyway, which says nothing of
    /// the call.
    fn said(&self, profile: &Profile, mut kept: Vec<Vec<String>>) -> Vec<String> {
        let is_network = matches!(self.draft.target, Target::Network(_));
        let added = profile
            .defaults
            .iter()
            .filter(|default| !(is_network && default.single));
        let added: Vec<_> = added.map(|default| &default.args).collect();
        kept.retain(|words| !added.contains(&words));
        kept.dedup();
        kept.concat()
    }

    /// What stands in for a flag that needs what is not held: nothing where the
    /// call has it already, and with the same ports where both take some.
    fn instead(&self, profile: &Profile, need: &Need, value: &Value) -> Option<Vec<String>> {
        let first = need.instead.first()?;
        let Some(id) = profile.find_flag(first) else {
            return Some(need.instead.clone());
        };
        if self.draft.settings.contains_key(&id) {
            return None;
        }
        let flag = profile.flag(id)?;
        match (flag.form, value) {
            (Form::AttachedOptional, Value::Ports(_)) => Some(element_of(flag, value)),
            _ => Some(need.instead.clone()),
        }
    }
}

/// What is not to be had, in words.
fn absence_of(missing: Requirement) -> String {
    let capability = missing.capability;
    match missing.or {
        Substitute::Nothing => {
            format!("the executor does not hold {capability}, which this call needs")
        }
        Substitute::IcmpSocket => format!(
            "the executor does not hold {capability}, and the kernel does not open ICMP \
             datagram sockets to it; this call needs one of them"
        ),
    }
}

fn for_name(mut refusal: Refusal, name: &str) -> Refusal {
    refusal.message = format!(
        "{name} resolves to a forbidden address: {}",
        refusal.message
    )
    .into();
    refusal
}
