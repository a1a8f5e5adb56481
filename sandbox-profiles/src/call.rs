//! What a client asks for, before anything is known about it.
//!
//! Every text in here is untrusted. Nothing is checked or changed.
//!
//! Invariants: none; that is what vetting is for.

use std::fmt;

/// One call, as a client makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// An address, a network or a host name.
    pub target: String,
    /// What `extra_args`, or a command line after `--`, says.
    pub arguments: Arguments,
    /// The name of a template of the profile.
    pub template: Option<String>,
    /// Typed parameters by name.
    pub parameters: Vec<(String, ParamValue)>,
}

/// The arguments of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// One text, split by POSIX shell rules.
    Text(String),
    /// Separate arguments, taken as they are.
    Tokens(Vec<String>),
}

impl Default for Arguments {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// The value of a typed parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamValue {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A text; also a fractional number as its text.
    Text(String),
    /// A list of texts or numbers.
    List(Vec<ParamValue>),
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(on) => write!(f, "{on}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => write!(f, "a list of {}", items.len()),
        }
    }
}
