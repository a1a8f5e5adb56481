//! End to end: what users see, through the binaries, sockets and standard streams.
//!
//! What it is not: a unit test; nothing of the product is linked but its wire
//! contract.
//!
//! Invariants: a test that can't run here says `SKIP reason`.

#![expect(
    clippy::indexing_slicing,
    reason = "of JSON values, where what is missing is null"
)]

mod commands;
mod lifecycle;
mod mcp_sdk;
mod name_servers;
mod names;
mod output;
mod run_command;
mod sixth_tool;
mod stdio_runs;
mod stdio_traps;
mod system_mode;
mod traceroute;
mod vet_command;
