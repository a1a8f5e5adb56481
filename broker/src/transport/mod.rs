//! How clients reach the broker.
//!
//! What it is: the outermost layer; bytes in, bytes out.
//! What it is not: a protocol; [`crate::mcp`] speaks that.
//!
//! Invariants: no transport knows a tool, and none holds more than its limits.

pub mod http;
pub mod stdio;

use tokio_util::sync::CancellationToken;

/// How a server is told to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Cancelled: take nothing more on, let what is under way end.
    pub drain: CancellationToken,
    /// Cancelled: end everything now.
    pub cancel: CancellationToken,
}
