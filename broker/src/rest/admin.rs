//! What an administrator does: switch tools, read the configuration, reload.
//!
//! What it is not: the check that it is one; the transport's front makes that
//! (ACC4).

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Service;
use super::problem::Problem;
use super::request::Named;
use super::schemas::{Configuration, ProblemBody};
use crate::pipeline::caller::Caller;
use crate::pipeline::reload::Report;
use crate::pipeline::{admit, effective};

/// What became of a tool.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Switched {
    /// For people.
    message: String,
    /// The tool's name.
    tool: String,
}

/// Switches a tool on, until the service ends.
#[utoipa::path(post, path = "/tools/{name}/enable", tag = "administration",
    params(("name" = String, Path, description = "Name or alias of a tool")),
    responses((status = 200, description = "It is on", body = Switched)))]
pub(super) async fn enable(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<Json<Switched>, Problem> {
    switch(&service, &caller, &name, true).await
}

/// Switches a tool off, until the service ends. What runs goes on.
#[utoipa::path(post, path = "/tools/{name}/disable", tag = "administration",
    params(("name" = String, Path, description = "Name or alias of a tool")),
    responses((status = 200, description = "It is off", body = Switched)))]
pub(super) async fn disable(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Named(name): Named,
) -> Result<Json<Switched>, Problem> {
    switch(&service, &caller, &name, false).await
}

async fn switch(
    service: &Service,
    caller: &Caller,
    name: &str,
    enabled: bool,
) -> Result<Json<Switched>, Problem> {
    let engine = &service.engine;
    let changed = engine.set_enabled(name, enabled, caller).await?;
    let policy = engine.policy();
    // A reload may have taken the tool away since.
    let profile = admit::switchable(&policy, name, false);
    let tool = profile.map_err(|error| error.about(name, ""))?.name.clone();
    let state = if enabled { "enabled" } else { "disabled" };
    let already = if changed { "" } else { " already" };
    let message = format!("Tool {tool} {state}{already}");
    Ok(Json(Switched { message, tool }))
}

/// The configuration in effect: each value, and who set it.
#[utoipa::path(get, path = "/config", tag = "administration", responses(
    (status = 200, description = "The configuration; no key holds a secret", body = Configuration),
))]
pub(super) async fn config(State(service): State<Service>) -> Json<Value> {
    Json(effective::configuration(&service.engine.policy()))
}

/// Reads configuration and profiles anew.
#[utoipa::path(post, path = "/reload", tag = "administration", responses(
    (status = 200, description = "What changed", body = Report),
    (status = 400, description = "What is wrong; nothing was changed", body = ProblemBody,
        content_type = "application/problem+json"),
))]
pub(super) async fn reload(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Report>, Problem> {
    let done = service.engine.reload(&caller).await;
    done.map(Json).map_err(|refused| refused.error().into())
}
