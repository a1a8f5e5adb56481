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

mod audit;
mod commands;
mod conformance;
mod differential;
mod documents;
mod http_access;
mod http_bad_input;
mod http_bytes;
mod http_deaths;
mod http_hoards;
mod http_listen;
mod http_load;
mod injections;
mod inspector;
mod lifecycle;
mod logs;
mod mcp_sdk;
mod name_servers;
mod names;
mod observe;
mod output;
mod probe_results;
mod reload;
mod resilience;
mod rest;
mod rest_schema;
mod run_command;
mod run_store;
mod scope;
mod sixth_tool;
mod stdio_runs;
mod stdio_traps;
mod system_mode;
mod traceroute;
mod vet_command;
