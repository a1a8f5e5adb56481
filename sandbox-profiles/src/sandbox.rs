//! How a run is confined, as plain data for the executor.
//!
//! The rows come from the profile and from the named sets of
//! [`crate::syscalls`] and [`crate::paths`]; each carries its reason, so that
//! `explain` can print it. Nothing here applies anything.
//!
//! Invariants: paths are absolute and hold no `..`; a call stands in `allow` or
//! in `errno`, never in both; rows are sorted and unique.

use std::path::PathBuf;

/// How a run is confined.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sandbox {
    /// Files and directories that may be read. A path that does not exist on a
    /// host is skipped by the executor: what isn't there can't be read.
    pub read: Vec<PathRow>,
    /// Added to `read` when the run is granted `CAP_NET_RAW`.
    pub read_raw: Vec<PathRow>,
    /// Files that may be read and written. The run's own directory is added by
    /// the executor.
    pub write: Vec<PathRow>,
    /// Files that may be executed (and read): the program, its ELF interpreter.
    pub exec: Vec<PathRow>,
    /// System calls that are allowed. Any other one kills the tool.
    pub allow: Vec<SyscallRow>,
    /// System calls that answer an error number instead of killing.
    pub errno: Vec<ErrnoRow>,
    /// Sockets that may be opened. Any other one answers `EAFNOSUPPORT`.
    pub sockets: Vec<SocketKind>,
    /// Added to `sockets` when the run is granted `CAP_NET_RAW`.
    pub sockets_raw: Vec<SocketKind>,
    /// How the tool uses raw sockets.
    pub raw: RawUse,
    /// Whether the tool may start threads.
    pub threads: bool,
    /// Whether the tool binds a TCP socket before it connects. It never listens.
    pub tcp_bind: bool,
    /// Resource limits.
    pub limits: Limits,
    /// Environment of every run, beside the executor's own constant list.
    pub env: Vec<(String, String)>,
    /// Added to `env` when the run is granted `CAP_NET_RAW`.
    pub env_raw: Vec<(String, String)>,
}

/// How a tool uses raw sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawUse {
    /// Not at all; a run is never granted `CAP_NET_RAW`.
    Never,
    /// When the call needs it: the run is granted `CAP_NET_RAW` when
    /// [`crate::vet::VettedRun::needs`] lists it and the executor holds it. Where
    /// it isn't held, the run gets by with what does as well, or is refused.
    ByNeed,
}

/// A path and why the tool needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PathRow {
    /// Absolute path of a file, or of a directory with all below it.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// An allowed system call and why the tool needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SyscallRow {
    /// The kernel's name of the call.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A system call that answers an error number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ErrnoRow {
    /// The kernel's name of the call.
    pub name: String,
    /// The error number that it answers.
    pub errno: i32,
    /// Why an error is enough, or better than killing.
    pub reason: String,
}

/// A kind of socket that may be opened, as `socket(2)` takes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SocketKind {
    /// Address family: `AF_INET`, …
    pub family: i32,
    /// Socket type without flags: `SOCK_STREAM`, …
    pub kind: i32,
    /// The protocols that are allowed, each named: no catch-all, since
    /// `IPPROTO_MPTCP` walks past Landlock's TCP rules.
    pub protocols: Vec<i32>,
    /// The spelling in the profile: `inet/stream/tcp`.
    pub name: String,
}

/// Resource limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// CPU time in seconds.
    pub cpu_s: u64,
    /// Address space in bytes.
    pub address_space_bytes: u64,
    /// Open descriptors.
    pub files: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Largest file that may be written, in bytes; 0 forbids writing files.
    pub file_size_bytes: u64,
}

const SOCKET_NAMES: &[(&str, i32, i32, &[i32])] = &[
    // 0 lets the kernel choose the family's only sensible protocol.
    ("inet/stream/tcp", AF_INET, SOCK_STREAM, &[0, IPPROTO_TCP]),
    ("inet6/stream/tcp", AF_INET6, SOCK_STREAM, &[0, IPPROTO_TCP]),
    ("inet/dgram/udp", AF_INET, SOCK_DGRAM, &[0, IPPROTO_UDP]),
    ("inet6/dgram/udp", AF_INET6, SOCK_DGRAM, &[0, IPPROTO_UDP]),
    ("inet/dgram/icmp", AF_INET, SOCK_DGRAM, &[IPPROTO_ICMP]),
    ("inet6/dgram/icmp", AF_INET6, SOCK_DGRAM, &[IPPROTO_ICMPV6]),
    ("inet/raw/icmp", AF_INET, SOCK_RAW, &[IPPROTO_ICMP]),
    ("inet6/raw/icmp", AF_INET6, SOCK_RAW, &[IPPROTO_ICMPV6]),
    ("inet/raw/tcp", AF_INET, SOCK_RAW, &[IPPROTO_TCP]),
    ("inet6/raw/tcp", AF_INET6, SOCK_RAW, &[IPPROTO_TCP]),
    ("inet/raw/raw", AF_INET, SOCK_RAW, &[IPPROTO_RAW]),
    ("inet6/raw/raw", AF_INET6, SOCK_RAW, &[IPPROTO_RAW]),
    ("netlink/raw/route", AF_NETLINK, SOCK_RAW, &[NETLINK_ROUTE]),
    (
        "netlink/raw/generic",
        AF_NETLINK,
        SOCK_RAW,
        &[NETLINK_GENERIC],
    ),
    ("packet/raw/any", AF_PACKET, SOCK_RAW, &[0, ETH_P_ALL_BE]),
];

impl SocketKind {
    /// The socket kind of that spelling.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        SOCKET_NAMES.iter().find(|(known, ..)| *known == name).map(
            |(known, family, kind, protocols)| Self {
                family: *family,
                kind: *kind,
                protocols: protocols.to_vec(),
                name: (*known).to_owned(),
            },
        )
    }

    /// Every spelling, for hints.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        SOCKET_NAMES.iter().map(|(name, ..)| *name)
    }
}

// Linux' numbers; the same on every architecture that Mantlet is built for.
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
const AF_NETLINK: i32 = 16;
const AF_PACKET: i32 = 17;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_RAW: i32 = 3;
const IPPROTO_ICMP: i32 = 1;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;
const IPPROTO_ICMPV6: i32 = 58;
const IPPROTO_RAW: i32 = 255;
const NETLINK_ROUTE: i32 = 0;
const NETLINK_GENERIC: i32 = 16;
/// `htons(ETH_P_ALL)` on the little-endian machines that Mantlet is built for.
const ETH_P_ALL_BE: i32 = 0x0300;
const _: () = assert!(
    3_u16.to_be() == 0x0300,
    "Mantlet is built for little-endian machines"
);
