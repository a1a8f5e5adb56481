//! JSON Schemas of calls, made from profiles.
//!
//! What it is: ARG1's fields and the tool's typed parameters, for models and
//! client libraries.
//! What it is not: the check; vetting reads each value by the flag's own type.
//!
//! Invariants: no field is accepted here that vetting doesn't know; parameters
//! that this policy always refuses are left out; no `format` keyword.

use rmcp::model::JsonObject;
use sandbox_profiles::profile::{ChoiceWord, Parameter, ParameterKind, TargetKind};
use sandbox_profiles::value::DurationStyle;
use sandbox_profiles::{Profile, Scope};
use serde_json::{Map, Value, json};

use super::words::listed;
use crate::pipeline::call::CORRELATION_ID_MAX;

/// Longest `extra_args`, in bytes (ARG1).
const EXTRA_ARGS_BYTES_MAX: usize = 2048;

/// Longest target: that of a host name.
const TARGET_CHARS_MAX: usize = 253;

/// The schema of a call to a tool.
pub fn schema(profile: &Profile, scope: &Scope) -> JsonObject {
    let mut properties = Map::new();
    properties.insert("target".into(), target(profile));
    if !profile.templates.is_empty() {
        properties.insert("template".into(), template(profile));
    }
    for parameter in &profile.parameters {
        if scope.allows_intrusive() || !parameter.intrusive {
            properties.insert(parameter.name.clone(), typed(parameter, scope));
        }
    }
    properties.insert("extra_args".into(), extra_args(profile));
    properties.insert("timeout_sec".into(), timeout(profile));
    properties.insert("correlation_id".into(), correlation_id());
    let mut schema = JsonObject::new();
    schema.insert(
        "$schema".into(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("required".into(), json!(["target"]));
    schema.insert("additionalProperties".into(), Value::Bool(false));
    schema
}

fn target(profile: &Profile) -> Value {
    let rule = &profile.target;
    let what = match (
        rule.takes(TargetKind::Network),
        rule.takes(TargetKind::Name),
    ) {
        (true, true) => "An IP address, a network such as 10.0.0.0/24, or a host name",
        (true, false) => "An IP address or a network such as 10.0.0.0/24",
        (false, true) => "An IP address or a host name",
        (false, false) => "An IP address",
    };
    json!({
        "type": "string",
        "description": format!("{what}. One only; no ranges, no lists."),
        "minLength": 1,
        "maxLength": TARGET_CHARS_MAX,
    })
}

fn template(profile: &Profile) -> Value {
    let names: Vec<&str> = profile
        .templates
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let meanings: Vec<String> = profile
        .templates
        .iter()
        .map(|one| format!("{}: {}", one.name, one.description.trim_end_matches('.')))
        .collect();
    let description = format!(
        "Ready-made arguments; other fields of the call take precedence. {}.",
        meanings.join("; ")
    );
    json!({ "type": "string", "enum": names, "description": description })
}

fn extra_args(profile: &Profile) -> Value {
    let tool = &profile.name;
    json!({
        "type": "string",
        "description": format!(
            "Further {tool} arguments, split as a shell would but never given to one. \
             Only flags that the profile lists; no target here."
        ),
        "maxLength": EXTRA_ARGS_BYTES_MAX,
    })
}

fn timeout(profile: &Profile) -> Value {
    let run = &profile.run;
    let more = if run.lasts.is_some() {
        " Left out, it is extended to what the call's values need."
    } else {
        ""
    };
    json!({
        "type": "integer",
        "description": format!("Seconds until the run is ended; what was found by then is kept.{more}"),
        "minimum": 1,
        "maximum": run.timeout_max.as_secs(),
        "default": run.timeout.as_secs(),
    })
}

fn correlation_id() -> Value {
    json!({
        "type": "string",
        "description": "Your own name for this call; it comes back in the result and the logs.",
        "minLength": 1,
        "maxLength": CORRELATION_ID_MAX,
    })
}

/// The schema of one typed parameter.
fn typed(parameter: &Parameter, scope: &Scope) -> Value {
    let (mut schema, accepted) = of_kind(&parameter.kind, scope);
    if let Some(fields) = schema.as_object_mut() {
        fields.insert(
            "description".into(),
            description(parameter, &accepted).into(),
        );
        if let Some(example) = &parameter.example {
            let example = example_value(&parameter.kind, example);
            fields.extend(example.map(|example| ("examples".to_owned(), json!([example]))));
        }
    }
    schema
}

/// What a kind accepts: as a schema, and in words where the schema can't say it.
fn of_kind(kind: &ParameterKind, scope: &Scope) -> (Value, String) {
    let bound = |items_max: &u32| usize::try_from(*items_max).unwrap_or(usize::MAX);
    match kind {
        ParameterKind::Boolean => (json!({ "type": "boolean" }), String::new()),
        ParameterKind::Integer { min, max, step } => (integer(*min, *max, *step), String::new()),
        ParameterKind::Duration {
            min_ms,
            max_ms,
            style,
        } => duration(*min_ms, *max_ms, *style),
        ParameterKind::Ports { items_max, all } => {
            let items_max = (*items_max).min(scope.port_ranges_max());
            let pattern = if *all {
                "^[0-9,-]+$"
            } else {
                "^[0-9][0-9,-]*$"
            };
            let schema = json!({ "type": "string", "pattern": pattern });
            (schema, format!("At most {items_max} items."))
        }
        ParameterKind::Choice { words, several } => choice(words, *several, scope),
        ParameterKind::Names {
            safe,
            intrusive,
            items_max,
        } if scope.allows_intrusive() => {
            let accepted = format!(
                "Known: {}; and, intrusive, {}.",
                all(safe),
                listed(intrusive)
            );
            (
                array(&json!({ "type": "string" }), bound(items_max)),
                accepted,
            )
        }
        ParameterKind::Names {
            safe,
            intrusive: _,
            items_max,
        } => {
            let name = json!({ "type": "string", "enum": safe });
            (array(&name, bound(items_max)), String::new())
        }
        ParameterKind::Addresses { items_max } => (
            array(&json!({ "type": "string" }), bound(items_max)),
            String::new(),
        ),
        ParameterKind::Text { chars_max, pattern } => {
            let schema = json!({ "type": "string", "pattern": pattern, "maxLength": chars_max });
            (schema, String::new())
        }
        ParameterKind::Texts { items_max, pattern } => {
            let item = json!({ "type": "string", "pattern": pattern });
            (array(&item, bound(items_max)), String::new())
        }
    }
}

fn choice(words: &[ChoiceWord], several: bool, scope: &Scope) -> (Value, String) {
    let words: Vec<&ChoiceWord> = words
        .iter()
        .filter(|word| scope.allows_intrusive() || !word.intrusive)
        .collect();
    let names: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
    let meanings: Vec<String> = words
        .iter()
        .filter(|word| !word.description.is_empty())
        .map(|word| format!("{}: {}", word.word, word.description.trim_end_matches('.')))
        .collect();
    let one = json!({ "type": "string", "enum": names });
    let schema = if several {
        array(&one, names.len())
    } else {
        one
    };
    let accepted = meanings.join("; ");
    let accepted = if accepted.is_empty() {
        accepted
    } else {
        format!("{accepted}.")
    };
    (schema, accepted)
}

fn integer(min: u64, max: u64, step: u64) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": min, "maximum": max });
    if step > 1
        && let Some(fields) = schema.as_object_mut()
    {
        fields.insert("multipleOf".into(), step.into());
    }
    schema
}

fn duration(min_ms: u64, max_ms: u64, style: DurationStyle) -> (Value, String) {
    match style {
        DurationStyle::Suffixed => {
            let schema = json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)?$" });
            let accepted = format!(
                "A time such as 500ms, 30s or 5m; {} to {}.",
                span(min_ms),
                span(max_ms)
            );
            (schema, accepted)
        }
        DurationStyle::Seconds => {
            let seconds = |ms| std::time::Duration::from_millis(ms).as_secs_f64();
            let schema = json!({
                "type": "number", "minimum": seconds(min_ms), "maximum": seconds(max_ms),
            });
            (schema, String::new())
        }
    }
}

