//! Named sets of system calls, with a reason per row.
//!
//! A profile names sets and adds rows of its own; nothing else is allowed to
//! its tool. Calls that exist on one architecture only stand here, so that
//! profiles need not know. Numbers are the executor's matter.
//!
//! Invariants: no set holds a call of [`FORBIDDEN`]; rows are unique within a
//! set; each carries its reason.

/// Where a call exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// On every architecture that Mantlet is built for.
    All,
    /// On x86-64 only; newer architectures have a successor, which is listed too.
    X86,
}

type Row = (&'static str, On, &'static str);
type ErrnoEntry = (&'static str, i32, &'static str);

/// Operation not permitted.
pub const EPERM: i32 = 1;
/// Permission denied.
pub const EACCES: i32 = 13;
/// Function not implemented.
pub const ENOSYS: i32 = 38;
/// Address family not supported.
pub const EAFNOSUPPORT: i32 = 97;

/// Calls that no profile may allow: they lead out of the sandbox, or weaken it
/// for others. The executor's own filter relies on their absence.
pub const FORBIDDEN: &[&str] = &[
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_settime",
    "delete_module",
    "execveat",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "memfd_secret",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "seccomp",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
];

/// Starting, reading, writing and ending: what every dynamically linked program does.
const BASE: &[Row] = &[
    ("access", On::X86, "the loader looks for its preload file"),
    ("arch_prctl", On::X86, "thread-local storage"),
    ("brk", On::All, "heap"),
    (
        "clock_getres",
        On::All,
        "clock resolution, where the vDSO does not answer",
    ),
    (
        "clock_gettime",
        On::All,
        "time, where the vDSO does not answer",
    ),
    ("clock_nanosleep", On::All, "waiting"),
    ("close", On::All, "descriptors"),
    ("dup", On::All, "standard streams"),
    (
        "dup3",
        On::All,
        "standard streams are reopened on /dev/null",
    ),
    (
        "execve",
        On::All,
        "the start itself; Landlock names what may be executed",
    ),
    ("exit", On::All, "end of a thread"),
    ("exit_group", On::All, "end of the process"),
    ("faccessat", On::All, "successor of access"),
    (
        "faccessat2",
        On::All,
        "successor of faccessat in newer C libraries",
    ),
    ("fcntl", On::All, "non-blocking descriptors"),
    ("fstat", On::All, "file sizes before reading"),
    ("futex", On::All, "locks of the C library"),
    ("getdents64", On::All, "data directories"),
    ("getegid", On::All, "own identity"),
    ("geteuid", On::All, "own identity"),
    ("getgid", On::All, "own identity"),
    ("getpid", On::All, "own identity, for seeds and probe ids"),
    (
        "getrandom",
        On::All,
        "seeds of the allocator and of probe numbers",
    ),
    ("gettid", On::All, "abort messages of the C library"),
    (
        "gettimeofday",
        On::All,
        "time, where the vDSO does not answer",
    ),
    ("getuid", On::All, "own identity"),
    (
        "ioctl",
        On::All,
        "terminal probe and interface names; the executor lists requests",
    ),
    ("lseek", On::All, "data files"),
    ("madvise", On::All, "the allocator gives memory back"),
    (
        "mmap",
        On::All,
        "memory and libraries; the executor forbids writable code",
    ),
    (
        "mprotect",
        On::All,
        "read-only relocations; the executor forbids writable code",
    ),
    ("mremap", On::All, "growing large allocations"),
    ("munmap", On::All, "memory"),
    ("nanosleep", On::All, "waiting, in older C libraries"),
    ("newfstatat", On::All, "file sizes before reading"),
    ("openat", On::All, "files; Landlock names which"),
    ("poll", On::X86, "waiting for sockets"),
    ("ppoll", On::All, "successor of poll"),
    (
        "prctl",
        On::All,
        "thread names; the executor lists operations",
    ),
    ("pread64", On::All, "the loader reads library headers"),
    (
        "prlimit64",
        On::All,
        "own limits; the executor allows reading only",
    ),
    ("pselect6", On::All, "waiting for sockets"),
    ("read", On::All, "files and sockets"),
    ("readlink", On::X86, "the program's own place"),
    ("readlinkat", On::All, "successor of readlink"),
    ("readv", On::All, "files and sockets"),
    (
        "restart_syscall",
        On::All,
        "a wait that a stop signal interrupted",
    ),
    ("rseq", On::All, "the C library registers its threads"),
    ("rt_sigaction", On::All, "signal handlers"),
    ("rt_sigprocmask", On::All, "signal mask"),
    ("rt_sigreturn", On::All, "return from a handler"),
    (
        "sched_getaffinity",
        On::All,
        "mathematical libraries count processors when loaded",
    ),
    ("sched_yield", On::All, "locks of the allocator"),
    (
        "set_robust_list",
        On::All,
        "the C library registers its threads",
    ),
    (
        "set_tid_address",
        On::All,
        "the C library registers its threads",
    ),
    ("sigaltstack", On::All, "handlers that survive a full stack"),
    ("statx", On::All, "file sizes, in newer C libraries"),
    ("sysinfo", On::All, "sizing of sort buffers"),
    (
        "tgkill",
        On::All,
        "abort() signals itself; no other process is in reach",
    ),
    ("uname", On::All, "kernel version"),
    ("write", On::All, "output"),
    ("writev", On::All, "output"),
];

