//! Runs as tasks, for clients that declare `io.modelcontextprotocol/tasks`.
//!
//! What it is: a task is a run that outlasted its answer; its id is the run's.
//! What it is not: a second register of runs, or a way to ask for input.
//!
//! Invariants: another caller's task is answered as one that never was; a task
//! that is completed carries the very result that the call would have had.

use jiff::Timestamp;
use rmcp::ErrorData;
use rmcp::model::{DetailedTask, JsonObject, Task, TaskPayload, TaskStatus};
use serde_json::{Value, json};

use super::result;
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::pipeline::runs::Runs;
use crate::store::record::{RunInfo, RunState};

/// How often a client should ask, in milliseconds.
const POLL_MS: u64 = 2_000;

/// A run as a task.
pub(super) fn task(info: &RunInfo, runs: &Runs) -> Task {
    let updated = info.ended_at.unwrap_or_else(Timestamp::now);
    let (status, progress) = (status(info.state), info.progress.as_ref());
    let message = match progress {
        Some(progress) => format!("{:.0} % done: {}", progress.percent, progress.message),
        None => format!("{} is {}", info.tool, info.state.as_str()),
    };
    let (begun, updated) = (info.started_at.to_string(), updated.to_string());
    let ttl_ms = u64::try_from(runs.kept_for().as_millis()).unwrap_or(u64::MAX);
    Task::new(info.run_id.clone(), status, begun, updated)
        .with_status_message(message)
        .with_ttl_ms(ttl_ms)
        .with_poll_interval_ms(POLL_MS)
}

/// A task as it is now, with what it came to.
pub(super) async fn get(
    runs: &Runs,
    caller: &Caller,
    id: &str,
    links: bool,
) -> Result<DetailedTask, ErrorData> {
    let found = runs.result(caller, id).await;
    let found = found.map_err(|error| failed(&error))?;
    let payload = match found.info.state {
        RunState::Queued | RunState::Running => TaskPayload::Working,
        RunState::Cancelled => TaskPayload::Cancelled,
        RunState::Interrupted => interrupted(&found.info),
        RunState::Finished | RunState::Failed => {
            let outcome = found.outcome();
            let result = outcome.map(|outcome| result::from_outcome(&outcome, links));
            let result = result.and_then(|result| serde_json::to_value(result).ok());
            result.map_or_else(
                || interrupted(&found.info),
                |result| TaskPayload::Completed {
                    result: object(result),
                },
            )
        }
    };
    Ok(DetailedTask::new(task(&found.info, runs), payload))
}

/// Whether there is such a task of this caller.
pub(super) async fn is_known(runs: &Runs, caller: &Caller, id: &str) -> Result<(), ErrorData> {
    let known = runs.status(caller, id).await;
    known.map(drop).map_err(|error| failed(&error))
}

/// Ends a task; that it is ending is all that the answer says.
pub(super) async fn cancel(runs: &Runs, caller: &Caller, id: &str) -> Result<(), ErrorData> {
    let cancelled = runs.cancel(caller, id).await;
    cancelled.map(drop).map_err(|error| failed(&error))
}

fn status(state: RunState) -> TaskStatus {
    match state {
        RunState::Queued | RunState::Running => TaskStatus::Working,
        RunState::Finished | RunState::Failed => TaskStatus::Completed,
        RunState::Cancelled => TaskStatus::Cancelled,
        RunState::Interrupted => TaskStatus::Failed,
    }
}

fn interrupted(info: &RunInfo) -> TaskPayload {
    let why = info.error.as_deref().unwrap_or("its result is not kept");
    let error = ErrorData::internal_error(why.to_owned(), None);
    TaskPayload::Failed {
        error: object(json!(error)),
    }
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            JsonObject::new()
        }
    }
}

fn failed(error: &CallError) -> ErrorData {
    if error.error_type == ErrorType::NotFound {
        return ErrorData::invalid_params("there is no such task", None);
    }
    ErrorData::internal_error(error.message.clone(), Some(json!(error)))
}
