//! A run's system call filter: the profile's allow-list with the argument
//! checks that no profile can leave out.
//!
//! What it is: from a profile's rows to a program. Calls that are not listed
//! are announced to the session, which names them and kills the tool.
//! What it is not: the executor's own filter (`base.rs`), which lies beneath.
//!
//! Invariants: what isn't listed never runs; a call of [`FORBIDDEN`] can't be
//! listed; `socket` is compared by family, type and protocol, because a
//! protocol left open (MPTCP) walks past Landlock's TCP rules.

mod words;

use std::collections::BTreeMap;

use libc::sock_filter;
use sandbox_profiles::sandbox::{Sandbox, SocketKind};
use sandbox_profiles::syscalls::FORBIDDEN;
use sha2::{Digest, Sha256};

use super::bpf::{Assembler, BpfError, Half, Place, Verdict};
use super::numbers;
pub(crate) use words::{allows, reason, verdicts};

/// Why a profile gives no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    /// A name that this kernel's table doesn't have.
    #[error("system call {0} is not known")]
    UnknownCall(String),
    /// A call that no tool may make.
    #[error("system call {0} is allowed to no tool")]
    Forbidden(String),
    /// An error number out of range.
    #[error("error number {errno} of system call {call} is not within 1 to 4095")]
    Errno {
        /// The call.
        call: String,
        /// The number.
        errno: i32,
    },
    /// The program is too long for the kernel.
    #[error(transparent)]
    Program(#[from] BpfError),
}

/// The one execution that a filter lets through, by its very arguments. The
/// address is the executor's, which the program that is executed can't know; if
/// it guesses, it may execute what Landlock lets it, which is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Execution {
    /// The descriptor of the tool's program.
    pub(crate) descriptor: u32,
    /// Where the argument array is.
    pub(crate) argv: u64,
}

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Filter {
    program: Vec<sock_filter>,
    digest: [u8; 32],
}

/// Calls that no profile may list beside those that `sandbox_profiles` forbids:
/// they get out of the process group by which a run is killed, or touch the
/// sandbox itself.
const ALSO_FORBIDDEN: &[&str] = &[
    "clone3",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "setpgid",
    "setsid",
];

/// Calls that answer an error in every run, whatever the profile says.
const ALWAYS_ERRNO: &[(&str, i32)] = &[
    // Its flags are in memory, where a filter can't see them; glibc then uses
    // clone, whose flags can be checked.
    ("clone3", libc::ENOSYS),
    // A process group of its own would survive the kill of the run's group.
    // Tools that try do it for tidiness, and go on without.
    ("setsid", libc::EPERM),
    ("setpgid", libc::EPERM),
];

// What `CLONE_NEW*` may not be asked for, and two flags that hide a process
// from its parent. All low 32 bits; clone's upper half is unused.
const CLONE_REFUSED: u32 = 0x7e02_0000 | 0x0000_8000 | 0x0080_0000;
const CLONE_THREAD: u32 = 0x0001_0000;
const MSG_FASTOPEN: u32 = 0x2000_0000;
const WRITE_AND_EXECUTE: u32 = 0b110;
/// First number of the x32 calls, which are the same calls under other numbers.
const X32: u32 = 0x4000_0000;
/// Flags of socket(2)'s type argument: close-on-exec and non-blocking.
const SOCKET_TYPE_MASK: u32 = !(0x8_0000 | 0x800);

