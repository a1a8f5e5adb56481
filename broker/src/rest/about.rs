//! What anybody may know: that the service is there, and what it is.
//!
//! What it is not: a place for anything of its configuration.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Service;

/// `GET /`.
pub(super) async fn about(State(service): State<Service>) -> Json<Value> {
    let engine = &service.engine;
    Json(json!({
        "name": "Mantlet",
        "version": env!("CARGO_PKG_VERSION"),
        "transport": "http",
        "tools": engine.profiles().iter().count(),
        "enabled_tools": engine.enabled().count(),
        "endpoints": {
            "health": "/health",
            "tools": "/tools",
            "metrics": "/metrics",
            "events": "/events",
        },
    }))
}

/// `GET /livez`: this process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}
