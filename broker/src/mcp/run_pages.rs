//! Results of runs, a page at a time.
//!
//! What it is: hosts and ports of a scan, narrowed down by host, port and state;
//! the parsed result of other tools; readable output from an offset on.
//! What it is not: the whole at once; a model has no room for it.
//!
//! Invariants: a page is at most about [`PAGE_CHARS_MAX`] characters of JSON;
//! going on at `next_offset` shows everything once; text in a page has been
//! neutralised when the result was made.

use rmcp::model::{CallToolResult, ContentBlock};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::inline;
use super::output_schema::ERROR_FIELDS;
use super::run_tools::{invalid, status_properties, with_error_properties};
use super::words::UNTRUSTED;
use crate::outcome::CallError;
use crate::results;
use crate::store::record::RunInfo;

/// Longest page, in characters of JSON: about 2,000 tokens.
const PAGE_CHARS_MAX: usize = 6_000;

/// What to show of a result.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Of which run.
    pub(super) run_id: String,
    part: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    state: Option<String>,
    offset: Option<usize>,
}

impl Asked {
    fn narrows(&self) -> bool {
        self.host.is_some() || self.port.is_some() || self.state.is_some()
    }
}

/// One page of a result.
///
/// # Errors
///
/// Where there is no such part, or it can't be narrowed down that way.
pub(super) fn page(
    info: &RunInfo,
    outcome: &Value,
    asked: &Asked,
) -> Result<CallToolResult, CallError> {
    let part = asked.part.as_deref().unwrap_or("result");
    let structured = outcome.get("structured").unwrap_or(&Value::Null);
    let hosts = structured.get("hosts").and_then(Value::as_array);
    let narrowed = match (part, hosts) {
        ("result", Some(hosts)) => self::hosts(hosts, structured, asked),
        ("result", None) if asked.narrows() => {
            let why = "this result has no hosts and ports";
            return Err(invalid(why, "leave host, port and state out"));
        }
        ("result", None) if !structured.is_null() => {
            let whole = structured.to_string().len() <= PAGE_CHARS_MAX;
            let mut page = Map::new();
            let shown = results::bounded(structured.clone(), PAGE_CHARS_MAX);
            page.insert("structured".into(), shown);
            page.insert("whole".into(), whole.into());
            page.insert("next_offset".into(), Value::Null);
            page
        }
        // A tool without a parsed result has only its output.
        ("result" | "stdout", None | Some(_)) => text(outcome, "stdout", asked),
        ("stderr", _) => text(outcome, "stderr", asked),
        _ => {
            let why = "there is no such part";
            return Err(invalid(why, "give result, stdout or stderr"));
        }
    };
    let mut content = inline::content(info);
    if let Some(fields) = content.as_object_mut() {
        let next = next(&narrowed, asked);
        fields.extend(narrowed.clone());
        fields.insert("next".into(), next.into());
    }
    let shown = Value::Object(narrowed);
    let text = format!("{}\n{UNTRUSTED}\n\n{shown}", head(info));
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(content);
    Ok(result)
}

fn head(info: &RunInfo) -> String {
    let state = info.state.as_str();
    let failed = info.error.as_deref().map(|error| format!(" ({error})"));
    let failed = failed.unwrap_or_default();
    format!("{} on {}: {state}{failed}", info.tool, info.target)
}

fn next(page: &Map<String, Value>, asked: &Asked) -> String {
    match page.get("next_offset").and_then(Value::as_u64) {
        Some(offset) => format!("More: the same call with \"offset\": {offset}."),
        None if page.get("whole") == Some(&Value::Bool(false)) => {
            "Details are left out; \"part\": \"stdout\" has the readable output.".to_owned()
        }
        None if asked.narrows() => "That is all that matches.".to_owned(),
        None => "That is all.".to_owned(),
    }
}

/// A page of readable output. Offsets count characters.
fn text(outcome: &Value, stream: &str, asked: &Asked) -> Map<String, Value> {
    let whole = outcome.get(stream).and_then(Value::as_str).unwrap_or("");
    let total = whole.chars().count();
    let offset = asked.offset.unwrap_or(0).min(total);
    let mut room = PAGE_CHARS_MAX;
    let mut shown = String::new();
    let mut end = offset;
    for char in whole.chars().skip(offset) {
        // As JSON has it: a line end or a quote takes two.
        let cost = if char.is_ascii_graphic() || char == ' ' {
            1
        } else {
            2
        };
        if room < cost {
            break;
        }
        room = room.saturating_sub(cost);
        shown.push(char);
        end = end.saturating_add(1);
    }
    let next = (end < total).then_some(end);
    let fields = json!({
        "part": stream, "text": shown, "offset": offset, "next_offset": next, "total": total,
    });
    object(fields)
}

