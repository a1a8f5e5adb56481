//! REST: the routes of the service.
//!
//! What it is: the translation between HTTP and the pipeline (SUR2).
//! What it is not: authentication or limits; the transport's front has made
//! sure of those before a handler runs, and has put the caller into the
//! request.
//!
//! Invariants: what goes wrong is a [`problem::Problem`]; no route answers with
//! a secret; each route but that of MCP is part of `/openapi.json`.

pub mod problem;
pub mod request;

mod about;
mod admin;
mod execute;
mod observe;
mod openapi;
mod runs;
mod schemas;
mod tools;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::observe::health::keeper::Health;
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::Engine;
use problem::Problem;

/// What handlers need. Cheap to clone: each layer that a request passes has its own.
#[derive(Debug, Clone)]
pub struct Service(Arc<Parts>);

/// The parts of a [`Service`].
#[derive(Debug)]
pub struct Parts {
    /// The pipeline.
    pub engine: Engine,
    /// What was found when it was last looked at.
    pub health: Health,
    /// Cancelled when nothing more is taken on.
    pub drain: CancellationToken,
    /// Cancelled when every run has to end.
    pub cancel: CancellationToken,
}

impl Service {
    /// A service of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Service {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// All routes; `mcp` answers at `/mcp`.
pub fn router(service: Service, mcp: MethodRouter<Service>) -> Router {
    let (router, _) = described();
    router
        .route("/mcp", mcp)
        .fallback(async || Problem::new(no_such_path()))
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(service.clone(), observe::time))
        .with_state(service)
}

/// The routes, and what `/openapi.json` says of them.
fn described() -> (Router<Service>, OpenApi) {
    let (router, api) = OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(about::about))
        .routes(routes!(about::alive))
        .routes(routes!(observe::ready))
        .routes(routes!(observe::health))
        .routes(routes!(observe::metrics))
        .routes(routes!(observe::events))
        .routes(routes!(tools::list))
        .routes(routes!(tools::one))
        .routes(routes!(execute::execute))
        .routes(routes!(admin::enable))
        .routes(routes!(admin::disable))
        .routes(routes!(admin::config))
        .routes(routes!(admin::reload))
        .routes(routes!(runs::list))
        .routes(routes!(runs::one, runs::cancel))
        .routes(routes!(runs::stdout))
        .routes(routes!(openapi::openapi))
        .split_for_parts();
    (router, openapi::complete(api))
}

fn no_such_path() -> CallError {
    let what = "there is nothing at this path";
    let remedy = "GET /openapi.json lists the paths";
    CallError::new(ErrorType::NotFound, what, remedy)
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
