//! Asking for runs by their ids.
//!
//! What it is: state, result, output and cancellation of a run, and lists of
//! them, for every surface.
//! What it is not: a surface, or a page for a model.
//!
//! Invariants: another caller's run is answered exactly as one that never was;
//! an admin sees all.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Runs, locked};
use crate::access::Role;
use crate::outcome::{CallError, ErrorType, Outcome};
use crate::pipeline::caller::{Caller, Surface};
use crate::store::StoreError;
use crate::store::record::{Filter, RunInfo, RunState, StdoutPart};

/// How long the end of a cancelled run is waited for before the answer.
const CANCEL_WAIT: Duration = Duration::from_secs(3);

/// Most runs of a page.
pub const LIST_MAX: u32 = 100;

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Of this tool.
    pub tool: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
    /// At most so many: 1 to [`LIST_MAX`]; 0 for as many as there may be.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of runs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunInfo>,
    /// What to give as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A run with what it came to.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// The run.
    pub info: RunInfo,
    /// Its outcome as [`crate::outcome::Outcome::to_json`] gives it; `None`
    /// while it is under way, and where it was interrupted.
    pub outcome: Option<Value>,
    /// What matters of it, in few words.
    pub summary: String,
}

impl RunResult {
    /// The outcome itself, without the tool's own output.
    pub fn outcome(&self) -> Option<Outcome> {
        let target = self.info.target.clone();
        Outcome::from_json(self.outcome.as_ref()?, target, self.summary.clone())
    }
}

/// Whether a caller may see a run of this owner.
pub fn may_see(caller: &Caller, owner: &str) -> bool {
    only_of(caller).is_none_or(|own| own == owner)
}

/// Whose runs a caller sees; `None` means everybody's. A user of this machine
/// may do everything, but sees on each surface what was asked for there.
fn only_of(caller: &Caller) -> Option<String> {
    let oversees = caller.surface() == Surface::Http && caller.grant().may(Role::Admin);
    (!oversees).then(|| caller.to_string())
}

impl Runs {
    /// For how long runs are kept, if there is room.
    pub fn kept_for(&self) -> Duration {
        self.0.store.age_max()
    }

    /// A run as it is now.
    ///
    /// # Errors
    ///
    /// `not_found` for one that isn't kept or isn't the caller's.
    pub async fn status(&self, caller: &Caller, run_id: &str) -> Result<RunInfo, CallError> {
        let seen = |info: &RunInfo| may_see(caller, &info.caller);
        if let Some(live) = self.live(run_id) {
            return Some(live.info()).filter(seen).ok_or_else(not_found);
        }
        let unkept = locked(&self.0.unkept).get(run_id);
        if let Some((info, _)) = unkept {
            return Some(info).filter(seen).ok_or_else(not_found);
        }
        let found = self
            .0
            .store
            .get(run_id)
            .await
            .map_err(|error| unreadable(&error))?;
        found.filter(seen).ok_or_else(not_found)
    }

    /// As [`Runs::status`], once the run is over or `span` has passed.
    ///
    /// # Errors
    ///
    /// As [`Runs::status`].
    pub async fn wait(
        &self,
        caller: &Caller,
        run_id: &str,
        span: Duration,
    ) -> Result<RunInfo, CallError> {
        let info = self.status(caller, run_id).await?;
        let Some(live) = self.live(run_id) else {
            return Ok(info);
        };
        // Out of patience is an answer too.
        drop(tokio::time::timeout(span, live.over.cancelled()).await);
        self.status(caller, run_id).await
    }

    /// A run with what it came to.
    ///
    /// # Errors
    ///
    /// As [`Runs::status`].
    pub async fn result(&self, caller: &Caller, run_id: &str) -> Result<RunResult, CallError> {
        let info = self.status(caller, run_id).await?;
        if !info.state.is_over() {
            return Ok(RunResult {
                info,
                outcome: None,
                summary: String::new(),
            });
        }
        let unkept = locked(&self.0.unkept).get(run_id);
        if let Some((info, outcome)) = unkept {
            return Ok(RunResult {
                info,
                outcome: Some(outcome.to_json()),
                summary: outcome.facts.summary.clone(),
            });
        }
        let found = self.0.store.outcome(run_id).await;
        let (text, summary) = found.map_err(|error| unreadable(&error))?.unzip();
        Ok(RunResult {
            info,
            outcome: text.and_then(|text| serde_json::from_str(&text).ok()),
            summary: summary.unwrap_or_default(),
        })
    }

