//! Measuring a confined start against the floor, in one process; built only
//! with the feature `bench`.
//!
//! What it is: the product's own start, called in a loop, and beside it the
//! least that any start can be: vfork, execve, exit, reap.
//! What it is not: part of the program that is installed.
//!
//! Invariants: both ways execute the same descriptor and reap the same way.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Uid, getpid};
use sandbox_profiles::load;

use crate::launch::Pad;
use crate::refusal::chain;
use crate::sandbox::base::Base;
use crate::sandbox::caps::CapabilitySet;
use crate::sandbox::identity::{self, Account};
use crate::sandbox::landlock::{Abi, Opened};
use crate::sandbox::rlimits::{self, ResourceLimits};
use crate::sandbox::{Plan, Progress};
use crate::scratch::Parent;
use crate::spawn;
use crate::sys::{self, Stack, StringTable};
use crate::tools::{Circumstances, Ready, Tool};

/// Rounds that are not counted.
const WARM_UP: u32 = 200;
/// Where the runs' directory is made.
const RUNS_DIR: &str = "/tmp/mantlet-bench-runs";

/// Starts a program so many times each way. One line of JSON.
///
/// # Errors
///
/// What could not be prepared or started.
pub fn confined_start(program: &Path, rounds: u32) -> Result<String, String> {
    let set = load::built_in().map_err(|errors| format!("{errors:?}"))?;
    let mut profile = set.get("nmap").ok_or("no profile of nmap")?.clone();
    program.clone_into(&mut profile.executable);
    let told = |error: &dyn std::error::Error| chain(error);
    let mut pad = Pad::new().map_err(|error| told(&error))?;
    let abi = Abi::of_this_kernel().map_err(|error| told(&error))?;
    let argv = [program.to_string_lossy()];
    pad.argv.fill(argv).ok_or("the path holds NUL")?;
    pad.envp
        .fill(["PATH=/usr/bin:/bin"])
        .ok_or("no environment")?;
    let around = Circumstances {
        abi,
        held: CapabilitySet::EMPTY,
        argv: &pad.argv,
    };
    let tool = Tool::prepare(&profile, around, &mut Opened::default());
    let ready = tool.state.as_ref().map_err(|error| told(error))?;
    let (floor, floor_median) = percentiles(rounds, || raw(ready, &pad))?;

    let account = Account::named("nobody").map_err(|error| told(&error))?;
    let parent = Parent::open(Path::new(RUNS_DIR), account.uid, account.gid);
    let parent = parent.map_err(|error| told(&error))?;
    rlimits::limit_all().map_err(|error| told(&error))?;
    give_up_root(account.uid, account.gid)?;
    // As a session does; started from a shell, this process leads one already.
    match nix::unistd::setsid() {
        Ok(_) | Err(nix::errno::Errno::EPERM) => {}
        Err(error) => return Err(told(&error)),
    }
    Base::new(&set)
        .and_then(|base| base.install())
        .map_err(|error| told(&error))?;
    let limits = ResourceLimits::new(
        &profile.sandbox,
        profile.sandbox.limits,
        Duration::from_mins(1),
    );
    let (confined, confined_median) =
        percentiles(rounds, || confined(&parent, &limits, ready, &mut pad))?;
    drop(parent);
    std::fs::remove_dir(RUNS_DIR).map_err(|error| told(&error))?;
    let ratio = confined.as_secs_f64() / floor.as_secs_f64();
    Ok(format!(
        "{{\"rounds\":{rounds},\"floor_us\":{},\"confined_us\":{},\"ratio\":{ratio:.2},\
         \"floor_median_us\":{},\"confined_median_us\":{},\"filter_instructions\":{}}}",
        floor.as_micros(),
        confined.as_micros(),
        floor_median.as_micros(),
        confined_median.as_micros(),
        ready.plain.filter.program().len(),
    ))
}

/// One confined start, from a session's point of view.
fn confined(
    parent: &Parent,
    limits: &ResourceLimits,
    ready: &Ready,
    pad: &mut Pad,
) -> Result<Duration, String> {
    let told = |error: &dyn std::error::Error| chain(error);
    // Not measured: the directory, which is the file system's time, and what a
    // session does before its run is asked for.
    let scratch = parent.make("bench").map_err(|error| told(&error))?;
    pad.nowhere = crate::sandbox::fds::Nowhere::open().map_err(|error| told(&error))?;
    let streams = pad.nowhere.give_streams().map_err(|error| told(&error))?;
    let begin = Instant::now();
    let rules = &ready.plain.rules;
    let plan = Plan {
        parent: getpid(),
        directory: scratch.descriptor(),
        limits,
        capabilities: CapabilitySet::EMPTY,
        ruleset: rules
            .ruleset(ready.program.as_rule(), scratch.descriptor())
            .map_err(|error| told(&error))?,
        filter: ready.plain.filter.program(),
        program: ready.program.descriptor(),
        argv: &pad.argv,
        envp: &pad.envp,
        progress: Progress::new(),
    };
    let running = spawn::spawn(&plan, &mut pad.stack, &mut pad.nowhere, streams)
        .map_err(|error| told(&error))?;
    waitpid(running.pid, None).map_err(|error| told(&error))?;
    Ok(begin.elapsed())
}

fn give_up_root(uid: Uid, gid: Gid) -> Result<(), String> {
    if Uid::current().is_root() {
        identity::give_up_root(Account { uid, gid }).map_err(|error| chain(&error))?;
    }
    prctl::set_dumpable(false).map_err(|error| error.to_string())
}

/// The tenth percentile and the median. The former says what a start costs; the
/// latter says what else the machine was doing.
fn percentiles(
    rounds: u32,
    mut once: impl FnMut() -> Result<Duration, String>,
) -> Result<(Duration, Duration), String> {
    for _ in 0..WARM_UP {
        once()?;
    }
    let mut times = (0..rounds).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    let at = |tenth: usize| {
        let index = times
            .len()
            .saturating_mul(tenth)
            .checked_div(10)
            .unwrap_or_default();
        times
            .get(index)
            .copied()
            .ok_or_else(|| "no rounds".to_owned())
    };
    Ok((at(1)?, at(5)?))
}

/// What a raw start needs.
struct Bare<'a> {
    ready: &'a Ready,
    argv: &'a StringTable,
    envp: &'a StringTable,
}

/// One raw start: vfork, execve, exit, reap.
fn raw(ready: &Ready, pad: &Pad) -> Result<Duration, String> {
    let mut stack = Stack::new();
    let bare = Bare {
        ready,
        argv: &pad.argv,
        envp: &pad.envp,
    };
    let begin = Instant::now();
    let (pid, _) = sys::start_sharing_memory(&mut stack, &bare, |bare: &Bare<'_>| {
        let _errno = sys::execute(bare.ready.program.descriptor(), bare.argv, bare.envp);
        sys::leave(127)
    })
    .map_err(|error| error.to_string())?;
    waitpid(pid, None).map_err(|error| error.to_string())?;
    Ok(begin.elapsed())
}
