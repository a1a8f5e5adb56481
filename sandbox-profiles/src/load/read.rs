//! Reading typed keys out of a TOML table, with the place of every mistake.
//!
//! Knows TOML and nothing about tools. Every key that is asked for is
//! remembered; what is left over at [`Table::finish`] is an unknown key.
//!
//! Invariants: a mistake is never swallowed; at most
//! [`crate::limits::PROFILE_ERRORS_MAX`] are kept for one file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::LoadError;
use crate::limits::{PROFILE_ERRORS_MAX, PROFILE_ITEMS_MAX};
use crate::nearest::nearest;

/// One file being read, and its mistakes so far.
#[derive(Debug)]
pub(super) struct Document<'d> {
    file: &'d str,
    text: &'d str,
    mistakes: RefCell<Vec<LoadError>>,
}

impl<'d> Document<'d> {
    pub(super) fn new(file: &'d str, text: &'d str) -> Self {
        Self {
            file,
            text,
            mistakes: RefCell::new(Vec::new()),
        }
    }

    /// Records a mistake at a place of the text.
    pub(super) fn mistake(&self, at: usize, key: &str, what: impl Into<String>, remedy: &str) {
        let mut mistakes = self.mistakes.borrow_mut();
        if mistakes.len() < PROFILE_ERRORS_MAX {
            mistakes.push(LoadError {
                file: self.file.to_owned(),
                line: Some(self.line(at)),
                key: key.to_owned(),
                what: what.into(),
                remedy: remedy.to_owned(),
            });
        }
    }

    pub(super) fn has_mistakes(&self) -> bool {
        !self.mistakes.borrow().is_empty()
    }

    pub(super) fn into_mistakes(self) -> Vec<LoadError> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes
    }

    /// The line of a byte of the text, from 1 on.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.bytes().take(at);
        before
            .filter(|byte| *byte == b'\n')
            .count()
            .saturating_add(1)
    }
}

