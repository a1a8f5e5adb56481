//! The scope, as the configuration has it.
//!
//! What it is: the way from keys to the structure that both processes read, and
//! to all that is wrong with it.
//! What it is not: the rules; those are `sandbox_profiles`'.
//!
//! Invariants: every wrong entry of every list is told, not only the first.

use std::path::Path;

use sandbox_profiles::scope::{Scope, ScopeConfig, ScopeError};

use super::faults::{ConfigError, Faults};
use super::layers::Layers;
use super::source::Source;
use super::values::Set;
use super::{bounded, list, tool_scopes};

/// The scope as configured.
pub(super) fn config(layers: &Layers) -> ScopeConfig {
    ScopeConfig {
        allowed_networks: list(layers, "security.allowed_networks"),
        denied_networks: list(layers, "security.denied_networks"),
        allowed_suffixes: list(layers, "security.allowed_suffixes"),
        allowed_ports: list(layers, "security.allowed_ports"),
        denied_ports: list(layers, "security.denied_ports"),
        tools: tool_scopes::configs(layers.tool_scopes()),
        allow_intrusive: matches!(
            layers.get("security.allow_intrusive"),
            Some(Set::Flag(true))
        ),
        max_network_size: bounded(layers, "security.max_network_size"),
        max_port_ranges: bounded(layers, "security.max_port_ranges"),
    }
}

/// The scope, parsed.
///
/// # Errors
///
/// Every entry that is none of its list's kind, each with its place.
pub(super) fn parsed(
    layers: &Layers,
    config: &ScopeConfig,
    file: Option<&Path>,
) -> Result<Scope, Faults> {
    Scope::new(config).map_err(|whole| faults(layers, whole, file))
}

/// What is wrong with each entry; where none is wrong by itself, with the whole.
fn faults(layers: &Layers, whole: ScopeError, file: Option<&Path>) -> Faults {
    let mut faults = Vec::new();
    let mut found = |fault: ScopeError, source: Option<&Source>| {
        let source = source.copied().unwrap_or(Source::BuiltIn);
        let place = match source {
            Source::BuiltIn => "environment".to_owned(),
            Source::File { .. } | Source::Variable(_) => source.place(file),
        };
        faults.push(ConfigError::Scope { place, fault });
    };
    for name in LISTS {
        let key = format!("security.{name}");
        for entry in list(layers, &key) {
            if let Err(fault) = Scope::new(&alone(name, entry)) {
                found(fault, layers.source(&key));
            }
        }
    }
    for (tool, values) in layers.tool_scopes() {
        for name in LISTS {
            let Some((Set::List(entries), source)) =
                values.get(format!("security.{name}").as_str())
            else {
                continue;
            };
            for entry in entries {
                if let Err(fault) = Scope::new(&alone(name, entry.clone())) {
                    let (tool, fault) = (tool.clone(), Box::new(fault));
                    found(ScopeError::Tool { tool, fault }, Some(source));
                }
            }
        }
    }
    let place = file.map_or_else(
        || "environment".to_owned(),
        |file| file.display().to_string(),
    );
    Faults::none_or(faults).err().unwrap_or_else(|| {
        let fault = whole;
        ConfigError::Scope { place, fault }.into()
    })
}

/// The keys that are lists.
const LISTS: [&str; 5] = [
    "allowed_networks",
    "denied_networks",
    "allowed_suffixes",
    "allowed_ports",
    "denied_ports",
];

/// A scope with one entry of one list, and what is built in.
fn alone(name: &str, entry: String) -> ScopeConfig {
    let mut config = ScopeConfig::default();
    let lists: [(&str, &mut Vec<String>); 5] = [
        ("allowed_networks", &mut config.allowed_networks),
        ("denied_networks", &mut config.denied_networks),
        ("allowed_suffixes", &mut config.allowed_suffixes),
        ("allowed_ports", &mut config.allowed_ports),
        ("denied_ports", &mut config.denied_ports),
    ];
    for (known, entries) in lists {
        if known == name {
            *entries = vec![entry];
            break;
        }
    }
    config
}
