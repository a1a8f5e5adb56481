//! `POST /tools/{name}/execute`: one call, to its end.
//!
//! What it is: the translation of a body to a call, and of its outcome to an
//! answer: what ran is a result, whatever came of it; what did not is a problem.
//! What it is not: vetting; the pipeline does that.
//!
//! Invariants: a client that goes away cancels its run, and the run's end is
//! recorded all the same.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use super::Service;
use super::problem::Problem;
use super::request::{JsonText, Named, RequestId};
use super::schemas::{Execution, ProblemBody, ToolOutput};
use crate::outcome::Outcome;
use crate::pipeline::Unobserved;
use crate::pipeline::call::Call;
use crate::pipeline::caller::Caller;

/// Runs a tool and answers with its result.
#[utoipa::path(post, path = "/tools/{name}/execute", tag = "tools",
    params(("name" = String, Path, description = "Name or alias of a tool")),
    request_body = Execution,
    responses(
        (status = 200, description = "The tool ran, to whatever end", body = ToolOutput),
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
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let mut call = Call::from_json_body(&name, &body)?;
    drop(body);
    // What the log says of the request and of the run is found by one id.
    call.correlation_id
        .get_or_insert_with(|| id.as_str().to_owned());
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

fn answer(outcome: Outcome) -> Result<Response, Problem> {
    if outcome.ran() {
        return Ok(Json(outcome.to_json()).into_response());
    }
    match outcome.error {
        Some(error) => Err(error
            .with("run_id", outcome.run_id)
            .with("correlation_id", outcome.correlation_id)
            .into()),
        None => Ok(Json(outcome.to_json()).into_response()),
    }
}
