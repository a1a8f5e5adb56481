//! The configuration in effect, as programs read it: `/config` and `mantlet check --json`.
//!
//! What it is: each key with its value, who set it, its default and its meaning.
//! What it is not: what comes of it for each tool; [`crate::pipeline::effective`]
//! is that.
//!
//! Invariants: no file that a key names is opened, so no secret can be shown: no
//! key holds one itself (tested).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::keys::{Key, Preset};
use super::values::{Set, from_preset};
use super::{Settings, Source};

/// One key in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its value.
    pub value: Value,
    /// `built-in`, `PATH:LINE` or `environment NAME`.
    pub source: String,
    /// What it would be if nobody set it.
    pub default: Value,
    /// The variable that sets it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<&'static str>,
    /// What it means.
    pub meaning: String,
    /// Whether a reload takes a change; others take effect at the next start.
    pub reloads: bool,
}

/// Each key by its path, in the table's order; `[security.tools.NAME]` last.
pub fn rows(settings: &Settings) -> Vec<(String, Row)> {
    let layers = &settings.layers;
    let general = layers.iter().map(|(key, set, source)| {
        let default = from_preset(key.preset);
        (
            key.path.to_owned(),
            row(settings, key, set, *source, &default),
        )
    });
    let mut rows: Vec<_> = general.collect();
    for (tool, values) in layers.tool_scopes() {
        for (path, (set, source)) in values {
            let Some(key) = super::keys::find(path) else {
                continue;
            };
            let name = path.strip_prefix("security.").unwrap_or(path);
            // Where the tool's table leaves it out, the general one holds.
            let general = layers.get(path).cloned();
            let default = general.unwrap_or_else(|| from_preset(key.preset));
            let row = Row {
                variable: None,
                ..row(settings, key, set, *source, &default)
            };
            rows.push((format!("security.tools.{tool}.{name}"), row));
        }
    }
    rows
}

fn row(settings: &Settings, key: &Key, set: &Set, source: Source, default: &Set) -> Row {
    Row {
        value: json(set),
        source: source.place(settings.file.as_deref()),
        default: json(default),
        variable: key.variable,
        meaning: key.meaning.replace('\n', " "),
        reloads: key.reloads(),
    }
}

/// All keys as one object, by path.
pub fn object(settings: &Settings) -> Value {
    let rows = rows(settings).into_iter();
    let rows: Map<String, Value> = rows.map(|(path, row)| (path, json!(row))).collect();
    Value::Object(rows)
}

/// A value as JSON.
pub fn json(set: &Set) -> Value {
    match set {
        Set::Flag(flag) => Value::from(*flag),
        Set::Integer(number) => Value::from(*number),
        Set::Text(text) => Value::from(text.clone()),
        Set::List(items) => Value::from(items.clone()),
    }
}

/// A default as a TOML value, for the example file.
pub fn toml(preset: Preset) -> String {
    match from_preset(preset) {
        Set::Flag(flag) => flag.to_string(),
        Set::Integer(number) => number.to_string(),
        Set::Text(text) => format!("{text:?}"),
        Set::List(items) => format!("{items:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::keys::KEYS;
    use super::*;

    #[test]
    fn no_key_holds_a_secret_only_files_that_do() {
        for key in KEYS {
            let name = key.path.rsplit('.').next().unwrap_or_default();
            let secret = ["password", "secret", "token", "key"]
                .iter()
                .any(|word| name.contains(word));
            let file = name.ends_with("_file") || key.meaning.contains("file");
            assert!(!secret || file, "{}: say how it is redacted", key.path);
        }
    }

    #[test]
    fn each_value_says_who_set_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let text = "[tool]\ndefault_timeout = 7\n[audit]\nkey_file = \"/etc/k\"\n\
            [security.tools.nmap]\nmax_network_size = 4\n";
        std::fs::write(&path, text).unwrap();
        let lookup = |name: &str| (name == "MCP_MAX_ARGS_LEN").then(|| "9".to_owned());
        let settings = Settings::load(Some(Path::new(&path)), lookup).unwrap();
        let all = object(&settings);
        let cases = [
            ("tool.default_timeout", json!(7), "c.toml:2", json!(300)),
            (
                "tool.max_args_length",
                json!(9),
                "environment MCP_MAX_ARGS_LEN",
                json!(2048),
            ),
            ("server.port", json!(8080), "built-in", json!(8080)),
            ("audit.key_file", json!("/etc/k"), "c.toml:4", json!("")),
            (
                "security.tools.nmap.max_network_size",
                json!(4),
                "c.toml:6",
                json!(1024),
            ),
        ];
        for (key, value, source, default) in cases {
            let row = &all[key];
            assert_eq!(row["value"], value, "{key}");
            assert!(
                row["source"].as_str().unwrap().ends_with(source),
                "{key}: {row}"
            );
            assert_eq!(row["default"], default, "{key}");
            assert!(row["meaning"].as_str().unwrap().len() > 8, "{key}");
        }
        assert_eq!(all["server.port"]["reloads"], false);
        assert_eq!(all["tool.default_timeout"]["reloads"], true);
    }
}
