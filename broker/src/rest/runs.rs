//! Runs by their ids: lists, results, output, cancellation.
//!
//! What it is not: a way to see others' runs; `pipeline::runs` answers for
//! those as for ones that never were.

#![expect(
    unused_qualifications,
    reason = "what utoipa makes of query parameters names them by their path"
)]

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Service;
use super::problem::Problem;
use super::request::{Asked, Named, invalid};
use super::schemas::ProblemBody;
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::pipeline::runs::ask::{LIST_MAX, ListQuery, RunPage};
use crate::store::record::{RunInfo, RunState};

/// Bytes of one piece of a tool's output.
const PIECE_BYTES_MAX: usize = 1024 * 1024;

static OFFSET: HeaderName = HeaderName::from_static("x-offset");
static TOTAL: HeaderName = HeaderName::from_static("x-total-bytes");

/// Which runs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsAsked {
    /// Only those of this tool.
    tool: Option<String>,
    /// Only those in this state: queued, running, finished, failed, cancelled or interrupted.
    state: Option<String>,
    /// At most so many, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Where in the output to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OutputAsked {
    /// In bytes; 0 unless given.
    #[serde(default)]
    offset: u64,
}

/// A run with what it came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Run {
    #[serde(flatten)]
    #[schema(inline)]
    info: RunInfo,
    /// As the call itself is answered; null while it is under way, or was interrupted.
    outcome: Option<Value>,
    /// What matters of it, in few words.
    summary: String,
}

/// Runs, newest first: the caller's own, or all for an administrator.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunsAsked), responses(
    (status = 200, description = "A page of runs", body = RunPage),
))]
pub(super) async fn list(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Asked(asked): Asked<RunsAsked>,
) -> Result<Json<RunPage>, Problem> {
    let state = match asked.state {
        None => None,
        Some(name) => Some(RunState::from_name(&name).ok_or_else(|| {
            let names = RunState::ALL.map(RunState::as_str).join(", ");
            invalid("there is no such state", &format!("give one of {names}"))
        })?),
    };
    if asked
        .limit
        .is_some_and(|limit| !(1..=LIST_MAX).contains(&limit))
    {
        let remedy = format!("give a limit from 1 to {LIST_MAX}");
        return Err(invalid("the limit is out of bounds", &remedy).into());
    }
    let query = ListQuery {
        tool: asked.tool.map(|tool| canonical(&service, tool)),
        state,
        limit: asked.limit.unwrap_or_default(),
        cursor: asked.cursor,
    };
    Ok(Json(service.engine.runs().list(&caller, query).await?))
}

/// The name of a tool that may be given by an alias. One that is gone may still have runs.
fn canonical(service: &Service, tool: String) -> String {
    let policy = service.engine.policy();
    let known = policy.profiles().get(&tool);
    known.map_or(tool, |profile| profile.name.clone())
}

/// One run, with its result once it is over.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The run", body = Run)))]
pub(super) async fn one(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
) -> Result<Json<Run>, Problem> {
    let found = service.engine.runs().result(&caller, &id).await?;
    Ok(Json(Run {
        info: found.info,
        outcome: found.outcome,
        summary: found.summary,
    }))
}

/// What the tool itself printed, as it did, from an offset on: at most 1 MiB at
/// once. `X-Total-Bytes` says how many bytes there are in all.
#[utoipa::path(get, path = "/runs/{id}/stdout", tag = "runs",
    params(("id" = String, Path, description = "The run's id"), OutputAsked),
    responses(
        (status = 200, description = "A piece of the output", body = [u8],
            content_type = "application/octet-stream"),
        (status = 409, description = "The run is under way", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn stdout(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
    Asked(asked): Asked<OutputAsked>,
) -> Result<impl IntoResponse, Problem> {
    let runs = service.engine.runs();
    let part = runs.stdout(&caller, &id, asked.offset, PIECE_BYTES_MAX);
    let part = part.await.map_err(too_early)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        // It is a stranger's text, and no page of ours.
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
        (OFFSET.clone(), part.offset.to_string()),
        (TOTAL.clone(), part.total.to_string()),
    ];
    Ok((headers, part.bytes))
}

/// Nothing is wrong with the question, but its time.
fn too_early(error: CallError) -> Problem {
    if error.error_type == ErrorType::ValidationError {
        return Problem::with_status(StatusCode::CONFLICT, error);
    }
    error.into()
}

/// Ends a run, and says what became of it.
#[utoipa::path(delete, path = "/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The run, ended or about to", body = RunInfo)))]
pub(super) async fn cancel(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
) -> Result<Json<RunInfo>, Problem> {
    Ok(Json(service.engine.runs().cancel(&caller, &id).await?))
}
