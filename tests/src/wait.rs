//! Waiting for a condition, with a bound.
//!
//! What it is not: a sleep. Each wait names what it waits for and fails by
//! that name.
//!
//! Invariants: no wait outlives its bound by more than one step.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks.
const STEP: Duration = Duration::from_millis(5);

/// Looks until `look` yields a value.
///
/// # Errors
///
/// When nothing came within `bound`; the message holds `what`.
pub fn until<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        if start.elapsed() >= bound {
            bail!("waited {bound:?} in vain for {what}");
        }
        sleep(STEP);
    }
}

/// Looks until `look` says yes; gives the time that it took.
///
/// # Errors
///
/// As [`until`].
pub fn until_true(what: &str, bound: Duration, mut look: impl FnMut() -> bool) -> Result<Duration> {
    let start = Instant::now();
    until(what, bound, || look().then(|| start.elapsed()))
}
