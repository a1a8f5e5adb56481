//! Admission: is there such a tool, is it offered, may this caller run it, is the
//! call within bounds.
//!
//! What it is not: vetting of targets and arguments.
//!
//! Invariants: the profile returned is one that this broker offers.

use std::time::Duration;

use sandbox_profiles::vet::Arguments;
use sandbox_profiles::{Profile, ProfileSet};

use super::call::Call;
use super::caller::Caller;
use super::policy::Policy;
use crate::access::Role;
use crate::config::{Settings, Source};
use crate::outcome::{CallError, ErrorType};
use crate::results::neutralise;

/// Most characters of an unknown tool's name that are repeated.
const NAME_CHARS_MAX: usize = 64;

/// What a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From arrival to end.
    pub timeout: Duration,
    /// Who set it.
    pub set_by: SetBy,
}

/// Who set a call's timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetBy {
    /// The call.
    Call,
    /// The administrator, for all tools.
    Configuration,
    /// The tool's profile, which can't know the call.
    Profile,
}

impl Bounds {
    /// The bounds of a call that can take so long. Where nobody set a timeout, the
    /// call gets the time that it needs; where somebody did, it is told that this
    /// may be too short.
    pub fn fitted(self, profile: &Profile, lasts: Option<Duration>) -> (Self, Option<String>) {
        let Some(lasts) = lasts.filter(|lasts| *lasts > self.timeout) else {
            return (self, None);
        };
        let timeout = match self.set_by {
            SetBy::Call | SetBy::Configuration => self.timeout,
            SetBy::Profile => lasts.min(profile.run.timeout_max),
        };
        let note = (timeout < lasts).then(|| {
            format!(
                "with these values {} can take {} s; it is ended after {} s",
                profile.name,
                lasts.as_secs(),
                timeout.as_secs()
            )
        });
        (Self { timeout, ..self }, note)
    }
}

/// Whether a tool is offered: named by `tool.include`, or, where that is empty,
/// not named by `tool.exclude`. Include wins.
pub fn offered(settings: &Settings, profile: &Profile) -> bool {
    let named = |list: &[String]| {
        list.iter()
            .any(|name| *name == profile.name || profile.aliases.contains(name))
    };
    if settings.include.is_empty() {
        !named(&settings.exclude)
    } else {
        named(&settings.include)
    }
}

/// The names in `tool.include` and `tool.exclude` that no profile has: a mistyped
/// exclusion would leave a tool offered that nobody wants offered. For each: who
/// set the list, the key, the name, and the nearest known one.
pub fn unknown(settings: &Settings, profiles: &ProfileSet) -> Vec<String> {
    let lists = [
        ("tool.include", &settings.include),
        ("tool.exclude", &settings.exclude),
    ];
    let names = lists.into_iter().flat_map(|(key, names)| {
        let unknown = names.iter().filter(|name| profiles.get(name).is_none());
        unknown.map(move |name| (key, name))
    });
    let tell = |(key, unknown): (&str, &String)| {
        let shown = neutralise::line(unknown, NAME_CHARS_MAX);
        let remedy = match profiles.nearest(unknown) {
            Some(near) => format!("did you mean {near}?"),
            None => "`mantlet tools` lists the tools".to_owned(),
        };
        let source = settings.layers.source(key);
        let place = match source.filter(|source| **source != Source::BuiltIn) {
            Some(source) => format!("{}: ", source.place(settings.file.as_deref())),
            None => String::new(),
        };
        format!("{place}{key}: there is no tool {shown:?}; {remedy}")
    };
    names.map(tell).collect()
}

/// The profile that a call names.
///
/// # Errors
///
/// `not_found` with the nearest name, `tool_disabled` where it is not offered.
pub fn profile<'a>(policy: &'a Policy, call: &Call) -> Result<&'a Profile, CallError> {
    let profile = named(policy, &call.tool)?;
    if policy.offers(profile) {
        return Ok(profile);
    }
    let remedy = if policy.switched_off(profile) {
        "an administrator switched it off while mantlet runs, and can switch it on again"
    } else {
        "the administrator can offer it with tool.include or tool.exclude"
    };
    Err(disabled(profile, remedy))
}

/// The profile of a tool that is to be switched on or off.
///
/// # Errors
///
/// `not_found` with the nearest name, `tool_disabled` where it is to be switched
/// on and the configuration leaves it out.
pub fn switchable<'a>(
    policy: &'a Policy,
    tool: &str,
    enabled: bool,
) -> Result<&'a Profile, CallError> {
    let profile = named(policy, tool)?;
    if enabled && !offered(policy.settings(), profile) {
        let remedy = "the configuration leaves it out: change tool.include or tool.exclude";
        return Err(disabled(profile, remedy));
    }
    Ok(profile)
}

fn disabled(profile: &Profile, remedy: &str) -> CallError {
    let what = format!("{} is switched off", profile.name);
    CallError::new(ErrorType::ToolDisabled, what, remedy)
}

fn named<'a>(policy: &'a Policy, tool: &str) -> Result<&'a Profile, CallError> {
    let profiles = policy.profiles();
    profiles.get(tool).ok_or_else(|| {
        let shown = neutralise::line(tool, NAME_CHARS_MAX);
        let offered = profiles
            .iter()
            .filter(|profile| offered(policy.settings(), profile));
        let offered: Vec<_> = offered.map(|profile| profile.name.clone()).collect();
        let remedy = match profiles.nearest(tool) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the tools are {}", offered.join(", ")),
        };
        let what = format!("there is no tool {shown:?}");
        CallError::new(ErrorType::NotFound, what, remedy)
            .with("rule", "ARG1")
            .with("offending", shown)
            .with("tools", offered)
    })
}

