//! The broker's life and its embedded executor's: signals, deaths, restarts.
//!
//! What it is not: the end of input; that is in `stdio_traps`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::identity::NOBODY;
use harness::lab::Host;
use harness::processes::Process;
use harness::stdio_client::{Era, PROMPT, SCAN};
use harness::{Lab, StdioClient, config, processes, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// More than a breaker would take faults, were their ends any.
const RUNS: usize = 16;

fn start(lab: &Lab, extra: &str) -> Result<StdioClient> {
    let text = config::embedded(&lab.binaries().executor, extra);
    let file = lab.file("lifecycle.toml", &text)?;
    StdioClient::start(&mut lab.mantlet_with(&file, &["stdio"]), Era::Legacy)
}

fn slow_scan(lab: &Lab, client: &mut StdioClient) -> Result<(u64, Process)> {
    let arguments = json!({"target": "10.66.0.66", "extra_args": "-p 1-1000"});
    let id = client.call("nmap", &arguments)?;
    let nmap = wait::until("nmap", SCAN, || lab.tools("/usr/bin/nmap").ok()?.pop())?;
    Ok((id, nmap))
}

fn executors(lab: &Lab) -> Result<Vec<Process>> {
    let inode = lab.client().net_inode()?;
    processes::running(&[&lab.binaries().executor], inode)
}

/// The executor that others descend from.
fn main_executor(lab: &Lab, broker: u32) -> Result<Process> {
    let is_child = |process: &Process| process.parent == broker;
    executors(lab)?
        .into_iter()
        .find(is_child)
        .context("an embedded executor")
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
}

#[test]
fn started_as_root_it_gives_root_up_before_doing_anything() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut client = start(&lab, "")?;
    slow_scan(&lab, &mut client)?;
    let pid = client.server().pid();
    let uid = processes::status_number(pid, "Uid:")?;
    ensure!(uid != 0, "the broker is root");
    for key in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .context(key)?;
        ensure!(
            line.trim().chars().all(|digit| digit == '0'),
            "{key} {line}"
        );
    }
    let family = processes::descendants(pid)?;
    ensure!(family.len() >= 2, "an executor and a tool: {family:?}");
    for process in family {
        ensure!(
            process.uid == uid_of(pid)?,
            "embedded mode has one identity: {process:?}"
        );
    }
    Ok(())
}

fn uid_of(pid: u32) -> Result<u32> {
    let uid = u32::try_from(processes::status_number(pid, "Uid:")?)?;
    ensure!(uid == NOBODY.uid || uid != 0, "root");
    Ok(uid)
}

#[test]
fn sigterm_ends_an_idle_server_whose_input_stays_open() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut client = start(&lab, "")?;
        client.server().signal(signal)?;
        let begun = Instant::now();
        client.wait_open(Duration::from_secs(5))?.expect_code(0)?;
        let took = begun.elapsed();
        ensure!(took < Duration::from_secs(1), "{signal} took {took:?}");
        ensure!(executors(&lab)?.is_empty(), "the executor goes with it");
    }
    Ok(())
}

#[test]
fn sigterm_lets_a_run_finish() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let mut client = start(&lab, "")?;
    let arguments = json!({"target": "10.66.0.10", "extra_args": "-c 4 -i 0.5"});
    let id = client.call("ping", &arguments)?;
    wait::until_true("ping", PROMPT, || {
        lab.tools("/usr/bin/ping").is_ok_and(|t| !t.is_empty())
    })?;
    client.server().signal(Signal::SIGTERM)?;
    let (is_error, result) = client.structured(id, SCAN)?;
    ensure!(!is_error && result["returncode"] == 0, "{result:#}");
    client.wait_open(Duration::from_secs(5))?.expect_code(0)?;
    Ok(())
}

#[test]
fn sigterm_cancels_a_run_that_outlasts_the_grace_period() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut client = start(&lab, "[server]\nshutdown_grace_period = 1\n")?;
    let (id, _) = slow_scan(&lab, &mut client)?;
    client.server().signal(Signal::SIGTERM)?;
    let (is_error, result) = client.structured(id, PROMPT)?;
    ensure!(
        is_error && result["error_type"] == "cancelled",
        "{result:#}"
    );
    client.wait_open(Duration::from_secs(5))?.expect_code(0)?;
    ensure!(
        lab.tools("/usr/bin/nmap")?.is_empty(),
        "nmap outlived the server"
    );
    Ok(())
}

