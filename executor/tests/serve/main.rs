//! The real executor, driven over its socket by a hand-written client.
//!
//! What it is not: a test of the broker, or of profiles; only the executor's
//! own promises are held against it. Needs root, for programs that are root's;
//! says `SKIP` where it can't run.
//!
//! Invariants: nothing is sent beyond loopback or a namespace of the test's own.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests fail by panicking, and print what they measured"
)]

mod ends;
mod lab;
mod peer;
mod life;
mod privileges;
mod protocols;
mod runs;
mod violations;
mod ways;
