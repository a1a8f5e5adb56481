//! The tools, as one table: what each is called, takes and does.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    JsonObject, LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::ask_by_result::{Asking, Flow, Step, TOOL_FLOWS};
use crate::ask_in_call::{choices_form, defaults_form, elicit, sample, user_form};
use crate::content::{PIXEL_PNG, SILENCE_WAV, object, said, text_at};
use crate::subscriptions::{Change, Changes};

/// Between two notifications of one call; the suite wants about this.
const PAUSE: Duration = Duration::from_millis(50);

/// A tool.
struct Row {
    name: &'static str,
    description: &'static str,
    takes: fn() -> Value,
    does: Act,
}

/// What a tool does.
#[derive(Clone, Copy)]
enum Act {
    /// Answers the same always.
    Answer(fn() -> CallToolResult),
    /// Answers with its argument of this name.
    Repeat(&'static str),
    /// Logs three lines, with pauses.
    Log,
    /// Logs a line at the level that the request asks for, if it does.
    LogIfAsked,
    /// Tells its progress three times, with pauses.
    Progress,
    /// Asks the client's model.
    Sample,
    /// Asks the client's user to fill in a form.
    Elicit(fn() -> Value),
    /// Refuses a client that has no model to ask.
    NeedSampling,
    /// Says that a list changed.
    Announce(Change),
}

const ROWS: &[Row] = &[
    Row {
        name: "test_simple_text",
        description: "Answers a text.",
        takes: nothing,
        does: Act::Answer(|| said("This is a simple text response for testing.")),
    },
    Row {
        name: "test_image_content",
        description: "Answers an image.",
        takes: nothing,
        does: Act::Answer(|| {
            CallToolResult::success(vec![ContentBlock::image(PIXEL_PNG, "image/png")])
        }),
    },
    Row {
        name: "test_audio_content",
        description: "Answers a sound.",
        takes: nothing,
        does: Act::Answer(|| {
            CallToolResult::success(vec![ContentBlock::audio(SILENCE_WAV, "audio/wav")])
        }),
    },
    Row {
        name: "test_embedded_resource",
        description: "Answers a resource.",
        takes: nothing,
        does: Act::Answer(|| {
            let text = "This is an embedded resource content.";
            let resource = text_at("test://embedded-resource", "text/plain", text);
            CallToolResult::success(vec![ContentBlock::resource(resource)])
        }),
    },
    Row {
        name: "test_multiple_content_types",
        description: "Answers a text, an image and a resource.",
        takes: nothing,
        does: Act::Answer(|| {
            let document = json!({ "test": "data", "value": 123 }).to_string();
            let uri = "test://mixed-content-resource";
            CallToolResult::success(vec![
                ContentBlock::text("Multiple content types test:"),
                ContentBlock::image(PIXEL_PNG, "image/png"),
                ContentBlock::resource(text_at(uri, "application/json", document)),
            ])
        }),
    },
    Row {
        name: "test_error_handling",
        description: "Fails.",
        takes: nothing,
        does: Act::Answer(|| {
            let why = "This tool intentionally returns an error for testing";
            CallToolResult::error(vec![ContentBlock::text(why)])
        }),
    },
    Row {
        name: "json_schema_2020_12_tool",
        description: "Takes an object that only the newest JSON Schema describes.",
        takes: newest_schema,
        does: Act::Repeat("name"),
    },
    Row {
        name: "test_custom_header",
        description: "Takes an argument that a header repeats.",
        takes: || {
            let value = json!({ "type": "string", "x-mcp-header": "Value" });
            json!({ "type": "object", "properties": { "value": value }, "required": ["value"] })
        },
        does: Act::Repeat("value"),
    },
    Row {
        name: "test_tool_with_logging",
        description: "Logs three lines.",
        takes: nothing,
        does: Act::Log,
    },
    Row {
        name: "test_logging_tool",
        description: "Logs a line if the request asks for lines.",
        takes: nothing,
        does: Act::LogIfAsked,
    },
    Row {
        name: "test_tool_with_progress",
        description: "Tells its progress.",
        takes: nothing,
        does: Act::Progress,
    },
    Row {
        name: "test_sampling",
        description: "Asks the client's model.",
        takes: || one_text("prompt"),
        does: Act::Sample,
    },
    Row {
        name: "test_elicitation",
        description: "Asks the user who they are.",
        takes: || one_text("message"),
        does: Act::Elicit(user_form),
    },
    Row {
        name: "test_elicitation_sep1034_defaults",
        description: "Asks the user, with defaults.",
        takes: nothing,
        does: Act::Elicit(defaults_form),
    },
    Row {
        name: "test_elicitation_sep1330_enums",
        description: "Asks the user to choose.",
        takes: nothing,
        does: Act::Elicit(choices_form),
    },
    Row {
        name: "test_missing_capability",
        description: "Serves only clients that have a model.",
        takes: nothing,
        does: Act::NeedSampling,
    },
    Row {
        name: "test_trigger_tool_change",
        description: "Says that the tools changed.",
        takes: nothing,
        does: Act::Announce(Change::Tools),
    },
    Row {
        name: "test_trigger_prompt_change",
        description: "Says that the prompts changed.",
        takes: nothing,
        does: Act::Announce(Change::Prompts),
    },
];

/// What `tools/list` shows: the table's rows, then the tools that ask by result.
pub(crate) fn list() -> Vec<Tool> {
    let rows = ROWS
        .iter()
        .map(|row| Tool::new(row.name, row.description, object(&(row.takes)())));
    let flows = TOOL_FLOWS
        .iter()
        .map(|flow| Tool::new(flow.name, "Asks before it answers.", object(&nothing())));
    rows.chain(flows).collect()
}

/// Calls a tool.
///
/// # Errors
///
/// When there is none of this name, or the protocol has an error for its answer.
pub(crate) async fn call(
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    asking: &Asking,
    changes: &Changes,
) -> Result<CallToolResponse, ErrorData> {
    if let Some(flow) = TOOL_FLOWS.iter().find(|flow| flow.name == request.name) {
        return follow(flow, &request, context, asking);
    }
    let row = ROWS.iter().find(|row| row.name == request.name);
    let row = row.ok_or_else(|| ErrorData::invalid_params("no such tool", None))?;
    let given = request.arguments.unwrap_or_default();
    let result = match row.does {
        Act::Answer(answer) => answer(),
        Act::Repeat(name) => said(text(&given, name)),
        Act::Log => log(context).await,
        Act::LogIfAsked => {
            if let Some(level) = context.meta.log_level() {
                log_line(context, level, "asked for").await;
            }
            said("done")
        }
        Act::Progress => progress(context).await,
        Act::Sample => sample(&context.peer, text(&given, "prompt")).await,
        Act::Elicit(form) => elicit(&context.peer, text(&given, "message"), form()).await?,
        Act::NeedSampling => {
            let declared = context.meta.client_capabilities().unwrap_or_default();
            if declared.sampling.is_none() {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            said("done")
        }
        Act::Announce(change) => {
            changes.announce(change);
            said("announced")
        }
    };
    Ok(result.into())
}

fn follow(
    flow: &Flow,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    asking: &Asking,
) -> Result<CallToolResponse, ErrorData> {
    let (given, state) = (&request.input_responses, &request.request_state);
    let step = asking.step(flow, given.as_ref(), state.as_deref(), &context.meta)?;
    Ok(match step {
        Step::Ask(result) => result.into(),
        Step::Done(text) => said(text).into(),
    })
}

async fn log(context: &RequestContext<RoleServer>) -> CallToolResult {
    for line in [
        "Tool execution started",
        "Tool processing data",
        "Tool execution completed",
    ] {
        log_line(context, LoggingLevel::Info, line).await;
        tokio::time::sleep(PAUSE).await;
    }
    said("logged")
}

async fn log_line(context: &RequestContext<RoleServer>, level: LoggingLevel, line: &str) {
    let line = LoggingMessageNotificationParam::new(level, json!(line));
    // A client that is gone needs no line.
    context.peer.notify_logging_message(line).await.ok();
}

async fn progress(context: &RequestContext<RoleServer>) -> CallToolResult {
    for part in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let told = ProgressNotificationParam::new(token, part).with_total(100.0);
            // A client that is gone needs no progress.
            context.peer.notify_progress(told).await.ok();
        }
        tokio::time::sleep(PAUSE).await;
    }
    said("done")
}

fn text<'a>(given: &'a JsonObject, name: &str) -> &'a str {
    given.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn nothing() -> Value {
    json!({ "type": "object", "properties": {} })
}

fn one_text(name: &str) -> Value {
    json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] })
}

/// Uses each keyword that a careless server would lose on the way.
fn newest_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "address",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
            },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
        },
        "allOf": [{ "anyOf": [{ "required": ["name"] }, { "required": ["address"] }] }],
        "if": { "required": ["address"] },
        "then": { "properties": { "address": { "required": ["street"] } } },
        "else": { "required": ["name"] },
        "additionalProperties": false,
    })
}
