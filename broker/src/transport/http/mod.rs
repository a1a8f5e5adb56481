//! HTTP.

pub mod mcp;
mod sessions;
