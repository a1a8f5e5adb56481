//! REST: the routes of the service.
//!
//! What it is: the translation between HTTP and the pipeline (SUR2).
//! What it is not: authentication or limits; the transport's front has made
//! sure of those before a handler runs, and has put the caller into the
//! request.
//!
//! Invariants: what goes wrong is a [`problem::Problem`]; no route answers with
//! a secret.

pub mod problem;

mod about;

use axum::Router;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::outcome::{CallError, ErrorType};
use crate::pipeline::Engine;
use problem::Problem;

/// What handlers need. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    /// The pipeline.
    pub engine: Engine,
    /// Cancelled when every run has to end.
    pub cancel: CancellationToken,
}

/// All routes.
pub fn router(service: Service) -> Router {
    Router::new()
        .route("/", get(about::about))
        .route("/livez", get(about::alive))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .with_state(service)
}

async fn nothing() -> Problem {
    let what = "there is nothing at this path";
    CallError::new(ErrorType::NotFound, what, "GET / lists the paths").into()
}

async fn other_method() -> Problem {
    let what = "this path doesn't take this method";
    let remedy = "use one that the header Allow lists";
    let error = CallError::new(ErrorType::ValidationError, what, remedy);
    Problem::with_status(axum::http::StatusCode::METHOD_NOT_ALLOWED, error)
}
