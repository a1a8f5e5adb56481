//! The executor's own filter: what it and every tool may at most do.
//!
//! What it is: the outer layer, compiled by seccompiler and not by our own
//! assembler, so that a mistake in one doesn't open both. Installed once,
//! before the first connection; every session and tool inherits it.
//! What it is not: the layer that names a violation. A call outside it answers
//! `ENOSYS` (its action is TRACE, and nobody traces); the filter of a run, whose
//! announcement has precedence, names and ends it.
//!
//! Invariants: no call of another architecture runs; a call that neither the
//! executor nor any profile lists doesn't run in any process of the executor.

use std::collections::BTreeMap;

use sandbox_profiles::ProfileSet;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::numbers;
use super::seccomp::{FilterError, digest_of};
use crate::sys;

/// What the executor itself calls, by purpose. Everything that a library might
/// call on a path that only an error takes is here too.
const OWN: &[&str] = &[
    // Memory.
    "brk",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    // The Rust and C run-time.
    "clock_gettime",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "futex",
    "getrandom",
    "gettid",
    "getpid",
    "getppid",
    "nanosleep",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "tgkill",
    // Files: the scratch directories, the programs, /proc.
    "close",
    "dup",
    "dup2",
    "dup3",
    "fchdir",
    "chdir",
    "fcntl",
    "flock",
    "fstat",
    "getdents64",
    "lseek",
    "lstat",
    "mkdirat",
    "mkdir",
    "newfstatat",
    "openat",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "renameat",
    "renameat2",
    "rmdir",
    "stat",
    "statx",
    "umask",
    "unlink",
    "unlinkat",
    "write",
    "writev",
    "fchmod",
    "fchmodat",
    "close_range",
    "pipe2",
    "ioctl",
    // Waiting.
    "poll",
    "ppoll",
    "signalfd4",
    // Connections.
    "accept4",
    "getsockopt",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "shutdown",
    "socketpair",
    // Sessions and tools.
    "clone",
    "execveat",
    "fork",
    "vfork",
    "getpgid",
    "getrusage",
    "kill",
    "prlimit64",
    "setrlimit",
    "getrlimit",
    "setpgid",
    "setsid",
    "wait4",
    "waitid",
    // Giving up authority.
    "capget",
    "capset",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "prctl",
    "seccomp",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
];

/// Why the base filter can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseError {
    /// A row names no call.
    #[error(transparent)]
    Row(#[from] FilterError),
    /// seccompiler refused.
    #[error("the base filter could not be compiled")]
    Compile(#[source] seccompiler::BackendError),
    /// The kernel refused.
    #[error("the base filter could not be installed")]
    Install(#[source] nix::errno::Errno),
    /// It is installed and doesn't filter.
    #[error("the base filter was installed, and a call that it refuses was executed all the same")]
    Ineffective,
}

/// The compiled filter.
#[derive(Debug)]
pub(crate) struct Base {
    program: Vec<libc::sock_filter>,
}

impl Base {
    /// Compiles the union of the executor's needs and all profiles'.
    ///
    /// # Errors
    ///
    /// Names the row that can't be had.
    pub(crate) fn new(profiles: &ProfileSet) -> Result<Self, BaseError> {
        let listed = profiles.iter().flat_map(|profile| &profile.sandbox.allow);
        let names = OWN
            .iter()
            .copied()
            .chain(listed.map(|row| row.name.as_str()));
        let mut rules = BTreeMap::new();
        for name in names {
            // A profile's unknown name is reported with the profile, when its
            // own filter is compiled.
            if let Some(number) = numbers::number(name) {
                rules.insert(i64::from(number), Vec::new());
            }
        }
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Trace(0),
            SeccompAction::Allow,
            TargetArch::x86_64,
        );
        let program = filter
            .and_then(BpfProgram::try_from)
            .map_err(BaseError::Compile)?;
        let program = program
            .into_iter()
            .map(|each| libc::sock_filter {
                code: each.code,
                jt: each.jt,
                jf: each.jf,
                k: each.k,
            })
            .collect();
        Ok(Self { program })
    }

    /// SHA-256 over the program.
    pub(crate) fn digest(&self) -> [u8; 32] {
        digest_of(&self.program)
    }

    /// Confines this process and all its descendants, for good, and asks the
    /// kernel whether it is so.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or a call outside the filter gets through.
    pub(crate) fn install(&self) -> Result<(), BaseError> {
        nix::sys::prctl::set_no_new_privs().map_err(BaseError::Install)?;
        sys::install_filter(&self.program, false).map_err(BaseError::Install)?;
        let filtered = sys::is_filtered().map_err(BaseError::Install)?;
        // A filter that is there and filters nothing is the classic failure.
        if filtered && sys::refuses_a_harmless_call() {
            Ok(())
        } else {
            Err(BaseError::Ineffective)
        }
    }
}
