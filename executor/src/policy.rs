//! The verdict on a run: vetted again, by nothing the broker says.
//!
//! What it is: from a request to an [`Approved`] run, or the refusal.
//! What it is not: the sandbox; it only chooses which one.
//!
//! Invariants: an [`Approved`] argv is what this process's own profiles render
//! from it; it gets a capability only when the call needs it, the profile lists
//! it and the executor holds it; bounds are never wider than the profile's.

use std::time::Duration;

use protocol::event::{RefusalKind, Refused};
use protocol::request::Run;
use sandbox_profiles::profile::{Requirement, Substitute};
use sandbox_profiles::sandbox::Limits;
use sandbox_profiles::{Profile, VettedRun, vet};

use crate::refusal;
use crate::sandbox::caps::CapabilitySet;
use crate::stream::Bounds;
use crate::tools::{Confinement, Ready, Tool};
use crate::{Executor, IcmpSockets};

/// A run that may start.
#[derive(Debug)]
#[must_use]
pub(crate) struct Approved<'a> {
    /// Its tool.
    pub(crate) tool: &'a Tool,
    /// Its tool's program and sandboxes.
    pub(crate) ready: &'a Ready,
    /// The sandbox that fits the call.
    pub(crate) confinement: &'a Confinement,
    /// The capabilities that the call needs.
    pub(crate) capabilities: CapabilitySet,
    /// The argv, program first.
    pub(crate) argv: Vec<String>,
    /// What it may cost.
    pub(crate) bounds: Bounds,
    /// What its processes may take.
    pub(crate) limits: Limits,
}

/// Decides on a run.
///
/// # Errors
///
/// The refusal.
pub(crate) fn decide<'a>(executor: &'a Executor, run: &Run) -> Result<Approved<'a>, Refused> {
    let tool = find(executor, &run.tool)?;
    let vetted = vet::vet_argv(&tool.profile, &executor.config.scope, &run.argv)
        .map_err(|error| refusal::not_vetted(&error))?;
    let capabilities = grant(executor, &tool.profile, &vetted)?;
    let ready = ready(tool)?;
    let confinement = match &ready.raw {
        Some(raw) if capabilities != CapabilitySet::EMPTY => raw,
        None if capabilities != CapabilitySet::EMPTY => {
            return Err(unavailable("the profile has no sandbox for raw sockets"));
        }
        Some(_) | None => &ready.plain,
    };
    Ok(Approved {
        tool,
        ready,
        confinement,
        capabilities,
        argv: vetted.argv().to_vec(),
        bounds: bounds(&tool.profile, run),
        limits: limits(tool.profile.sandbox.limits, run),
    })
}

/// A tool's program and sandboxes, as long as it is what was prepared.
///
/// # Errors
///
/// Why it can't run at all.
pub(crate) fn ready(tool: &Tool) -> Result<&Ready, Refused> {
    let ready = tool.state.as_ref().map_err(|error| {
        let mut refused = unavailable(&refusal::chain(error));
        if !tool.is_installed() {
            refused.kind = RefusalKind::ToolMissing;
        }
        refused
    })?;
    let unchanged = ready.program.check_unchanged();
    unchanged.map_err(|error| unavailable(&refusal::chain(&error)))?;
    Ok(ready)
}

fn unavailable(message: &str) -> Refused {
    let remedy = "see `mantlet-executor check` on the executor's machine";
    refusal::new(RefusalKind::ToolUnavailable, message, remedy)
}

/// The tool of that name or alias.
///
/// # Errors
///
/// The refusal, with the names that there are.
pub(crate) fn find<'a>(executor: &'a Executor, name: &str) -> Result<&'a Tool, Refused> {
    let is_named = |tool: &&Tool| {
        tool.profile.name == name || tool.profile.aliases.iter().any(|alias| alias == name)
    };
    executor.tools.iter().find(is_named).ok_or_else(|| {
        let names: Vec<_> = executor
            .tools
            .iter()
            .map(|tool| tool.profile.name.as_str())
            .collect();
        let mut refused = refusal::new(
            RefusalKind::UnknownTool,
            "there is no profile of that name",
            &format!("use one of: {}", names.join(", ")),
        );
        refused.offending = refusal::shown(name);
        refused
    })
}

