//! Outcomes as MCP results.
//!
//! What it is: for a model, a short text; for programs, the structured content;
//! both within a model's budget, and both saying what was left out.
//! What it is not: the whole output of a run.
//!
//! Invariants: a result is bounded whatever the run printed; structured content
//! follows [`super::output_schema`]; a failure is a result with `isError`, with
//! the same fields as everywhere else.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use super::resources;
use super::words::UNTRUSTED;
use crate::outcome::{CallError, Outcome};
use crate::results;

/// Longest text, in characters: a whole summary and what is said around it, about 2,000 tokens.
const TEXT_CHARS_MAX: usize = results::limits::SUMMARY_CHARS_MAX + 1_000;

/// Longest parsed result, in characters of JSON.
const STRUCTURED_CHARS_MAX: usize = 8_000;

/// Longest readable output beside a parsed one that says the same.
const STDOUT_CHARS_MAX: usize = 2_000;

/// Longest readable output where there is nothing else.
const STDOUT_ALONE_CHARS_MAX: usize = 8_000;

/// Longest error output.
const STDERR_CHARS_MAX: usize = 1_000;

/// Facts of a refusal that are worth telling the model in words, with how.
const TOLD: &[(&str, &str)] = &[
    ("rule", "Rule"),
    ("offending", "Offending part"),
    ("nearest_target", "Nearest allowed target"),
    ("nearest_allowed", "Nearest allowed arguments"),
    ("suggested_cidr", "Suggested network size"),
    ("example", "Example"),
    ("retry_after_sec", "Seconds to wait"),
];

/// The result of a call that could not be read.
pub(super) fn undecoded(error: &CallError) -> CallToolResult {
    failed(error_text(error), json!(error))
}

/// The result of a call. Where something was left out and the client knows
/// links, it links to the whole.
pub(super) fn from_outcome(outcome: &Outcome, links: bool) -> CallToolResult {
    let mut result = shown(outcome);
    let structured = &outcome.facts.structured;
    let cut = result.structured_content.as_ref().is_some_and(|shown| {
        shown.pointer("/metadata/left_out").is_some() || shown.get("structured") != Some(structured)
    });
    if links && cut && outcome.ran() {
        let link = resources::link(&outcome.run_id, &outcome.tool);
        result.content.push(ContentBlock::resource_link(link));
    }
    result
}

fn shown(outcome: &Outcome) -> CallToolResult {
    let ran = outcome.ran();
    match &outcome.error {
        None => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(report(outcome))]);
            result.structured_content = Some(content(outcome));
            result
        }
        Some(error) if ran => {
            let text = format!("{}\n{}", error_text(error), report(outcome));
            failed(clipped(&text, TEXT_CHARS_MAX).0, content(outcome))
        }
        Some(error) => failed(error_text(error), json!(error)),
    }
}

fn failed(text: String, structured: Value) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.structured_content = Some(structured);
    result
}

/// What happened, in words.
fn report(outcome: &Outcome) -> String {
    let facts = &outcome.facts;
    let mut lines = vec![format!("Ran: {}", outcome.argv.join(" "))];
    lines.extend(
        outcome
            .resolved
            .iter()
            .map(|resolved| format!("Resolved: {resolved}")),
    );
    lines.extend(outcome.notes.iter().map(|note| format!("Note: {note}")));
    if facts.timed_out {
        let what = "The time was up before the tool was done; this is what it found until then.";
        lines.push(what.to_owned());
    }
    if facts.truncated_stdout {
        lines.push("The output was more than is kept; its end is missing.".to_owned());
    }
    lines.push(UNTRUSTED.to_owned());
    let head = lines.join("\n");
    let body = if facts.summary.is_empty() {
        &facts.stdout
    } else {
        &facts.summary
    };
    let room = TEXT_CHARS_MAX.saturating_sub(head.chars().count());
    let (body, left_out) = clipped(body.trim_end(), room);
    let tail = match left_out {
        0 => String::new(),
        _ => format!("\n[{left_out} more characters are left out]"),
    };
    format!("{head}\n\n{body}{tail}")
}

/// Why not, in words.
fn error_text(error: &CallError) -> String {
    let mut lines = vec![
        format!("{}: {}", error.error_type.as_str(), error.message),
        format!("What to do: {}", error.recovery_suggestion),
    ];
    for (key, words) in TOLD {
        match error.metadata.get(*key) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if items.is_empty() => {}
            Some(Value::String(fact)) => lines.push(format!("{words}: {fact}")),
            Some(Value::Array(items)) => {
                let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
                lines.push(format!("{words}: {}", items.join(" ")));
            }
            Some(fact) => lines.push(format!("{words}: {fact}")),
        }
    }
    clipped(&lines.join("\n"), TEXT_CHARS_MAX).0
}

/// The outcome's fields, cut to the budget.
fn content(outcome: &Outcome) -> Value {
    let mut whole = outcome.to_json();
    let Some(fields) = whole.as_object_mut() else {
        return whole;
    };
    let mut left_out = Map::new();
    if let Some(structured) = fields.get_mut("structured") {
        *structured = results::bounded(structured.take(), STRUCTURED_CHARS_MAX);
    }
    let parsed = fields
        .get("structured")
        .is_some_and(|parsed| !parsed.is_null());
    let stdout_chars_max = if parsed {
        STDOUT_CHARS_MAX
    } else {
        STDOUT_ALONE_CHARS_MAX
    };
    for (stream, chars_max) in [("stdout", stdout_chars_max), ("stderr", STDERR_CHARS_MAX)] {
        let Some(Value::String(text)) = fields.get_mut(stream) else {
            continue;
        };
        let (kept, gone) = clipped(text, chars_max);
        if gone > 0 {
            *text = kept;
            left_out.insert(format!("{stream}_chars"), json!(gone));
        }
    }
    if !left_out.is_empty()
        && let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("left_out".into(), Value::Object(left_out));
    }
    whole
}

/// The beginning of a text, and how many characters are missing.
fn clipped(text: &str, chars_max: usize) -> (String, usize) {
    match text.char_indices().nth(chars_max) {
        None => (text.to_owned(), 0),
        Some((end, _)) => {
            let (kept, rest) = text.split_at_checked(end).unwrap_or((text, ""));
            (kept.to_owned(), rest.chars().count())
        }
    }
}
