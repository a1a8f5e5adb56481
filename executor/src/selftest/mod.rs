//! The self-test: escape attempts inside each tool's real sandbox, on this host.
//!
//! ```text
//! table → attempts, outside: the control → attempts, in each sandbox → judge → report
//! ```
//!
//! What it is: this very program, started as a tool is started, with the rules,
//! filter, capabilities and limits of the tool whose sandbox is tried.
//! What it is not: a test of the tools, or of vetting.
//!
//! Invariants: an attempt counts as stopped only by what has to stop it; one that
//! its control can't make outside of a sandbox either proves nothing and is shown
//! so; nothing is sent to an address outside this host.

pub(crate) mod attempts;
mod quick;
mod report;
pub(crate) mod table;

use std::io;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{dup, getpid};
use protocol::event::Exit;

pub(crate) use self::quick::quick;
pub(crate) use self::report::report;
use self::table::{ANOTHER_ARCHITECTURE, Allowance, Attempt, Layer};
use crate::Executor;
use crate::launch::{Launch, Pad};
use crate::refusal::chain;
use crate::sandbox::caps::CapabilitySet;
use crate::sandbox::landlock::Rules;
use crate::sandbox::seccomp::{self, Filter};
use crate::tools::{self, Circumstances, Confinement, Program, Tool, ToolError};
use crate::trial::{Ended, Trials};

/// Longest that an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts at once.
const AT_ONCE: usize = 8;

/// What the self-test can't do without.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfTestError {
    /// This program, or a filter for it.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A process or a directory.
    #[error("an attempt could not be made")]
    Attempt(#[from] io::Error),
    /// Without a capability there is none to leave out.
    #[error("this executor holds no capability, so that layer can't be left out")]
    NoCapability,
    /// A sandbox that doesn't hold.
    #[error(
        "the sandbox of {tool} doesn't hold: {attempt} got through; see `mantlet-executor selftest`"
    )]
    Through {
        /// Whose.
        tool: String,
        /// What was tried.
        attempt: String,
    },
    /// Nothing was tried, so nothing was shown.
    #[error("no tool can run here, so there is no sandbox to try; see `mantlet-executor check`")]
    NoSandbox,
    /// There is no tool of that name whose sandbox could be tried.
    #[error("there is no tool {0} that can run; `mantlet-executor check` lists them")]
    NoTool(String),
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// One tool's sandboxes only.
    pub(crate) tool: Option<String>,
    /// As JSON.
    pub(crate) json: bool,
    /// A layer to leave out, to see that the attempts see it.
    pub(crate) without: Option<Layer>,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It got through.
    Open,
    /// By this error.
    Closed(Errno),
    /// Killed, and this call named.
    Killed(String),
    /// It could not be made.
    Unmade(String),
}

/// What that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Stopped, as it has to be.
    Stopped,
    /// The profile allows it to this tool.
    Allowed,
    /// It got through.
    Through,
    /// It failed for another reason, or was not made.
    Otherwise,
}

/// A sandbox that is tried.
pub(crate) struct Bed<'a> {
    /// Whose it is.
    pub(crate) tool: &'a Tool,
    /// With `CAP_NET_RAW`.
    pub(crate) is_raw: bool,
    /// The tool's own filter and rules.
    pub(crate) confinement: &'a Confinement,
    /// The same filter, for this program.
    filter: Filter,
}

