//! Mantlet's broker: takes calls from people and models, vets them, and has the
//! executor run them.
//!
//! What it is: one pipeline, and the surfaces that translate to and from it.
//! What it is not: privileged. It holds no capability, and starts no process but
//! an embedded executor.
//!
//! Invariants: data flows one way: transport → rest and mcp, or cli → pipeline →
//! `executor_client`; `observe` is a leaf.

#![forbid(unsafe_code)]

pub mod cli;
pub mod transport;
pub mod rest;
pub mod mcp;
pub mod probes;

pub mod pipeline;
pub mod executor;
pub mod embedded;
pub mod executor_client;
pub mod store;
pub mod access;
pub mod private_dir;
pub mod state_dir;
pub mod tool_facts;

pub mod outcome;
pub mod results;
pub mod config;
pub mod identity;
pub mod observe;
pub mod hex;

pub use cli::main;