/// The capabilities of a run: what its call needs and the executor holds.
fn grant(
    executor: &Executor,
    profile: &Profile,
    vetted: &VettedRun,
) -> Result<CapabilitySet, Refused> {
    let mut granted = Vec::new();
    for need in vetted.needs() {
        match met(executor, profile, *need) {
            Some(Way::Granted) => granted.push(need.capability),
            Some(Way::Without) => {}
            None => return Err(refusal::not_vetted(&vetted.refuse_without(profile, *need))),
        }
    }
    Ok(CapabilitySet::of(&granted))
}

/// How a run gets what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By the capability.
    Granted,
    /// By what does as well.
    Without,
}

/// How this executor meets a need; nothing where it can't. What is held is
/// given, since it shows more than what does as well; nothing is degraded.
pub(crate) fn met(executor: &Executor, profile: &Profile, need: Requirement) -> Option<Way> {
    let is_listed = profile.capabilities.contains(&need.capability);
    let is_held = executor.held.covers(CapabilitySet::of(&[need.capability]));
    match (need.or, executor.icmp_sockets) {
        _ if is_listed && is_held => Some(Way::Granted),
        (Substitute::IcmpSocket, IcmpSockets::Open) => Some(Way::Without),
        (Substitute::IcmpSocket, IcmpSockets::Closed) | (Substitute::Nothing, _) => None,
    }
}

/// What the broker asks for, as far as the profile allows it.
pub(crate) fn bounds(profile: &Profile, run: &Run) -> Bounds {
    let asked = Duration::from_millis(u64::from(run.timeout_ms));
    Bounds {
        timeout: asked.min(profile.run.timeout_max),
        stdout_bytes_max: u64::from(run.stdout_max.min(profile.run.stdout_bytes_max)),
        stderr_bytes_max: u64::from(run.stderr_max.min(profile.run.stderr_bytes_max)),
    }
}

/// The profile's limits, less where the broker asks for less.
fn limits(profile: Limits, run: &Run) -> Limits {
    let mut limits = profile;
    if let Some(bytes) = run.memory_max {
        limits.address_space_bytes = bytes.min(profile.address_space_bytes);
    }
    if let Some(files) = run.files_max {
        limits.files = u64::from(files).min(profile.files);
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_lesser_of_profile_and_request() {
        let set = sandbox_profiles::load::built_in().unwrap();
        let own = set.get("nmap").unwrap().sandbox.limits;
        let (memory, files) = (own.address_space_bytes, own.files);
        let mib = 1_u64 << 20;
        #[rustfmt::skip]
        let cases = [
            // memory_max       files_max       memory    files  why
            (None,              None,           memory,   files, "nothing asked"),
            (Some(64 * mib),    None,           64 * mib, files, "less memory"),
            (None,              Some(20),       memory,   20,    "fewer descriptors"),
            (Some(64 * mib),    Some(20),       64 * mib, 20,    "less of both"),
            (Some(memory),      Some(256),      memory,   files, "as much as the profile gives"),
            (Some(memory + 1),  Some(257),      memory,   files, "one more than the profile gives"),
            (Some(u64::MAX),    Some(u32::MAX), memory,   files, "what setrlimit takes for no limit"),
        ];
        for (memory_max, files_max, memory, files, why) in cases {
            let run = Run {
                run_id: "r".into(),
                tool: "nmap".into(),
                argv: Vec::new(),
                timeout_ms: 1,
                stdout_max: 1,
                stderr_max: 1,
                memory_max,
                files_max,
            };
            let mut expected = own;
            expected.address_space_bytes = memory;
            expected.files = files;
            assert_eq!(limits(own, &run), expected, "{why}");
        }
    }
}
