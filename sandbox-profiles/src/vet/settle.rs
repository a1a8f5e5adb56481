//! From settings to a run: scope, defaults, policy, rendering.
//!
//! The steps that both entries share, in one order.
//!
//! Invariants: the one place that makes a [`VettedRun`].

use super::check_elements;
use super::form;
use super::policy::{
    add_exclusions, check_decoys, check_exclusions, check_families, check_intrusive,
    check_ipv4_only, intrusive_parts,
};
use super::ports;
use super::run::VettedRun;
use crate::aim::{self, Aim};
use crate::compose;
use crate::grammar::{Settings, Trouble, render_for_tool};
use crate::profile::{FlagId, Profile, Requirement, TargetPlace};
use crate::scope::Scope;
use crate::target::Target;
use crate::value::{Value, ValueType};

/// A call on its way to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) target: Target,
    pub(super) settings: Settings,
    /// Address families that the call asks for: true for IPv6.
    pub(super) families: Vec<bool>,
    pub(super) notes: Vec<String>,
}

/// Holds a draft against scope and policy and completes it.
pub(super) fn settle(
    profile: &Profile,
    scope: &Scope,
    mut draft: Draft,
) -> Result<VettedRun, Trouble> {
    let Aim { exclude, notes } =
        aim::admit(profile, scope, &draft.target).map_err(Trouble::plain)?;
    draft.notes.extend(notes);
    compose::absorb(profile, scope, &mut draft.settings)?;
    // What no policy can allow comes first: its refusal must not speak of one.
    check_decoys(profile, scope, &draft.target, &draft.settings)?;
    check_intrusive(profile, scope, &draft.settings)?;
    check_exclusions(profile, &draft.target, &draft.settings)?;
    let asked = draft.settings.clone();
    compose::add_defaults(profile, scope, &draft.target, &mut draft.settings)?;
    compose::check_required(profile, &draft.settings)?;
    ports::hold(profile, scope, &asked, &mut draft.settings)?;
    // Once more, with what a template and defaults added: the executor sees no more
    // than the whole, and refuses a whole that doesn't fit together.
    compose::check(profile, &draft.settings)?;
    if let (Some(id), false) = (profile.target.exclude, exclude.is_empty()) {
        add_exclusions(profile, &draft.target, id, exclude, &mut draft.settings)?;
    }
    draft
        .notes
        .extend(category_notes(profile, scope, &draft.settings));
    finish(profile, scope, draft)
}

/// What a category of names is narrowed to.
fn category_notes(profile: &Profile, scope: &Scope, settings: &Settings) -> Vec<String> {
    let note = |(id, value): (&FlagId, &Value)| match (&profile.flag(*id)?.value, value) {
        (ValueType::Names(rule), Value::Names(names)) => rule.note(names, scope.allows_intrusive()),
        (_, _) => None,
    };
    settings.iter().filter_map(note).collect()
}

/// The steps that also a pinned name goes through.
pub(super) fn finish(profile: &Profile, scope: &Scope, draft: Draft) -> Result<VettedRun, Trouble> {
    check_families(profile, scope, &draft.target, &draft.families)?;
    check_ipv4_only(profile, &draft.target, &draft.settings)?;
    check_decoys(profile, scope, &draft.target, &draft.settings)?;
    let flags = draft.settings.keys().filter_map(|id| profile.flag(*id));
    let needs = flags.flat_map(|flag| &flag.needs).chain(&profile.needs);
    let needs = Requirement::union(needs.map(|need| need.what));
    let argv = argv_of(profile, scope, &draft)?;
    let intrusive = !intrusive_parts(profile, &draft.settings).is_empty();
    Ok(VettedRun {
        tool: profile.name.clone(),
        argv,
        needs,
        intrusive,
        draft,
    })
}

/// Program, fixed arguments, family switch, settings, separator and target, the
/// target where the profile wants it.
fn argv_of(profile: &Profile, scope: &Scope, draft: &Draft) -> Result<Vec<String>, Trouble> {
    let mut argv = vec![profile.executable.to_string_lossy().into_owned()];
    argv.extend(profile.fixed.iter().cloned());
    let target = form::write(profile, &draft.target, &draft.settings).map_err(Trouble::plain)?;
    let (first, last) = match profile.target.place {
        TargetPlace::First => (target, Vec::new()),
        TargetPlace::Last => (Vec::new(), target),
    };
    argv.extend(first);
    let network = draft.target.network();
    argv.extend(
        network
            .and_then(|network| profile.target.family_switch(network.is_ipv6()))
            .cloned(),
    );
    argv.extend(render_for_tool(profile, scope, &draft.settings));
    if profile.target.separator {
        argv.push("--".to_owned());
    }
    argv.extend(last);
    check_elements(&argv).map_err(Trouble::plain)?;
    Ok(argv)
}
