//! The escape attempts, as a table.
//!
//! What it is: each attempt's name, the layer that has to stop it, how it is made,
//! and what being stopped looks like.
//! What it is not: the making; that is `attempts.rs`.
//!
//! Invariants: names are unique; an attempt that gets through does no harm: it
//! asks for nothing, or gives back what it got; a call that the control makes
//! outside of any sandbox ends at once, by an argument that no kernel accepts
//! from an unprivileged process or that changes nothing.

use nix::errno::Errno;
use sandbox_profiles::syscalls::FORBIDDEN;

use super::attempts::{Act, acts};

/// What has to stop an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Files, TCP, signals.
    Landlock,
    /// System calls and their arguments.
    Seccomp,
    /// Capabilities of a call that needs none.
    Capabilities,
    /// What is open, and closes on execution.
    Descriptors,
}

impl Layer {
    /// Those that the self-test can leave out.
    pub(crate) const REMOVABLE: [Self; 3] = [Self::Landlock, Self::Seccomp, Self::Capabilities];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Capabilities => "capabilities",
            Self::Descriptors => "descriptors",
        }
    }
}

/// How an attempt is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Means {
    /// A system call with these numbers.
    Call(&'static str, [i32; 6]),
    /// By calls that need memory.
    Act(Act),
    /// A signal to the executor; the one that only asks.
    Signal,
}

/// What a profile may allow that makes an attempt no escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Nothing.
    Never,
    /// The call, without a check of this argument.
    Call(&'static str),
    /// Reading this path.
    Read(&'static str),
    /// A socket of this family, type and protocol.
    Socket(i32, i32, i32),
    /// Binding TCP.
    TcpBind,
    /// `CAP_NET_RAW`.
    NetRaw,
}

/// One attempt.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Its name.
    pub(crate) name: String,
    /// What has to stop it.
    pub(crate) layer: Layer,
    /// How it is made.
    pub(crate) means: Means,
    /// The errors by which it may be stopped.
    pub(crate) errors: &'static [Errno],
    /// The calls for which it may be killed.
    pub(crate) calls: &'static [&'static str],
    /// What makes it no escape.
    pub(crate) allowance: Allowance,
}

/// What a call of another architecture is named.
pub(crate) const ANOTHER_ARCHITECTURE: &str = "of another architecture";

const NOTHING: [i32; 6] = [0; 6];

