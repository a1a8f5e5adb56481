//! Schemas of what is made elsewhere: results, problems, calls.
//!
//! What it is: what `GET /openapi.json` says of them.
//! What it is not: their making; a test compares the two.

use serde_json::{Value, json};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{ObjectBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Makes a type that stands for a schema.
macro_rules! schema {
    ($(#[$doc:meta])* $name:ident = $schema:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                read($schema)
            }
        }

        impl ToSchema for $name {}
    };
}

schema! {
    /// The body of a call.
    Execution = execution()
}
schema! {
    /// The result of a run.
    ToolOutput = tool_output()
}
schema! {
    /// A problem (RFC 9457) with our error object.
    ProblemBody = problem()
}
schema! {
    /// A tool with all that is known of it.
    ToolDetail = tool_detail()
}

schema! {
    /// The body of `/health`.
    HealthReport = health()
}

schema! {
    /// The body of `/config`.
    Configuration = configuration()
}

fn read(schema: Value) -> RefOr<Schema> {
    // A schema that can't be read would be any object; a test sees that none is.
    serde_json::from_value(schema).unwrap_or_else(|_| ObjectBuilder::new().into())
}

fn execution() -> Value {
    json!({
        "type": "object",
        "description": "A call. Besides these it takes the tool's own parameters, which \
            `input_schema` of GET /tools/{name} lists; unknown ones are refused.",
        "required": ["target"],
        "properties": {
            "target": { "type": "string", "minLength": 1, "maxLength": 253,
                "description": "An address, a network or a host name" },
            "template": { "type": "string", "description": "One of the tool's templates" },
            "extra_args": { "type": "string", "maxLength": 2048, "description": "Arguments of the tool" },
            "timeout_sec": { "type": "integer", "minimum": 1, "maximum": 3600 },
            "correlation_id": { "type": "string", "minLength": 1, "maxLength": 64,
                "pattern": "^[!-~]{1,64}$" },
        },
    })
}

fn tool_output() -> Value {
    with_error_members(json!({
        "type": "object",
        "description": "What the tool did. After a failure it has the fields of the error too.",
        "required": ["run_id", "correlation_id", "tool", "argv", "targets", "started_at",
            "execution_time", "returncode", "timed_out", "stdout", "stderr", "truncated_stdout",
            "truncated_stderr", "structured", "sandbox", "error", "error_type", "metadata"],
        "properties": {
            "run_id": { "type": "string" },
            "correlation_id": { "type": "string" },
            "tool": { "type": "string" },
            "argv": { "type": "array", "items": { "type": "string" } },
            "targets": { "type": "array", "items": { "type": "string" } },
            "started_at": { "type": "string", "format": "date-time" },
            "execution_time": { "type": "number", "minimum": 0, "description": "Seconds, waiting included" },
            "returncode": { "type": ["integer", "null"] },
            "timed_out": { "type": "boolean" },
            "stdout": { "type": "string" },
            "stderr": { "type": "string" },
            "truncated_stdout": { "type": "boolean" },
            "truncated_stderr": { "type": "boolean" },
            "structured": { "type": ["object", "array", "null"] },
            "sandbox": { "type": ["object", "null"] },
            "error": { "type": ["string", "null"] },
            "error_type": { "type": ["string", "null"] },
        },
    }))
}

fn problem() -> Value {
    with_error_members(json!({
        "type": "object",
        "description": "A problem (RFC 9457) with the members of our error object.",
        "required": ["type", "title", "status", "detail", "instance", "error_type", "message",
            "recovery_suggestion", "timestamp", "tool_name", "target", "metadata"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string" },
            "instance": { "type": "string", "description": "urn:request: and the request's id" },
            "error_type": { "type": "string" },
        },
    }))
}

/// The members that every error object has, but its kind.
fn with_error_members(mut schema: Value) -> Value {
    let text = || json!({ "type": "string" });
    let members = [
        ("message", text()),
        ("recovery_suggestion", text()),
        (
            "timestamp",
            json!({ "type": "string", "format": "date-time" }),
        ),
        ("tool_name", text()),
        ("target", text()),
        ("metadata", json!({ "type": "object" })),
    ];
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend(members.map(|(name, member)| (name.to_owned(), member)));
    }
    schema
}