/// All outcomes: of the controls, and in each sandbox, in the table's order.
pub(crate) struct Found<'a> {
    /// The attempts.
    pub(crate) attempts: Vec<Attempt>,
    /// Outside of a sandbox.
    pub(crate) controls: Vec<Outcome>,
    /// Each sandbox with its outcomes.
    pub(crate) beds: Vec<(Bed<'a>, Vec<Outcome>)>,
    /// Tools that can't run, and why: their sandboxes were not tried.
    pub(crate) untried: Vec<(&'a str, String)>,
}

/// Makes each attempt outside of any sandbox, in a directory of its own. To be
/// done before the executor confines itself.
///
/// # Errors
///
/// When a process or the directory can't be had.
pub(crate) fn controls(executor: &Executor) -> Result<Vec<Outcome>, SelfTestError> {
    let scratch = executor
        .scratch
        .make(&format!("own-{}", std::process::id()));
    let scratch = scratch.map_err(io::Error::other)?;
    // By its descriptor: the way there may not be this user's.
    let directory = format!("/proc/self/fd/{}", scratch.descriptor().as_raw_fd());
    let _inherited = dup(io::stderr()).map_err(io::Error::from)?;
    let own = getpid().to_string();
    let mut outcomes = Vec::new();
    for attempt in table::all() {
        let mut command = Command::new("/proc/self/exe");
        command.args(["attempt", &own, &attempt.name]).env_clear();
        command
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let output = command.output()?;
        let said = lines(&output.stdout);
        let ended = || Outcome::Unmade(output.status.to_string());
        outcomes.push(
            said.into_iter()
                .next()
                .map_or_else(ended, |(_, outcome)| outcome),
        );
    }
    scratch.remove(None).map_err(io::Error::other)?;
    Ok(outcomes)
}

/// Makes each attempt in each sandbox.
///
/// # Errors
///
/// When there is no sandbox to try, or a process can't be had.
pub(crate) fn attempts<'a>(
    executor: &'a Executor,
    pad: &mut Pad,
    wish: &Wish,
    controls: Vec<Outcome>,
) -> Result<Found<'a>, SelfTestError> {
    if wish.without == Some(Layer::Capabilities) && executor.held == CapabilitySet::EMPTY {
        return Err(SelfTestError::NoCapability);
    }
    let program = Program::of_this_process()?;
    // What a program must not find: a descriptor that is left open to it.
    let _inherited = dup(io::stderr()).map_err(io::Error::from)?;
    let attempts = table::all();
    let (mut beds, mut untried) = (Vec::new(), Vec::new());
    let is_meant = |tool: &&Tool| {
        wish.tool
            .as_ref()
            .is_none_or(|name| *name == tool.profile.name)
    };
    for tool in executor.tools.iter().filter(is_meant) {
        beds.extend(beds_of(executor, pad, tool, &program)?);
        if let Err(error) = &tool.state {
            untried.push((tool.profile.name.as_str(), chain(error)));
        }
    }
    match &wish.tool {
        Some(name) if beds.is_empty() => return Err(SelfTestError::NoTool(name.clone())),
        None if beds.is_empty() => return Err(SelfTestError::NoSandbox),
        Some(_) | None => {}
    }
    let mut tried = Vec::new();
    for bed in beds {
        let mut outcomes = Vec::new();
        for some in attempts.chunks(AT_ONCE) {
            let mut trials = Trials::default();
            for attempt in some {
                let names = [attempt.name.clone()];
                bed.start(executor, pad, &program, (&names, wish.without), &mut trials)?;
            }
            outcomes.extend(
                some.iter()
                    .zip(trials.ends())
                    .map(|(_, ended)| outcome(ended)),
            );
        }
        tried.push((bed, outcomes));
    }
    Ok(Found {
        attempts,
        controls,
        beds: tried,
        untried,
    })
}

fn beds_of<'a>(
    executor: &Executor,
    pad: &Pad,
    tool: &'a Tool,
    program: &Program,
) -> Result<Vec<Bed<'a>>, ToolError> {
    let Ok(ready) = &tool.state else {
        return Ok(Vec::new());
    };
    let around = Circumstances {
        abi: executor.abi,
        held: executor.held,
        argv: &pad.argv,
    };
    let bed = |(confinement, is_raw): (&'a Confinement, bool)| {
        let sockets = tools::sockets(&tool.profile, is_raw);
        let filter = Filter::new(&tool.profile.sandbox, &sockets, around.execution(program))?;
        Ok(Bed {
            tool,
            is_raw,
            confinement,
            filter,
        })
    };
    let plain = std::iter::once((&ready.plain, false));
    let raw = ready.raw.iter().map(|raw| (raw, true));
    plain.chain(raw).map(bed).collect()
}

impl Bed<'_> {
    /// Its name: the tool's, and `+raw` where it has `CAP_NET_RAW`.
    pub(crate) fn name(&self) -> String {
        let raw = if self.is_raw { "+raw" } else { "" };
        format!("{}{raw}", self.tool.profile.name)
    }

    fn start(
        &self,
        executor: &Executor,
        pad: &mut Pad,
        program: &Program,
        (names, without): (&[String], Option<Layer>),
        trials: &mut Trials,
    ) -> io::Result<()> {
        let (no_rules, no_filter) = (Rules::nothing(executor.abi), Filter::nothing());
        let is_raw = self.is_raw || without == Some(Layer::Capabilities);
        let held = if is_raw {
            executor.held
        } else {
            CapabilitySet::EMPTY
        };
        let (rules, filter) = (&self.confinement.rules, &self.filter);
        let own = ["mantlet-executor", "attempt"].map(str::to_owned);
        let own = [&own, [getpid().to_string()].as_slice()].concat();
        let plan = Launch {
            tool: self.tool,
            program,
            filter: if without == Some(Layer::Seccomp) {
                &no_filter
            } else {
                filter
            },
            rules: if without == Some(Layer::Landlock) {
                &no_rules
            } else {
                rules
            },
            capabilities: held,
            argv: &[&own, names].concat(),
            timeout: TIMEOUT,
            limits: self.tool.profile.sandbox.limits,
        };
        trials.start(executor, pad, plan)
    }

    /// What an outcome in this sandbox means.
    pub(crate) fn judge(&self, attempt: &Attempt, outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Killed(call) if attempt.calls.contains(&call.as_str()) => Verdict::Stopped,
            Outcome::Closed(errno) if attempt.errors.contains(errno) => Verdict::Stopped,
            Outcome::Open | Outcome::Closed(_) if self.allows(attempt.allowance) => {
                Verdict::Allowed
            }
            Outcome::Open => Verdict::Through,
            Outcome::Closed(_) | Outcome::Killed(_) | Outcome::Unmade(_) => Verdict::Otherwise,
        }
    }

    fn allows(&self, allowance: Allowance) -> bool {
        let profile = &self.tool.profile;
        let sandbox = &profile.sandbox;
        match allowance {
            Allowance::Never => false,
            Allowance::NetRaw => self.is_raw,
            Allowance::TcpBind => sandbox.tcp_bind,
            Allowance::Call(call) => seccomp::allows(sandbox, call),
            Allowance::Read(path) => {
                let paths = tools::paths(profile, self.is_raw);
                paths
                    .all()
                    .any(|row| std::path::Path::new(path).starts_with(&row.path))
            }
            Allowance::Socket(family, kind, protocol) => {
                let kinds = tools::sockets(profile, self.is_raw);
                let mut same = kinds
                    .iter()
                    .filter(|k| (k.family, k.kind) == (family, kind));
                same.any(|socket| socket.protocols.contains(&protocol))
            }
        }
    }
}

