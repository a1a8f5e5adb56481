//! How long an answer waits for its run, and what is said when that is over.
//!
//! What it is: a run that ends in time is answered by its outcome; one that
//! doesn't goes on, and the answer says how to ask for it.
//! What it is not: a timeout of the run; the call sets that.
//!
//! Invariants: until the answer, whoever abandons the wait cancels the run;
//! after a handle was given, only a call of `run_cancel` does.

use std::time::Duration;

use jiff::Timestamp;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::run_tools::{CANCEL, RESULT, STATUS};
use crate::outcome::Outcome;
use crate::pipeline::runs::Running;
use crate::store::record::{RunInfo, RunState};

/// What there is to answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// The run is over.
    Outcome(Box<Outcome>),
    /// It goes on.
    Handle(Box<RunInfo>),
}

/// Waits for a run's end for `inline` at the longest.
pub(super) async fn within(
    mut running: Running,
    inline: Duration,
    cancel: &CancellationToken,
) -> Answer {
    tokio::select! {
        biased;
        outcome = running.outcome() => return Answer::Outcome(Box::new(outcome)),
        () = cancel.cancelled() => running.cancel(),
        () = tokio::time::sleep(inline) => if running.detach() {
            return Answer::Handle(Box::new(running.info()));
        },
    }
    Answer::Outcome(Box::new(running.outcome().await))
}

/// The answer that a run goes on, or what became of one that was asked for.
pub(super) fn status(info: &RunInfo) -> CallToolResult {
    let content = content(info);
    let mut result = CallToolResult::success(vec![ContentBlock::text(words(info, &content))]);
    result.structured_content = Some(content);
    result
}

/// The fields of a run's state.
pub(super) fn content(info: &RunInfo) -> Value {
    let end = info.ended_at.unwrap_or_else(Timestamp::now);
    let elapsed = end.duration_since(info.started_at).as_secs_f64();
    json!({
        "run_id": info.run_id,
        "correlation_id": info.correlation_id,
        "tool": info.tool,
        "target": info.target,
        "argv": info.argv,
        "state": info.state,
        "started_at": info.started_at,
        "ended_at": info.ended_at,
        "elapsed_sec": elapsed,
        "progress": info.progress,
        "returncode": info.returncode,
        "error_type": info.error_type,
        "error": info.error,
        "next": next(info),
    })
}

/// What to do now, in a sentence.
pub(super) fn next(info: &RunInfo) -> String {
    let id = json!({ "run_id": info.run_id });
    match info.state {
        RunState::Queued | RunState::Running => format!(
            "The run goes on. Call {STATUS} with {}; when it is over, {RESULT} with {id}. \
             {CANCEL} ends it.",
            json!({ "run_id": info.run_id, "wait_sec": 30 }),
        ),
        RunState::Finished | RunState::Failed | RunState::Cancelled => {
            format!("Call {RESULT} with {id} for what it found.")
        }
        RunState::Interrupted => "Nothing of it is left; make the call again.".to_owned(),
    }
}

fn words(info: &RunInfo, content: &Value) -> String {
    let elapsed = content
        .get("elapsed_sec")
        .and_then(Value::as_f64)
        .unwrap_or(0.0);
    let mut lines = vec![format!(
        "Run {} of {} on {}: {} after {elapsed:.0} s.",
        info.run_id,
        info.tool,
        info.target,
        info.state.as_str(),
    )];
    if let Some(progress) = &info.progress {
        let (percent, message) = (progress.percent, &progress.message);
        lines.push(format!("{percent:.0} % done: {message}"));
    }
    if let Some(error) = &info.error {
        let kind = info.error_type.as_deref().unwrap_or("unknown");
        lines.push(format!("{kind}: {error}"));
    }
    lines.push(next(info));
    lines.join("\n")
}