fn tool_detail() -> Value {
    json!({
        "type": "object",
        "required": ["name", "aliases", "title", "description", "executable", "installed",
            "package", "needs", "timeout_sec", "timeout_max", "templates", "flags", "enabled",
            "command", "concurrency", "timeout", "has_metrics", "has_circuit_breaker", "input_schema"],
        "properties": {
            "name": { "type": "string" },
            "aliases": { "type": "array", "items": { "type": "string" } },
            "title": { "type": "string" },
            "description": { "type": "string" },
            "executable": { "type": "string", "description": "The program's absolute path" },
            "installed": { "type": "boolean" },
            "package": { "type": "string", "description": "The package that brings it" },
            "needs": { "type": "array", "items": { "type": "string" },
                "description": "What it can't do without" },
            "timeout_sec": { "type": "integer", "description": "The profile's own, in seconds" },
            "timeout": { "type": "integer", "description": "Where the call doesn't say, in seconds" },
            "timeout_max": { "type": "integer", "description": "The longest that a call may ask for, in seconds" },
            "templates": { "type": "array", "items": { "type": "object" } },
            "flags": { "type": "array", "items": { "type": "object" } },
            "enabled": { "type": "boolean", "description": "Whether calls are taken" },
            "command": { "type": "string", "description": "The program's name" },
            "concurrency": { "type": "integer", "description": "Runs at once" },
            "has_metrics": { "type": "boolean" },
            "has_circuit_breaker": { "type": "boolean" },
            "input_schema": { "type": "object", "description": "JSON Schema of the body of a call" },
        },
    })
}

fn health() -> Value {
    json!({
        "type": "object",
        "required": ["status", "timestamp", "transport", "checks", "summary"],
        "properties": {
            "status": { "type": "string", "enum": ["healthy", "degraded", "unhealthy"] },
            "timestamp": { "type": "string", "format": "date-time" },
            "transport": { "type": "string" },
            "checks": { "type": "object", "additionalProperties": { "type": "object" } },
            "summary": { "type": "object" },
        },
    })
}

fn configuration() -> Value {
    let types = ["boolean", "integer", "string", "array"];
    let value = json!({
        "type": "object",
        "required": ["value", "source", "default", "meaning", "reloads"],
        "properties": {
            "value": { "type": types },
            "source": { "type": "string", "description": "built-in, PATH:LINE or environment NAME" },
            "default": { "type": types, "description": "What it would be if nobody set it" },
            "variable": { "type": "string", "description": "The variable that sets it" },
            "meaning": { "type": "string" },
            "reloads": { "type": "boolean", "description": "Whether a reload takes a change" },
        },
    });
    json!({
        "type": "object",
        "required": ["file", "policy", "generation", "values", "tools"],
        "properties": {
            "file": { "type": ["string", "null"], "description": "The file that was read" },
            "policy": { "type": "string", "description": "The digest of scope and profiles, in hex" },
            "generation": { "type": "integer", "minimum": 0, "description": "The number of the policy since the start" },
            "values": { "type": "object", "additionalProperties": value,
                "description": "Each key by its path" },
            "tools": { "type": "object", "additionalProperties": { "type": "object" },
                "description": "What holds for each tool by its name, and who says so" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{CallError, ErrorType, Outcome, RunFacts};

    #[test]
    fn results_are_what_their_schema_says() {
        let error = CallError::new(ErrorType::Timeout, "late", "wait").about("nmap", "10.0.0.1");
        let outcome = Outcome {
            run_id: "r".into(),
            correlation_id: "c".into(),
            tool: "nmap".into(),
            target: "10.0.0.1".into(),
            argv: Vec::new(),
            targets: Vec::new(),
            notes: Vec::new(),
            resolved: None,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            execution_time: 0.0,
            facts: RunFacts::default(),
            error: Some(error),
        };
        let (sent, schema) = (outcome.to_json(), tool_output());
        let known = schema["properties"].as_object().unwrap();
        for name in sent.as_object().unwrap().keys() {
            assert!(known.contains_key(name), "{name} is not in the schema");
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(
                !sent[name.as_str().unwrap()].is_null()
                    || known.contains_key(name.as_str().unwrap())
            );
            assert!(
                sent.get(name.as_str().unwrap()).is_some(),
                "{name} is not sent"
            );
        }
    }

    #[test]
    fn every_schema_can_be_read() {
        for schema in [
            execution(),
            tool_output(),
            problem(),
            tool_detail(),
            health(),
            configuration(),
        ] {
            let read: Result<Schema, _> = serde_json::from_value(schema.clone());
            let written = serde_json::to_value(read.unwrap()).unwrap();
            assert_eq!(written["required"], schema["required"], "{schema}");
        }
    }
}