/// A page of hosts. Offsets count what matches: ports, and hosts that show none.
fn hosts(hosts: &[Value], structured: &Value, asked: &Asked) -> Map<String, Value> {
    let matching = hosts.iter().filter(|host| is_host(host, asked));
    let units: Vec<(&Value, Option<&Value>)> =
        matching.flat_map(|host| units_of(host, asked)).collect();
    let total = units.len();
    let offset = asked.offset.unwrap_or(0).min(total);
    let mut shown: Vec<Value> = Vec::new();
    let mut last: Option<&Value> = None;
    let mut end = offset;
    let mut used: usize = 0;
    for (host, port) in units.into_iter().skip(offset) {
        let same = last.is_some_and(|last| std::ptr::eq(last, host));
        let head = if same {
            None
        } else {
            Some(without_ports(host))
        };
        let cost = head.iter().chain(port).map(|value| value.to_string().len());
        let cost: usize = cost.fold(16, usize::saturating_add);
        if end > offset && used.saturating_add(cost) > PAGE_CHARS_MAX {
            break;
        }
        used = used.saturating_add(cost);
        shown.extend(head);
        last = Some(host);
        let ports = shown
            .last_mut()
            .and_then(|host| host.get_mut("ports"))
            .and_then(Value::as_array_mut);
        if let (Some(ports), Some(port)) = (ports, port) {
            ports.push(port.clone());
        }
        end = end.saturating_add(1);
    }
    let next = (end < total).then_some(end);
    // A single port's scripts may be longer than a page.
    let mut page = object(results::bounded(json!({ "hosts": shown }), PAGE_CHARS_MAX));
    page.extend(object(json!({
        "part": "hosts", "offset": offset, "next_offset": next, "total": total,
    })));
    if offset == 0 && !asked.narrows() {
        for field in ["totals", "statistics"] {
            if let Some(value) = structured.get(field) {
                page.insert(field.to_owned(), value.clone());
            }
        }
    }
    page
}

fn is_host(host: &Value, asked: &Asked) -> bool {
    let Some(wanted) = asked.host.as_deref() else {
        return true;
    };
    let is = |value: &Value| {
        value
            .as_str()
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    };
    let names = host.get("hostnames").and_then(Value::as_array);
    ["address", "name"]
        .iter()
        .any(|field| host.get(*field).is_some_and(is))
        || names.is_some_and(|names| names.iter().any(is))
}

fn units_of<'a>(host: &'a Value, asked: &Asked) -> Vec<(&'a Value, Option<&'a Value>)> {
    let wanted = |port: &&Value| {
        let number = asked.port.is_none_or(|number| {
            port.get("number").and_then(Value::as_u64) == Some(u64::from(number))
        });
        let state = asked
            .state
            .as_deref()
            .is_none_or(|state| port.get("state").and_then(Value::as_str) == Some(state));
        number && state
    };
    let ports = host.get("ports").and_then(Value::as_array);
    let ports = ports.map(Vec::as_slice).unwrap_or_default();
    let found: Vec<_> = ports
        .iter()
        .filter(wanted)
        .map(|port| (host, Some(port)))
        .collect();
    let about_ports = asked.port.is_some() || asked.state.is_some();
    if found.is_empty() && !about_ports {
        return vec![(host, None)];
    }
    found
}

fn without_ports(host: &Value) -> Value {
    let fields = host.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| *name != "ports");
    let mut host: Map<_, _> = fields
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    host.insert("ports".into(), json!([]));
    Value::Object(host)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// The schema of a page.
pub(super) fn output() -> Value {
    let mut properties = with_error_properties(status_properties());
    let own = json!({
        "part": { "type": "string", "description": "hosts, stdout or stderr." },
        "hosts": {
            "type": "array", "items": { "type": "object" },
            "description": "Hosts with those of their ports that are on this page.",
        },
        "structured": { "description": "The parsed result of a tool that has no hosts." },
        "whole": { "type": "boolean", "description": "Whether nothing of it is left out." },
        "text": { "type": "string", "description": "Readable output." },
        "offset": { "type": "integer", "description": "Where this page begins." },
        "next_offset": {
            "type": ["integer", "null"],
            "description": "Where the next page begins; null at the end.",
        },
        "total": {
            "type": "integer",
            "description": "Ports, and hosts without any, that match; or characters of output.",
        },
        "totals": { "type": "object", "description": "Hosts by outcome." },
        "statistics": { "type": "object", "description": "Numbers about the run." },
        "omitted": { "type": "object", "description": "What is left out of this page." },
    });
    if let Some(fields) = properties.as_object_mut() {
        fields.extend(object(own));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "A page of a result; the state of a run that is not over; or an error.",
        "properties": properties,
        "anyOf": [{ "required": ["run_id", "state", "next"] }, { "required": ERROR_FIELDS }],
    })
}
