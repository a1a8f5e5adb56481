//! `[security.tools.NAME]`: what holds for one tool in place of the general scope.
//!
//! What it is: the file's tables, read with the general keys' kinds and bounds.
//! What it is not: the meaning; that is `sandbox_profiles`', which both processes
//! share. The environment sets none of it.
//!
//! Invariants: unknown keys and values out of range are errors.

use std::collections::BTreeMap;

use sandbox_profiles::nearest::nearest;
use sandbox_profiles::scope::{SCOPE_KEYS, ToolScopeConfig};
use toml::de::DeValue;

use super::keys::{Key, find};
use super::source::Source;
use super::values::{Set, accepts, admit, from_toml};

/// Where the tables stand.
pub(super) const TABLE: &str = "security.tools";

/// Values by tool and general key (`security.allowed_ports`, …), each with its line.
pub type ToolScopes = BTreeMap<String, BTreeMap<&'static str, (Set, Source)>>;

/// Reads all tables, and tells `fail` the offset and the reason of each key that is
/// unknown, mistyped or out of range. `line` is the line of an offset.
pub(super) fn read(
    at: usize,
    value: &DeValue<'_>,
    line: &dyn Fn(usize) -> usize,
    fail: &mut dyn FnMut(usize, String),
) -> ToolScopes {
    let mut scopes = ToolScopes::new();
    let Some(tools) = value.as_table() else {
        fail(at, format!("{TABLE} takes a table"));
        return scopes;
    };
    for (tool, table) in tools {
        let (at, tool) = (tool.span().start, tool.get_ref().as_ref());
        let path = format!("{TABLE}.{tool}");
        let Some(table) = table.get_ref().as_table() else {
            fail(at, format!("{path} takes a table"));
            continue;
        };
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let at = name.span().start;
            match read_one(&path, name.get_ref().as_ref(), value.get_ref()) {
                Ok((key, set)) => {
                    let line = line(at);
                    values.insert(key, (set, Source::File { line }));
                }
                Err(what) => fail(at, what),
            }
        }
        scopes.insert(tool.to_owned(), values);
    }
    scopes
}

fn read_one(path: &str, name: &str, value: &DeValue<'_>) -> Result<(&'static str, Set), String> {
    let key = general(name).ok_or_else(|| {
        let hint = match nearest(name, SCOPE_KEYS.iter().copied()) {
            Some(near) => format!("did you mean {path}.{near}?"),
            None => format!("known are {}", SCOPE_KEYS.join(", ")),
        };
        format!("unknown key {path}.{name}; {hint}")
    })?;
    let set = from_toml(value).and_then(|set| admit(key.kind, set));
    let set = set.ok_or_else(|| format!("{path}.{name} takes {}", accepts(key.kind)))?;
    Ok((key.path, set))
}

/// The general key of the scope that has this name.
fn general(name: &str) -> Option<&'static Key> {
    let known = SCOPE_KEYS.contains(&name);
    find(&format!("security.{name}")).filter(|_| known)
}

/// The tables as the scope's own configuration has them.
pub(super) fn configs(scopes: &ToolScopes) -> BTreeMap<String, ToolScopeConfig> {
    let config = |(tool, values): (&String, &BTreeMap<_, _>)| (tool.clone(), config(values));
    scopes.iter().map(config).collect()
}

fn config(values: &BTreeMap<&'static str, (Set, Source)>) -> ToolScopeConfig {
    let get = |path: &str| values.get(path).map(|(set, _)| set);
    let list = |path: &str| match get(path) {
        Some(Set::List(items)) => Some(items.clone()),
        Some(Set::Flag(_) | Set::Integer(_) | Set::Text(_)) | None => None,
    };
    let number = |path: &str| match get(path) {
        Some(Set::Integer(number)) => u32::try_from(*number).ok(),
        Some(Set::Flag(_) | Set::Text(_) | Set::List(_)) | None => None,
    };
    ToolScopeConfig {
        allowed_networks: list("security.allowed_networks"),
        denied_networks: list("security.denied_networks"),
        allowed_suffixes: list("security.allowed_suffixes"),
        allowed_ports: list("security.allowed_ports"),
        denied_ports: list("security.denied_ports"),
        allow_intrusive: match get("security.allow_intrusive") {
            Some(Set::Flag(flag)) => Some(*flag),
            Some(Set::Integer(_) | Set::Text(_) | Set::List(_)) | None => None,
        },
        max_network_size: number("security.max_network_size"),
        max_port_ranges: number("security.max_port_ranges"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Layers;
    use super::*;

    fn lay(text: &str) -> Result<Layers, String> {
        let mut layers = Layers::built_in();
        match layers.lay_file(Path::new("c.toml"), text) {
            Ok(()) => Ok(layers),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_key_of_the_scope_can_be_set_for_a_tool() {
        let text = "[security]\nallow_intrusive = false\n[security.tools.nmap]\n\
            allowed_networks = [\"10.0.0.0/8\"]\ndenied_networks = []\nallowed_suffixes = []\n\
            allowed_ports = [\"22\"]\ndenied_ports = []\nallow_intrusive = true\n\
            max_network_size = 4\nmax_port_ranges = 5\n[security.tools.ping]\n";
        let configs = configs(lay(text).unwrap().tool_scopes());
        let own = &configs["nmap"];
        assert_eq!(own.allowed_ports.as_deref(), Some(&["22".to_owned()][..]));
        let bounds = (
            own.allow_intrusive,
            own.max_network_size,
            own.max_port_ranges,
        );
        assert_eq!(bounds, (Some(true), Some(4), Some(5)));
        let lists = [
            &own.denied_networks,
            &own.allowed_suffixes,
            &own.denied_ports,
        ];
        assert!(
            lists.iter().all(|list| **list == Some(Vec::new())),
            "empty is not absent"
        );
        assert_eq!(configs["ping"], ToolScopeConfig::default());
        for key in SCOPE_KEYS {
            assert!(general(key).is_some(), "{key} has a general key");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know_with_file_line_and_key() {
        let cases = [
            (
                "[security.tools.nmap]\nallowed_port = []\n",
                "c.toml:2: unknown key security.tools.nmap.allowed_port; did you mean security.tools.nmap.allowed_ports?",
                "typing error",
            ),
            (
                "[security.tools.nmap]\nmax_network_size = 0\n",
                "c.toml:2: security.tools.nmap.max_network_size takes a whole number from 1 to 65536",
                "out of range",
            ),
            (
                "[security.tools.nmap]\nallowed_ports = [22]\n",
                "c.toml:2: security.tools.nmap.allowed_ports takes a list of texts",
                "a port is written as a text",
            ),
            (
                "[security]\ntools = [\"nmap\"]\n",
                "c.toml:2: security.tools takes a table",
                "no table",
            ),
            (
                "[security.tools]\nnmap = true\n",
                "c.toml:2: security.tools.nmap takes a table",
                "no table of a tool",
            ),
            (
                "[tool.tools.nmap]\n",
                "c.toml:1: unknown key tool.tools",
                "only the scope has them",
            ),
        ];
        for (text, expected, why) in cases {
            let error = lay(text).unwrap_err();
            assert!(error.starts_with(expected), "{why}: {error}");
        }
    }
}