/// A value and the place where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// A table of the file.
#[derive(Debug)]
pub(super) struct Table<'d> {
    document: &'d Document<'d>,
    path: String,
    entries: &'d DeTable<'d>,
    at: usize,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'d> Table<'d> {
    pub(super) fn root(document: &'d Document<'d>, table: &'d DeTable<'d>) -> Self {
        Self::new(document, String::new(), table, 0)
    }

    fn new(document: &'d Document<'d>, path: String, entries: &'d DeTable<'d>, at: usize) -> Self {
        Self {
            document,
            path,
            entries,
            at,
            asked: RefCell::new(BTreeSet::new()),
        }
    }

    /// Where the table begins.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The dotted path of a key of this table.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Records a mistake about a key of this table.
    pub(super) fn mistake(&self, at: usize, key: &str, what: impl Into<String>, remedy: &str) {
        self.document.mistake(at, &self.key(key), what, remedy);
    }

    fn find(&self, key: &'static str) -> Option<(&'d DeValue<'d>, Range<usize>)> {
        self.asked.borrow_mut().insert(key);
        let (_, value) = self
            .entries
            .iter()
            .find(|(known, _)| known.get_ref().as_ref() == key)?;
        Some((value.get_ref(), value.span()))
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    fn absent(&self, key: &'static str, kind: &str) {
        self.mistake(
            self.at,
            key,
            "a required key is missing",
            &format!("add {key} = {kind}"),
        );
    }

    fn mistyped(&self, at: usize, key: &str, value: &DeValue<'_>, kind: &str) {
        let what = format!("expected {kind}, found {}", value.type_str());
        self.mistake(at, key, what, &format!("write {kind}"));
    }

    pub(super) fn text(&self, key: &'static str) -> Option<At<String>> {
        let (value, span) = self.find(key)?;
        match value.as_str() {
            Some(text) if !text.trim().is_empty() => Some(At {
                value: text.trim().to_owned(),
                at: span.start,
            }),
            Some(_) => {
                self.mistake(
                    span.start,
                    key,
                    "the text is empty",
                    "write a text, or leave the key out",
                );
                None
            }
            None => {
                self.mistyped(span.start, key, value, "a text");
                None
            }
        }
    }

    pub(super) fn required_text(&self, key: &'static str) -> Option<At<String>> {
        if !self.has(key) {
            self.absent(key, "\"…\"");
        }
        self.text(key)
    }

    pub(super) fn boolean(&self, key: &'static str) -> bool {
        let Some((value, span)) = self.find(key) else {
            return false;
        };
        value.as_bool().unwrap_or_else(|| {
            self.mistyped(span.start, key, value, "true or false");
            false
        })
    }

    pub(super) fn integer(&self, key: &'static str, range: Range<u64>) -> Option<u64> {
        let (value, span) = self.find(key)?;
        let number = value
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(_) | None if value.is_integer() => {
                let what = "the number is out of range";
                let last = range.end.saturating_sub(1);
                let remedy = format!("write a number from {} to {last}", range.start);
                self.mistake(span.start, key, what, &remedy);
                None
            }
            Some(_) | None => {
                self.mistyped(span.start, key, value, "a whole number");
                None
            }
        }
    }

    pub(super) fn required_integer(&self, key: &'static str, range: Range<u64>) -> Option<u64> {
        if !self.has(key) {
            self.absent(key, &range.start.to_string());
        }
        self.integer(key, range)
    }

    /// A list of texts; absent is empty.
    pub(super) fn texts(&self, key: &'static str) -> Vec<At<String>> {
        let Some((value, span)) = self.find(key) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.mistyped(span.start, key, value, "a list of texts");
            return Vec::new();
        };
        if items.len() > PROFILE_ITEMS_MAX {
            self.mistake(span.start, key, "the list is too long", "shorten it");
            return Vec::new();
        }
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push(At {
                    value: text.to_owned(),
                    at: item.span().start,
                }),
                None => self.mistyped(item.span().start, key, item.get_ref(), "a text"),
            }
        }
        texts
    }

    pub(super) fn plain_texts(&self, key: &'static str) -> Vec<String> {
        self.texts(key).into_iter().map(|text| text.value).collect()
    }

    /// A table below this one; absent is nothing.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'d>> {
        let (value, span) = self.find(key)?;
        let table = value.as_table();
        if table.is_none() {
            self.mistyped(span.start, key, value, "a table");
        }
        Some(Self::new(self.document, self.key(key), table?, span.start))
    }

    pub(super) fn required_table(&self, key: &'static str) -> Option<Table<'d>> {
        if !self.has(key) {
            let remedy = format!("add a table [{}]", self.key(key));
            self.mistake(self.at, key, "a required table is missing", &remedy);
        }
        self.table(key)
    }

    /// A list of tables; absent is empty.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'d>> {
        let Some((value, span)) = self.find(key) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.mistyped(span.start, key, value, "a list of tables");
            return Vec::new();
        };
        if items.len() > PROFILE_ITEMS_MAX {
            self.mistake(span.start, key, "the list is too long", "shorten it");
            return Vec::new();
        }
        let path = self.key(key);
        let mut tables = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = item.span().start;
            match item.get_ref().as_table() {
                Some(table) => {
                    let path = format!("{path}[{index}]");
                    tables.push(Self::new(self.document, path, table, at));
                }
                None => self.mistyped(at, key, item.get_ref(), "a table"),
            }
        }
        tables
    }

    /// A table of texts, sorted by key; absent is empty.
    pub(super) fn text_map(&self, key: &'static str) -> Vec<(At<String>, String)> {
        let Some(table) = self.table(key) else {
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in table.entries {
            match value.get_ref().as_str() {
                Some(text) => {
                    let name = At {
                        value: name.get_ref().to_string(),
                        at: name.span().start,
                    };
                    pairs.push((name, text.to_owned()));
                }
                None => table.mistyped(
                    value.span().start,
                    name.get_ref(),
                    value.get_ref(),
                    "a text",
                ),
            }
        }
        pairs
    }

    /// Records every key that nobody asked for, with the nearest known one.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if asked.contains(name) {
                continue;
            }
            let remedy = nearest(name, asked.iter().copied()).map_or_else(
                || {
                    format!(
                        "known keys: {}",
                        asked.iter().copied().collect::<Vec<_>>().join(", ")
                    )
                },
                |known| format!("did you mean {known}?"),
            );
            self.mistake(key.span().start, name, "unknown key", &remedy);
        }
    }
}

/// Places in the text, each list beside the one it describes.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) flags: Vec<usize>,
    pub(super) defaults: Vec<usize>,
    pub(super) templates: Vec<usize>,
    pub(super) parameters: Vec<usize>,
    pub(super) accept: Vec<usize>,
    pub(super) refuse: Vec<usize>,
}
