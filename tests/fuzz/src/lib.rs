//! What the fuzz targets do with their bytes, and where their seeds come from.
//!
//! Each function of `targets` takes any bytes at all and panics where a promise
//! of Mantlet is broken; `fuzz_targets/` hands it to libFuzzer, one line each.
//! Inputs are texts, so that seeds can be read and reviewed. `docs/TESTING.md` says
//! how to run them and what to do with a crash.
//!
//! What it is not: part of what is shipped, or of the workspace.
//!
//! Invariants: the same bytes do the same; nothing reads a file, the clock or the
//! network; what holds for a call is stated once, beside the property tests of
//! `sandbox-profiles`.

#![forbid(unsafe_code)]

pub mod targets;

pub mod dictionary;
pub mod seeds;

mod hostile;

mod memory;
mod script;

mod input;
mod worlds;

#[path = "../../../sandbox-profiles/tests/suite/invariants.rs"]
mod invariants;

#[path = "../../../sandbox-profiles/tests/suite/elements.rs"]
mod elements;

#[path = "../../../sandbox-profiles/tests/suite/ground.rs"]
mod ground;