/// Calls beside those that no profile may list; with arguments that change
/// nothing where they aren't refused.
#[rustfmt::skip]
const CALLS: &[(&str, [i32; 6])] = &[
    ("accept4", [-1, 0, 0, 0, 0, 0]), ("alarm", NOTHING), ("chmod", NOTHING), ("chown", NOTHING),
    ("clone", [17, 0, 0, 0, 0, 0]), ("copy_file_range", [-1, 0, -1, 0, 0, 0]), ("creat", NOTHING),
    ("fchmod", [-1, 0, 0, 0, 0, 0]), ("fchmodat", [-1, 0, 0, 0, 0, 0]), ("fchmodat2", [-1, 0, 0, 0, 0, 0]),
    ("fchown", [-1, 0, 0, 0, 0, 0]), ("fchownat", [-1, 0, 0, 0, 0, 0]), ("fallocate", [-1, 0, 0, 0, 0, 0]),
    ("fanotify_mark", [-1, 0, 0, 0, 0, 0]), ("flistxattr", [-1, 0, 0, 0, 0, 0]), ("fork", NOTHING),
    ("fremovexattr", [-1, 0, 0, 0, 0, 0]), ("fsetxattr", [-1, 0, 0, 0, 0, 0]), ("fspick", [-1, 0, 0, 0, 0, 0]),
    ("getxattr", NOTHING), ("inotify_init1", [-1, 0, 0, 0, 0, 0]), ("ioprio_set", [-1, 0, 0, 0, 0, 0]),
    ("landlock_create_ruleset", [0, 0, 1, 0, 0, 0]), ("landlock_restrict_self", [-1, 0, 0, 0, 0, 0]),
    ("lchown", NOTHING), ("link", NOTHING), ("linkat", [-1, 0, -1, 0, 0, 0]), ("listen", [-1, 0, 0, 0, 0, 0]),
    ("listmount", NOTHING), ("listxattr", NOTHING), ("lookup_dcookie", NOTHING), ("map_shadow_stack", [0, 0, -1, 0, 0, 0]),
    ("mbind", [0, 0, -1, 0, 0, 0]), ("membarrier", [-1, 0, 0, 0, 0, 0]), ("memfd_create", NOTHING),
    ("migrate_pages", NOTHING), ("mincore", [1, 0, 0, 0, 0, 0]), ("mknod", NOTHING), ("mknodat", [-1, 0, 0, 0, 0, 0]),
    ("mlockall", NOTHING), ("mq_notify", [-1, 0, 0, 0, 0, 0]), ("mq_open", NOTHING), ("mq_unlink", NOTHING),
    ("msgctl", [-1, 0, 0, 0, 0, 0]), ("msgget", NOTHING), ("open_tree_attr", [-1, 0, 0, 0, 0, 0]),
    ("openat2", [-1, 0, 0, 0, 0, 0]), ("pkey_alloc", [-1, 0, 0, 0, 0, 0]), ("preadv2", [-1, 0, 0, 0, 0, 0]),
    ("process_mrelease", [-1, 0, 0, 0, 0, 0]), ("quotactl_fd", [-1, 0, 0, 0, 0, 0]), ("readahead", [-1, 0, 0, 0, 0, 0]),
    ("remap_file_pages", NOTHING), ("removexattr", NOTHING), ("rt_sigqueueinfo", [0, 0, 0, 0, 0, 0]),
    ("rt_tgsigqueueinfo", [0, 0, 0, 0, 0, 0]), ("sched_setaffinity", [0, 0, 0, 0, 0, 0]), ("sched_setattr", NOTHING),
    ("sched_setparam", NOTHING), ("sched_setscheduler", [0, -1, 0, 0, 0, 0]), ("semctl", [-1, 0, 0, 0, 0, 0]),
    ("semget", NOTHING), ("set_mempolicy", [-1, 0, 0, 0, 0, 0]), ("setfsgid", [-1, 0, 0, 0, 0, 0]),
    ("setfsuid", [-1, 0, 0, 0, 0, 0]), ("setgid", [0, 0, 0, 0, 0, 0]), ("setgroups", NOTHING),
    ("setpriority", [-1, 0, 0, 0, 0, 0]), ("setregid", [-1, -1, 0, 0, 0, 0]), ("setresgid", [-1, -1, -1, 0, 0, 0]),
    ("setresuid", [-1, -1, -1, 0, 0, 0]), ("setreuid", [-1, -1, 0, 0, 0, 0]), ("setrlimit", [-1, 0, 0, 0, 0, 0]),
    ("setxattr", NOTHING), ("shmctl", [-1, 0, 0, 0, 0, 0]), ("shmget", NOTHING), ("splice", [-1, 0, -1, 0, 0, 0]),
    ("statmount", NOTHING), ("symlink", NOTHING), ("symlinkat", [0, -1, 0, 0, 0, 0]), ("sync_file_range", [-1, 0, 0, 0, 0, 0]),
    ("sysfs", [-1, 0, 0, 0, 0, 0]), ("tee", [-1, -1, 0, 0, 0, 0]), ("timer_create", [-1, 0, 0, 0, 0, 0]),
    ("truncate", NOTHING), ("ustat", NOTHING), ("utime", NOTHING), ("utimensat", [-1, 0, 0, -1, 0, 0]), ("utimes", NOTHING),
    ("vmsplice", [-1, 0, 0, 0, 0, 0]),
];

/// Arguments of the calls that no profile may list, where all zeros would do
/// something: strict mode of seccomp(2), for one.
const ARGUMENTS: &[(&str, [i32; 6])] = &[("seccomp", [1, 0, 0, 0, 0, 0])];

/// What answers an error in every sandbox.
const CONTAINED: &[(&str, &[Errno])] = &[
    ("clone3", &[Errno::ENOSYS]),
    ("setpgid", &[Errno::EPERM]),
    ("setsid", &[Errno::EPERM]),
];

const REFUSED: &[Errno] = &[Errno::EPERM];
const KILLED: &[Errno] = &[];

