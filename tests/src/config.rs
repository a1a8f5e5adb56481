//! Configuration files for the programs under test.
//!
//! What it is not: a schema. Tests write the keys that a user would.
//!
//! Invariants: what is written names no network but the lab's and loopback's.

use std::path::Path;

/// The lab's network.
pub const LAB_NETWORK: &str = "10.66.0.0/24";

/// Tests make in seconds the calls of hours; those of the limit itself leave this out.
pub const MANY_CALLS: &str = "[rate_limit]\ncalls_per_minute = 60000\n";

/// A broker's configuration that scans the lab by the embedded executor.
#[must_use]
pub fn embedded(executor: &Path, extra: &str) -> String {
    format!(
        "{MANY_CALLS}[security]\nallowed_networks = [\"{LAB_NETWORK}\"]\n\
         allowed_suffixes = [\".lab.internal\"]\n\
         [executor]\nmode = \"embedded\"\nbinary = \"{}\"\n{extra}",
        executor.display()
    )
}

/// A broker's configuration that uses the executor behind `socket`.
#[must_use]
pub fn system(socket: &Path, extra: &str) -> String {
    format!(
        "{MANY_CALLS}[security]\nallowed_networks = [\"{LAB_NETWORK}\"]\n\
         allowed_suffixes = [\".lab.internal\"]\n\
         [executor]\nmode = \"system\"\nsocket = \"{}\"\n{extra}",
        socket.display()
    )
}

/// A system executor's configuration, `[security]` last. `profiles` is a directory of profiles; without
/// it the built-in ones are used.
#[must_use]
pub fn executor(runs_dir: &Path, profiles: Option<&Path>, max_runs: u32, peers: &[u32]) -> String {
    let profiles = profiles.map(|dir| format!("profiles = [\"{}\"]\n", dir.display()));
    format!(
        "mode = \"system\"\n{}runs_dir = \"{}\"\nuser = \"nobody\"\nmax_runs = {max_runs}\n\
         [peers]\nuids = {peers:?}\n\
         [security]\nallowed_networks = [\"{LAB_NETWORK}\"]\n\
         allowed_suffixes = [\".lab.internal\"]\n",
        profiles.unwrap_or_default(),
        runs_dir.display()
    )
}