/// A time as its readers would write it.
fn span(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("{}s", ms.div_euclid(1000))
    } else {
        format!("{ms}ms")
    }
}

fn array(items: &Value, items_max: usize) -> Value {
    json!({ "type": "array", "items": items, "minItems": 1, "maxItems": items_max })
}

fn all(items: &[String]) -> String {
    items.join(", ")
}

fn description(parameter: &Parameter, accepted: &str) -> String {
    let mut text = parameter.description.trim().to_owned();
    if !accepted.is_empty() {
        text = format!("{} {accepted}", ended(&text));
    }
    if !parameter.needs.is_empty() {
        let needs = listed(&parameter.needs);
        text = format!(
            "{} May need {needs}, which not every executor holds.",
            ended(&text)
        );
    }
    text
}

fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// The example in the parameter's own type; none where it doesn't fit.
fn example_value(kind: &ParameterKind, text: &str) -> Option<Value> {
    match kind {
        ParameterKind::Boolean => text.parse::<bool>().ok().map(Value::from),
        ParameterKind::Integer { .. } => text.parse::<u64>().ok().map(Value::from),
        ParameterKind::Duration {
            style: DurationStyle::Seconds,
            ..
        } => text.parse::<f64>().ok().map(Value::from),
        ParameterKind::Choice { several: true, .. }
        | ParameterKind::Names { .. }
        | ParameterKind::Texts { .. }
        | ParameterKind::Addresses { .. } => Some(Value::from(
            text.split(',').map(Value::from).collect::<Vec<_>>(),
        )),
        ParameterKind::Duration {
            style: DurationStyle::Suffixed,
            ..
        }
        | ParameterKind::Ports { .. }
        | ParameterKind::Choice { several: false, .. }
        | ParameterKind::Text { .. } => Some(Value::from(text)),
    }
}