/// Name, call, its arguments, and the errors by which it may be stopped.
type Row = (
    &'static str,
    &'static [&'static str; 1],
    [i32; 6],
    &'static [Errno],
);

/// Calls that profiles list, with arguments that none may pass.
#[rustfmt::skip]
const BY_ARGUMENT: &[Row] = &[
    ("clone-new-user",           &["clone"],      [0x1000_0011, 0, 0, 0, 0, 0], KILLED),
    ("clone-new-network",        &["clone"],      [0x4000_0011, 0, 0, 0, 0, 0], KILLED),
    ("clone-new-pids",           &["clone"],      [0x2000_0011, 0, 0, 0, 0, 0], KILLED),
    ("clone-untraced",           &["clone"],      [0x0080_0011, 0, 0, 0, 0, 0], KILLED),
    ("map-writable-code",        &["mmap"],       [0, 4096, 7, 0x22, -1, 0], &[Errno::EACCES]),
    ("protect-writable-code",    &["mprotect"],   [0, 4096, 7, 0, 0, 0], &[Errno::EACCES]),
    ("push-terminal-input",      &["ioctl"],      [0, 0x5412, 0, 0, 0, 0], KILLED),
    ("paste-terminal-selection", &["ioctl"],      [0, 0x541c, 0, 0, 0, 0], KILLED),
    ("own-descriptor-by-ioctl",  &["ioctl"],      [-1, 0x8901, 0, 0, 0, 0], KILLED),
    ("own-group-by-ioctl",       &["ioctl"],      [-1, 0x8902, 0, 0, 0, 0], KILLED),
    ("own-descriptor",           &["fcntl"],      [-1, 8, 0, 0, 0, 0], KILLED),
    ("own-descriptor-extended",  &["fcntl"],      [-1, 15, 0, 0, 0, 0], KILLED),
    ("choose-signal",            &["fcntl"],      [-1, 10, 0, 0, 0, 0], KILLED),
    ("watch-directory",          &["fcntl"],      [-1, 1026, 0, 0, 0, 0], KILLED),
    ("grow-pipe",                &["fcntl"],      [-1, 1031, 0, 0, 0, 0], KILLED),
    ("be-dumpable",              &["prctl"],      [4, 1, 0, 0, 0, 0], KILLED),
    ("be-traceable",             &["prctl"],      [0x5961_6d61, 0, 0, 0, 0, 0], KILLED),
    ("reap-descendants",         &["prctl"],      [36, 0, 0, 0, 0, 0], KILLED),
    ("outlive-parent",           &["prctl"],      [1, 0, 0, 0, 0, 0], KILLED),
    ("filter-anew",              &["prctl"],      [22, 2, 0, 0, 0, 0], KILLED),
    ("change-memory-map",        &["prctl"],      [35, 0, 0, 0, 0, 0], KILLED),
    ("dispatch-calls",           &["prctl"],      [59, -1, 0, 0, 0, 0], KILLED),
    ("raise-own-limit",          &["prlimit64"],  [0, 7, 8, 0, 0, 0], REFUSED),
    ("fast-open-by-sendto",      &["sendto"],     [-1, 0, 0, 0x2000_0000, 0, 0], KILLED),
    ("fast-open-by-sendmsg",     &["sendmsg"],    [-1, 0, 0x2000_0000, 0, 0, 0], KILLED),
    ("fast-open-by-sendmmsg",    &["sendmmsg"],   [-1, 0, 0, 0x2000_0000, 0, 0], KILLED),
    ("fast-open-by-option",      &["setsockopt"], [-1, 6, 30, 0, 0, 0], REFUSED),
    ("upper-layer-protocol",     &["setsockopt"], [-1, 6, 31, 0, 0, 0], REFUSED),
    ("attach-kernel-program",    &["setsockopt"], [-1, 1, 50, 0, 0, 0], REFUSED),
    ("signal-everybody",         &["kill"],       [-1, 0, 0, 0, 0, 0], KILLED),
    ("execute-descriptor",       &["execveat"],   [0, 0, 0, 0, 0x1000, 0], KILLED),
];

