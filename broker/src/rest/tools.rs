//! The tools: which there are, and what each takes.
//!
//! What it is not: a call; [`super::execute`] makes those.

use axum::Json;
use axum::extract::State;
use sandbox_profiles::Profile;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Service;
use super::problem::Problem;
use super::request::Named;
use super::schemas::{ProblemBody, ToolDetail};
use crate::mcp::input_schema;
use crate::pipeline::admit;
use crate::pipeline::permits::runs_max;
use crate::pipeline::policy::Policy;
use crate::tool_facts;

/// The tools of `GET /tools`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ToolList {
    tools: Vec<ToolSummary>,
    /// How many there are.
    total: usize,
    /// How many of them are switched on.
    enabled: usize,
}

/// One tool of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ToolSummary {
    name: String,
    /// Whether calls are taken.
    enabled: bool,
    /// The program's name.
    command: String,
    description: String,
    /// Runs at once.
    concurrency: usize,
    /// Seconds that a run may take where the call doesn't say.
    timeout: u64,
    has_metrics: bool,
    has_circuit_breaker: bool,
}

/// All tools.
#[utoipa::path(get, path = "/tools", tag = "tools", responses(
    (status = 200, description = "All tools", body = ToolList),
))]
pub(super) async fn list(State(service): State<Service>) -> Json<ToolList> {
    let policy = service.engine.policy();
    let profiles = policy.profiles().iter();
    let tools: Vec<_> = profiles.map(|profile| summary(&policy, profile)).collect();
    Json(ToolList {
        total: tools.len(),
        enabled: tools.iter().filter(|tool| tool.enabled).count(),
        tools,
    })
}

/// One tool: its templates, flags and needs, and the JSON Schema of a call.
#[utoipa::path(get, path = "/tools/{name}", tag = "tools",
    params(("name" = String, Path, description = "Name or alias of a tool")),
    responses(
        (status = 200, description = "The tool", body = ToolDetail),
        (status = 400, description = "The path is no text", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "No such tool", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn one(
    State(service): State<Service>,
    Named(name): Named,
) -> Result<Json<Map<String, Value>>, Problem> {
    let policy = service.engine.policy();
    // As for one that is to be switched off, which may be any.
    let profile = admit::switchable(&policy, &name, false);
    let profile = profile.map_err(|error| error.about(&name, ""))?;
    let summary = serde_json::to_value(summary(&policy, profile));
    let mut facts = tool_facts::of(profile);
    if let Ok(Value::Object(summary)) = summary {
        facts.extend(summary);
    }
    let scope = policy.settings().scope.for_tool(&profile.name);
    let schema = input_schema::schema(profile, scope);
    facts.insert("input_schema".to_owned(), json!(schema));
    facts.insert(
        "timeout_max".to_owned(),
        json!(profile.run.timeout_max.as_secs()),
    );
    Ok(Json(facts))
}

fn summary(policy: &Policy, profile: &Profile) -> ToolSummary {
    let settings = policy.settings();
    let command = profile.executable.file_name().unwrap_or_default();
    let timeout = settings.timeout.unwrap_or(profile.run.timeout);
    ToolSummary {
        name: profile.name.clone(),
        enabled: policy.offers(profile),
        command: command.to_string_lossy().into_owned(),
        description: profile.description.clone(),
        concurrency: runs_max(profile, settings.concurrency),
        timeout: timeout.min(profile.run.timeout_max).as_secs(),
        has_metrics: settings.service.metrics,
        has_circuit_breaker: true,
    }
}
