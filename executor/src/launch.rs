//! From a chosen sandbox to a running tool.
//!
//! What it is: the last preparations, in the session: the run's directory, its
//! ruleset, its arguments and environment; and the receipt, from the very
//! values that were applied.
//! What it is not: a decision. `policy.rs` made it.
//!
//! Invariants: the environment is a constant list and what the profile adds; a
//! receipt exists only for a tool that runs.

use std::time::{Duration, Instant};

use nix::unistd::getpid;
use protocol::event::{Receipt, RefusalKind, Refused};
use protocol::limits::{ARGS_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use sandbox_profiles::sandbox::{Limits, Sandbox};
use sha2::{Digest, Sha256};

use crate::refusal::{self, chain, cut};
use crate::sandbox::caps::CapabilitySet;
use crate::sandbox::fds::{Nowhere, Streams};
use crate::sandbox::landlock::{LandlockError, Rules};
use crate::sandbox::rlimits::ResourceLimits;
use crate::sandbox::seccomp::Filter;
use crate::sandbox::{Plan, Progress};
use crate::scratch::{Scratch, ScratchError};
use crate::spawn::{self, Running, SpawnError};
use crate::sys::{Stack, StringTable};
use crate::tools::{Program, Tool};
use crate::{EGRESS, Executor};

/// Most variables of a tool's environment.
const VARIABLES_MAX: usize = 64;
/// The environment of every tool, before its directory and its profile's own.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/bin:/bin"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
];

/// What a start needs that must not move or be opened afterwards: addresses
/// that filters name, and low descriptors.
#[derive(Debug)]
pub(crate) struct Pad {
    /// The tool's arguments.
    pub(crate) argv: StringTable,
    /// The tool's environment.
    pub(crate) envp: StringTable,
    /// `/dev/null`.
    pub(crate) nowhere: Nowhere,
    /// What the child stands on until it has executed the tool.
    pub(crate) stack: Stack,
}

impl Pad {
    /// Takes the memory and the descriptors, before anything else does.
    ///
    /// # Errors
    ///
    /// Whatever opening `/dev/null` says.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            argv: StringTable::new(ARGS_MAX),
            envp: StringTable::new(VARIABLES_MAX),
            nowhere: Nowhere::open()?,
            stack: Stack::new(),
        })
    }
}

/// What is to be started, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch<'a> {
    /// The tool.
    pub(crate) tool: &'a Tool,
    /// What is executed.
    pub(crate) program: &'a Program,
    /// The system call filter.
    pub(crate) filter: &'a Filter,
    /// The Landlock rules.
    pub(crate) rules: &'a Rules,
    /// What it may hold.
    pub(crate) capabilities: CapabilitySet,
    /// Its argv, program first.
    pub(crate) argv: &'a [String],
    /// How long it may run.
    pub(crate) timeout: Duration,
    /// Its profile's limits, or less.
    pub(crate) limits: Limits,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// No directory for the run.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// No ruleset.
    #[error(transparent)]
    Landlock(#[from] LandlockError),
    /// The argv or the environment is too long or holds NUL.
    #[error("the arguments or the environment hold NUL, or are too many")]
    Strings,
    /// The child failed.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl LaunchError {
    /// As the peer gets it.
    pub(crate) fn refused(&self) -> Refused {
        let message = chain(self);
        let sandbox = |remedy| refusal::new(RefusalKind::SandboxUnavailable, &message, remedy);
        match self {
            Self::Scratch(_) => sandbox("see that runs_dir has room, and use each run id once"),
            Self::Landlock(_) => sandbox("see `mantlet-executor check` on the executor's machine"),
            Self::Spawn(SpawnError::Step { step, .. } | SpawnError::Died(step))
                if step.is_layer() =>
            {
                sandbox("see `mantlet-executor check` on the executor's machine")
            }
            Self::Strings | Self::Spawn(_) => refusal::new(
                RefusalKind::SpawnFailed,
                &message,
                "see the executor's log; the tool's program may be damaged",
            ),
        }
    }
}

/// Starts a tool in a run's directory.
///
/// # Errors
///
/// The first preparation or step that failed; then nothing runs.
pub(crate) fn launch(
    executor: &Executor,
    pad: &mut Pad,
    scratch: &Scratch<'_>,
    launch: Launch<'_>,
    streams: Streams,
    since: Instant,
) -> Result<(Running, Receipt), LaunchError> {
    let sandbox = &launch.tool.profile.sandbox;
    let home = scratch.path().to_string_lossy().into_owned();
    let environment = environment(sandbox, launch.capabilities, &home);
    let environment = environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pad.argv.fill(launch.argv).ok_or(LaunchError::Strings)?;
    pad.envp.fill(environment).ok_or(LaunchError::Strings)?;
    let limits = ResourceLimits::new(sandbox, launch.limits, launch.timeout);
    let plan = Plan {
        parent: getpid(),
        directory: scratch.descriptor(),
        limits: &limits,
        capabilities: launch.capabilities,
        ruleset: launch
            .rules
            .ruleset(launch.program.as_rule(), scratch.descriptor())?,
        filter: launch.filter.program(),
        program: launch.program.descriptor(),
        argv: &pad.argv,
        envp: &pad.envp,
        progress: Progress::new(),
    };
    let running = spawn::spawn(&plan, &mut pad.stack, &mut pad.nowhere, streams)?;
    let receipt = Receipt {
        uid: executor.uid.as_raw(),
        gid: executor.gid.as_raw(),
        capabilities: launch.capabilities.names(),
        landlock_abi: launch.rules.abi().number(),
        landlock_digest: launch.rules.digest(),
        seccomp_digest: executor.seccomp_digest(launch.filter),
        rlimits: limits.rows(),
        egress: EGRESS.to_owned(),
        tool_path: cut(&launch.tool.path(), TEXT_BYTES_MAX),
        tool_version: cut(&launch.tool.version, NAME_BYTES_MAX),
        setup_us: u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX),
    };
    Ok((running, receipt))
}

/// The whole environment, by name.
pub(crate) fn environment(
    sandbox: &Sandbox,
    capabilities: CapabilitySet,
    home: &str,
) -> Vec<(String, String)> {
    let is_raw = capabilities != CapabilitySet::EMPTY;
    let homes = [("HOME", home), ("TMPDIR", home)];
    let own = ENVIRONMENT.iter().copied().chain(homes);
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let raw = sandbox.env_raw.iter().filter(|_| is_raw);
    own.chain(sandbox.env.iter().chain(raw).cloned()).collect()
}

impl Executor {
    /// SHA-256 over the executor's own filter and a run's: all that a tool's
    /// calls go through.
    pub(crate) fn seccomp_digest(&self, filter: &Filter) -> [u8; 32] {
        let both = Sha256::new().chain_update(self.base_digest);
        both.chain_update(filter.digest()).finalize().into()
    }
}