/// ioctl(2) requests that push input into a terminal, or make another process
/// get signals.
const IOCTL_REFUSED: &[u32] = &[
    0x5412, // TIOCSTI
    0x541c, // TIOCLINUX
    0x8901, // FIOSETOWN
    0x8902, // SIOCSPGRP
];
/// fcntl(2) commands that make another process get signals.
const FCNTL_REFUSED: &[u32] = &[
    8,    // F_SETOWN
    10,   // F_SETSIG
    15,   // F_SETOWN_EX
    1026, // F_NOTIFY
    1031, // F_SETPIPE_SZ: what is left in a pipe at the end is bounded by its usual size
];
/// prctl(2) options that a tool may use: its name, and reading and keeping what
/// capabilities it has.
const PRCTL_ALLOWED: &[u32] = &[
    8,           // PR_SET_KEEPCAPS
    15,          // PR_SET_NAME
    16,          // PR_GET_NAME
    23,          // PR_CAPBSET_READ
    47,          // PR_CAP_AMBIENT: can't grow beyond what is permitted
    0x5356_4d41, // PR_SET_VMA: names of memory areas
];
/// setsockopt(2) options, as (level, option), that hand a stream to another
/// protocol, connect without connect(2), or load a program into the kernel.
const SOCKOPT_REFUSED: &[(u32, u32)] = &[
    (1, 50), // SO_ATTACH_BPF
    (6, 30), // TCP_FASTOPEN_CONNECT
    (6, 31), // TCP_ULP
];
/// Those that `CAP_NET_RAW` opens: they forge a source address, mark packets for
/// the host's packet filter, or get round it.
const SOCKOPT_REFUSED_RAW: &[(u32, u32)] = &[
    (0, 19),   // IP_TRANSPARENT
    (41, 75),  // IPV6_TRANSPARENT
    (1, 36),   // SO_MARK
    (263, 20), // PACKET_QDISC_BYPASS
];

impl Filter {
    /// Compiles a profile's filter, with raw sockets or without.
    ///
    /// # Errors
    ///
    /// Names the row that can't be had.
    pub(crate) fn new(
        sandbox: &Sandbox,
        sockets: &[&SocketKind],
        execution: Execution,
    ) -> Result<Self, FilterError> {
        let nowhere = Execution {
            descriptor: 0,
            argv: 0,
        };
        // The digest is over the policy, so it is the same after a restart,
        // which changes the addresses.
        let digest = digest_of(&compile(sandbox, sockets, nowhere)?);
        let program = compile(sandbox, sockets, execution)?;
        Ok(Self { program, digest })
    }

    /// A filter that allows every call, for a self-test that leaves this layer
    /// out. The executor's own lies beneath it still.
    pub(crate) fn nothing() -> Self {
        let mut program = Assembler::default();
        program.verdict(Verdict::Allow);
        Self {
            program: program.plain(),
            digest: [0; 32],
        }
    }

    /// The program to install.
    pub(crate) fn program(&self) -> &[sock_filter] {
        &self.program
    }

    /// SHA-256 over the program, with the addresses of the execution as zero.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// SHA-256 over a program's instructions.
pub(crate) fn digest_of(program: &[sock_filter]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for instruction in program {
        hash.update(instruction.code.to_le_bytes());
        hash.update([instruction.jt, instruction.jf]);
        hash.update(instruction.k.to_le_bytes());
    }
    hash.finalize().into()
}

/// What a call's rule is, before it has a place in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Verdict(Verdict),
    Checked(Check),
}

/// The calls whose arguments are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Socket,
    SocketPair,
    /// Which argument holds the flags.
    Send(u8),
    Clone,
    Ioctl,
    Fcntl,
    Prctl,
    SetSockOpt,
    /// mmap and mprotect.
    Protection,
    PrLimit,
    /// kill, tkill and tgkill.
    Kill,
    ExecveAt,
}

fn check_of(call: &str) -> Option<Check> {
    Some(match call {
        "socket" => Check::Socket,
        "socketpair" => Check::SocketPair,
        "sendto" | "sendmmsg" => Check::Send(3),
        "sendmsg" => Check::Send(2),
        "clone" => Check::Clone,
        "ioctl" => Check::Ioctl,
        "fcntl" => Check::Fcntl,
        "prctl" => Check::Prctl,
        "setsockopt" => Check::SetSockOpt,
        "mmap" | "mprotect" => Check::Protection,
        "prlimit64" => Check::PrLimit,
        "kill" | "tkill" | "tgkill" => Check::Kill,
        _ => return None,
    })
}

fn number(call: &str) -> Result<u32, FilterError> {
    numbers::number(call).ok_or_else(|| FilterError::UnknownCall(call.to_owned()))
}

fn errno(call: &str, errno: i32) -> Result<Verdict, FilterError> {
    let fits = u16::try_from(errno)
        .ok()
        .filter(|errno| (1..=4095).contains(errno));
    fits.map(Verdict::Errno).ok_or_else(|| FilterError::Errno {
        call: call.to_owned(),
        errno,
    })
}

