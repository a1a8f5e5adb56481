//! How a configured scope is wrong, and how to write it.
//!
//! Invariants: each text names the key, the entry and the way to write it.

use crate::net::{Network, NetworkError};

/// How a configured scope is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// An entry of a network list is no network.
    #[error("{key}: {entry:?} is no network: {why}; write ADDRESS/PREFIX, like 10.0.0.0/8")]
    Network {
        /// The configuration key.
        key: &'static str,
        /// The entry.
        entry: String,
        /// What is wrong with it.
        why: NetworkError,
    },
    /// A network has host bits, so it may not mean what its author thinks.
    #[error("{key}: {entry:?} has host bits set; write {network}, or the single address")]
    HostBits {
        /// The configuration key.
        key: &'static str,
        /// The entry.
        entry: String,
        /// The network it lies in.
        network: Network,
    },
    /// An entry of the suffix list is no suffix.
    #[error(
        "allowed_suffixes: {entry:?} is no suffix; write a dot and lower case labels, like .lab.internal"
    )]
    Suffix {
        /// The entry.
        entry: String,
    },
    /// An entry of a port list is no port and no range.
    #[error(
        "{key}: {entry:?} is no port; write a port from 1 to 65535 or a range, like \"22\" or \"8000-8100\""
    )]
    Port {
        /// The configuration key.
        key: &'static str,
        /// The entry.
        entry: String,
    },
    /// A list is too long.
    #[error("{key}: {count} entries, at most {max} are allowed; {remedy}")]
    TooMany {
        /// The configuration key.
        key: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
        /// How to need fewer.
        remedy: &'static str,
    },
    /// A number is out of range.
    #[error("{key}: {value} is out of range; write a number from 1 to {max}")]
    Range {
        /// The configuration key.
        key: &'static str,
        /// The number.
        value: u32,
        /// The greatest one allowed.
        max: u32,
    },
    /// The table of one tool is wrong.
    // The cause is shown whole, so that it reads as one dotted key.
    #[error("tools.{tool}.{fault}")]
    Tool {
        /// The tool.
        tool: String,
        /// What is wrong in its table.
        fault: Box<ScopeError>,
    },
    /// A table for a tool that no profile describes: a rule that would never hold.
    #[error("tools.{tool}: no profile has that name; {remedy}")]
    UnknownTool {
        /// The table's name.
        tool: String,
        /// The name that was probably meant, or the names there are.
        remedy: String,
    },
}
