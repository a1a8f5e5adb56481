//! The sandbox: everything a tool loses between the executor and its first
//! instruction, in one order.
//!
//! What it is: the steps that a child takes, each of which consumes the one
//! before, so that none can be left out or taken twice:
//!
//! ```text
//! signals → process group → parent's death → descriptors → directory → limits →
//! no new privileges → capabilities → Landlock → system call filter → execute
//! ```
//!
//! What it is not: the choosing. A plan is complete before the child
//! exists; the child only applies it. It allocates nothing, takes no lock, and
//! shares its parent's memory until it executes the tool.
//!
//! ```compile_fail,E0599
//! # fn f(child: executor::sandbox::Forked<'_>) {
//! child.execute(); // not confined yet
//! # }
//! ```
//!
//! ```compile_fail,E0382
//! # fn f(child: executor::sandbox::Limited<'_>) {
//! let once = child.forbid_new_privileges();
//! let twice = child.forbid_new_privileges(); // a step is taken once
//! # }
//! ```
//!
//! Invariants: only [`Filtered`] can execute; a step that fails ends the child,
//! and nothing is executed.

pub(crate) mod fds;

pub(crate) mod rlimits;

pub(crate) mod identity;

pub(crate) mod caps;

pub(crate) mod landlock;

pub(crate) mod base;

pub(crate) mod seccomp;

pub(crate) mod bpf;

pub(crate) mod numbers;

use std::convert::Infallible;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, fchdir, getppid, setpgid};

use self::caps::CapabilitySet;
use self::rlimits::ResourceLimits;
use crate::sys::{self, Disposition, StringTable};

/// Everything a child applies, prepared before it exists.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The process that starts the child and must outlive its start.
    pub(crate) parent: Pid,
    /// The run's own directory.
    pub(crate) directory: BorrowedFd<'a>,
    /// Resource limits.
    pub(crate) limits: &'a ResourceLimits,
    /// What the tool may hold.
    pub(crate) capabilities: CapabilitySet,
    /// The Landlock ruleset.
    pub(crate) ruleset: OwnedFd,
    /// The system call filter.
    pub(crate) filter: &'a [libc::sock_filter],
    /// The tool's program.
    pub(crate) program: BorrowedFd<'a>,
    /// Its arguments, the program's path first.
    pub(crate) argv: &'a StringTable,
    /// Its whole environment.
    pub(crate) envp: &'a StringTable,
    /// Where the child says how far it got.
    pub(crate) progress: Progress,
}

/// How far a child got, in memory that it shares with its parent. After the
/// tool is executed the child has memory of its own, and can't write here.
#[derive(Debug)]
pub(crate) struct Progress {
    step: AtomicU32,
    errno: AtomicI32,
    listener: AtomicI32,
}

/// A step of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The child exists.
    Start,
    /// Signals have their default effect, and none is blocked.
    Signals,
    /// A process group of its own.
    Group,
    /// Killed when its session dies.
    ParentDeath,
    /// Everything above standard error closes on execution.
    Descriptors,
    /// The run's own directory is the current one.
    Directory,
    /// Resource limits.
    Limits,
    /// No execution gives privileges.
    NoNewPrivileges,
    /// Capabilities.
    Capabilities,
    /// File system and TCP rules.
    Landlock,
    /// System call filter.
    Filter,
    /// The tool's program.
    Execute,
}