/// Sockets: which kinds, the profile's socket list says.
const NET: &[Row] = &[
    (
        "bind",
        On::All,
        "source address of a probe; Landlock forbids listening TCP ports",
    ),
    ("connect", On::All, "TCP connections and UDP peers"),
    ("getpeername", On::All, "whom a socket talks to"),
    ("getsockname", On::All, "which source address was chosen"),
    ("getsockopt", On::All, "outcome of a connection"),
    ("recvfrom", On::All, "answers"),
    ("recvmsg", On::All, "answers with arrival times"),
    ("sendmmsg", On::All, "several datagrams in one call"),
    ("sendmsg", On::All, "probes"),
    ("sendto", On::All, "probes"),
    (
        "setsockopt",
        On::All,
        "timeouts, hop limits and filters of own sockets",
    ),
    (
        "socket",
        On::All,
        "opening; the executor compares family, type and protocol",
    ),
];

/// Waiting for many sockets at once.
const EPOLL: &[Row] = &[
    ("epoll_create", On::X86, "event queue"),
    ("epoll_create1", On::All, "event queue"),
    ("epoll_ctl", On::All, "event queue"),
    ("epoll_pwait", On::All, "event queue"),
    ("epoll_wait", On::X86, "event queue"),
    ("eventfd2", On::All, "the capture library wakes itself"),
];

/// Asking whether a terminal is in the foreground, before reading keys.
const FOREGROUND: &[Row] = &[
    ("getpgid", On::All, "successor of getpgrp"),
    ("getpgrp", On::X86, "nmap reads keys only in the foreground"),
];

/// Giving up privileges that the program was started with.
const PRIVDROP: &[Row] = &[
    ("capget", On::All, "reads its own capabilities"),
    (
        "capset",
        On::All,
        "drops its own capabilities after opening its socket",
    ),
    ("setuid", On::All, "sets the identity it has already"),
];

/// What answers an error instead of killing, in every sandbox.
const CONTAINED: &[ErrnoEntry] = &[
    (
        "clone3",
        ENOSYS,
        "its flags lie in memory, out of a filter's sight; the C library takes clone",
    ),
    (
        "setpgid",
        EPERM,
        "the run stays one process group, so that it can be killed as one",
    ),
    (
        "setsid",
        EPERM,
        "the run stays one process group, so that it can be killed as one",
    ),
];

const SETS: &[(&str, &[Row])] = &[
    ("base", BASE),
    ("net", NET),
    ("epoll", EPOLL),
    ("foreground", FOREGROUND),
    ("privdrop", PRIVDROP),
];

/// The names of all sets.
pub fn set_names() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|(name, _)| *name)
}

/// The calls of a set on this architecture, each with its reason.
pub fn set(name: &str) -> Option<impl Iterator<Item = (&'static str, &'static str)>> {
    let (_, rows) = SETS.iter().find(|(known, _)| *known == name)?;
    Some(
        rows.iter()
            .filter(|(_, on, _)| exists_here(*on))
            .map(|(name, _, why)| (*name, *why)),
    )
}

/// The calls that answer an error in every sandbox: name, error number, reason.
pub fn contained() -> impl Iterator<Item = (&'static str, i32, &'static str)> {
    CONTAINED.iter().copied()
}

/// The number of an error that a profile may let a call answer.
pub(crate) fn errno(name: &str) -> Option<i32> {
    match name {
        "EPERM" => Some(EPERM),
        "EACCES" => Some(EACCES),
        "ENOSYS" => Some(ENOSYS),
        "EAFNOSUPPORT" => Some(EAFNOSUPPORT),
        _ => None,
    }
}

const fn exists_here(on: On) -> bool {
    match on {
        On::All => true,
        On::X86 => cfg!(target_arch = "x86_64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_unique_and_never_forbidden() {
        for (set, rows) in SETS {
            let names: Vec<&str> = rows.iter().map(|(name, ..)| *name).collect();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(names, sorted, "{set}");
            for (name, _, why) in *rows {
                assert!(!FORBIDDEN.contains(name), "{name} is forbidden");
                assert!(!why.is_empty(), "{name} has no reason");
            }
        }
        assert!(FORBIDDEN.is_sorted());
    }

    #[test]
    fn what_is_contained_is_in_no_set() {
        for (name, _, _) in contained() {
            let listed = SETS
                .iter()
                .any(|(_, rows)| rows.iter().any(|(row, ..)| *row == name));
            assert!(!listed, "{name}");
        }
    }
}
