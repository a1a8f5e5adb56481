//! What `check` prints: the configuration as it works out, and each tool.
//!
//! What it is not: a second opinion. It prints the values that serving would
//! use, and the inventory that the broker would get.
//!
//! Invariants: nothing is decided here.

use std::io;
use std::process::ExitCode;

use sandbox_profiles::Scope;

use crate::permits::Counts;
use crate::{Executor, inventory};

/// Prints what was found.
pub(crate) fn report(executor: &Executor) -> ExitCode {
    match write_report(executor, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn write_report(executor: &Executor, out: &mut impl io::Write) -> io::Result<()> {
    let config = &executor.config;
    let counts = Counts {
        running: 0,
        running_max: config.runs_max,
    };
    let inventory = inventory::inventory(executor, counts);
    writeln!(out, "mode           {}", inventory.mode)?;
    writeln!(
        out,
        "user           uid {} gid {}",
        executor.uid, executor.gid
    )?;
    writeln!(out, "capabilities   {}", executor.held)?;
    writeln!(
        out,
        "kernel         {}, Landlock ABI {}",
        inventory.kernel, inventory.landlock_abi
    )?;
    writeln!(out, "icmp sockets   {:?}", executor.icmp_sockets)?;
    writeln!(out, "egress         {}", inventory.egress)?;
    writeln!(
        out,
        "runs           at most {}, in {}",
        config.runs_max,
        config.runs_dir.display()
    )?;
    writeln!(
        out,
        "peers          uids {:?}, gids {:?}",
        config.peers.uids, config.peers.gids
    )?;
    if let Some(uid) = executor.peer_uid {
        writeln!(out, "               and uid {uid}, who starts it")?;
    }
    write_scope(&config.scope, out)?;
    for tool in &inventory.tools {
        let state = if tool.problem.is_empty() {
            "ready"
        } else {
            tool.problem.as_str()
        };
        writeln!(
            out,
            "tool           {} {} ({}): {state}",
            tool.name, tool.version, tool.path
        )?;
    }
    out.flush()
}

fn write_scope(scope: &Scope, out: &mut impl io::Write) -> io::Result<()> {
    let general = scope.facts();
    for fact in &general {
        writeln!(out, "{:<18} {}", fact.key, fact.value)?;
    }
    for tool in scope.tools() {
        let own = scope.for_tool(tool).facts();
        for fact in own.iter().filter(|fact| !general.contains(fact)) {
            writeln!(out, "{tool}: {:<18} {}", fact.key, fact.value)?;
        }
    }
    Ok(())
}
