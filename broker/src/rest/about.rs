//! What anybody may know: that the service is there, and what it is.
//!
//! What it is not: a place for anything of its configuration.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Service;

/// What this is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct About {
    name: &'static str,
    version: &'static str,
    transport: &'static str,
    /// How many tools there are.
    tools: usize,
    /// How many of them are switched on.
    enabled_tools: usize,
    /// Where to go on.
    endpoints: BTreeMap<&'static str, &'static str>,
}

/// What this service is.
#[utoipa::path(get, path = "/", tag = "service", responses(
    (status = 200, description = "What this is", body = About),
))]
pub(super) async fn about(State(service): State<Service>) -> Json<About> {
    let policy = service.engine.policy();
    let endpoints = [
        ("health", "/health"),
        ("tools", "/tools"),
        ("metrics", "/metrics"),
        ("events", "/events"),
        ("runs", "/runs"),
        ("mcp", "/mcp"),
        ("openapi", "/openapi.json"),
    ];
    Json(About {
        name: "Mantlet",
        version: env!("CARGO_PKG_VERSION"),
        transport: "http",
        tools: policy.profiles().iter().count(),
        enabled_tools: policy.enabled().count(),
        endpoints: endpoints.into(),
    })
}

/// Whether this process answers.
#[utoipa::path(get, path = "/livez", tag = "service", responses(
    (status = 200, description = "It does", body = str, content_type = "text/plain"),
))]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}
