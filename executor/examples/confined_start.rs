//! How long a confined start takes, against the floor: a bare vfork and execve
//! of the same program by the same process.
//!
//! ```text
//! cargo run --release -p mantlet-executor --example confined_start -- PROGRAM [ROUNDS]
//! ```
//!
//! PROGRAM is a static no-op (any program does, and shifts both numbers); it
//! and all directories above it must be root's. Prints one line of JSON: tenth
//! percentiles in microseconds, their ratio, and medians. Meant to be run as
//! root, so that it starts from where the executor starts.
//!
//! What it is not: a test. Times depend on the machine; the ratio says more.

#![allow(clippy::print_stderr, reason = "a program that explains its use")]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: confined_start PROGRAM [ROUNDS]");
        return ExitCode::from(2);
    };
    let rounds = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2000);
    // Each start gives 0, 1 and 2 to its program, and takes them back to
    // nowhere, as a session does.
    let Ok(out) = std::io::stdout().as_fd().try_clone_to_owned() else {
        return ExitCode::FAILURE;
    };
    let (text, status) = match executor::bench::confined_start(program.as_ref(), rounds) {
        Ok(line) => (line, ExitCode::SUCCESS),
        Err(error) => (error, ExitCode::FAILURE),
    };
    match writeln!(File::from(out), "{text}") {
        Ok(()) => status,
        Err(_) => ExitCode::FAILURE,
    }
}
