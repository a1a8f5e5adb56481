//! The program; everything is in the library.
//!
//! Invariants: it hands over its arguments, and nothing else of its surroundings.

use std::process::ExitCode;

fn main() -> ExitCode {
    executor::run(std::env::args_os().skip(1))
}
