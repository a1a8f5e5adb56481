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
use crate::pipeline::call::Call;
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
    concurrency: u32,
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
    let engine = &service.engine;
    let tools: Vec<_> = engine
        .profiles()
        .iter()
        .map(|profile| summary(&service, profile))
        .collect();
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
    let engine = &service.engine;
    let profile = engine.profiles().get(&name).ok_or_else(|| {
        let known = admit::profile(engine.settings(), engine.profiles(), &Call::new(&name, ""));
        // It isn't known, so this says so, with the nearest one.
        let error = known.err().unwrap_or_else(super::no_such_path);
        Problem::new(error.about(&name, ""))
    })?;
    let summary = serde_json::to_value(summary(&service, profile));
    let mut facts = tool_facts::of(profile);
    if let Ok(Value::Object(summary)) = summary {
        facts.extend(summary);
    }
    let scope = engine.settings().scope.for_tool(&profile.name);
    let schema = input_schema::schema(profile, scope);
    facts.insert("input_schema".to_owned(), json!(schema));
    facts.insert(
        "timeout_max".to_owned(),
        json!(profile.run.timeout_max.as_secs()),
    );
    Ok(Json(facts))
}

fn summary(service: &Service, profile: &Profile) -> ToolSummary {
    let settings = service.engine.settings();
    let command = profile.executable.file_name().unwrap_or_default();
    let timeout = settings.timeout.unwrap_or(profile.run.timeout);
    ToolSummary {
        name: profile.name.clone(),
        enabled: admit::offered(settings, profile),
        command: command.to_string_lossy().into_owned(),
        description: profile.description.clone(),
        concurrency: settings.concurrency.unwrap_or(profile.run.concurrency),
        timeout: timeout.min(profile.run.timeout_max).as_secs(),
        has_metrics: settings.service.metrics,
        has_circuit_breaker: true,
    }
}
