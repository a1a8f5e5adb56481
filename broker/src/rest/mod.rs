//! REST: the routes of the service.
//!
//! What it is: the translation between HTTP and the pipeline (SUR2).
//! What it is not: authentication or limits; the transport's front has made
//! sure of those before a handler runs, and has put the caller into the
//! request.
//!
//! Invariants: what goes wrong is a [`problem::Problem`]; no route answers with
//! a secret; each route is part of `/openapi.json`.

pub mod problem;
pub mod request;

mod about;
mod execute;
mod openapi;
mod schemas;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::outcome::{CallError, ErrorType};
use crate::pipeline::Engine;
use problem::Problem;

/// What handlers need. Cheap to clone.
#[derive(Debug, Clone)]
struct Service {
    engine: Engine,
    /// Cancelled when every run has to end.
    cancel: CancellationToken,
    /// What `/openapi.json` answers.
    description: Arc<str>,
}

/// All routes. Cancelling `cancel` ends every run.
pub fn router(engine: Engine, cancel: CancellationToken) -> Router {
    let (router, api) = described();
    // It was made from our own handlers, which are all text.
    let description = serde_json::to_string(&api).unwrap_or_default();
    router
        .fallback(async || Problem::new(no_such_path()))
        .method_not_allowed_fallback(other_method)
        .with_state(Service {
            engine,
            cancel,
            description: description.into(),
        })
}

fn described() -> (Router<Service>, OpenApi) {
    let (router, api) = OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(about::about))
        .routes(routes!(about::alive))
        .routes(routes!(tools::list))
        .routes(routes!(tools::one))
        .routes(routes!(execute::execute))
        .routes(routes!(openapi::openapi))
        .split_for_parts();
    (router, openapi::complete(api))
}

fn no_such_path() -> CallError {
    let what = "there is nothing at this path";
    CallError::new(
        ErrorType::NotFound,
        what,
        "GET /openapi.json lists the paths",
    )
}

async fn other_method() -> Problem {
    let what = "this path doesn't take this method";
    let remedy = "use one that the header Allow lists";
    let error = CallError::new(ErrorType::ValidationError, what, remedy);
    Problem::with_status(StatusCode::METHOD_NOT_ALLOWED, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_needs_a_token_but_two_and_refuses_by_problems() {
        let (_, api) = described();
        let api = serde_json::to_value(api).unwrap();
        let mut open = Vec::new();
        for (path, item) in api["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let problem = &operation["responses"]["default"]["content"][problem::MEDIA_TYPE];
                assert!(problem.is_object(), "{method} {path}");
                if operation["security"].is_null() {
                    open.push(path.as_str());
                }
            }
        }
        assert_eq!(open, ["/", "/livez"]);
    }
}
