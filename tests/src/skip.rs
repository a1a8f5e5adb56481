//! Checks that can't run here say so.
//!
//! What it is not: a way to pass. CI counts the lines and fails when there are
//! more than it expects.
//!
//! Invariants: every skip is one line, `SKIP reason`, on standard error and in
//! the file named by `MANTLET_SKIP_LOG`, if any.

use std::fs::OpenOptions;
use std::io::{Write as _, stderr};

use nix::unistd::Uid;

/// Says why a check doesn't run.
pub fn skip(reason: &str) {
    let line = format!("SKIP {reason}\n");
    // A closed standard error or an unwritable log must not turn a skipped
    // check into a failed one; CI counts the log and sees when it is missing.
    drop(stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("MANTLET_SKIP_LOG") {
        let log = OpenOptions::new().create(true).append(true).open(path);
        drop(log.and_then(|mut log| log.write_all(line.as_bytes())));
    }
}

/// Whether this process may make network namespaces; says so when it may not.
#[must_use]
pub fn is_root() -> bool {
    let root = Uid::effective().is_root();
    if !root {
        skip("needs root for network namespaces");
    }
    root
}
