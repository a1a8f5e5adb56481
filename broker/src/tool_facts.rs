//! A tool as programs are told of it: its templates, flags and needs.
//!
//! What it is not: the schema of a call (`mcp::input_schema`), nor the tool's
//! state.

use sandbox_profiles::Profile;
use serde_json::{Map, Value, json};

/// The facts of a profile.
pub fn of(profile: &Profile) -> Map<String, Value> {
    let templates: Vec<_> = profile
        .templates
        .iter()
        .map(|template| {
            json!({ "name": template.name, "title": template.title,
                "description": template.description, "args": template.args })
        })
        .collect();
    let flags: Vec<_> = profile
        .flags
        .iter()
        .map(|flag| {
            let needs: Vec<_> = flag
                .needs
                .iter()
                .map(|need| need.what.to_string())
                .collect();
            json!({ "flag": flag.spelling, "aliases": flag.aliases, "summary": flag.summary,
                "intrusive": flag.intrusive, "needs": needs })
        })
        .collect();
    let needs: Vec<_> = profile
        .needs
        .iter()
        .map(|need| need.what.to_string())
        .collect();
    let facts = [
        ("name", json!(profile.name)),
        ("aliases", json!(profile.aliases)),
        ("title", json!(profile.title)),
        ("description", json!(profile.description)),
        ("executable", json!(profile.executable)),
        ("installed", json!(profile.executable.exists())),
        ("package", json!(profile.package)),
        ("needs", json!(needs)),
        ("timeout_sec", json!(profile.run.timeout.as_secs())),
        ("templates", json!(templates)),
        ("flags", json!(flags)),
    ];
    facts
        .map(|(name, fact)| (name.to_owned(), fact))
        .into_iter()
        .collect()
}
