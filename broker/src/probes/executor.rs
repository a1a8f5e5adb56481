//! The executor and its tools, asked of itself.
//!
//! What it is not: a run; the executor answers from what it found when it
//! started and what it holds now.

use std::time::Duration;

use protocol::event::ToolState;
use sandbox_profiles::Profile;
use serde_json::json;
use tokio::time::timeout;

use super::EXECUTOR;
use crate::executor::Inspected;
use crate::observe::health::{Check, Findings, PROBE_TIME_MAX, Priority, Status};
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::Engine;
use crate::results::neutralise;

/// From this one on, all that profiles confine is confined (signals too).
const LANDLOCK_ABI_FULL: u32 = 6;
/// Most characters of what the executor says.
const SAID_CHARS_MAX: usize = 512;

/// How long its answer is waited for. One that hangs is found so, not by the
/// bound of the probe, which would leave the metric as it was.
const ANSWER_WAIT: Duration = Duration::from_secs(8);
const _: () = assert!(ANSWER_WAIT.as_secs() < PROBE_TIME_MAX.as_secs());

pub(super) async fn look(engine: &Engine) -> Findings {
    let inspected = timeout(ANSWER_WAIT, engine.executor().inspect()).await;
    let inspected = inspected.unwrap_or_else(|_| Err(silent()));
    engine.watch().metrics.set_executor_up(inspected.is_ok());
    match inspected {
        Ok(inspected) => found(engine, &inspected),
        Err(error) => {
            let message = format!("{}; {}", error.message, error.recovery_suggestion);
            let message = neutralise::line(&message, SAID_CHARS_MAX);
            let check = Check::new(EXECUTOR, Priority::Critical, Status::Unhealthy, message);
            vec![check.with(json!({ "mode": engine.executor().mode() }))]
        }
    }
}

fn silent() -> CallError {
    let what = format!(
        "the executor did not answer within {} s",
        ANSWER_WAIT.as_secs()
    );
    let remedy = "run `mantlet doctor`, and restart the executor if it hangs";
    CallError::new(ErrorType::ExecutorUnavailable, what, remedy)
}

fn found(engine: &Engine, inspected: &Inspected) -> Findings {
    let mut findings = vec![
        executor(engine, inspected),
        agreement(engine, inspected),
        sandbox(inspected),
    ];
    let policy = engine.policy();
    let tools: Vec<Check> = policy
        .enabled()
        .map(|profile| tool(profile, inspected))
        .collect();
    findings.push(availability(&tools));
    findings.extend(tools);
    findings
}

fn executor(engine: &Engine, inspected: &Inspected) -> Check {
    let (under_way, most) = inspected.inventory.runs;
    let (mode, version) = (engine.executor().mode(), &inspected.welcome.version);
    let message = format!("{mode} executor {version} answers; {under_way} of at most {most} runs");
    Check::new(EXECUTOR, Priority::Critical, Status::Healthy, message).with(json!({
        "mode": mode,
        "version": version,
        "runs": under_way,
        "runs_max": most,
    }))
}

/// Whether both sides allow the same.
fn agreement(engine: &Engine, inspected: &Inspected) -> Check {
    let welcome = &inspected.welcome;
    let same_profiles = welcome.profiles_digest == engine.policy().profiles().digest();
    let same_scope = welcome.scope_digest == engine.policy().settings().scope.digest();
    let differ = match (same_profiles, same_scope) {
        (true, true) => None,
        (false, true) => Some("other profiles"),
        (true, false) => Some("another scope"),
        (false, false) => Some("other profiles and another scope"),
    };
    let (status, message) = match differ {
        None => (
            Status::Healthy,
            "both sides have the same profiles and scope".to_owned(),
        ),
        Some(what) => (
            Status::Degraded,
            format!(
                "the executor has {what} than the broker, and its own decide; `mantlet check` shows each difference"
            ),
        ),
    };
    Check::new("policy", Priority::Important, status, message).with(json!({
        "same_profiles": same_profiles,
        "same_scope": same_scope,
    }))
}

/// What tools are confined by. A weaker mode shows here, and is what was configured.
fn sandbox(inspected: &Inspected) -> Check {
    let inventory = &inspected.inventory;
    let abi = inventory.landlock_abi;
    let said = |text: &str| neutralise::line(text, SAID_CHARS_MAX);
    let (kernel, egress) = (said(&inventory.kernel), said(&inventory.egress));
    let (status, lacks) = if abi >= LANDLOCK_ABI_FULL {
        (Status::Healthy, String::new())
    } else {
        let lacks = format!(
            ", less than ABI {LANDLOCK_ABI_FULL}: signals between tools, or ports, are not confined; a newer kernel helps"
        );
        (Status::Degraded, lacks)
    };
    let message = format!("kernel {kernel}, Landlock ABI {abi}{lacks}; egress mode {egress}");
    Check::new("sandbox", Priority::Informational, status, message).with(json!({
        "kernel": kernel,
        "landlock_abi": abi,
        "egress": egress,
        "uid": inventory.uid,
        "capabilities": inventory.capabilities,
        "icmp_sockets": inventory.icmp_sockets,
    }))
}

/// A tool's program, as the executor found it.
fn tool(profile: &Profile, inspected: &Inspected) -> Check {
    let named = |tool: &&ToolState| tool.name == profile.name;
    let state = inspected.inventory.tools.iter().find(named);
    let said = |text: &str| neutralise::line(text, SAID_CHARS_MAX);
    let check = |status, message| {
        Check::new(
            format!("tool_{}", profile.name),
            Priority::Important,
            status,
            message,
        )
    };
    let Some(state) = state else {
        let what = "the executor has no such profile and refuses its calls; `mantlet check`";
        return check(Status::Unhealthy, what.to_owned());
    };
    let (path, version) = (said(&state.path), said(&state.version));
    let facts = json!({ "path": path, "version": version });
    if state.problem.is_empty() {
        return check(Status::Healthy, format!("{path} {version}")).with(facts);
    }
    let remedy = if version.is_empty() {
        format!(
            "apt-get install {}, then restart the executor",
            profile.package
        )
    } else {
        "then restart the executor".to_owned()
    };
    let message = format!("can't run: {}; {remedy}", said(&state.problem));
    check(Status::Unhealthy, message).with(facts)
}

/// How many of the tools can run; none at all is worse than some.
fn availability(tools: &[Check]) -> Check {
    let able = tools
        .iter()
        .filter(|tool| tool.status == Status::Healthy)
        .count();
    let all = tools.len();
    let status = match able {
        _ if able == all => Status::Healthy,
        0 => Status::Unhealthy,
        _ => Status::Degraded,
    };
    let message = format!("{able}/{all} tools available");
    Check::new("tool_availability", Priority::Critical, status, message)
}
