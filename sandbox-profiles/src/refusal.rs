//! A "no" and its reason.
//!
//! A refusal names the rule it rests on, the part of the call that broke it and
//! what to do instead. It is data for people, models and logs; it holds no
//! untrusted byte that is not escaped.
//!
//! Invariants: `offending` is printable ASCII and bounded; `nearest`, where
//! given, is itself an argument list that vetting accepts.

use std::fmt;

use crate::limits::OFFENDING_CHARS_MAX;

/// Why a call may not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {message}: {offending}; {remedy}")]
#[must_use]
#[non_exhaustive]
pub struct Refusal {
    /// The rule that was broken: `TGT2`, `ARG3`, `NM2`, …
    pub rule: Box<str>,
    /// Which family of refusal it is.
    pub kind: RefusalKind,
    /// What is wrong, in one clause, lower case.
    pub message: Box<str>,
    /// The part of the call that broke the rule; escaped, at most
    /// [`OFFENDING_CHARS_MAX`] characters.
    pub offending: Box<str>,
    /// What to do instead.
    pub remedy: Box<str>,
    /// The nearest argument list that would be accepted, where one exists.
    pub nearest: Option<Vec<String>>,
    /// Machine-readable facts, in a fixed order (`network_size`, `max_allowed`, …).
    pub detail: Vec<(&'static str, Detail)>,
}

/// The families of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The call is malformed, or asks for what no policy can allow.
    Validation,
    /// The call is well formed, and the policy does not allow intrusive runs.
    Intrusive,
    /// The call is allowed, and the executor lacks a capability it needs.
    Capability,
}

impl RefusalKind {
    /// A stable name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Intrusive => "intrusive",
            Self::Capability => "capability",
        }
    }
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fact of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A whole number.
    Integer(u64),
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// Texts by name, in the order to show them.
    Map(Vec<(String, String)>),
}

impl Refusal {
    /// A refusal of the [`RefusalKind::Validation`] family without facts.
    pub(crate) fn new(
        rule: &str,
        message: impl Into<String>,
        offending: &str,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.into(),
            kind: RefusalKind::Validation,
            message: message.into().into_boxed_str(),
            offending: shown(offending).into_boxed_str(),
            remedy: remedy.into().into_boxed_str(),
            nearest: None,
            detail: Vec::new(),
        }
    }

    /// The same refusal, of another family.
    pub(crate) fn of_kind(mut self, kind: RefusalKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same refusal with one more fact.
    pub(crate) fn with(mut self, name: &'static str, value: Detail) -> Self {
        self.detail.push((name, value));
        self
    }

    /// The same refusal with the nearest accepted argument list.
    pub(crate) fn with_nearest(mut self, arguments: Option<Vec<String>>) -> Self {
        self.nearest = arguments;
        self
    }
}

/// Text from a caller, made safe to show: printable ASCII, bounded.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (index, ch) in text.chars().enumerate() {
        if index >= OFFENDING_CHARS_MAX {
            out.push_str("...");
            break;
        }
        if ch == ' ' || ch.is_ascii_graphic() {
            out.push(ch);
        } else {
            out.extend(ch.escape_default());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_callers_text_escaped_and_bounded() {
        let cases = [
            ("-p80", "-p80", "plain text is kept"),
            ("a\u{1b}[2J", "a\\u{1b}[2J", "a terminal escape is defused"),
            ("\u{202e}x", "\\u{202e}x", "so is a bidi override"),
            (
                "a\nb",
                "a\\nb",
                "and a line break, which could forge a log line",
            ),
        ];
        for (text, expected, why) in cases {
            assert_eq!(shown(text), expected, "{why}");
        }
        let long = shown(&"x".repeat(5000));
        assert_eq!(long.chars().count(), OFFENDING_CHARS_MAX + 3);
    }

    #[test]
    fn a_result_with_a_refusal_stays_small() {
        assert!(
            size_of::<Refusal>() < 128,
            "the lint's bound for error values"
        );
    }
}
