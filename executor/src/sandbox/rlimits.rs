//! Resource limits of a run.
//!
//! What it is: from a profile's limits and a run's time to what setrlimit(2)
//! is told.
//! What it is not: memory accounting. `RLIMIT_AS` bounds address space, the
//! nearest thing that needs no cgroup.
//!
//! Invariants: soft and hard limits are equal, so a tool can't raise one; no
//! core files.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sandbox_profiles::sandbox::{Limits, Sandbox};

use crate::procfs;

/// One limit.
#[derive(Debug, Clone, Copy)]
struct Limit {
    resource: Resource,
    /// `RLIMIT_…` without the prefix, lower case; for the receipt.
    name: &'static str,
    value: u64,
}

/// What no process of the executor needs. Set once, when it starts; hard limits
/// are inherited and can't be raised.
const FOR_ALL: &[Limit] = &[
    Limit {
        resource: Resource::RLIMIT_CORE,
        name: "core",
        value: 0,
    },
    Limit {
        resource: Resource::RLIMIT_MEMLOCK,
        name: "memlock",
        value: 0,
    },
    Limit {
        resource: Resource::RLIMIT_MSGQUEUE,
        name: "msgqueue",
        value: 0,
    },
];

/// Descriptors that the executor may have: paths of all profiles, and two for
/// each session.
const OWN_FILES_MAX: u64 = 4096;

/// Sets the limits that hold for the executor and all its tools, and takes as
/// many descriptors for the executor as it is allowed.
///
/// # Errors
///
/// Whatever setrlimit(2) says.
pub(crate) fn limit_all() -> Result<(), Errno> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(OWN_FILES_MAX), hard)?;
    apply(FOR_ALL)
}

fn apply(limits: &[Limit]) -> Result<(), Errno> {
    for limit in limits {
        setrlimit(limit.resource, limit.value, limit.value)?;
    }
    Ok(())
}

/// A run's limits, ready to be applied.
#[derive(Debug, Clone)]
pub(crate) struct ResourceLimits(Vec<Limit>);

impl ResourceLimits {
    /// The limits of a run of `timeout`: the sandbox's own, or tighter ones.
    pub(crate) fn new(sandbox: &Sandbox, limits: Limits, timeout: Duration) -> Self {
        let rows = [
            (Resource::RLIMIT_CPU, "cpu", cpu_seconds(limits, timeout)),
            (Resource::RLIMIT_AS, "as", limits.address_space_bytes),
            (Resource::RLIMIT_NOFILE, "nofile", limits.files),
            (Resource::RLIMIT_NPROC, "nproc", processes(sandbox, limits)),
            (Resource::RLIMIT_FSIZE, "fsize", limits.file_size_bytes),
        ];
        let limit = |(resource, name, value)| Limit {
            resource,
            name,
            value,
        };
        Self(rows.into_iter().map(limit).collect())
    }

    /// Applies them to this process.
    ///
    /// # Errors
    ///
    /// `EPERM` when the executor itself has a lower hard limit.
    pub(crate) fn apply(&self) -> Result<(), Errno> {
        apply(&self.0)
    }

    /// Names and values, for the receipt.
    pub(crate) fn rows(&self) -> Vec<(String, u64)> {
        self.0
            .iter()
            .chain(FOR_ALL)
            .map(|limit| (limit.name.to_owned(), limit.value))
            .collect()
    }
}

/// The profile's bound, or twice the run's time and a second if that is less:
/// a run that is not killed by its timeout is killed by this.
fn cpu_seconds(limits: Limits, timeout: Duration) -> u64 {
    let twice = timeout.as_secs().saturating_mul(2).saturating_add(1);
    limits.cpu_s.min(twice)
}

/// The kernel counts the processes and threads of a user, not of a run. A tool
/// whose filter lets it start none gets exactly the one it is; others get their
/// profile's number on top of what the user has now.
fn processes(sandbox: &Sandbox, limits: Limits) -> u64 {
    let starts = ["clone", "fork", "vfork"];
    if !sandbox
        .allow
        .iter()
        .any(|row| starts.contains(&row.name.as_str()))
    {
        return 1;
    }
    limits
        .processes
        .saturating_add(procfs::tasks_of_this_user())
}