/// Sockets by family, type and protocol.
#[rustfmt::skip]
const SOCKETS: &[(&str, i32, i32, i32)] = &[
    ("unix-stream",        1, 1, 0),
    ("unix-datagram",      1, 2, 0),
    ("tcp",                2, 1, 6),
    ("tcp6",              10, 1, 6),
    ("multipath-tcp",      2, 1, 262),
    ("multipath-tcp6",    10, 1, 262),
    ("sctp",               2, 1, 132),
    ("udp-lite",           2, 2, 136),
    ("raw-icmp",           2, 3, 1),
    ("raw-tcp",            2, 3, 6),
    ("raw-udp",            2, 3, 17),
    ("raw-header",         2, 3, 255),
    ("raw6-header",       10, 3, 255),
    ("packet",            17, 3, 0),
    ("packet-datagram",   17, 2, 0),
    ("netlink-route",     16, 3, 0),
    ("netlink-audit",     16, 3, 9),
    ("netlink-netfilter", 16, 3, 12),
    ("ipsec-key",         15, 3, 2),
    ("kernel-crypto",     38, 5, 0),
    ("virtual-machine",   40, 1, 0),
    ("bluetooth",         31, 3, 0),
    ("can",               29, 3, 1),
    ("express-data-path", 44, 3, 0),
    ("tipc",              30, 1, 0),
];

/// All attempts.
pub(crate) fn all() -> Vec<Attempt> {
    let forbidden = FORBIDDEN.iter().filter(|call| **call != "execveat");
    let forbidden = forbidden.map(|call| {
        let known = ARGUMENTS.iter().find(|(name, _)| name == call);
        let arguments = known.map_or(NOTHING, |(_, arguments)| *arguments);
        by_number(
            format!("call-{call}"),
            std::slice::from_ref(call),
            arguments,
            KILLED,
        )
    });
    let listed = |(call, arguments): &'static (&'static str, [i32; 6])| {
        by_number(
            format!("call-{call}"),
            std::slice::from_ref(call),
            *arguments,
            KILLED,
        )
    };
    let contained = CONTAINED.iter().map(|(call, errors)| {
        by_number(
            format!("call-{call}"),
            std::slice::from_ref(call),
            NOTHING,
            errors,
        )
    });
    let by_argument = BY_ARGUMENT
        .iter()
        .map(|(name, call, arguments, errors)| Attempt {
            allowance: Allowance::Never,
            ..by_number((*name).to_owned(), *call, *arguments, errors)
        });
    let sockets = SOCKETS.iter().map(|(name, family, kind, protocol)| {
        let arguments = [*family, *kind, *protocol, 0, 0, 0];
        Attempt {
            allowance: Allowance::Socket(*family, *kind, *protocol),
            ..by_number(
                format!("socket-{name}"),
                &["socket"],
                arguments,
                &[Errno::EAFNOSUPPORT],
            )
        }
    });
    let unlisted = CALLS.iter().map(listed);
    let calls = forbidden.chain(unlisted).chain(contained);
    let signal = Attempt {
        layer: Layer::Landlock,
        means: Means::Signal,
        allowance: Allowance::Never,
        ..by_number("signal-executor".to_owned(), &["kill"], NOTHING, REFUSED)
    };
    let signal = std::iter::once(signal);
    calls
        .chain(by_argument)
        .chain(sockets)
        .chain(acts())
        .chain(signal)
        .collect()
}

fn by_number(
    name: String,
    calls: &'static [&'static str],
    arguments: [i32; 6],
    errors: &'static [Errno],
) -> Attempt {
    let call = calls.first().copied().unwrap_or_default();
    Attempt {
        name,
        layer: Layer::Seccomp,
        means: Means::Call(call, arguments),
        errors,
        calls,
        allowance: Allowance::Call(call),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn attempts_are_many_and_each_has_a_name_of_its_own() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|attempt| attempt.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.len() >= 200, "{}", all.len());
    }

    #[test]
    fn every_attempt_can_be_stopped_and_every_call_is_known() {
        for attempt in all() {
            let is_stoppable = !attempt.errors.is_empty() || !attempt.calls.is_empty();
            assert!(is_stoppable, "{}", attempt.name);
            for call in attempt
                .calls
                .iter()
                .filter(|call| **call != ANOTHER_ARCHITECTURE)
            {
                assert!(
                    crate::sandbox::numbers::number(call).is_some(),
                    "{}",
                    attempt.name
                );
            }
        }
    }
}
