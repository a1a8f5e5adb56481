//! The layers of configuration: built-in, file, environment; and who set what.
//!
//! What it is: reading each layer with errors that name file, line and key, or
//! the variable, and laying them over one another.
//! What it is not: a typed view; that is [`super::Settings`].
//!
//! Invariants: unknown keys and values out of range are errors, never ignored
//! and never clamped, and all of them are told; [`Layers`] has a value for each
//! key of [`KEYS`].

use std::collections::BTreeMap;
use std::path::Path;

use sandbox_profiles::nearest::nearest;
use toml::de::{DeTable, DeValue};

use super::faults::{ConfigError, Faults};
use super::keys::{KEYS, Key, find, is_table};
use super::source::Source;
use super::tool_scopes::{self, ToolScopes};
use super::values::{Set, accepts, admit, from_preset, from_text, from_toml};

/// Most characters of a variable's value that are repeated.
const SHOWN_CHARS_MAX: usize = 64;

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
    /// Every key that is unknown, mistyped or out of range; what is wrong with the
    /// TOML, where it is none. The other keys have been laid.
    pub fn lay_file(&mut self, path: &Path, text: &str) -> Result<(), Faults> {
        let mut faults = Vec::new();
        let mut fail = |offset: usize, what: String| {
            faults.push(ConfigError::File {
                path: path.to_owned(),
                line: line_of(text, offset),
                what,
            });
        };
        match DeTable::parse(text) {
            Ok(document) => self.lay_tables(document.get_ref(), text, &mut fail),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                fail(offset, error.message().to_owned());
            }
        }
        Faults::none_or(faults)
    }

    fn lay_tables(
        &mut self,
        document: &DeTable<'_>,
        text: &str,
        fail: &mut dyn FnMut(usize, String),
    ) {
        for (table, entries) in in_order(document) {
            let (at, table) = (table.span().start, table.get_ref().as_ref());
            let entries = entries.get_ref().as_table().filter(|_| is_table(table));
            let Some(entries) = entries else {
                let keys = KEYS.iter().map(|key| key.path);
                let tables = keys.clone().filter_map(|key| Some(key.split_once('.')?.0));
                // A table, or a key that stands outside of its own.
                fail(at, unknown(table, &tables.chain(keys)));
                continue;
            };
            for (name, value) in in_order(entries) {
                let (at, name) = (name.span().start, name.get_ref().as_ref());
                let dotted = format!("{table}.{name}");
                if dotted == tool_scopes::TABLE {
                    let line = |at: usize| line_of(text, at);
                    self.tool_scopes = tool_scopes::read(at, value.get_ref(), &line, fail);
                    continue;
                }
                let line = line_of(text, at);
                match self.lay(&dotted, value.get_ref(), line) {
                    Ok(()) => {}
                    Err(what) => fail(at, what),
                }
            }
        }
    }

    fn lay(&mut self, dotted: &str, value: &DeValue<'_>, line: usize) -> Result<(), String> {
        let key = find(dotted).ok_or_else(|| unknown(dotted, &KEYS.iter().map(|key| key.path)))?;
        let set = from_toml(value).and_then(|set| admit(key.kind, set));
        let set = set.ok_or_else(|| format!("{dotted} takes {}", accepts(key.kind)))?;
        self.values.insert(key.path, (set, Source::File { line }));
        Ok(())
    }

    /// Lays environment variables over what is there.
    ///
    /// # Errors
    ///
    /// Every variable that is mistyped or out of range. The others have been laid.
    pub fn lay_environment(
        &mut self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Faults> {
        let mut faults = Vec::new();
        for key in KEYS {
            let Some((name, text)) = key.variable.and_then(|name| Some((name, lookup(name)?)))
            else {
                continue;
            };
            if let Some(set) = from_text(key.kind, text.trim()) {
                self.values.insert(key.path, (set, Source::Variable(name)));
            } else {
                // Shown as Debug does, with whatever is no plain character escaped.
                let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                let what = format!("{shown:?} is not {} ({})", accepts(key.kind), key.path);
                faults.push(ConfigError::Variable { name, what });
            }
        }
        Faults::none_or(faults)
    }

    /// These, but with the values of `before` for each key that isn't taken anew
    /// while mantlet runs.
    pub(super) fn keeping(&self, before: &Self) -> Self {
        let mut kept = self.clone();
        for key in KEYS.iter().filter(|key| !key.reloads()) {
            if let Some(value) = before.values.get(key.path) {
                kept.values.insert(key.path, value.clone());
            }
        }
        kept
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

fn unknown(given: &str, known: &(impl Iterator<Item = &'static str> + Clone)) -> String {
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    // `port` for server.port, `security.networks` for security.allowed_networks.
    let ends_alike = |key: &&str| {
        let (key, given) = (last(key), last(given));
        key == given
            || key
                .zip(given)
                .is_some_and(|(key, given)| key.ends_with(&format!("_{given}")))
    };
    let same_table = |key: &&str| key.split('.').next() == given.split('.').next();
    let alike = || known.clone().filter(ends_alike);
    let meant = alike().find(same_table).or_else(|| alike().next());
    match nearest(given, known.clone()).or(meant) {
        Some(near) => format!("unknown key {given}; did you mean {near}?"),
        None => format!("unknown key {given}; `mantlet check --keys` lists the keys"),
    }
}

/// The entries of a table in the order of the file, so that faults are too.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(
    &'t toml::Spanned<std::borrow::Cow<'i, str>>,
    &'t toml::Spanned<DeValue<'i>>,
)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
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
            (Set::Integer(16), Source::File { line: 3 })
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
                "port = 80\n",
                "c.toml:1: unknown key port; did you mean server.port?",
                "a key outside of its table",
            ),
            (
                "[security]\nnetworks = []\n",
                "c.toml:2: unknown key security.networks; did you mean security.allowed_networks?",
                "the end of its name",
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
    fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
        let text = "[tool]\ndefault_timeout = 0\nfrobnicate = 1\n\n[sceurity]\nx = 1\n[security]\n\
            max_network_size = 1.5\nallow_intrusive = true\n[security.tools.nmap]\n\
            allowed_port = []\nmax_port_ranges = \"3\"\n[logging]\nlevel = \"loud\"\n";
        let mut layers = Layers::built_in();
        let faults = layers.lay_file(Path::new("c.toml"), text).unwrap_err();
        let lines: Vec<String> = faults.lines().collect();
        let expected = [
            "c.toml:2: tool.default_timeout takes",
            "c.toml:3: unknown key tool.frobnicate",
            "c.toml:5: unknown key sceurity; did you mean security?",
            "c.toml:8: security.max_network_size takes a whole number",
            "c.toml:11: unknown key security.tools.nmap.allowed_port;",
            "c.toml:12: security.tools.nmap.max_port_ranges takes",
            "c.toml:14: logging.level takes one of",
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert!(
            layers.was_set("security.allow_intrusive"),
            "the good ones hold"
        );
        let lookup = |asked: &str| match asked {
            "LOG_LEVEL" => Some("loud".to_owned()),
            "MCP_DEFAULT_TIMEOUT_SEC" => Some("soon\u{1b}[2J".to_owned()),
            _ => None,
        };
        let faults = Layers::built_in().lay_environment(lookup).unwrap_err();
        let lines: Vec<String> = faults.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
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
