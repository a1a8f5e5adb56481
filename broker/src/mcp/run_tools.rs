//! The tools that ask for runs: `run_status`, `run_result`, `run_cancel`.
//!
//! What it is: their schemas, and the reading of their arguments.
//! What it is not: runs ([`crate::pipeline::runs`]) or pages of results
//! ([`super::run_pages`]).
//!
//! Invariants: they never start anything; a field that is not known is refused;
//! whose run it is, the pipeline checks.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::output_schema::ERROR_FIELDS;
use super::{inline, result, run_pages};
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::pipeline::runs::Runs;
use crate::pipeline::runs::ask::ListQuery;
use crate::store::record::RunState;

/// The tool that says how far a run is.
pub(super) const STATUS: &str = "run_status";
/// The tool that gives what it found.
pub(super) const RESULT: &str = "run_result";
/// The tool that ends it.
pub(super) const CANCEL: &str = "run_cancel";

/// Longest wait of [`STATUS`], in seconds: less than the shortest patience of clients.
const WAIT_SEC_MAX: u64 = 45;
/// Runs of a list.
const LIST: u32 = 10;
/// Longest id or cursor, in characters.
const ID_CHARS_MAX: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    run_id: Option<String>,
    wait_sec: Option<u64>,
    tool: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    run_id: String,
}

/// Whether this is one of them.
pub(super) fn is_one(name: &str) -> bool {
    [STATUS, RESULT, CANCEL].contains(&name)
}

/// Asks for runs.
pub(super) async fn call(
    name: &str,
    arguments: JsonObject,
    runs: &Runs,
    caller: &Caller,
) -> CallToolResult {
    let answered = match name {
        STATUS => status(arguments, runs, caller).await,
        RESULT => run_result(arguments, runs, caller).await,
        _ => cancel(arguments, runs, caller).await,
    };
    answered.unwrap_or_else(|error| result::undecoded(&error.about(name, "")))
}

async fn status(
    arguments: JsonObject,
    runs: &Runs,
    caller: &Caller,
) -> Result<CallToolResult, CallError> {
    let asked: Status = read(arguments)?;
    let state = asked.state.as_deref().map(state_of).transpose()?;
    let wait = asked.wait_sec.unwrap_or(0);
    if wait > WAIT_SEC_MAX {
        let why = format!("wait_sec is at most {WAIT_SEC_MAX}");
        return Err(invalid(&why, "ask again when that time is over"));
    }
    if let Some(run_id) = asked.run_id {
        let wait = Duration::from_secs(wait);
        let info = runs.wait(caller, &run_id, wait).await?;
        return Ok(inline::status(&info));
    }
    let query = ListQuery {
        tool: asked.tool,
        state,
        limit: LIST,
        cursor: asked.cursor,
    };
    let page = runs.list(caller, query).await?;
    let listed: Vec<Value> = page.runs.iter().map(inline::content).collect();
    let lines = page.runs.iter().map(|run| {
        let (id, tool, target) = (&run.run_id, &run.tool, &run.target);
        format!("{id} {tool} {target}: {}", run.state.as_str())
    });
    let text = match lines.collect::<Vec<_>>().join("\n") {
        none if none.is_empty() => "There are no such runs of yours.".to_owned(),
        lines => lines,
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(json!({ "runs": listed, "next_cursor": page.next_cursor }));
    Ok(result)
}

async fn run_result(
    arguments: JsonObject,
    runs: &Runs,
    caller: &Caller,
) -> Result<CallToolResult, CallError> {
    let asked: run_pages::Asked = read(arguments)?;
    let found = runs.result(caller, &asked.run_id).await?;
    let Some(outcome) = &found.outcome else {
        return Ok(inline::status(&found.info));
    };
    run_pages::page(&found.info, outcome, &asked)
}

async fn cancel(
    arguments: JsonObject,
    runs: &Runs,
    caller: &Caller,
) -> Result<CallToolResult, CallError> {
    let asked: Cancel = read(arguments)?;
    let info = runs.cancel(caller, &asked.run_id).await?;
    Ok(inline::status(&info))
}

fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, CallError> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        let why: String = error.to_string().chars().take(256).collect();
        invalid(&why, "see the tool's input schema")
    })
}

fn state_of(name: &str) -> Result<RunState, CallError> {
    let names = || RunState::ALL.map(RunState::as_str).join(", ");
    RunState::from_name(name).ok_or_else(|| {
        invalid(
            "there is no such state",
            &format!("give one of {}", names()),
        )
    })
}

/// An error in the arguments.
pub(super) fn invalid(why: &str, remedy: &str) -> CallError {
    CallError::new(ErrorType::ValidationError, why, remedy).with("rule", "ARG1")
}

/// The three, as they are listed.
pub(super) fn list() -> Vec<Tool> {
    let look = |title: &str| {
        ToolAnnotations::with_title(title)
            .read_only(true)
            .destructive(false)
            .idempotent(true)
            .open_world(false)
    };
    let status = "How far a run is, or, without run_id, which runs there are, newest first. \
        Give wait_sec to wait for its end instead of asking again and again.";
    let result = "What a run found, in pages. Of an nmap run, hosts with their ports, which host, \
        port and state narrow down; of others the parsed result. part: \"stdout\" or \"stderr\" \
        gives the readable output instead. Go on at next_offset until it is null.";
    let cancel = "Ends a run that is not needed any more. What it found until then is kept.";
    vec![
        tool(
            STATUS,
            status,
            status_input(),
            status_output(true),
            look("State of a run"),
        ),
        tool(
            RESULT,
            result,
            result_input(),
            run_pages::output(),
            look("Result of a run"),
        ),
        tool(
            CANCEL,
            cancel,
            cancel_input(),
            status_output(false),
            look("End a run").read_only(false),
        ),
    ]
}

