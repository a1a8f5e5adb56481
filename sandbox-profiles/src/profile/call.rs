//! What a profile says about calls: templates, typed parameters, examples.
//!
//! Plain data, as all of a profile; enough of it to generate a schema.
//!
//! Invariants: what a parameter sets is a flag of the same profile.

use super::{FlagId, Requirement};

/// A named argument list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Template {
    /// The name that calls use.
    pub name: String,
    /// A short title for people.
    pub title: String,
    /// When to use it.
    pub description: String,
    /// Its arguments. What a call says itself takes their place.
    pub args: Vec<String>,
}

/// A typed parameter of a call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Parameter {
    /// The name: lower case letters, digits and underscores.
    pub name: String,
    /// What it does, for people and models.
    pub description: String,
    /// What it may be, for a schema.
    pub kind: ParameterKind,
    /// Whether every value of it needs an intrusive policy.
    pub intrusive: bool,
    /// What some value of it needs.
    pub needs: Vec<Requirement>,
    /// An example value.
    pub example: Option<String>,
    pub(crate) sets: ParameterTarget,
}

/// What a parameter may be, for a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterKind {
    /// True switches it on; false is the same as absent.
    Boolean,
    /// A whole number within bounds, both included.
    Integer {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Every value is a multiple of it.
        step: u64,
    },
    /// A span of time: a text as [`crate::value::DurationStyle`] says, or a whole number of seconds.
    Duration {
        /// Least value in milliseconds.
        min_ms: u64,
        /// Greatest value in milliseconds.
        max_ms: u64,
        /// How it is spelled.
        style: crate::value::DurationStyle,
    },
    /// A port list as text (`22,80,8000-8100`), or one port as a whole number.
    Ports {
        /// Most items.
        items_max: u32,
        /// Whether `-` (all ports) is accepted.
        all: bool,
    },
    /// One of these words; with `several`, or a list of them.
    Choice {
        /// The words, each with what it means.
        words: Vec<ChoiceWord>,
        /// Whether a list is accepted.
        several: bool,
    },
    /// A list of names, or one text with commas between them.
    Names {
        /// Names that are always accepted.
        safe: Vec<String>,
        /// Names and patterns that need an intrusive policy.
        intrusive: Vec<String>,
        /// Most items.
        items_max: u32,
    },
    /// A list of addresses and networks, or one text with commas between them.
    Addresses {
        /// Most items.
        items_max: u32,
    },
    /// A text.
    Text {
        /// Most characters.
        chars_max: u32,
        /// What it looks like, as a regular expression of JSON Schema.
        pattern: &'static str,
    },
    /// A list of texts, or one of them.
    Texts {
        /// Most items.
        items_max: u32,
        /// What an item looks like, as a regular expression of JSON Schema.
        pattern: &'static str,
    },
}

/// One word of a [`ParameterKind::Choice`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChoiceWord {
    /// The word.
    pub word: String,
    /// What it means.
    pub description: String,
    /// The arguments it stands for.
    pub args: Vec<String>,
    /// Whether it needs an intrusive policy.
    pub intrusive: bool,
}

/// What a parameter sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterTarget {
    /// The value of one flag.
    Flag(FlagId),
    /// The arguments of its chosen words.
    Words,
}

/// Calls with their verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Examples {
    /// Calls that are accepted.
    pub accept: Vec<AcceptExample>,
    /// Calls that are refused.
    pub refuse: Vec<RefuseExample>,
}

/// A call that is accepted, and the argument vector it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptExample {
    /// The target.
    pub target: String,
    /// The `extra_args` text.
    pub args: String,
    /// The template, if any.
    pub template: Option<String>,
    /// Whether the policy allows intrusive runs.
    pub intrusive: bool,
    /// The argument vector after the program path.
    pub argv: Vec<String>,
}

/// A call that is refused, and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefuseExample {
    /// The target.
    pub target: String,
    /// The `extra_args` text.
    pub args: String,
    /// The template, if any.
    pub template: Option<String>,
    /// Whether the policy allows intrusive runs.
    pub intrusive: bool,
    /// The rule that the refusal names.
    pub rule: String,
    /// Why it is refused.
    pub why: String,
}
