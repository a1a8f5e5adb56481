//! JSON Schemas of results, made from profiles.
//!
//! What it is: the fields of RUN8 around the tool's own structured result, and
//! those of an error. Some clients check failures against it, too.
//! What it is not: the place where results are made; [`super::result`] is.
//!
//! Invariants: every structured content that this server sends follows it
//! (tested); no `format` keyword.

use rmcp::model::JsonObject;
use sandbox_profiles::Profile;
use serde_json::{Value, json};

use super::run_tools;
use crate::results::{self, Format};

/// The fields that every result has.
pub(super) const RESULT_FIELDS: &[&str] = &[
    "run_id",
    "correlation_id",
    "tool",
    "argv",
    "targets",
    "started_at",
    "execution_time",
    "returncode",
    "timed_out",
    "stdout",
    "stderr",
    "truncated_stdout",
    "truncated_stderr",
    "structured",
    "sandbox",
    "error",
    "error_type",
    "metadata",
];

/// The fields that every error has.
pub(super) const ERROR_FIELDS: &[&str] = &[
    "error_type",
    "message",
    "recovery_suggestion",
    "timestamp",
    "tool_name",
    "target",
    "metadata",
];

/// The fields by which a run that goes on is known.
pub(super) const HANDLE_FIELDS: &[&str] = &["run_id", "state", "next"];

/// The schema of a tool's results.
pub(super) fn schema(profile: &Profile) -> JsonObject {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "The result of a run; where it failed or was refused, the error; where it \
            takes long, how to ask for it.",
        "properties": {
            "run_id": string("Names this run."),
            "correlation_id": string("The caller's name for it, or one of ours."),
            "tool": string("The tool."),
            "argv": strings("The arguments that ran, program first."),
            "targets": strings("What it was aimed at; a name with the address it was pinned to."),
            "started_at": string("When the call came in (RFC 3339, UTC)."),
            "execution_time": {
                "type": "number", "minimum": 0,
                "description": "Seconds from then to the end, waiting included.",
            },
            "returncode": {
                "type": ["integer", "null"],
                "description": "The tool's exit code; 124 after a timeout; null if it had none.",
            },
            "timed_out": flag("Its time was up; what it found until then is kept."),
            "stdout": string("The output in readable form, cut for a model."),
            "stderr": string("What the tool complained about, cut for a model."),
            "truncated_stdout": flag("The output was more than is kept of a run."),
            "truncated_stderr": flag("The complaints were more than is kept of a run."),
            "structured": structured(profile),
            "sandbox": {
                "type": ["object", "null"],
                "description": "How the run was confined; null if nothing ran.",
            },
            "error": { "type": ["string", "null"], "description": "Why it failed; null if not." },
            "error_type": { "type": ["string", "null"], "description": "The kind of failure." },
            "metadata": {
                "type": "object",
                "description": "Counters; notes on what was changed or added; what was left out \
                    here; after a refusal the rule, the offending part and the nearest allowed call.",
                "properties": { "resolved": resolved() },
            },
            "message": string("Why it failed."),
            "recovery_suggestion": string("What to do next."),
            "timestamp": string("When it failed (RFC 3339, UTC)."),
            "tool_name": string("The tool asked for."),
            "target": string("The target asked for."),
            "state": string("Of a run that goes on after this answer: queued or running."),
            "progress": run_tools::progress(),
            "ended_at": { "type": "null", "description": "It has not ended." },
            "elapsed_sec": { "type": "number", "description": "Seconds it has taken so far." },
            "next": string("How to ask for a run that goes on."),
        },
        "anyOf": [
            { "required": RESULT_FIELDS },
            { "required": ERROR_FIELDS },
            { "required": HANDLE_FIELDS },
        ],
    });
    schema
        .as_object_mut()
        .map(std::mem::take)
        .unwrap_or_default()
}

/// The tool's own part: absent results are null, and so are those of a format without structure.
fn structured(profile: &Profile) -> Value {
    let format = Format::from_name(&profile.output.format).unwrap_or(Format::Text);
    let mut own = results::schema(format);
    if let Some(fields) = own.as_object_mut() {
        // One dialect for the whole document.
        fields.remove("$schema");
    }
    match format {
        Format::Text => own,
        Format::NmapXml
        | Format::PingText
        | Format::TracerouteText
        | Format::CurlJson
        | Format::DigYaml => {
            json!({ "anyOf": [own, { "type": "null" }] })
        }
    }
}

/// What a name resolved to; only where the target was one.
fn resolved() -> Value {
    json!({
        "type": "object",
        "description": "What the target's name resolved to; absent where the target was no name.",
        "properties": {
            "name": string("The name."),
            "answers": strings("All addresses it has, each of them checked against the scope."),
            "pinned": string("The one that the tool was aimed at."),
        },
        "required": ["name", "answers", "pinned"],
        "additionalProperties": false,
    })
}

fn string(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn strings(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}
