//! The inventory: what this executor is and can do, for the broker's health.
//!
//! What it is not: a second description of the sandbox. Everything here is read
//! from the values that runs are made of.
//!
//! Invariants: it fits its frame however many profiles there are.

use protocol::event::{Inventory, ScopeRow, ToolState};
use protocol::limits::{INVENTORY_PART_BYTES_MAX, NAME_BYTES_MAX, ROWS_MAX, TEXT_BYTES_MAX};
use sandbox_profiles::Scope;
use sandbox_profiles::scope::Fact;

use crate::permits::Counts;
use crate::refusal::{chain, cut};
use crate::tools::Tool;
use crate::{EGRESS, Executor, IcmpSockets, policy};

/// Longest problem that is told, in bytes.
const PROBLEM_BYTES_MAX: usize = 256;
/// Longest value of a tool's own scope that is told, in bytes; it is compared by
/// digest.
const OWN_VALUE_BYTES_MAX: usize = 512;

/// Says what the executor is.
pub(crate) fn inventory(executor: &Executor, counts: Counts) -> Inventory {
    let tools = executor.tools.iter().map(|tool| state(executor, tool));
    let (tools, tools_left) = fitting(tools, ToolState::bytes);
    let (scope, scope_left) = fitting(scope_rows(&executor.config.scope), ScopeRow::bytes);
    Inventory {
        mode: executor.config.mode.as_str().to_owned(),
        uid: executor.uid.as_raw(),
        capabilities: executor.held.names(),
        landlock_abi: executor.abi.number(),
        kernel: cut(&executor.kernel, TEXT_BYTES_MAX),
        egress: EGRESS.to_owned(),
        runs: (counts.running, counts.running_max),
        icmp_sockets: executor.icmp_sockets == IcmpSockets::Open,
        tools,
        scope,
        rows_left_out: tools_left.saturating_add(scope_left),
    }
}

/// The first rows that fit their part of a frame, and how many don't.
fn fitting<T>(rows: impl IntoIterator<Item = T>, bytes: impl Fn(&T) -> usize) -> (Vec<T>, u32) {
    let (mut kept, mut sum, mut left) = (Vec::new(), 0_usize, 0_u32);
    for row in rows {
        sum = sum.saturating_add(bytes(&row));
        if sum <= INVENTORY_PART_BYTES_MAX && kept.len() < ROWS_MAX {
            kept.push(row);
        } else {
            left = left.saturating_add(1);
        }
    }
    (kept, left)
}

/// The general scope, and what is different for single tools.
fn scope_rows(scope: &Scope) -> Vec<ScopeRow> {
    let row = |tool: &str, fact: &Fact, bytes_max| ScopeRow {
        tool: cut(tool, NAME_BYTES_MAX),
        key: fact.key.to_owned(),
        value: cut(&fact.value.to_string(), bytes_max),
        digest: fact.digest(),
    };
    let general = scope.facts();
    let mut rows: Vec<ScopeRow> = general
        .iter()
        .map(|fact| row("", fact, TEXT_BYTES_MAX))
        .collect();
    for tool in scope.tools() {
        let own = scope.for_tool(tool).facts();
        let own = own.iter().filter(|fact| !general.contains(fact));
        rows.extend(own.map(|fact| row(tool, fact, OWN_VALUE_BYTES_MAX)));
    }
    rows
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
    let changed = match &tool.state {
        Ok(ready) => ready.program.check_unchanged(),
        Err(error) => return chain(error),
    };
    if let Err(error) = changed {
        return chain(&error);
    }
    let needs = tool.profile.needs.iter().map(|need| need.what);
    let mut unmet = needs.filter(|need| policy::met(executor, &tool.profile, *need).is_none());
    if let Some(need) = unmet.next() {
        return format!("it needs {need}; {}", need.remedy());
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::{Event, frame};
    use sandbox_profiles::scope::{ScopeConfig, ToolScopeConfig};

    use super::*;

    #[test]
    fn tells_the_general_scope_and_what_tools_have_of_their_own() {
        let own = ToolScopeConfig {
            allowed_ports: Some(vec!["22".into()]),
            max_port_ranges: Some(100),
            ..ToolScopeConfig::default()
        };
        let config = ScopeConfig {
            tools: BTreeMap::from([("nmap".to_owned(), own)]),
            ..ScopeConfig::default()
        };
        let rows = scope_rows(&Scope::new(&config).unwrap());
        let own: Vec<_> = rows.iter().filter(|row| !row.tool.is_empty()).collect();
        assert_eq!(
            (rows.len(), own.len()),
            (8, 1),
            "what says the general thing is not told"
        );
        let told = (
            own[0].tool.as_str(),
            own[0].key.as_str(),
            own[0].value.as_str(),
        );
        assert_eq!(told, ("nmap", "allowed_ports", "22"));
        let read = Fact::read(&own[0].key, &own[0].value).unwrap();
        assert_eq!(read.digest(), own[0].digest);
    }

    #[test]
    fn the_largest_inventory_fits_its_frame() {
        let suffixes: Vec<_> = (0..256)
            .map(|index| format!(".{}{index}.lab", "x".repeat(50)))
            .collect();
        let networks: Vec<_> = (0..256)
            .map(|net| format!("fd00:1:2:3:{net:x}::/96"))
            .collect();
        let own = |index: usize| ToolScopeConfig {
            allowed_networks: Some(networks.clone()),
            allowed_suffixes: Some(suffixes.clone()),
            max_network_size: Some(u32::try_from(index).unwrap() + 1),
            ..ToolScopeConfig::default()
        };
        let config = ScopeConfig {
            tools: (0..64)
                .map(|index| (format!("tool-{index}"), own(index)))
                .collect(),
            ..ScopeConfig::default()
        };
        let long = "x".repeat(PROBLEM_BYTES_MAX);
        let tools = (0..500).map(|_| ToolState {
            name: "x".repeat(NAME_BYTES_MAX),
            path: long.clone(),
            version: "x".repeat(NAME_BYTES_MAX),
            problem: long.clone(),
            profile_digest: [7; 32],
        });
        let (tools, tools_left) = fitting(tools, ToolState::bytes);
        let (scope, scope_left) =
            fitting(scope_rows(&Scope::new(&config).unwrap()), ScopeRow::bytes);
        assert!(tools.len() > 60 && scope.len() > 60 && tools_left > 0 && scope_left > 0);
        let inventory = Inventory {
            mode: "embedded".into(),
            uid: u32::MAX,
            capabilities: vec!["x".repeat(NAME_BYTES_MAX); 64],
            landlock_abi: u32::MAX,
            kernel: "x".repeat(TEXT_BYTES_MAX),
            egress: EGRESS.to_owned(),
            runs: (u32::MAX, u32::MAX),
            icmp_sockets: true,
            tools,
            scope,
            rows_left_out: tools_left.saturating_add(scope_left),
        };
        assert!(frame::encode_event(&Event::Inventory(inventory)).is_ok());
    }
}
