//! The inventory: what this executor is and can do, for the broker's health.
//!
//! What it is not: a second description of the sandbox. Everything here is read
//! from the values that runs are made of.
//!
//! Invariants: it fits its frame however many profiles there are.

use protocol::event::{Inventory, ToolState};
use protocol::limits::{NAME_BYTES_MAX, ROWS_MAX, TEXT_BYTES_MAX};
use sandbox_profiles::Capability;
use sandbox_profiles::sandbox::RawUse;

use crate::permits::Counts;
use crate::refusal::{chain, cut};
use crate::sandbox::caps::CapabilitySet;
use crate::tools::Tool;
use crate::{EGRESS, Executor, IcmpSockets, policy};

/// Longest problem that is told, in bytes, so that all rows fit one frame.
const PROBLEM_BYTES_MAX: usize = 256;

/// Says what the executor is.
pub(crate) fn inventory(executor: &Executor, counts: Counts) -> Inventory {
    Inventory {
        mode: executor.config.mode.as_str().to_owned(),
        uid: executor.uid.as_raw(),
        capabilities: executor.held.names(),
        landlock_abi: executor.abi.number(),
        kernel: cut(&executor.kernel, TEXT_BYTES_MAX),
        egress: EGRESS.to_owned(),
        runs: (counts.running, counts.running_max),
        tools: executor
            .tools
            .iter()
            .take(ROWS_MAX)
            .map(|tool| state(executor, tool))
            .collect(),
    }
}

fn state(executor: &Executor, tool: &Tool) -> ToolState {
    ToolState {
        name: cut(&tool.profile.name, NAME_BYTES_MAX),
        path: cut(&tool.path(), PROBLEM_BYTES_MAX),
        version: cut(&tool.version, NAME_BYTES_MAX),
        problem: cut(&problem(executor, tool), PROBLEM_BYTES_MAX),
        profile_digest: tool.profile.digest,
    }
}

/// Why a tool can't run at all, or empty.
pub(crate) fn problem(executor: &Executor, tool: &Tool) -> String {
    if let Err(error) = &tool.state {
        return chain(error);
    }
    let is_raw = executor
        .held
        .covers(CapabilitySet::of(&[Capability::NetRaw]));
    let is_stuck = tool.profile.sandbox.raw == RawUse::OrIcmpSocket
        && !is_raw
        && executor.icmp_sockets == IcmpSockets::Closed;
    if is_stuck {
        let what = "needs CAP_NET_RAW or ICMP datagram sockets, and has neither";
        return format!("{what}; {}", policy::ICMP_REMEDY);
    }
    String::new()
}