fn rules(sandbox: &Sandbox) -> Result<BTreeMap<u32, Rule>, FilterError> {
    let mut rules = BTreeMap::new();
    for row in &sandbox.allow {
        let name = row.name.as_str();
        if FORBIDDEN.contains(&name) || ALSO_FORBIDDEN.contains(&name) {
            return Err(FilterError::Forbidden(row.name.clone()));
        }
        // The start of a tool is an execveat. A tool that has nothing else to
        // execute than its loader needs no execve.
        if name == "execve" && sandbox.exec.len() <= 1 {
            continue;
        }
        let rule = match check_of(&row.name) {
            Some(check) => Rule::Checked(check),
            None => Rule::Verdict(Verdict::Allow),
        };
        rules.insert(number(&row.name)?, rule);
    }
    for row in &sandbox.errno {
        let verdict = errno(&row.name, row.errno)?;
        rules.insert(number(&row.name)?, Rule::Verdict(verdict));
    }
    for (call, value) in ALWAYS_ERRNO {
        rules.insert(number(call)?, Rule::Verdict(errno(call, *value)?));
    }
    rules.insert(number("execveat")?, Rule::Checked(Check::ExecveAt));
    rules.insert(X32, Rule::Verdict(errno("x32", libc::ENOSYS)?));
    Ok(rules)
}

fn compile(
    sandbox: &Sandbox,
    sockets: &[&SocketKind],
    execution: Execution,
) -> Result<Vec<sock_filter>, FilterError> {
    let mut program = Assembler::default();
    let mut places: Vec<(Rule, Place)> = Vec::new();
    let rules = rules(sandbox)?;
    let checker = Checker {
        sandbox,
        sockets,
        execution,
    };
    for rule in rules.values() {
        if !places.iter().any(|(known, _)| known == rule)
            && let Rule::Checked(check) = rule
        {
            let place = checker.write(&mut program, *check);
            places.push((*rule, place));
        }
    }
    let mut rows: Vec<(u32, Place)> = Vec::new();
    let mut next = 0_u32;
    let announce = program.verdict(Verdict::Announce);
    for (number, rule) in &rules {
        if *number > next {
            add_row(&mut rows, next, announce);
        }
        let place = match rule {
            Rule::Verdict(verdict) => program.verdict(*verdict),
            Rule::Checked(_) => places
                .iter()
                .find_map(|(known, place)| (known == rule).then_some(*place))
                .unwrap_or(announce),
        };
        add_row(&mut rows, *number, place);
        next = number.saturating_add(1);
    }
    Ok(program.finish(&rows)?)
}

/// Adds the range that begins at `first`, unless it only continues the one
/// before.
fn add_row(rows: &mut Vec<(u32, Place)>, first: u32, place: Place) {
    if rows.last().is_none_or(|(_, last)| *last != place) {
        rows.push((first, place));
    }
}

/// Socket types of a family, each with its protocols.
type Kinds = BTreeMap<u32, Vec<u32>>;

/// Writes the argument checks.
struct Checker<'a> {
    sandbox: &'a Sandbox,
    sockets: &'a [&'a SocketKind],
    execution: Execution,
}

