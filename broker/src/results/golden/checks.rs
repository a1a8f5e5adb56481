//! What the golden tests check with: a small JSON Schema validator, and all strings of a value.
//!
//! It knows the keywords that `schema.rs` writes and fails on every other one, so that a schema
//! can't hold something that is never checked.

use serde_json::Value;

const KNOWN: &[&str] = &[
    "type",
    "description",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
];

/// Why a value does not fit a schema; nothing when it does.
pub(super) fn fits(value: &Value, schema: &Value, path: &str) -> Vec<String> {
    let mut faults = Vec::new();
    check(value, schema, path, &mut faults);
    faults
}

fn check(value: &Value, schema: &Value, path: &str, faults: &mut Vec<String>) {
    let keywords = schema.as_object().unwrap().keys();
    faults.extend(
        keywords
            .filter(|k| !KNOWN.contains(&k.as_str()))
            .map(|k| format!("{path}: keyword {k}")),
    );
    let expected = schema["type"].as_str().unwrap();
    let fits = match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    if !fits {
        faults.push(format!("{path}: not {expected}"));
    }
    let number = value.as_f64();
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    if number
        .zip(bound("minimum"))
        .is_some_and(|(number, minimum)| number < minimum)
        || number
            .zip(bound("maximum"))
            .is_some_and(|(number, maximum)| number > maximum)
    {
        faults.push(format!("{path}: {value} out of range"));
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], &format!("{path}/{at}"), faults);
    }
    let Some(object) = value.as_object() else {
        return;
    };
    for required in schema["required"].as_array().unwrap() {
        if !object.contains_key(required.as_str().unwrap()) {
            faults.push(format!("{path}: {required} is missing"));
        }
    }
    assert_eq!(schema["additionalProperties"], false, "{path}");
    for (key, item) in object {
        match schema["properties"].get(key) {
            Some(schema) => check(item, schema, &format!("{path}/{key}"), faults),
            None => faults.push(format!("{path}: {key} is not in the schema")),
        }
    }
}

/// All strings in a value.
pub(super) fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(object) => object.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
