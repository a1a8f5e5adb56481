//! Every configuration key: its place, variable, type, range, default and meaning.
//!
//! What it is: the one table ([`KEYS`]) that reading, checking, the example file
//! and `mantlet check` are made from.
//! What it is not: a typed view; that is [`super::Settings`].
//!
//! Invariants: each default satisfies its own kind (tested).

/// What a key accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds, ends included.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Any text, also empty.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts; in a variable, separated by commas.
    List,
}

/// A default, in the form of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// For [`Kind::Flag`].
    Flag(bool),
    /// For [`Kind::Integer`].
    Integer(i64),
    /// For [`Kind::Text`] and [`Kind::Choice`].
    Text(&'static str),
    /// For [`Kind::List`].
    List(&'static [&'static str]),
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// `table.key` in the file.
    pub path: &'static str,
    /// The environment variable that overrides the file, if there is one.
    pub variable: Option<&'static str>,
    /// What it accepts.
    pub kind: Kind,
    /// Its value where nothing sets it.
    pub preset: Preset,
    /// What it means, for the example file.
    pub meaning: &'static str,
}

pub use super::key_table::KEYS;

/// Keys, and tables with a dot at their end, that are taken anew while mantlet runs.
const RELOADED: &[&str] = &[
    "server.max_calls",
    "server.inline_time",
    "security.",
    "tool.",
    "rate_limit.",
    "circuit_breaker.",
];

impl Key {
    /// Whether a change takes effect by a reload; others do at the next start.
    pub fn reloads(&self) -> bool {
        RELOADED.iter().any(|known| {
            *known == self.path || known.ends_with('.') && self.path.starts_with(known)
        })
    }
}

/// The key of that path.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether `table` is one of the file's tables.
pub fn is_table(table: &str) -> bool {
    KEYS.iter().any(|key| {
        key.path
            .split_once('.')
            .is_some_and(|(name, _)| name == table)
    })
}
