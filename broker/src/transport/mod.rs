//! How clients reach the broker.
//!
//! What it is: the outermost layer; bytes in, bytes out.
//! What it is not: a protocol; [`crate::mcp`] speaks that.
//!
//! Invariants: no transport knows a tool, and none holds more than its limits.

pub mod http;
pub mod stdio;