    /// A piece of what the tool itself printed, of `bytes_max` bytes at most.
    ///
    /// # Errors
    ///
    /// As [`Runs::status`]; `validation_error` while it is under way.
    pub async fn stdout(
        &self,
        caller: &Caller,
        run_id: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<StdoutPart, CallError> {
        let info = self.status(caller, run_id).await?;
        if !info.state.is_over() {
            let what = "the run is under way; its output is kept when it is over";
            let remedy = "ask for its state, and again when it is over";
            return Err(CallError::new(ErrorType::ValidationError, what, remedy));
        }
        let unkept = locked(&self.0.unkept).get(run_id);
        if let Some((_, outcome)) = unkept {
            let raw = &outcome.facts.raw_stdout;
            let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(raw.len());
            let rest = raw.get(begin..).unwrap_or_default();
            let bytes = rest.get(..bytes_max).unwrap_or(rest).to_vec();
            return Ok(StdoutPart {
                offset: u64::try_from(begin).unwrap_or(u64::MAX),
                bytes,
                total: u64::try_from(raw.len()).unwrap_or(u64::MAX),
            });
        }
        let part = self.0.store.stdout(run_id, offset, bytes_max).await;
        let part = part.map_err(|error| unreadable(&error))?;
        // An interrupted run has left nothing.
        Ok(part.unwrap_or(StdoutPart {
            offset: 0,
            bytes: Vec::new(),
            total: 0,
        }))
    }

    /// Ends a run, and gives what became of it. One that is over stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Runs::status`]; `execution_error` for a run of another broker.
    pub async fn cancel(&self, caller: &Caller, run_id: &str) -> Result<RunInfo, CallError> {
        let info = self.status(caller, run_id).await?;
        if info.state.is_over() {
            return Ok(info);
        }
        if let Some(live) = self.live(run_id) {
            live.cancel.cancel();
            return self.wait(caller, run_id, CANCEL_WAIT).await;
        }
        // It may have ended between the two looks.
        let info = self.status(caller, run_id).await?;
        if info.state.is_over() {
            return Ok(info);
        }
        let what = "the run belongs to another mantlet process that shares this store";
        let remedy = "cancel it in the session that started it";
        Err(CallError::new(ErrorType::ExecutionError, what, remedy))
    }

    /// Runs that the caller may see, newest first.
    ///
    /// # Errors
    ///
    /// `validation_error` for a cursor that no page gave, `resource_exhausted`
    /// where the store can't be read.
    pub async fn list(&self, caller: &Caller, query: ListQuery) -> Result<RunPage, CallError> {
        let limit = match query.limit {
            0 => LIST_MAX,
            limit => limit.min(LIST_MAX),
        };
        if let Some(cursor) = &query.cursor
            && uuid::Uuid::try_parse(cursor).is_err()
        {
            let what = "the cursor is of no page";
            let remedy = "give `next_cursor` of the page before, as it is, or none";
            return Err(CallError::new(ErrorType::ValidationError, what, remedy));
        }
        let filter = Filter {
            caller: only_of(caller),
            tool: query.tool,
            state: query.state,
            before: query.cursor,
            // One more shows whether there are more.
            limit: limit.saturating_add(1),
        };
        let listed = self.0.store.list(filter).await;
        let mut runs = listed.map_err(|error| unreadable(&error))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = runs.len() > limit;
        runs.truncate(limit);
        let last = runs.last().map(|run| run.run_id.clone());
        for run in &mut runs {
            if let Some(live) = self.live(&run.run_id) {
                *run = live.info();
            }
        }
        let next_cursor = last.filter(|_| more);
        Ok(RunPage { runs, next_cursor })
    }
}

fn not_found() -> CallError {
    let remedy = "check the run_id; runs are kept for a time only (store.max_age_days), \
                  and each caller sees its own";
    CallError::new(ErrorType::NotFound, "there is no such run", remedy)
}

fn unreadable(error: &StoreError) -> CallError {
    tracing::error!(%error, "the run store can't be read");
    let what = format!("the run store can't be read: {error}");
    let remedy = "ask again; the broker's log says more";
    CallError::new(ErrorType::ResourceExhausted, what, remedy)
}
