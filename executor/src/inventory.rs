//! The inventory: what this executor is and can do, for the broker's health.
//!
//! What it is not: a second description of the sandbox. Everything here is read
//! from the values that runs are made of.
//!
//! Invariants: it fits its frame however many profiles there are.

use protocol::event::{Inventory, ToolState};
use protocol::limits::{NAME_BYTES_MAX, ROWS_MAX, TEXT_BYTES_MAX};

use crate::permits::Counts;
use crate::refusal::{chain, cut};
use crate::tools::Tool;
use crate::{EGRESS, Executor, policy};

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
    let needs = tool.profile.needs.iter().map(|need| need.what);
    let mut unmet = needs.filter(|need| policy::met(executor, &tool.profile, *need).is_none());
    if let Some(need) = unmet.next() {
        return format!("it needs {need}; {}", need.remedy());
    }
    String::new()
}