/// Whether a control shows that the attempt is worth something on this kernel:
/// outside of a sandbox it isn't stopped in the same way.
pub(crate) fn proves(attempt: &Attempt, control: &Outcome) -> bool {
    match control {
        Outcome::Open => true,
        Outcome::Closed(errno) => *errno != Errno::ENOSYS && !attempt.errors.contains(errno),
        Outcome::Killed(_) | Outcome::Unmade(_) => false,
    }
}

/// What an attempt's process came to.
fn outcome(ended: Result<Ended, String>) -> Outcome {
    let ended = match ended {
        Ok(ended) => ended,
        Err(problem) => return Outcome::Unmade(problem),
    };
    match lines(&ended.stdout).into_iter().next() {
        Some((_, outcome)) => outcome,
        None => outcome_of_the_end(Ok(ended)),
    }
}

/// What the end of a process says of the attempt that it was making.
fn outcome_of_the_end(ended: Result<Ended, String>) -> Outcome {
    let ended = match ended {
        Ok(ended) => ended,
        Err(problem) => return Outcome::Unmade(problem),
    };
    match ended.finished.exit {
        Exit::Violation { call } => Outcome::Killed(call),
        // A call of another architecture, which has no name here.
        Exit::Signal(signal) if i32::from(signal) == libc::SIGSYS => {
            Outcome::Killed(ANOTHER_ARCHITECTURE.to_owned())
        }
        Exit::Signal(signal) => Outcome::Unmade(format!("signal {signal}")),
        Exit::Code(code) => Outcome::Unmade(format!("exit code {code}")),
    }
}

/// The lines that attempts wrote.
fn lines(output: &[u8]) -> Vec<(String, Outcome)> {
    let text = String::from_utf8_lossy(output);
    let line = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        match (words.next()?, words.next()) {
            ("open", None) => Some((name, Outcome::Open)),
            ("closed", Some(errno)) => {
                Some((name, Outcome::Closed(Errno::from_raw(errno.parse().ok()?))))
            }
            _ => None,
        }
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: &str) -> Attempt {
        let mut all = table::all().into_iter();
        all.find(|attempt| attempt.name == name).unwrap()
    }

    #[test]
    fn a_control_that_is_stopped_in_the_same_way_proves_nothing() {
        #[rustfmt::skip]
        let cases = [
            ("call-mount",         Outcome::Open,                            true,  "it gets through"),
            ("call-mount",         Outcome::Closed(Errno::EPERM),            true,  "the kernel answers otherwise"),
            ("call-mount",         Outcome::Closed(Errno::ENOSYS),           false, "there is no such call"),
            ("socket-bluetooth",   Outcome::Closed(Errno::EAFNOSUPPORT),     false, "there is no such family"),
            ("read-accounts",      Outcome::Closed(Errno::EACCES),           false, "the file's mode does it"),
            ("call-by-interrupt",  Outcome::Unmade("signal 11".into()),      false, "no 32-bit calls"),
            ("call-ptrace",        Outcome::Killed("ptrace".into()),         false, "a filter around us"),
        ];
        for (name, control, expected, why) in cases {
            assert_eq!(proves(&attempt(name), &control), expected, "{name}: {why}");
        }
    }

    #[test]
    fn lines_are_read_and_others_left() {
        let errno = libc::EACCES;
        let text = format!("a open\nb closed {errno}\nc closed\nsomething else\nd open now\n");
        let expected = [
            ("a".to_owned(), Outcome::Open),
            ("b".to_owned(), Outcome::Closed(Errno::EACCES)),
        ];
        assert_eq!(lines(text.as_bytes()), expected);
    }
}
