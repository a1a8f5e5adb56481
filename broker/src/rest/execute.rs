//! `POST /tools/{name}/execute`: one call, to its end.
//!
//! What it is: the translation of a body to a call, and of its outcome to an
//! answer: what ran is a result, whatever came of it; what did not is a problem.
//! With `Prefer: respond-async` (RFC 7240) a run that was admitted is answered by
//! its handle, and goes on.
//! What it is not: vetting; the pipeline does that.
//!
//! Invariants: a client that goes away before it was answered cancels its run,
//! and the run's end is recorded all the same; a call that is refused is refused,
//! whatever was preferred.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use tokio::sync::Notify;

use super::Service;
use super::problem::Problem;
use super::request::{JsonText, Named, RequestId};
use super::schemas::{Execution, ProblemBody, ToolOutput};
use crate::access::Role;
use crate::outcome::Outcome;
use crate::pipeline::call::Call;
use crate::pipeline::caller::Caller;
use crate::pipeline::{Observer, RunEvent, Unobserved};
use crate::store::record::RunInfo;

/// A preference of the caller's (RFC 7240): not to wait for the result.
const RESPOND_ASYNC: &str = "respond-async";

static PREFER: HeaderName = HeaderName::from_static("prefer");
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Runs a tool and answers with its result, or, preferring `respond-async`, with a handle.
#[utoipa::path(post, path = "/tools/{name}/execute", tag = "tools",
    params(
        ("name" = String, Path, description = "Name or alias of a tool"),
        ("Prefer" = Option<String>, Header,
            description = "`respond-async`: answer when the run is admitted; /runs/{id} has its end"),
    ),
    request_body = Execution,
    responses(
        (status = 200, description = "The tool ran, to whatever end", body = ToolOutput),
        (status = 202, description = "It goes on, as was preferred; Location is where to ask for it",
            body = RunInfo),
        (status = 400, description = "The call breaks a rule", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "No such tool, template or host name", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "It was cancelled before it began", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many calls; Retry-After says when to come back",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "The tool could not be run", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "Busy, or the executor is away; Retry-After where it is known",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "Its time was up before it began", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn execute(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    Named(name): Named,
    headers: HeaderMap,
    body: Result<JsonText, Problem>,
) -> Result<Response, Problem> {
    let mut call = match body {
        Ok(JsonText(body)) => Call::from_json_body(&name, &body)
            .unwrap_or_else(|error| Call::undecodable(&name, "", error)),
        Err(problem) if caller.grant().may(Role::Execute) => return Err(problem),
        // Who may run nothing is told that, whatever they send.
        Err(problem) => Call::undecodable(&name, "", problem.error().clone()),
    };
    // What the log says of the request and of the run is found by one id.
    call.correlation_id
        .get_or_insert_with(|| id.as_str().to_owned());
    if prefers_async(&headers) {
        return start(&service, call, &caller).await;
    }
    // Dropped with this handler, when the client goes away, it cancels its run.
    let run = service.engine.run(
        call,
        &caller,
        Arc::new(Unobserved),
        service.cancel.child_token(),
    );
    let outcome = run.await;
    answer(outcome)
}

/// Starts a run and leaves it to itself once it waits for its turn or runs.
async fn start(service: &Service, call: Call, caller: &Caller) -> Result<Response, Problem> {
    let admitted = Arc::new(Notify::new());
    let observer = Arc::new(Admitted(Arc::clone(&admitted)));
    let mut running = service.engine.start(call, caller, observer);
    tokio::select! {
        biased;
        outcome = running.outcome() => return answer(outcome),
        () = admitted.notified() => {}
    }
    if !running.detach() {
        return answer(running.outcome().await);
    }
    let info = running.info();
    let headers = [
        (header::LOCATION, format!("/runs/{}", info.run_id)),
        (PREFERENCE_APPLIED.clone(), RESPOND_ASYNC.to_owned()),
    ];
    Ok((StatusCode::ACCEPTED, headers, Json(info)).into_response())
}

/// Tells when a call was neither refused nor is still looked at.
struct Admitted(Arc<Notify>);

impl Observer for Admitted {
    fn observe(&self, event: RunEvent) {
        match event {
            RunEvent::Queued | RunEvent::Started { .. } => self.0.notify_one(),
            RunEvent::Progress { .. } => {}
        }
    }
}

fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all(&PREFER).iter();
    let mut preferences = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    preferences.any(|preference| preference.trim().eq_ignore_ascii_case(RESPOND_ASYNC))
}

fn answer(outcome: Outcome) -> Result<Response, Problem> {
    if outcome.ran() {
        return Ok(Json(outcome.to_json()).into_response());
    }
    match outcome.error {
        Some(error) => Err(error.with("correlation_id", outcome.correlation_id).into()),
        None => Ok(Json(outcome.to_json()).into_response()),
    }
}
