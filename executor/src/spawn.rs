//! Starting a tool: one child that shares this process's memory until it has
//! executed the tool, or failed to.
//!
//! What it is: the parent's side of `sandbox`.
//! What it is not: the run; `stream.rs` takes over with the first byte.
//!
//! Invariants: a [`Running`] tool was executed with every layer applied; in
//! every other case nothing was executed, and the child is reaped.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::sandbox::fds::{Nowhere, Streams};
use crate::sandbox::{Plan, Step, confine_and_execute};
use crate::sys::{self, Stack};

/// A tool that was executed, confined.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its process id, which is its process group's too.
    pub(crate) pid: Pid,
    /// Readable when it has ended.
    pub(crate) pidfd: OwnedFd,
    /// Readable when it made a call that its filter doesn't list.
    pub(crate) listener: OwnedFd,
    /// What it prints.
    pub(crate) streams: Streams,
}

/// Why nothing was executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// A step of the child failed.
    #[error("the tool could not be started: step `{step}` failed")]
    Step {
        /// Which one.
        step: Step,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The child died in a step.
    #[error("the tool could not be started: the child died in step `{0}`")]
    Died(Step),
    /// There was no child.
    #[error("no process could be started")]
    Clone(#[source] Errno),
    /// The pipes could not be taken back.
    #[error("the tool's pipes could not be taken back")]
    Pipes(#[source] io::Error),
    /// The child used more stack than it was given.
    #[error("the child overran its stack")]
    Stack,
}

/// Starts the tool of a plan.
///
/// # Errors
///
/// The step that failed; then nothing was executed.
pub(crate) fn spawn(
    plan: &Plan<'_>,
    stack: &mut Stack,
    nowhere: &mut Nowhere,
    streams: Streams,
) -> Result<Running, SpawnError> {
    nowhere.free_low_numbers();
    let started = sys::start_sharing_memory(stack, plan, confine_and_execute);
    let taken_back = nowhere.take_streams_back();
    let (pid, pidfd) = started.map_err(SpawnError::Clone)?;
    if let Err(error) = taken_back {
        reap(pid);
        return Err(SpawnError::Pipes(error));
    }
    let listener = plan.progress.take_listener();
    let (step, errno) = plan.progress.outcome();
    let failure = match (step, errno, listener) {
        (Step::Execute, None, Some(listener)) if stack.is_sound() => {
            return Ok(Running {
                pid,
                pidfd,
                listener,
                streams,
            });
        }
        (Step::Execute, None, Some(_)) => SpawnError::Stack,
        (step, Some(source), _) => SpawnError::Step { step, source },
        (step, None, _) => SpawnError::Died(step),
    };
    reap(pid);
    Err(failure)
}

/// Kills and reaps a child that must not go on, with whatever it started.
fn reap(pid: Pid) {
    // It is our unreaped child, so the number is still its own and its group's.
    // An error means that it is gone already, or has no group yet.
    killpg(pid, Signal::SIGKILL).unwrap_or_default();
    kill(pid, Signal::SIGKILL).unwrap_or_default();
    sys::wait_for(pid).map(|_| ()).unwrap_or_default();
}
