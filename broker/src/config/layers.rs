//! The layers of configuration: built-in, file, environment; and who set what.
//!
//! What it is: reading each layer with errors that name file, line and key, or
//! the variable, and laying them over one another.
//! What it is not: a typed view; that is [`super::Settings`].
//!
//! Invariants: unknown keys and values out of range are errors, never ignored
//! and never clamped; [`Layers`] has a value for each key of [`KEYS`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sandbox_profiles::nearest::nearest;
use sandbox_profiles::scope::ScopeError;
use toml::de::DeTable;

use super::keys::{KEYS, Key, find, is_table};
use super::tool_scopes::{self, ToolScopes};
use super::values::{Set, accepts, admit, from_preset, from_text, from_toml};

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    BuiltIn,
    /// The configuration file.
    File,
    /// This environment variable.
    Variable(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File => f.write_str("file"),
            Self::Variable(name) => write!(f, "environment {name}"),
        }
    }
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: can't be read; name another with --config or MCP_CONFIG_FILE", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or a key of it is unknown, mistyped or out of range.
    #[error("{}:{line}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Key, reason and remedy.
        what: String,
    },
    /// A variable is mistyped or out of range.
    #[error("environment variable {name}: {what}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Reason and remedy.
        what: String,
    },
    /// Values that don't go together.
    #[error("{place}: {what}")]
    Conflict {
        /// The file, or `environment` where none was read.
        place: String,
        /// The keys, and what is missing.
        what: String,
    },
    /// The values don't make a scope.
    #[error("{place}: security.{fault}")]
    Scope {
        /// The file, or `environment` where none was read.
        place: String,
        /// Key, reason and remedy; shown whole, so not also a cause.
        fault: ScopeError,
    },
}

/// All keys with the values in effect.
#[derive(Debug, Clone)]
pub struct Layers {
    values: BTreeMap<&'static str, (Set, Source)>,
    /// What the file says of single tools.
    tool_scopes: ToolScopes,
}

impl Layers {
    /// The built-in values.
    pub fn built_in() -> Self {
        let preset = |key: &Key| (key.path, (from_preset(key.preset), Source::BuiltIn));
        Self {
            values: KEYS.iter().map(preset).collect(),
            tool_scopes: ToolScopes::new(),
        }
    }

    /// Lays a file over what is there.
    ///
    /// # Errors
    ///
    /// The first key that is unknown, mistyped or out of range.
    pub fn lay_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let fail = |offset: usize, what: String| ConfigError::File {
            path: path.to_owned(),
            line: line_of(text, offset),
            what,
        };
        let document = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            fail(offset, error.message().to_owned())
        })?;
        for (table, entries) in document.get_ref() {
            let (at, table) = (table.span().start, table.get_ref().as_ref());
            let entries = entries.get_ref().as_table().filter(|_| is_table(table));
            let tables = KEYS
                .iter()
                .filter_map(|key| Some(key.path.split_once('.')?.0));
            let entries = entries.ok_or_else(|| fail(at, unknown(table, tables)))?;
            for (name, value) in entries {
                let (at, name) = (name.span().start, name.get_ref().as_ref());
                let dotted = format!("{table}.{name}");
                if dotted == tool_scopes::TABLE {
                    self.tool_scopes = tool_scopes::read(at, value.get_ref())
                        .map_err(|(at, what)| fail(at, what))?;
                    continue;
                }
                let key = find(&dotted)
                    .ok_or_else(|| fail(at, unknown(&dotted, KEYS.iter().map(|key| key.path))))?;
                let set = from_toml(value.get_ref())
                    .and_then(|set| admit(key.kind, set))
                    .ok_or_else(|| fail(at, format!("{dotted} takes {}", accepts(key.kind))))?;
                self.values.insert(key.path, (set, Source::File));
            }
        }
        Ok(())
    }

    /// Lays environment variables over what is there.
    ///
    /// # Errors
    ///
    /// The first variable that is mistyped or out of range.
    pub fn lay_environment(
        &mut self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        for key in KEYS {
            let Some((name, text)) = key.variable.and_then(|name| Some((name, lookup(name)?)))
            else {
                continue;
            };
            let set = from_text(key.kind, text.trim()).ok_or_else(|| {
                let what = format!("{text:?} is not {}", accepts(key.kind));
                ConfigError::Variable { name, what }
            })?;
            self.values.insert(key.path, (set, Source::Variable(name)));
        }
        Ok(())
    }

    /// Each key with its value and who set it, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &Set, &Source)> {
        KEYS.iter().filter_map(|key| {
            let (set, source) = self.values.get(key.path)?;
            Some((key, set, source))
        })
    }

    /// The scopes of single tools, by tool and key.
    pub fn tool_scopes(&self) -> &ToolScopes {
        &self.tool_scopes
    }

    /// Who set the key's value.
    pub fn source(&self, path: &str) -> Option<&Source> {
        self.values.get(path).map(|(_, source)| source)
    }

    /// Whether the key has another value than the built-in one by file or variable.
    pub(super) fn was_set(&self, path: &str) -> bool {
        self.source(path)
            .is_some_and(|source| *source != Source::BuiltIn)
    }

    pub(super) fn get(&self, path: &str) -> Option<&Set> {
        self.values.get(path).map(|(set, _)| set)
    }
}

