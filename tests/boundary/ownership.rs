//! Files that others could have written: the executor doesn't take them.
//!
//! What it is not: the loader's error texts; those are tested where they are made.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::executor_process::Options;
use harness::hostile::{Hostile, Policy};
use harness::identity::{self, NOBODY};
use harness::raw_peer::run_of;
use harness::{ExecutorProcess, Lab, RawPeer};
use protocol::event::RefusalKind;
use protocol::{Event, Request};

/// Starts an executor that must not serve, and gives its log.
fn refuses_to_start(lab: &Lab, options: &Options) -> Result<String> {
    let executor = ExecutorProcess::start_unready(lab, options)?;
    let ended = executor.wait(Duration::from_secs(10))?.expect_code(1)?;
    Ok(ended.stderr)
}

#[test]
fn a_profile_that_others_may_write_stops_the_executor() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let hostile = Hostile::build(&lab, &["noop"])?;
    hostile.profile("noop", "noop", &Policy::default())?;
    let options = Options::plain(identity::lent()).profiles(hostile.dir());
    drop(ExecutorProcess::start(&lab, &options)?);
    let profile = hostile.dir().join("noop.toml");
    fs::set_permissions(&profile, Permissions::from_mode(0o666))?;
    let log = refuses_to_start(&lab, &options)?;
    ensure!(log.contains("noop.toml"), "the file is named: {log}");
    fs::set_permissions(&profile, Permissions::from_mode(0o644))?;
    chown(&profile, Some(NOBODY.uid), None)?;
    let log = refuses_to_start(&lab, &options)?;
    ensure!(log.contains("noop.toml"), "the file is named: {log}");
    chown(&profile, Some(0), None)?;
    fs::set_permissions(hostile.dir(), Permissions::from_mode(0o777))?;
    let log = refuses_to_start(&lab, &options)?;
    ensure!(log.contains("tools"), "the directory is named: {log}");
    fs::set_permissions(hostile.dir(), Permissions::from_mode(0o755))?;
    drop(ExecutorProcess::start(&lab, &options)?);
    Ok(())
}

#[test]
fn a_broken_profile_stops_the_executor_by_file_line_and_key() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let hostile = Hostile::build(&lab, &["noop"])?;
    hostile.profile("noop", "noop", &Policy::default())?;
    let path = hostile.dir().join("noop.toml");
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replace("[target]\n", "[target]\nkind = 1\n"))?;
    let options = Options::plain(identity::lent()).profiles(hostile.dir());
    let log = refuses_to_start(&lab, &options)?;
    for part in ["noop.toml", "kind"] {
        ensure!(log.contains(part), "{part} is missing: {log}");
    }
    Ok(())
}

#[test]
fn a_program_that_others_may_write_or_that_is_missing_does_not_run() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let hostile = Hostile::build(&lab, &["noop", "misbehaviours"])?;
    let good = hostile.profile("good", "misbehaviours", &Policy::default())?;
    let lax = hostile.profile("lax", "noop", &Policy::default())?;
    fs::set_permissions(lax.executable(), Permissions::from_mode(0o777))?;
    let gone = hostile.profile("gone", "floor", &Policy::default())?;
    let options = Options::plain(identity::lent()).profiles(hostile.dir());
    let executor = ExecutorProcess::start(&lab, &options)?;
    let (mut peer, _) = RawPeer::greeted(executor.socket())?;
    peer.send(&Request::Inspect)?;
    let Some(Event::Inventory(inventory)) = peer.event()? else {
        anyhow::bail!("no inventory")
    };
    for name in ["lax", "gone"] {
        let tool = inventory.tools.iter().find(|tool| tool.name == name);
        ensure!(
            tool.is_some_and(|tool| !tool.problem.is_empty()),
            "{name}: {inventory:?}"
        );
    }
    let kinds = [
        (&lax, RefusalKind::ToolUnavailable),
        (&gone, RefusalKind::ToolMissing),
    ];
    for (tool, kind) in kinds {
        let (mut peer, _) = RawPeer::greeted(executor.socket())?;
        let refused = peer.run(tool.run("nothing"))?.refused()?;
        ensure!(refused.kind == kind, "{refused:?}");
        ensure!(!refused.remedy.is_empty(), "{refused:?}");
    }
    let (mut peer, _) = RawPeer::greeted(executor.socket())?;
    peer.run(good.run("quiet"))?.ran()?;
    Ok(())
}

#[test]
fn a_program_replaced_after_the_start_is_not_executed() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let hostile = Hostile::build(&lab, &["noop", "misbehaviours"])?;
    let tool = hostile.profile("victim", "noop", &Policy::default())?;
    let options = Options::plain(identity::lent()).profiles(hostile.dir());
    let executor = ExecutorProcess::start(&lab, &options)?;
    fs::rename(hostile.program("misbehaviours"), tool.executable())?;
    let path = tool.executable().display().to_string();
    let run = run_of("victim", &[&path, "--do", "nothing", "10.66.0.10"]);
    let (mut peer, _) = RawPeer::greeted(executor.socket())?;
    match peer.run(run)? {
        harness::raw_peer::Answer::Refused(refused) => {
            ensure!(refused.kind == RefusalKind::ToolUnavailable, "{refused:?}");
        }
        harness::raw_peer::Answer::Ran(record) => {
            // The one opened at the start knows no words and complains of none.
            ensure!(record.stderr.is_empty(), "the new program ran: {record:?}");
        }
        harness::raw_peer::Answer::Closed => anyhow::bail!("closed without a word"),
    }
    Ok(())
}