fn tool(
    name: &'static str,
    description: &'static str,
    input: Value,
    output: Value,
    annotations: ToolAnnotations,
) -> Tool {
    let object = |mut schema: Value| {
        let fields = schema.as_object_mut().map(std::mem::take);
        Arc::new(fields.unwrap_or_default())
    };
    let title = annotations.title.clone().unwrap_or_default();
    Tool::new(name, description, object(input))
        .with_title(title)
        .with_raw_output_schema(object(output))
        .with_annotations(annotations)
}

fn id() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX,
        "description": "The run, as run_id names it.",
    })
}

fn states() -> Value {
    json!(RunState::ALL.map(RunState::as_str))
}

fn status_input() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "run_id": id(),
            "wait_sec": {
                "type": "integer", "minimum": 0, "maximum": WAIT_SEC_MAX, "default": 0,
                "description": "Wait so long for the run's end.",
            },
            "tool": { "type": "string", "description": "In a list: only runs of this tool." },
            "state": {
                "type": "string", "enum": states(),
                "description": "In a list: only runs in this state.",
            },
            "cursor": {
                "type": "string", "maxLength": ID_CHARS_MAX,
                "description": "In a list: next_cursor of the page before.",
            },
        },
        "additionalProperties": false,
    })
}

fn result_input() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "run_id": id(),
            "part": {
                "type": "string", "enum": ["result", "stdout", "stderr"], "default": "result",
                "description": "The parsed result, or the readable output.",
            },
            "host": { "type": "string", "description": "Only this host: an address or a name." },
            "port": {
                "type": "integer", "minimum": 0, "maximum": 65535,
                "description": "Only this port.",
            },
            "state": { "type": "string", "description": "Only ports in this state, such as open." },
            "offset": {
                "type": "integer", "minimum": 0, "default": 0,
                "description": "Where the page begins: next_offset of the page before.",
            },
        },
        "required": ["run_id"],
        "additionalProperties": false,
    })
}

fn cancel_input() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": { "run_id": id() },
        "required": ["run_id"],
        "additionalProperties": false,
    })
}

/// The fields of a run's state, in a schema.
pub(super) fn status_properties() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let maybe = |kind: &str, description: &str| json!({ "type": [kind, "null"], "description": description });
    json!({
        "run_id": text("Names the run."),
        "correlation_id": text("The caller's name for it, or one of ours."),
        "tool": text("The tool."),
        "target": text("The target asked for."),
        "argv": {
            "type": "array", "items": { "type": "string" }, "description": "What runs.",
        },
        "state": { "type": "string", "enum": states(), "description": "What has become of it." },
        "started_at": text("When the call came in (RFC 3339, UTC)."),
        "ended_at": maybe("string", "When it was over; null while it is not."),
        "elapsed_sec": { "type": "number", "description": "Seconds it has taken." },
        "progress": progress(),
        "returncode": maybe("integer", "The tool's exit code."),
        "error_type": maybe("string", "The kind of failure."),
        "error": maybe("string", "Why it failed; null if not."),
        "next": text("What to call next."),
    })
}

/// How far a run is, in a schema.
pub(super) fn progress() -> Value {
    json!({
        "type": ["object", "null"],
        "description": "How far it is, while it is under way and says so.",
        "properties": {
            "percent": { "type": "number", "minimum": 0, "maximum": 100 },
            "message": { "type": "string" },
        },
    })
}

/// The fields of an error, in a schema, without those that others have too.
pub(super) fn with_error_properties(mut properties: Value) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    if let Some(fields) = properties.as_object_mut() {
        fields.insert("message".into(), text("Why it failed."));
        fields.insert("recovery_suggestion".into(), text("What to do next."));
        fields.insert("timestamp".into(), text("When it failed (RFC 3339, UTC)."));
        fields.insert("tool_name".into(), text("The tool asked for."));
        fields.insert(
            "metadata".into(),
            json!({ "type": "object", "description": "Facts about the failure." }),
        );
    }
    properties
}

fn status_output(lists: bool) -> Value {
    let mut properties = with_error_properties(status_properties());
    let mut shapes = vec![
        json!({ "required": ["run_id", "state", "next"] }),
        json!({ "required": ERROR_FIELDS }),
    ];
    if lists && let Some(fields) = properties.as_object_mut() {
        let run = json!({ "type": "object", "properties": status_properties() });
        let runs = json!({ "type": "array", "items": run, "description": "Runs, newest first." });
        fields.insert("runs".into(), runs);
        let cursor =
            json!({ "type": ["string", "null"], "description": "The next page's cursor." });
        fields.insert("next_cursor".into(), cursor);
        shapes.push(json!({ "required": ["runs", "next_cursor"] }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "A run as it is now; where it can't be said, the error.",
        "properties": properties,
        "anyOf": shapes,
    })
}
