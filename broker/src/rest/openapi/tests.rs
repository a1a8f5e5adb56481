//! `docs/API.md` is what the handlers say of themselves.

use std::path::Path;

use serde_json::Value;

use super::super::described;

/// Set to write the document anew in place of comparing it.
const WRITE: &str = "MANTLET_WRITE_DOCS";

const HEAD: &str = "\
# The HTTP API

Made from the handlers; `GET /openapi.json` has the same, and each schema whole, for programs. [OPERATING.md](OPERATING.md#the-http-service) shows calls by curl.

Every path but `/` and `/livez` needs `Authorization: Bearer TOKEN`. What is refused is a problem (RFC 9457) with our error object; 429 and 503 carry `Retry-After` where the time is known. MCP is at `/mcp`.
";

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// A sentence without line breaks, fit for a table's cell.
fn cell(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// What a schema is, in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(name) = text(schema, "$ref")
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
    {
        return format!("`{name}`");
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[choice].as_array() {
            let parts: Vec<_> = parts.iter().map(kind).collect();
            return parts.join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(one) if one == "array" && schema["items"].is_object() => {
            format!("array of {}", kind(&schema["items"]))
        }
        Value::String(one) => one.clone(),
        Value::Array(several) => {
            let several: Vec<_> = several.iter().filter_map(Value::as_str).collect();
            several.join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "any".to_owned(),
    }
}

fn operation(method: &str, path: &str, operation: &Value, out: &mut String) {
    let words = [text(operation, "summary"), text(operation, "description")];
    let mut words: Vec<_> = words
        .iter()
        .map(|part| cell(part))
        .filter(|part| !part.is_empty())
        .collect();
    words.dedup();
    out.push_str(&format!(
        "\n### `{} {path}`\n{}\n\n",
        method.to_uppercase(),
        words.join(" ")
    ));
    let empty = Vec::new();
    for parameter in operation["parameters"].as_array().unwrap_or(&empty) {
        let schema = kind(&parameter["schema"]);
        let place = text(parameter, "in");
        let meaning = cell(text(parameter, "description"));
        out.push_str(&format!(
            "- `{}` ({place}, {schema}): {meaning}\n",
            text(parameter, "name")
        ));
    }
    for (media, content) in operation["requestBody"]["content"]
        .as_object()
        .into_iter()
        .flatten()
    {
        out.push_str(&format!(
            "- body: {} as {media}\n",
            kind(&content["schema"])
        ));
    }
    for (status, response) in operation["responses"].as_object().unwrap() {
        if status == "default" {
            continue;
        }
        let content = response["content"].as_object();
        let shape = content.and_then(|content| content.iter().next());
        let shape = shape.filter(|(media, _)| !media.contains("problem"));
        let shape = shape.map(|(media, content)| match kind(&content["schema"]) {
            known if known.starts_with('`') => format!(" {known}"),
            _ if media == "application/json" => String::new(),
            _ => format!(" ({media})"),
        });
        let meaning = cell(text(response, "description"));
        out.push_str(&format!(
            "- {status}:{} {meaning}\n",
            shape.unwrap_or_default()
        ));
    }
}

fn schemas(api: &Value, out: &mut String) {
    out.push_str("\n## Schemas\n");
    for (name, schema) in api["components"]["schemas"].as_object().unwrap() {
        out.push_str(&format!(
            "\n### {name}\n{}\n\n",
            cell(text(schema, "description"))
        ));
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<_> = words
                .iter()
                .map(|word| format!("`{}`", word.as_str().unwrap()))
                .collect();
            out.push_str(&format!("One of {}.\n", words.join(", ")));
        }
        members(schema, out);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            if part["$ref"].is_string() {
                out.push_str(&format!("- all of {}\n", kind(part)));
            }
            members(part, out);
        }
    }
}

fn members(schema: &Value, out: &mut String) {
    let required: Vec<_> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    for (member, of) in schema["properties"].as_object().into_iter().flatten() {
        let always = required.iter().any(|known| *known == member);
        let sometimes = if always { "" } else { ", not always" };
        let meaning = cell(text(of, "description"));
        let meaning = if meaning.is_empty() {
            String::new()
        } else {
            format!(": {meaning}")
        };
        out.push_str(&format!(
            "- `{member}` ({}{sometimes}){meaning}\n",
            kind(of)
        ));
    }
}

fn document() -> String {
    let (_, api) = described();
    let api = serde_json::to_value(super::complete(api)).unwrap();
    let mut out = HEAD.to_owned();
    for tag in api["tags"].as_array().unwrap() {
        let name = text(tag, "name");
        out.push_str(&format!(
            "\n## {}\n{}.\n",
            name,
            cell(text(tag, "description"))
        ));
        for (path, item) in api["paths"].as_object().unwrap() {
            for (method, known) in item.as_object().unwrap() {
                if known["tags"][0] == name {
                    operation(method, path, known, &mut out);
                }
            }
        }
    }
    schemas(&api, &mut out);
    out
}

#[test]
fn the_document_is_what_the_handlers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md");
    let made = document();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        file == made,
        "make it anew: {WRITE}=1 cargo test -p mantlet --lib the_document_is_what_the_handlers_say"
    );
}
