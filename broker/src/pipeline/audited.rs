//! What the audit log gets to know of a call.
//!
//! What it is not: the log; that is [`crate::observe::audit`].
//!
//! Invariants: an intent that can't be recorded is a failure of the call; a
//! caller's own text is made harmless before it is recorded.

use super::caller::Caller;
use super::policy::Policy;
use crate::observe::audit::{AuditError, AuditLog, Entry, Kind};
use crate::outcome::{CallError, ErrorType, Outcome};
use crate::results::neutralise;

/// Records that a call is about to be handed to the executor.
///
/// # Errors
///
/// Where that can't be done: the call must not run then.
pub async fn intent(
    audit: Option<&AuditLog>,
    policy: &Policy,
    caller: &Caller,
    outcome: &Outcome,
) -> Result<(), CallError> {
    let Some(audit) = audit else {
        return Ok(());
    };
    let recorded = audit.intent(entry(policy, caller, outcome)).await;
    recorded.map_err(|error| unwritten(&error, "run"))
}

/// Records that a tool is about to be switched on or off.
///
/// # Errors
///
/// Where that can't be done: the tool must stay as it is then.
pub async fn switched(
    audit: Option<&AuditLog>,
    caller: &Caller,
    tool: &str,
    enabled: bool,
) -> Result<(), CallError> {
    let entry = Entry {
        tool: tool.to_owned(),
        change: Some(if enabled { "enabled" } else { "disabled" }),
        ..Entry::of(Kind::Changed)
    };
    changed(audit, caller, entry).await
}

/// Records that other settings and profiles, of this digest, are about to hold,
/// and which keys changed.
///
/// # Errors
///
/// Where that can't be done: everything must stay as it is then.
pub async fn reloaded(
    audit: Option<&AuditLog>,
    caller: &Caller,
    policy: &str,
    keys: Vec<String>,
) -> Result<(), CallError> {
    let entry = Entry {
        change: Some("reloaded"),
        keys,
        policy: Some(policy.to_owned()),
        ..Entry::of(Kind::Changed)
    };
    changed(audit, caller, entry).await
}

async fn changed(audit: Option<&AuditLog>, caller: &Caller, entry: Entry) -> Result<(), CallError> {
    let Some(audit) = audit else {
        return Ok(());
    };
    let entry = Entry {
        caller: neutralise::asked(&caller.to_string()),
        surface: caller.surface().as_str().to_owned(),
        ..entry
    };
    let recorded = audit.changed(entry).await;
    recorded.map_err(|error| unwritten(&error, "changed"))
}

fn unwritten(error: &AuditError, undone: &str) -> CallError {
    tracing::error!(%error, "the audit log can't be written; nothing is {undone}");
    let what = format!("the audit log can't be written: {error}");
    let remedy = format!(
        "nothing was {undone}; the administrator has to make room or mend the audit log (audit.file), then call again"
    );
    CallError::new(ErrorType::ResourceExhausted, what, remedy)
}

/// Records what a call came to.
pub async fn end(audit: Option<&AuditLog>, policy: &Policy, caller: &Caller, outcome: &Outcome) {
    let Some(audit) = audit else {
        return;
    };
    if let Err(error) = audit.end(entry(policy, caller, outcome)).await {
        tracing::error!(%error, "the end of a call is missing from the audit log");
    }
}

/// Records that the broker ends.
pub async fn stopped(audit: Option<&AuditLog>) {
    let Some(audit) = audit else {
        return;
    };
    if let Err(error) = audit.stopped().await {
        tracing::error!(%error, "the end of the broker is missing from the audit log");
    }
}

fn entry(policy: &Policy, caller: &Caller, outcome: &Outcome) -> Entry {
    Entry {
        caller: neutralise::asked(&caller.to_string()),
        surface: caller.surface().as_str().to_owned(),
        run_id: outcome.run_id.clone(),
        correlation_id: neutralise::asked(&outcome.correlation_id),
        tool: neutralise::asked(&outcome.tool),
        target: neutralise::asked(&outcome.target),
        argv: outcome.argv.clone(),
        targets: outcome.targets.clone(),
        error_type: outcome
            .error
            .as_ref()
            .map(|error| error.error_type.as_str()),
        returncode: outcome.facts.returncode,
        policy: Some(policy.digest().to_owned()),
        ..Entry::default()
    }
}
