//! The end of a run's processes, all of them.
//!
//! What it is: the last kill, and reaping until nobody is left. A session is
//! the subreaper of its run, so whoever loses its parent becomes its child.
//! What it is not: the decision to end a run; that is `stream.rs`.
//!
//! Invariants: the process group is killed while its leader is an unreaped
//! zombie, which pins the group's number; [`end`] returns when this process has
//! no child left, dead or alive.

use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpgrp};
use protocol::event::Exit;

use crate::{procfs, sys};

/// Between two looks at children that were killed and are not yet dead.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Looks before children are searched for and killed again, one by one. A group
/// that was killed is dead after one or two; this finds who left it, which the
/// filter of a run makes impossible.
const LOOKS_PER_SEARCH: u32 = 20;

/// What a run's processes came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// How the first one ended.
    pub(crate) exit: Exit,
    /// Processor time of all, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// Largest resident size of any, in bytes. Not below this process's own,
    /// whose memory the first one shared before it was executed.
    pub(crate) max_rss_bytes: u64,
}

/// Kills what is left of a run whose first process has ended, and reaps all.
pub(crate) fn end(leader: Pid) -> Ended {
    // The zombie leader pins the number; an error means that it was alone.
    killpg(leader, Signal::SIGKILL).unwrap_or_default();
    let exit = reap(leader);
    let mut looks = 0_u32;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => break,
            Ok(WaitStatus::StillAlive) => {
                thread::sleep(LOOK_EVERY);
                looks = looks.saturating_add(1);
                if looks.is_multiple_of(LOOKS_PER_SEARCH) {
                    kill_children(&[]);
                }
            }
            // One is reaped, or the call was interrupted: look again.
            Ok(_) | Err(_) => {}
        }
    }
    let (cpu_ms, max_rss_bytes) = usage();
    Ended {
        exit,
        cpu_ms,
        max_rss_bytes,
    }
}

/// Kills and reaps a run that nobody wants to hear of any more.
pub(crate) fn abandon(leader: Pid) {
    // Its first process is unreaped, so the number is still its own.
    killpg(leader, Signal::SIGKILL).unwrap_or_default();
    drop(end(leader));
}

/// Reaps every dead child except the leader, which must stay a zombie until its
/// group is killed.
pub(crate) fn reap_all_but(leader: Pid) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, peek) {
        match status.pid() {
            // The kernel shows the leader first; the rest is reaped at the end.
            Some(pid) if pid != leader => {
                if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
                    return;
                }
            }
            Some(_) | None => return,
        }
    }
}

/// Kills every child of this process that is not in `spared`, each with its
/// process group. Returns how many there were.
pub(crate) fn kill_children(spared: &[Pid]) -> u32 {
    let mine = getpgrp();
    let mut killed = 0_u32;
    for child in procfs::children() {
        if spared.contains(&child.pid) {
            continue;
        }
        // An unreaped child pins its own number and its group's.
        if child.group != mine && spared.iter().all(|pid| *pid != child.group) {
            killpg(child.group, Signal::SIGKILL).unwrap_or_default();
        }
        kill(child.pid, Signal::SIGKILL).unwrap_or_default();
        killed = killed.saturating_add(1);
    }
    killed
}

fn reap(leader: Pid) -> Exit {
    match sys::wait_for(leader) {
        Ok(sys::WaitStatus::Exited(code)) => Exit::Code(code),
        Ok(sys::WaitStatus::Signaled(signal)) => Exit::Signal(signal),
        // Not ours to reap, which can't be: nothing is known about its end.
        Err(_) => Exit::Signal(0),
    }
}

fn usage() -> (u64, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return (0, 0);
    };
    let ms = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_usec().checked_div(1000).unwrap_or_default();
        let ms = time.tv_sec().saturating_mul(1000).saturating_add(micros);
        u64::try_from(ms).unwrap_or_default()
    };
    let cpu_ms = ms(usage.user_time()).saturating_add(ms(usage.system_time()));
    let max_rss_bytes = u64::try_from(usage.max_rss())
        .unwrap_or_default()
        .saturating_mul(1024);
    (cpu_ms, max_rss_bytes)
}