impl Step {
    /// All, in the order in which a child takes them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Start,
        Self::Signals,
        Self::Group,
        Self::ParentDeath,
        Self::Descriptors,
        Self::Directory,
        Self::Limits,
        Self::NoNewPrivileges,
        Self::Capabilities,
        Self::Landlock,
        Self::Filter,
        Self::Execute,
    ];

    fn number(self) -> u32 {
        (0..)
            .zip(Self::ALL)
            .find_map(|(n, step)| (step == self).then_some(n))
            .unwrap_or(0)
    }

    fn from_number(number: u32) -> Self {
        (0..)
            .zip(Self::ALL)
            .find_map(|(n, step)| (n == number).then_some(step))
            .unwrap_or(Self::Start)
    }

    /// What it does.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Start => {
                "a child that shares the memory of its session until it executes the tool"
            }
            Self::Signals => "every signal has its default effect; none is blocked or ignored",
            Self::Group => "a process group of its own, by which the run is killed",
            Self::ParentDeath => "killed when its session dies",
            Self::Descriptors => "everything above standard error closes on execution",
            Self::Directory => "the run's own directory is the current one; umask 077",
            Self::Limits => "resource limits, soft and hard",
            Self::NoNewPrivileges => "no execution gives privileges",
            Self::Capabilities => {
                "all are dropped but those of the call; the kernel is asked what is left"
            }
            Self::Landlock => "files, TCP, signals and abstract sockets",
            Self::Filter => "system calls; a call that isn't listed is named, and kills the tool",
            Self::Execute => "the tool's program, by its descriptor",
        }
    }

    /// The step confines the tool, as opposed to setting it up.
    pub(crate) fn is_layer(self) -> bool {
        match self {
            Self::Start
            | Self::Signals
            | Self::Group
            | Self::ParentDeath
            | Self::Directory
            | Self::Execute => false,
            Self::Descriptors
            | Self::Limits
            | Self::NoNewPrivileges
            | Self::Capabilities
            | Self::Landlock
            | Self::Filter => true,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Signals => "signals",
            Self::Group => "process group",
            Self::ParentDeath => "parent's death",
            Self::Descriptors => "descriptors",
            Self::Directory => "directory",
            Self::Limits => "limits",
            Self::NoNewPrivileges => "no new privileges",
            Self::Capabilities => "capabilities",
            Self::Landlock => "landlock",
            Self::Filter => "system call filter",
            Self::Execute => "execute",
        })
    }
}

impl Progress {
    /// Nothing done yet.
    pub(crate) fn new() -> Self {
        Self {
            step: AtomicU32::new(Step::Start.number()),
            errno: AtomicI32::new(0),
            listener: AtomicI32::new(-1),
        }
    }

    fn reached(&self, step: Step) {
        self.step.store(step.number(), Ordering::SeqCst);
    }

    /// The step that the child took last, and the error that ended it there.
    pub(crate) fn outcome(&self) -> (Step, Option<Errno>) {
        let step = Step::from_number(self.step.load(Ordering::SeqCst));
        let errno = match self.errno.load(Ordering::SeqCst) {
            0 => None,
            raw => Some(Errno::from_raw(raw)),
        };
        (step, errno)
    }

    /// The filter's listener, once, if the child got so far.
    pub(crate) fn take_listener(&self) -> Option<OwnedFd> {
        sys::adopt_from_child(self.listener.swap(-1, Ordering::SeqCst))
    }
}

/// The child's whole life: the steps, or the reason why not.
pub(crate) fn confine_and_execute(plan: &Plan<'_>) -> ! {
    let Err(errno) = take_steps(plan);
    plan.progress.errno.store(raw(errno), Ordering::SeqCst);
    sys::leave(127)
}

fn take_steps(plan: &Plan<'_>) -> Result<Infallible, Errno> {
    Err(Forked(plan)
        .reset_signals()?
        .detach()?
        .close_descriptors()?
        .enter_directory()?
        .limit_resources()?
        .forbid_new_privileges()?
        .hand_over_capabilities()?
        .enter_landlock()?
        .filter_calls()?
        .execute())
}

/// A child that shares everything with the executor.
#[derive(Debug)]
pub struct Forked<'a>(&'a Plan<'a>);
/// … whose signals work as a fresh program expects.
#[derive(Debug)]
pub struct Reset<'a>(&'a Plan<'a>);
/// … in a process group of its own, which dies with the executor's session.
#[derive(Debug)]
pub struct Detached<'a>(&'a Plan<'a>);
/// … whose program will see three descriptors.
#[derive(Debug)]
pub struct Closed<'a>(&'a Plan<'a>);
/// … in the run's own directory.
#[derive(Debug)]
pub struct Settled<'a>(&'a Plan<'a>);
/// … with bounded resources.
#[derive(Debug)]
pub struct Limited<'a>(&'a Plan<'a>);
/// … that no execution can give privileges.
#[derive(Debug)]
pub struct Unprivileged<'a>(&'a Plan<'a>);
/// … with exactly the capabilities of its call.
#[derive(Debug)]
pub struct Dropped<'a>(&'a Plan<'a>);
/// … that reaches the files and ports of its profile only.
#[derive(Debug)]
pub struct Landlocked<'a>(&'a Plan<'a>);
/// … that makes the system calls of its profile only.
#[derive(Debug)]
pub struct Filtered<'a>(&'a Plan<'a>);