/// Whether the caller may run the tool.
///
/// # Errors
///
/// `permission_denied`, with what the caller lacks.
pub fn granted(caller: &Caller, profile: &Profile) -> Result<(), CallError> {
    let grant = caller.grant();
    if grant.may_run(&profile.name) {
        return Ok(());
    }
    let denied = |what: String, remedy| CallError::new(ErrorType::PermissionDenied, what, remedy);
    if !grant.may(Role::Execute) {
        let what = format!(
            "role {} may not run tools; that needs {}",
            grant.role.as_str(),
            Role::Execute.as_str()
        );
        let remedy =
            "use a token with role execute; an administrator makes it with `mantlet token create`";
        return Err(denied(what, remedy).with("role", grant.role.as_str()));
    }
    let what = format!("this token may not run {}", profile.name);
    let remedy =
        "run a tool that it is for, or ask an administrator for a token that lists this one";
    Err(denied(what, remedy).with("tools", grant.tools.clone()))
}

/// The call's bounds.
///
/// # Errors
///
/// Where it asks for more than configuration or profile allow.
pub fn bounds(settings: &Settings, profile: &Profile, call: &Call) -> Result<Bounds, CallError> {
    let length = match &call.arguments {
        Arguments::Text(text) => text.len(),
        // As long as the text that they would be, with a space between two.
        Arguments::Tokens(tokens) => {
            let lengths = tokens.iter().map(|token| token.len().saturating_add(1));
            lengths.sum::<usize>().saturating_sub(1)
        }
    };
    let max = settings.extra_args_bytes_max;
    if length > max {
        let what = format!("the arguments have {length} bytes; at most {max} are accepted");
        return Err(CallError::new(
            ErrorType::ValidationError,
            what,
            "say it in fewer arguments",
        )
        .with("rule", "ARG1")
        .with("offending", "extra_args"));
    }
    let longest = profile.run.timeout_max;
    let asked = call.timeout_sec.map(Duration::from_secs);
    if let Some(asked) = asked.filter(|asked| *asked > longest) {
        let (asked, longest) = (asked.as_secs(), longest.as_secs());
        let what = format!(
            "a timeout of {asked} s is longer than {} may take",
            profile.name
        );
        let remedy = format!("give timeout_sec from 1 to {longest}");
        return Err(CallError::new(ErrorType::ValidationError, what, remedy)
            .with("rule", "RUN1")
            .with("offending", "timeout_sec"));
    }
    let (timeout, set_by) = match (asked, settings.timeout) {
        (Some(asked), _) => (asked, SetBy::Call),
        (None, Some(configured)) => (configured, SetBy::Configuration),
        (None, None) => (profile.run.timeout, SetBy::Profile),
    };
    Ok(Bounds {
        timeout: timeout.min(longest),
        set_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Grant, Principal};

    #[test]
    fn callers_run_what_they_were_granted_and_nothing_else() {
        let profiles = sandbox_profiles::load::built_in().unwrap();
        let nmap = profiles.get("nmap").unwrap();
        let cases = [
            // role, tools, allowed, what the refusal names, why
            (Role::Execute, &[][..], true, "", "any tool"),
            (Role::Execute, &["nmap", "ping"], true, "", "its tool"),
            (Role::Execute, &["ping"], false, "tools", "another one"),
            (Role::Admin, &["ping"], false, "tools", "admin or not"),
            (Role::Read, &[], false, "role", "reading is not running"),
            (Role::Read, &["nmap"], false, "role", "not even its tool"),
        ];
        for (role, tools, allowed, named, why) in cases {
            let tools = tools.iter().map(ToString::to_string).collect();
            let principal = Principal {
                id: "1f2e3d4c".into(),
                name: "ci".into(),
                grant: Grant { role, tools },
            };
            let verdict = granted(&Caller::by_token(&principal), nmap);
            assert_eq!(verdict.is_ok(), allowed, "{why}");
            if let Err(error) = verdict {
                assert_eq!(error.error_type, ErrorType::PermissionDenied, "{why}");
                assert!(error.metadata.contains_key(named), "{why}: {error:?}");
            }
        }
        let local = Caller::local(crate::pipeline::caller::Surface::Stdio);
        assert!(
            granted(&local, nmap).is_ok(),
            "the user whose process it is"
        );
    }

    #[test]
    fn a_call_gets_the_time_it_needs_or_is_told() {
        let profiles = sandbox_profiles::load::built_in().unwrap();
        let ping = profiles.get("ping").unwrap();
        let cases = [
            // timeout, who set it, lasts, timeout in the end, whether it is told, why
            (120, SetBy::Profile, Some(19), 120, false, "short enough"),
            (120, SetBy::Profile, Some(1015), 1015, false, "extended"),
            (
                120,
                SetBy::Profile,
                Some(5000),
                1200,
                true,
                "not beyond the profile's bound",
            ),
            (120, SetBy::Profile, None, 120, false, "nobody knows"),
            (5, SetBy::Call, Some(1015), 5, true, "the caller's choice"),
            (
                60,
                SetBy::Configuration,
                Some(1015),
                60,
                true,
                "the administrator's choice",
            ),
            (60, SetBy::Call, Some(60), 60, false, "just enough"),
        ];
        for (timeout, set_by, lasts, expected, told, why) in cases {
            let timeout = Duration::from_secs(timeout);
            let lasts = lasts.map(Duration::from_secs);
            let (bounds, note) = Bounds { timeout, set_by }.fitted(ping, lasts);
            assert_eq!(bounds.timeout, Duration::from_secs(expected), "{why}");
            assert_eq!(note.is_some(), told, "{why}: {note:?}");
        }
    }
}