#[test]
fn a_second_signal_cancels_at_once() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut client = start(&lab, "")?;
    slow_scan(&lab, &mut client)?;
    client.server().signal(Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(!client.server().has_ended()?, "the first one waits");
    let begun = Instant::now();
    client.server().signal(Signal::SIGTERM)?;
    client.wait_open(Duration::from_secs(5))?.expect_code(0)?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(1), "it took {took:?}");
    ensure!(
        lab.tools("/usr/bin/nmap")?.is_empty(),
        "nmap outlived the server"
    );
    Ok(())
}

#[test]
fn a_killed_broker_takes_executor_and_tool_with_it() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut client = start(&lab, "")?;
    slow_scan(&lab, &mut client)?;
    client.server().signal(Signal::SIGKILL)?;
    let all_gone = || {
        lab.tools("/usr/bin/nmap")
            .is_ok_and(|tools| tools.is_empty())
            && executors(&lab).is_ok_and(|executors| executors.is_empty())
    };
    let took = wait::until_true("the end of all", PROMPT, all_gone)?;
    ensure!(took < Duration::from_secs(1), "it took {took:?}");
    Ok(())
}

#[test]
fn a_killed_executor_is_replaced_and_its_run_ends_by_name() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    let mut client = start(&lab, "")?;
    let broker = client.server().pid();
    let (id, nmap) = slow_scan(&lab, &mut client)?;
    let first = main_executor(&lab, broker)?;
    send(first.pid, Signal::SIGKILL)?;
    send(nmap.parent, Signal::SIGKILL).ok();
    let (is_error, result) = client.structured(id, PROMPT)?;
    ensure!(
        is_error && result["error_type"] == "executor_unavailable",
        "{result:#}"
    );
    let gone = || {
        lab.tools("/usr/bin/nmap")
            .is_ok_and(|tools| tools.is_empty())
    };
    wait::until_true("the end of nmap", Duration::from_secs(1), gone)?;
    // Between death and restart a call may be told to come back; it is never stuck.
    let arguments = json!({"target": "10.66.0.10", "extra_args": "-p 80"});
    let works = wait::until("a scan by the next executor", SCAN, || {
        let id = client.call("nmap", &arguments).ok()?;
        let (is_error, result) = client.structured(id, PROMPT).ok()?;
        if !is_error {
            return Some(true);
        }
        (result["error_type"] != "executor_unavailable").then_some(false)
    })?;
    ensure!(works, "another error than executor_unavailable");
    ensure!(main_executor(&lab, broker)?.pid != first.pid, "a new one");
    Ok(())
}

#[test]
fn a_killed_executor_ends_every_run_by_name_within_a_second_and_the_next_call_succeeds()
-> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let mut client = start(&lab, "[tool]\ndefault_concurrency = 16\n")?;
    let broker = client.server().pid();
    let silent = json!({"target": "10.66.0.99", "extra_args": "-c 60"});
    let calls: Result<Vec<u64>> = (0..RUNS).map(|_| client.call("ping", &silent)).collect();
    let pings = || lab.tools("/usr/bin/ping").map_or(0, |tools| tools.len());
    wait::until_true("all pings", PROMPT, || pings() == RUNS)?;

    // The listener alone: those that serve its runs must notice by themselves.
    let first = main_executor(&lab, broker)?;
    send(first.pid, Signal::SIGKILL)?;
    let killed = Instant::now();
    for id in calls? {
        let (is_error, result) = client.structured(id, PROMPT)?;
        ensure!(
            is_error && result["error_type"] == "executor_unavailable",
            "{result:#}"
        );
    }
    let took = killed.elapsed();
    ensure!(
        took < Duration::from_secs(1),
        "the last answer took {took:?}"
    );
    ensure!(pings() == 0, "a ping outlived its executor");

    let somebody = json!({"target": "10.66.0.10", "extra_args": "-c 1"});
    let id = client.call("ping", &somebody)?;
    let (is_error, result) = client.structured(id, PROMPT)?;
    ensure!(!is_error && result["returncode"] == 0, "{result:#}");
    Ok(())
}
