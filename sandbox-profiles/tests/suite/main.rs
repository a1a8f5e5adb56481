//! The crate from outside: what is accepted, what is refused, and why.
//!
//! One binary, so that it links once. Each module is a claim about the public
//! surface; unit tests of single files stand in those files.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::too_many_lines,
    reason = "a test stops at the first surprise, and a table is as long as it is"
)]

mod bench;
mod elements;
mod ground;
mod invariants;

mod corpus;
mod executor_side;
mod forms;
mod generated;
mod judged;
mod loading;
mod meant;
mod needs;
mod parameters;
mod pinning;
mod pools;
mod ports;
mod properties;
mod refusals;
mod targets;
mod templates;
mod tool_scopes;
mod two_sides;
mod verdicts;
