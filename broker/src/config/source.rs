//! Who set a value.
//!
//! What it is not: the value.

use std::fmt;
use std::path::Path;

/// Who set a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    BuiltIn,
    /// The configuration file, in this line.
    File {
        /// From 1.
        line: usize,
    },
    /// This environment variable.
    Variable(&'static str),
}

impl Source {
    /// Itself for people, with the file's path and line.
    pub fn place(&self, file: Option<&Path>) -> String {
        match (self, file) {
            (Self::File { line }, Some(file)) => format!("{}:{line}", file.display()),
            (Self::File { .. } | Self::BuiltIn | Self::Variable(_), _) => self.to_string(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File { line } => write!(f, "file, line {line}"),
            Self::Variable(name) => write!(f, "environment {name}"),
        }
    }
}
