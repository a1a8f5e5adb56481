//! Values of keys: what a file or a variable spells, typed and held to its kind.
//!
//! What it is not: who set a value, or what holds; that is [`super::layers`].
//!
//! Invariants: a value out of its kind's range is none; nothing is clamped.

use std::fmt;

use toml::de::DeValue;

use super::keys::{Kind, Preset};

/// A value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// Of a flag.
    Flag(bool),
    /// Of an integer.
    Integer(i64),
    /// Of a text or choice.
    Text(String),
    /// Of a list.
    List(Vec<String>),
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => write!(f, "{items:?}"),
        }
    }
}

pub(super) fn accepts(kind: Kind) -> String {
    match kind {
        Kind::Flag => "true or false".into(),
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Text => "a text".into(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::List => "a list of texts".into(),
    }
}

pub(super) fn admit(kind: Kind, set: Set) -> Option<Set> {
    let fits = match (kind, &set) {
        (Kind::Integer { min, max }, Set::Integer(number)) => (min..=max).contains(number),
        (Kind::Choice(words), Set::Text(text)) => words.contains(&text.as_str()),
        (Kind::Flag, Set::Flag(_)) | (Kind::Text, Set::Text(_)) | (Kind::List, Set::List(_)) => {
            true
        }
        (Kind::Flag | Kind::Integer { .. } | Kind::Text | Kind::Choice(_) | Kind::List, _) => false,
    };
    fits.then_some(set)
}

pub(super) fn from_preset(preset: Preset) -> Set {
    match preset {
        Preset::Flag(flag) => Set::Flag(flag),
        Preset::Integer(number) => Set::Integer(number),
        Preset::Text(text) => Set::Text(text.to_owned()),
        Preset::List(items) => Set::List(items.iter().map(|item| (*item).to_owned()).collect()),
    }
}

pub(super) fn from_toml(value: &DeValue<'_>) -> Option<Set> {
    if let Some(flag) = value.as_bool() {
        return Some(Set::Flag(flag));
    }
    if let Some(number) = value.as_integer() {
        return i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(Set::Integer);
    }
    if let Some(text) = value.as_str() {
        return Some(Set::Text(text.to_owned()));
    }
    let items = value.as_array()?.iter();
    let items: Option<_> = items
        .map(|item| item.get_ref().as_str().map(str::to_owned))
        .collect();
    items.map(Set::List)
}

pub(super) fn from_text(kind: Kind, text: &str) -> Option<Set> {
    let set = match kind {
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Set::Flag(true),
            "false" | "0" | "no" | "off" => Set::Flag(false),
            _ => return None,
        },
        Kind::Integer { .. } => Set::Integer(text.parse().ok()?),
        Kind::Text => Set::Text(text.to_owned()),
        Kind::Choice(_) => Set::Text(text.to_ascii_lowercase()),
        Kind::List => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Set::List(items.map(str::to_owned).collect())
        }
    };
    admit(kind, set)
}

#[cfg(test)]
mod tests {
    use super::super::keys::KEYS;
    use super::*;

    #[test]
    fn defaults_satisfy_their_own_kinds() {
        for key in KEYS {
            assert!(
                admit(key.kind, from_preset(key.preset)).is_some(),
                "{}",
                key.path
            );
        }
    }
}