impl Checker<'_> {
    fn write(&self, program: &mut Assembler, check: Check) -> Place {
        let allow = program.verdict(Verdict::Allow);
        let announce = program.verdict(Verdict::Announce);
        match check {
            Check::Socket => self.socket(program),
            Check::SocketPair => {
                let unix = program.if_equal(AF_UNIX, allow, announce);
                program.load_argument(0, Half::Low, unix)
            }
            Check::Send(flags) => {
                let fast_open = program.if_any_bit(MSG_FASTOPEN, announce, allow);
                program.load_argument(flags, Half::Low, fast_open)
            }
            Check::Clone => {
                let thread = if threads_only(self.sandbox) {
                    program.if_any_bit(CLONE_THREAD, allow, announce)
                } else {
                    allow
                };
                let new = program.if_any_bit(CLONE_REFUSED, announce, thread);
                program.load_argument(0, Half::Low, new)
            }
            Check::Ioctl => one_of(program, 1, IOCTL_REFUSED, announce, allow),
            Check::Fcntl => one_of(program, 1, FCNTL_REFUSED, announce, allow),
            Check::Prctl => one_of(program, 0, PRCTL_ALLOWED, allow, announce),
            Check::SetSockOpt => self.socket_options(program),
            Check::Protection => {
                let deny = program.verdict(Verdict::Errno(EACCES));
                let both = program.if_equal(WRITE_AND_EXECUTE, deny, allow);
                let masked = program.and(WRITE_AND_EXECUTE, both);
                program.load_argument(2, Half::Low, masked)
            }
            Check::PrLimit => {
                let deny = program.verdict(Verdict::Errno(EPERM));
                let reads = program.if_argument(2, 0, allow, deny);
                let itself = program.if_equal(0, reads, deny);
                program.load_argument(0, Half::Low, itself)
            }
            Check::Kill => {
                let negative = program.if_any_bit(0x8000_0000, announce, allow);
                program.load_argument(0, Half::Low, negative)
            }
            Check::ExecveAt => {
                let Execution { descriptor, argv } = self.execution;
                let flags = program.if_equal(AT_EMPTY_PATH, allow, announce);
                let flags = program.load_argument(4, Half::Low, flags);
                let argv = program.if_argument(2, argv, flags, announce);
                let number = program.if_equal(descriptor, argv, announce);
                program.load_argument(0, Half::Low, number)
            }
        }
    }

    fn socket_options(&self, program: &mut Assembler) -> Place {
        let allow = program.verdict(Verdict::Allow);
        let deny = program.verdict(Verdict::Errno(EPERM));
        let is_raw = self
            .sockets
            .iter()
            .any(|socket| socket.kind == libc::SOCK_RAW);
        let raw = SOCKOPT_REFUSED_RAW.iter().filter(|_| is_raw);
        let mut levels: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (level, option) in SOCKOPT_REFUSED.iter().chain(raw) {
            levels.entry(*level).or_default().push(*option);
        }
        let mut next = allow;
        for (level, options) in levels {
            let options = one_of(program, 2, &options, deny, allow);
            next = program.if_equal(level, options, next);
        }
        program.load_argument(1, Half::Low, next)
    }

    /// Family, then type, then protocol; anything that is not listed answers as
    /// a kernel without that family would.
    fn socket(&self, program: &mut Assembler) -> Place {
        let allow = program.verdict(Verdict::Allow);
        let deny = program.verdict(Verdict::Errno(EAFNOSUPPORT));
        let mut families: BTreeMap<u32, Kinds> = BTreeMap::new();
        for socket in self.sockets {
            let (Ok(family), Ok(kind)) = (u32::try_from(socket.family), u32::try_from(socket.kind))
            else {
                continue;
            };
            let protocols = families.entry(family).or_default().entry(kind).or_default();
            protocols.extend(socket.protocols.iter().flat_map(|p| u32::try_from(*p)));
        }
        let mut next_family = deny;
        let mut written: Vec<(Kinds, Place)> = Vec::new();
        for (family, kinds) in families {
            // IPv4 and IPv6 mostly have the same kinds: written once.
            if let Some((_, place)) = written.iter().find(|(known, _)| *known == kinds) {
                next_family = program.if_equal(family, *place, next_family);
                continue;
            }
            let mut next_kind = deny;
            for (kind, protocols) in &kinds {
                let listed = one_of(program, 2, protocols, allow, deny);
                next_kind = program.if_equal(*kind, listed, next_kind);
            }
            let masked = program.and(SOCKET_TYPE_MASK, next_kind);
            let place = program.load_argument(1, Half::Low, masked);
            next_family = program.if_equal(family, place, next_family);
            written.push((kinds, place));
        }
        program.load_argument(0, Half::Low, next_family)
    }
}

/// A profile that lists clone for its threads gets threads only, unless it
/// lists fork beside it.
fn threads_only(sandbox: &Sandbox) -> bool {
    sandbox.threads && !sandbox.allow.iter().any(|row| row.name == "fork")
}

/// Goes to `listed` when the low half of an argument is one of `values`, else
/// to `other`.
fn one_of(
    program: &mut Assembler,
    argument: u8,
    values: &[u32],
    listed: Place,
    other: Place,
) -> Place {
    let mut next = other;
    for value in values.iter().rev() {
        next = program.if_equal(*value, listed, next);
    }
    program.load_argument(argument, Half::Low, next)
}

// The few error numbers and constants in the width that a filter wants.
const AF_UNIX: u32 = 1;
const AT_EMPTY_PATH: u32 = 0x1000;
const EPERM: u16 = 1;
const EACCES: u16 = 13;
const EAFNOSUPPORT: u16 = 97;

#[cfg(test)]
mod tests;
