//! Executor and broker killed under load, as clients over HTTP see it.
//!
//! What it is not: the same over stdio; that is in `lifecycle` and `run_store`.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use harness::executor_process::{ExecutorProcess, Options};
use harness::http_service::PROMPT;
use harness::running::run;
use harness::{HttpService, crowd, identity, processes, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::http_load::{Place, RUNS, calls, said};

/// Together they run as many at once as an embedded executor does.
const TOOLS: [&str; 2] = ["one", "two"];
/// Runs that fill all of them.
const ALL: usize = TOOLS.len() * RUNS;
const MANY: &str = "[server]\nmax_calls = 256\n";

/// Calls that fill all tools, half over REST and half over MCP.
fn lingering(service: &HttpService<'_>) -> Result<Vec<Vec<u8>>> {
    let calls = TOOLS.iter().map(|tool| calls(service, tool, "linger"));
    Ok(calls.collect::<Result<Vec<_>>>()?.concat())
}

#[test]
fn a_killed_executor_ends_every_call_by_name_within_a_second_and_the_next_succeeds() -> Result<()> {
    let Some(place) = Place::new(&TOOLS, MANY)? else {
        return Ok(());
    };
    let mut service = place.start()?;
    let broker = service.running().pid();
    for _ in 0..2 {
        let executor = || {
            let mut executors = processes::all()?;
            executors.retain(|process| process.parent == broker);
            Ok(executors.first().context("an executor")?.pid)
        };
        every_call_fails_by_name(&place, &service, executor)?;
        the_next_succeeds(&service)?;
    }
    Ok(())
}

#[test]
fn a_killed_executor_of_the_system_ends_every_call_by_name_and_its_successor_takes_the_next()
-> Result<()> {
    let Some(place) = Place::new(&TOOLS, MANY)? else {
        return Ok(());
    };
    let options = Options {
        max_runs: u32::try_from(ALL)?,
        hold: true,
        ..Options::net_raw(identity::lent()).profiles(place.hostile.dir())
    };
    let mut executor = ExecutorProcess::start(&place.lab, &options)?;
    let service = place.start_with(executor.socket())?;
    for _ in 0..2 {
        every_call_fails_by_name(&place, &service, || Ok(executor.pid()))?;
        executor.restart(&place.lab)?;
        the_next_succeeds(&service)?;
    }
    Ok(())
}

/// Kills the executor while it is as busy as it can be.
fn every_call_fails_by_name(
    place: &Place,
    service: &HttpService<'_>,
    executor: impl FnOnce() -> Result<u32>,
) -> Result<()> {
    let requests = lingering(service)?;
    let connections = service.connections(ALL)?;
    let answers = thread::spawn(move || crowd::at_once(connections, &requests, PROMPT));
    wait::until_true("the tools", PROMPT, || place.running().len() == ALL)?;
    kill(Pid::from_raw(i32::try_from(executor()?)?), Signal::SIGKILL)?;
    let killed = Instant::now();
    let answers = answers.join().map_err(|_| anyhow!("the crowd"))??;
    let took = killed.elapsed();
    for timed in &answers {
        let timed = timed.as_ref().context("an answer")?;
        let error = &said(timed)?["error_type"];
        ensure!(error == "executor_unavailable", "{timed:?}");
    }
    ensure!(
        took < Duration::from_secs(1),
        "the last answer took {took:?}"
    );
    ensure!(place.running().is_empty(), "a tool outlived its executor");
    Ok(())
}

fn the_next_succeeds(service: &HttpService<'_>) -> Result<()> {
    for request in calls(service, "one", "quiet")? {
        let next = crowd::at_once(service.connections(1)?, &[request], PROMPT)?;
        let next = next.into_iter().flatten().next().context("an answer")?;
        ensure!(said(&next)?["returncode"] == 0, "{next:?}");
    }
    Ok(())
}

#[test]
fn a_killed_broker_leaves_no_tool_and_store_and_audit_log_verify() -> Result<()> {
    let Some(place) = Place::new(&TOOLS, MANY)? else {
        return Ok(());
    };
    let mut service = place.start()?;
    for round in 0..3 {
        let mut requests = lingering(&service)?;
        // Some end and are stored all the time, so that the death hits writes.
        let [short, _] = calls(&service, "two", "quiet")?;
        requests.truncate(2 * (TOOLS.len() - 1));
        let lasting = (TOOLS.len() - 1) * RUNS;
        let connections = service.connections(lasting)?;
        let lingers = thread::spawn(move || crowd::at_once(connections, &requests, PROMPT));
        let connections = service.connections(RUNS)?;
        let loop_for = Duration::from_mins(1);
        let shorts =
            thread::spawn(move || crowd::again_and_again(connections, &[short], loop_for).is_err());
        wait::until_true("the tools", PROMPT, || place.running().len() >= lasting)?;
        thread::sleep(Duration::from_millis(300 + 50 * round));
        let killed = service.kill()?;
        let took = wait::until_true("the end of all", PROMPT, || place.running().is_empty())?;
        ensure!(took < Duration::from_secs(1), "tools lived for {took:?}");
        let unanswered = lingers.join().map_err(|_| anyhow!("the crowd"))??;
        ensure!(unanswered.iter().all(Option::is_none), "{unanswered:?}");
        ensure!(shorts.join().map_err(|_| anyhow!("the crowd"))?);
        let script = "import sqlite3, sys\n\
            print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchall())";
        let mut python = Command::new("/usr/bin/python3");
        python
            .args(["-c", script])
            .arg(killed.state().join("runs.db"));
        let said = run(&mut python, PROMPT)?.expect_code(0)?;
        ensure!(said.stdout == "[('ok',)]\n", "{said:?}");
        place.mantlet(&killed, &["audit", "verify"])?;

        service = place.start_in(killed)?;
        let admin = service.admin()?;
        let runs = |state: &str| -> Result<Vec<Value>> {
            let path = format!("/runs?limit=100&state={state}");
            let page = service.curl(Some(&admin), &[], &path)?.expect(200)?;
            Ok(page.json()?["runs"].as_array().cloned().unwrap_or_default())
        };
        ensure!(runs("running")?.is_empty() && runs("queued")?.is_empty());
        let interrupted = runs("interrupted")?.len();
        let expected = usize::try_from(round + 1)? * lasting;
        ensure!(
            interrupted >= expected.min(100),
            "{interrupted} of {expected} are said to be interrupted"
        );
        ensure!(!runs("finished")?.is_empty(), "what ended is kept");
        place.mantlet(&service.place, &["audit", "verify"])?;
    }
    Ok(())
}