impl<'a> Forked<'a> {
    /// Gives signals their default effect and unblocks them.
    ///
    /// The executor gave all signals their default effect when it started, and
    /// then ignored SIGPIPE; an ignored signal would stay ignored in the tool.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says, as in all steps; the child must then end.
    pub fn reset_signals(self) -> Result<Reset<'a>, Errno> {
        self.0.progress.reached(Step::Signals);
        sys::set_disposition(sys::SIGPIPE, Disposition::Default)?;
        SigSet::empty().thread_set_mask()?;
        Ok(Reset(self.0))
    }
}

impl<'a> Reset<'a> {
    /// Starts the process group that the run is killed by, and asks to be killed
    /// when the executor's session dies.
    ///
    /// There is no terminal to leave: the executor's session left it when it
    /// began, where it costs a run no time.
    ///
    /// # Errors
    ///
    /// `ESRCH` when it has died already.
    pub fn detach(self) -> Result<Detached<'a>, Errno> {
        self.0.progress.reached(Step::Group);
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        self.0.progress.reached(Step::ParentDeath);
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() == self.0.parent {
            Ok(Detached(self.0))
        } else {
            Err(Errno::ESRCH)
        }
    }
}

impl<'a> Detached<'a> {
    /// Marks everything above standard error to close on execution.
    ///
    /// # Errors
    ///
    /// As `close_range(2)`.
    pub fn close_descriptors(self) -> Result<Closed<'a>, Errno> {
        self.0.progress.reached(Step::Descriptors);
        sys::close_on_exec_from(3)?;
        Ok(Closed(self.0))
    }
}

impl<'a> Closed<'a> {
    /// Makes the run's own directory the current one; files made there are
    /// nobody else's.
    ///
    /// # Errors
    ///
    /// As fchdir(2).
    pub fn enter_directory(self) -> Result<Settled<'a>, Errno> {
        self.0.progress.reached(Step::Directory);
        fchdir(self.0.directory)?;
        umask(Mode::S_IRWXG | Mode::S_IRWXO);
        Ok(Settled(self.0))
    }
}

impl<'a> Settled<'a> {
    /// Applies the resource limits.
    ///
    /// # Errors
    ///
    /// As setrlimit(2).
    pub fn limit_resources(self) -> Result<Limited<'a>, Errno> {
        self.0.progress.reached(Step::Limits);
        self.0.limits.apply()?;
        Ok(Limited(self.0))
    }
}

impl<'a> Limited<'a> {
    /// Keeps every execution from giving privileges, and asks whether it is so.
    ///
    /// # Errors
    ///
    /// As prctl(2); `EPERM` when it isn't.
    pub fn forbid_new_privileges(self) -> Result<Unprivileged<'a>, Errno> {
        self.0.progress.reached(Step::NoNewPrivileges);
        prctl::set_no_new_privs()?;
        if prctl::get_no_new_privs()? {
            Ok(Unprivileged(self.0))
        } else {
            Err(Errno::EPERM)
        }
    }
}

impl<'a> Unprivileged<'a> {
    /// Drops all capabilities but those of the call, and asks what is left.
    ///
    /// # Errors
    ///
    /// As capset(2); `EPERM` when something else is left.
    pub fn hand_over_capabilities(self) -> Result<Dropped<'a>, Errno> {
        self.0.progress.reached(Step::Capabilities);
        caps::hand_over(self.0.capabilities)?;
        Ok(Dropped(self.0))
    }
}

impl<'a> Dropped<'a> {
    /// Enters the Landlock ruleset.
    ///
    /// # Errors
    ///
    /// As `landlock_restrict_self(2)`.
    pub fn enter_landlock(self) -> Result<Landlocked<'a>, Errno> {
        self.0.progress.reached(Step::Landlock);
        sys::landlock_restrict(self.0.ruleset.as_fd())?;
        Ok(Landlocked(self.0))
    }
}

impl<'a> Landlocked<'a> {
    /// Installs the system call filter, and leaves its listener to the parent.
    ///
    /// # Errors
    ///
    /// As seccomp(2).
    pub fn filter_calls(self) -> Result<Filtered<'a>, Errno> {
        self.0.progress.reached(Step::Filter);
        let listener = sys::install_filter(self.0.filter, true)?;
        self.0.progress.listener.store(listener, Ordering::SeqCst);
        Ok(Filtered(self.0))
    }
}

impl Filtered<'_> {
    /// Executes the tool. Returns only when that fails.
    pub fn execute(self) -> Errno {
        self.0.progress.reached(Step::Execute);
        sys::execute(self.0.program, self.0.argv, self.0.envp)
    }
}

/// An error's number.
fn raw(errno: Errno) -> i32 {
    std::io::Error::from(errno)
        .raw_os_error()
        .unwrap_or(i32::MAX)
}
