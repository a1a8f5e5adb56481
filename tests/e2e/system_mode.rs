//! System mode: the executor is a service of its own, with or without a capability.
//!
//! What it is not: packaging; the harness stands in for the init system.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::lab::Host;
use harness::running::{Ended, Running, run};
use harness::{ExecutorProcess, Lab, config, identity, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_mins(1);

fn scan(lab: &Lab, executor: &ExecutorProcess, args: &[&str]) -> Result<Ended> {
    let file = lab.file("system.toml", &config::system(executor.socket(), ""))?;
    let args: Vec<&str> = ["run", "nmap", "10.66.0.10", "--json", "--"]
        .iter()
        .chain(args)
        .copied()
        .collect();
    run(&mut lab.mantlet_with(&file, &args), BOUND)
}

fn json_of(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

#[test]
fn a_syn_scan_runs_with_net_raw_and_nothing_else() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let account = identity::lent();
    let executor = ExecutorProcess::start(&lab, &Options::net_raw(account))?;
    let result = json_of(&scan(&lab, &executor, &["-sS", "-p", "80,81"])?.expect_code(0)?)?;
    ensure!(
        result["sandbox"]["capabilities"] == json!(["CAP_NET_RAW"]),
        "{result:#}"
    );
    ensure!(result["sandbox"]["uid"] == account.uid, "{result:#}");
    ensure!(result["argv"].to_string().contains("-sS"), "{result:#}");
    let reason = result.pointer("/structured/hosts/0/ports/0/reason");
    ensure!(reason == Some(&json!("syn-ack")), "{result:#}");
    Ok(())
}

#[test]
fn a_connect_scan_by_the_same_executor_holds_no_capability() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let executor = ExecutorProcess::start(&lab, &Options::net_raw(identity::lent()))?;
    let result = json_of(&scan(&lab, &executor, &["-sT", "-p", "80"])?.expect_code(0)?)?;
    ensure!(result["sandbox"]["capabilities"] == json!([]), "{result:#}");
    Ok(())
}

#[test]
fn raw_scans_are_refused_with_the_remedy_where_the_capability_is_not_held() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let plain = ExecutorProcess::start(&lab, &Options::plain(identity::lent()))?;
    let embedded = |args: &[&str]| {
        let args: Vec<&str> = ["run", "nmap", "10.66.0.10", "--json", "--"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        run(&mut lab.mantlet(&args)?, BOUND)
    };
    for flag in ["-sS", "-sU", "-O"] {
        let args = [flag, "-p", "80"];
        for ended in [embedded(&args)?, scan(&lab, &plain, &args)?] {
            let result = json_of(&ended.expect_code(3)?)?;
            ensure!(
                result["error_type"] == "permission_denied",
                "{flag}: {result:#}"
            );
            let text = result["message"].to_string() + &result["recovery_suggestion"].to_string();
            ensure!(text.contains("CAP_NET_RAW"), "{flag}: {result:#}");
            ensure!(
                result["sandbox"].is_null(),
                "nothing may have run: {result:#}"
            );
        }
    }
    let syn = json_of(&embedded(&["-sS", "-p", "80"])?)?;
    let remedy = syn["recovery_suggestion"].to_string();
    ensure!(
        remedy.contains("-sT -p 80") && syn["metadata"]["nearest_allowed"].is_array(),
        "the nearest call is given: {syn:#}"
    );
    Ok(())
}

#[test]
fn an_executor_that_dies_ends_the_run_by_name() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let executor = ExecutorProcess::start(&lab, &Options::plain(identity::lent()))?;
    let file = lab.file("system.toml", &config::system(executor.socket(), ""))?;
    let args = ["run", "nmap", "10.66.0.66", "--json", "--", "-p", "1-1000"];
    let running = Running::start(&mut lab.mantlet_with(&file, &args))?;
    let session = wait::until("nmap", BOUND, || lab.tools("/usr/bin/nmap").ok()?.pop())?.parent;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(session)?),
        Signal::SIGKILL,
    )?;
    let ended = running.wait(Duration::from_secs(10))?.expect_code(4)?;
    ensure!(
        json_of(&ended)?["error_type"] == "executor_unavailable",
        "{ended:?}"
    );
    let gone = || {
        lab.tools("/usr/bin/nmap")
            .is_ok_and(|tools| tools.is_empty())
    };
    wait::until_true("the end of nmap", Duration::from_secs(1), gone)?;
    Ok(())
}

#[test]
fn a_peer_that_is_not_listed_is_refused() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let mut options = Options::plain(identity::lent());
    options.peers = vec![4_000_000];
    let executor = ExecutorProcess::start_unready(&lab, &options)?;
    let listens = || std::os::unix::net::UnixStream::connect(executor.socket()).is_ok();
    wait::until_true("the executor", BOUND, listens)?;
    let ended = scan(&lab, &executor, &["-p", "80"])?.expect_code(3)?;
    let result = json_of(&ended)?;
    ensure!(result["error_type"] == "permission_denied", "{result:#}");
    let remedy = result["recovery_suggestion"].to_string();
    ensure!(
        remedy.contains("peers"),
        "what to change is said: {result:#}"
    );
    ensure!(lab.tools("/usr/bin/nmap")?.is_empty(), "nothing may run");
    let log = executor.log();
    ensure!(
        log.contains("65534"),
        "each refusal is logged with the uid: {log}"
    );
    Ok(())
}