fn unknown(given: &str, known: impl Iterator<Item = &'static str>) -> String {
    match nearest(given, known) {
        Some(near) => format!("unknown key {given}; did you mean {near}?"),
        None => format!("unknown key {given}; `mantlet check --keys` lists the keys"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win_and_say_so() {
        let mut layers = Layers::built_in();
        layers
            .lay_file(
                Path::new("c.toml"),
                "[security]\nallow_intrusive = true\nmax_network_size = 16\n",
            )
            .unwrap();
        let lookup =
            |name: &str| (name == "MCP_SECURITY_ALLOW_INTRUSIVE").then(|| "false".to_owned());
        layers.lay_environment(lookup).unwrap();
        let value = |path: &str| layers.values[path].clone();
        let variable = Source::Variable("MCP_SECURITY_ALLOW_INTRUSIVE");
        assert_eq!(
            value("security.allow_intrusive"),
            (Set::Flag(false), variable)
        );
        assert_eq!(
            value("security.max_network_size"),
            (Set::Integer(16), Source::File)
        );
        assert_eq!(
            value("tool.default_timeout"),
            (Set::Integer(300), Source::BuiltIn)
        );
    }

    #[test]
    fn refuses_what_it_does_not_know_with_file_line_and_key() {
        let cases = [
            (
                "[security]\nallow_intrusiv = true\n",
                "c.toml:2: unknown key security.allow_intrusiv; did you mean security.allow_intrusive?",
                "typing error",
            ),
            (
                "[sceurity]\n",
                "c.toml:1: unknown key sceurity",
                "unknown table",
            ),
            (
                "debug = true\n",
                "c.toml:1: unknown key debug",
                "key outside a table",
            ),
            (
                "\n[tool]\ndefault_timeout = 0\n",
                "c.toml:3: tool.default_timeout takes a whole number from 1 to 3600",
                "out of range, not clamped",
            ),
            (
                "[tool]\ndefault_timeout = \"5\"\n",
                "c.toml:2: tool.default_timeout takes",
                "wrong type",
            ),
            (
                "[executor]\nmode = \"root\"\n",
                "c.toml:2: executor.mode takes one of embedded, system",
                "unknown word",
            ),
            (
                "[security]\nallowed_networks = [1]\n",
                "c.toml:2: security.allowed_networks takes a list of texts",
                "wrong item",
            ),
            ("[tool\n", "c.toml:1:", "broken TOML"),
        ];
        for (text, expected, why) in cases {
            let error = Layers::built_in()
                .lay_file(Path::new("c.toml"), text)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(expected), "{why}: {error}");
        }
    }

    #[test]
    fn refuses_variables_out_of_range() {
        for (name, text) in [
            ("MCP_DEFAULT_TIMEOUT_SEC", "-1"),
            ("MCP_SECURITY_ALLOW_INTRUSIVE", "maybe"),
            ("LOG_LEVEL", "loud"),
        ] {
            let lookup = |asked: &str| (asked == name).then(|| text.to_owned());
            let error = Layers::built_in()
                .lay_environment(lookup)
                .unwrap_err()
                .to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
