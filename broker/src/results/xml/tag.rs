//! One tag: from the text between its brackets to a name and decoded attributes.
//!
//! quick-xml splits the attributes; entities are decoded here, once, and never looked up anywhere.
//!
//! Invariants: total; at most [`ATTRIBUTES_MAX`] attributes of a tag are looked at.

use super::{Fault, Token};
use crate::results::limits::ATTRIBUTES_MAX;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::attributes::Attributes;

/// Longest name of an entity or character number, with its semicolon.
const ENTITY_BYTES_MAX: usize = 12;

/// A start tag: its name and attributes, the first of each name.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The name as written, prefix and all.
    pub name: &'a str,
    /// Whether the element ends with this tag.
    pub empty: bool,
    // Raw: values are decoded when asked for.
    pub(super) attributes: Vec<(&'a str, &'a str)>,
}

impl Tag<'_> {
    /// The decoded value of an attribute. Nothing here is neutralised yet.
    pub fn get(&self, name: &str) -> Option<String> {
        let (_, raw) = self.attributes.iter().find(|(key, _)| *key == name)?;
        Some(unescape(raw))
    }

    /// A number in an attribute; one that does not parse counts as absent.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.trim().parse().ok()
    }
}

/// Hands on the tag that this piece of markup is.
pub(super) fn sink_tag(piece: &str, empty: bool, cut: bool, sink: &mut impl FnMut(Token<'_>)) {
    if let Some(name) = piece.strip_prefix('/') {
        return sink(Token::Close(name.trim_end()));
    }
    let mut content = piece.to_owned();
    if cut {
        // What was kept ends inside a value: close it, so that its beginning counts.
        if let Some(quote) = open_quote(&content) {
            content.push(quote);
        }
    } else if empty {
        content.pop();
    }
    let name_len = content
        .find(|c: char| c.is_ascii_whitespace())
        .unwrap_or(content.len());
    let name = content.get(..name_len).unwrap_or_default();
    let mut attributes = Vec::new();
    let mut whole = !name.is_empty();
    let mut found = Attributes::new(&content, name_len);
    // The check for repeated names is quadratic; the first of a name wins here.
    found.with_checks(false);
    for attribute in found.take(ATTRIBUTES_MAX) {
        match attribute {
            Ok(attribute) => attributes.push(attribute),
            Err(_) => whole = false,
        }
    }
    if name.is_empty() {
        return sink(Token::Malformed(Fault::Tag));
    }
    let pairs = attributes
        .iter()
        .map(|a| (a.key.into_inner(), &*a.value))
        .collect();
    sink(Token::Open(Tag {
        name,
        empty,
        attributes: pairs,
    }));
    if !whole && !cut {
        sink(Token::Malformed(Fault::Tag));
    }
}

fn open_quote(content: &str) -> Option<char> {
    content
        .chars()
        .fold(None, |quote, char| match (quote, char) {
            (None, '"' | '\'') => Some(char),
            (Some(open), _) if open == char => None,
            (quote, _) => quote,
        })
}

/// Decodes the predefined entities and character numbers, in one pass.
///
/// An entity that a document type would have to define stays as it is written.
pub(super) fn unescape(raw: &str) -> String {
    let mut decoded = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(before);
        // Looking far for the end of a name would be quadratic in a value full of ampersands.
        let near = after
            .bytes()
            .take(ENTITY_BYTES_MAX)
            .position(|byte| byte == b';');
        let entity = near.and_then(|at| after.split_at_checked(at));
        let entity = entity.and_then(|(name, tail)| Some((resolve(name)?, tail.get(1..)?)));
        if let Some((char, tail)) = entity {
            decoded.push(char);
            rest = tail;
        } else {
            decoded.push('&');
            rest = after;
        }
    }
    decoded.push_str(rest);
    decoded
}

fn resolve(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return resolve_predefined_entity(name)?.chars().next();
    };
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
}
