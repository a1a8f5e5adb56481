//! The executor: runs vetted tools in a sandbox on behalf of a broker.
//!
//! ```text
//! listener → session → policy → launch → spawn → sandbox → the tool
//!                   └──────────────▶ stream → tree: its output and its end
//! ```
//!
//! What it is: one small process with one thread, that forks a session for each
//! connection. It adopts a listening socket, gives up what it doesn't need,
//! confines itself, and serves.
//! What it is not: a shell, a resolver, a client of any network; it has no
//! async runtime, opens no socket but to probe, and reads no environment.
//!
//! Invariants (each with a test that fails when it is broken): no byte of a
//! broker is trusted; a tool never holds a capability that its call doesn't
//! need, and never sees a descriptor of ours; its whole tree is dead before its
//! run is reported finished; if a layer of the sandbox can't be applied,
//! nothing runs.

#![deny(unsafe_code)]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("the executor's system call filters are written for 64-bit x86 Linux");

// In reading order; each imports only what stands below it.
#[cfg(feature = "bench")]
pub mod bench;
mod cli;
mod start;
mod report;
mod explain;
mod selftest;
mod probe;
mod trial;
mod listener;
mod session;
mod inventory;
mod policy;
mod launch;
mod stream;
mod tree;
mod spawn;
mod tools;
pub mod sandbox;
mod connection;
mod permits;
mod scratch;
mod config;
mod trust;
mod refusal;
mod json;
mod log;
mod procfs;
mod sys;

use std::ffi::OsString;
use std::process::ExitCode;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid};

use crate::config::Config;
use crate::log::Log;
use crate::sandbox::caps::CapabilitySet;
use crate::sandbox::landlock::Abi;
use crate::scratch::Parent;
use crate::tools::Tool;

/// How a run's traffic is confined: by vetting the addresses in its argv, and
/// by nothing in the kernel.
pub(crate) const EGRESS: &str = "argv";
/// What the kernel sends when the broker dies.
pub(crate) const PARENT_DIED: Signal = Signal::SIGUSR1;

/// Whether the kernel opens ICMP datagram sockets to the executor's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IcmpSockets {
    /// It does.
    Open,
    /// `net.ipv4.ping_group_range` leaves them out.
    Closed,
}

/// Everything that is settled before the first connection, and read-only after.
#[derive(Debug)]
pub(crate) struct Executor {
    /// The configuration.
    pub(crate) config: Config,
    /// The log.
    pub(crate) log: Log,
    /// Who tools run as.
    pub(crate) uid: Uid,
    /// Their primary group.
    pub(crate) gid: Gid,
    /// Besides those configured, the user that started us; in embedded mode.
    pub(crate) peer_uid: Option<u32>,
    /// The broker, which must outlive us; in embedded mode.
    pub(crate) parent: Option<Pid>,
    /// What the executor holds, and a run can be given.
    pub(crate) held: CapabilitySet,
    /// What ping can use without a capability.
    pub(crate) icmp_sockets: IcmpSockets,
    /// The kernel's Landlock.
    pub(crate) abi: Abi,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// SHA-256 over the base filter.
    pub(crate) base_digest: [u8; 32],
    /// SHA-256 over all profiles.
    pub(crate) profiles_digest: [u8; 32],
    /// SHA-256 over the scope.
    pub(crate) scope_digest: [u8; 32],
    /// The tools.
    pub(crate) tools: Vec<Tool>,
    /// Where runs have their directories.
    pub(crate) scratch: Parent,
}

/// Runs the program with its arguments, its own name left out.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    abort_on_panic();
    match cli::Command::parse(arguments) {
        Ok(cli::Command::Serve { config }) => start::serve(&config),
        Ok(cli::Command::Check { config }) => start::check(&config),
        Ok(cli::Command::Explain {
            config,
            tool,
            arguments,
            form,
        }) => start::explain(&config, &tool, &arguments, form),
        Ok(cli::Command::SelfTest { config, wish }) => start::selftest(&config, &wish),
        Ok(cli::Command::Attempt { executor, names }) => {
            selftest::attempts::make(Pid::from_raw(executor), &names)
        }
        Ok(cli::Command::Help) => cli::print(cli::HELP),
        Ok(cli::Command::Version) => cli::print(cli::VERSION),
        Err(error) => cli::complain(&error),
    }
}

/// A panic is a fault of ours. Nothing is unwound: the process ends, and what
/// it started is ended by those who watch it.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        if let Ok(log) = Log::new() {
            log.event(log::Level::Error, "panic", &[("at", info)]);
        }
        std::process::abort();
    }));
}
