//! Admission: is there such a tool, is it offered, is the call within bounds.
//!
//! What it is not: vetting of targets and arguments.
//!
//! Invariants: the profile returned is one that this broker offers.

use std::time::Duration;

use sandbox_profiles::vet::Arguments;
use sandbox_profiles::{Profile, ProfileSet};

use super::call::Call;
use crate::config::Settings;
use crate::outcome::{CallError, ErrorType};
use crate::results::neutralise;

/// Most characters of an unknown tool's name that are repeated.
const NAME_CHARS_MAX: usize = 64;

/// What a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From arrival to end.
    pub timeout: Duration,
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

/// The profile that a call names.
///
/// # Errors
///
/// `not_found` with the nearest name, `tool_disabled` where it is not offered.
pub fn profile<'a>(
    settings: &Settings,
    profiles: &'a ProfileSet,
    call: &Call,
) -> Result<&'a Profile, CallError> {
    let Some(profile) = profiles.get(&call.tool) else {
        let shown = neutralise::line(&call.tool, NAME_CHARS_MAX);
        let offered_names: Vec<_> = profiles
            .iter()
            .filter(|profile| offered(settings, profile))
            .map(|profile| profile.name.clone())
            .collect();
        let remedy = match profiles.nearest(&call.tool) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the tools are {}", offered_names.join(", ")),
        };
        let what = format!("there is no tool {shown:?}");
        return Err(CallError::new(ErrorType::NotFound, what, remedy)
            .with("rule", "ARG1")
            .with("offending", shown)
            .with("tools", offered_names));
    };
    if offered(settings, profile) {
        return Ok(profile);
    }
    let what = format!("{} is switched off", profile.name);
    let remedy = "the administrator can offer it with tool.include or tool.exclude";
    Err(CallError::new(ErrorType::ToolDisabled, what, remedy))
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
    let timeout = asked.or(settings.timeout).unwrap_or(profile.run.timeout);
    Ok(Bounds {
        timeout: timeout.min(longest),
    })
}
