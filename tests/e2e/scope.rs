//! The scope's ports, tools with scopes of their own, and two sides that differ.
//!
//! What it is not: a table of verdicts; vetting's own tests have those.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::lab::Host;
use harness::running::{Ended, run};
use harness::{ExecutorProcess, Lab, config, identity, touched};
use serde_json::Value;

const BOUND: Duration = Duration::from_mins(1);

/// nmap may touch port 22; any other tool whatever the general scope allows.
const ONLY_22: &str = "[security.tools.nmap]\nallowed_ports = [\"22\"]\n";

fn json_of(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

/// Calls that scan, each as the arguments after `mantlet run nmap TARGET --`. The
/// second word says whether it needs `CAP_NET_RAW`.
const SCANS: &[(&str, bool, &[&str])] = &[
    ("10.66.0.20", false, &[]),
    ("10.66.0.20", false, &["-p-"]),
    ("10.66.0.20", false, &["-F", "-sV"]),
    (
        "10.66.0.20",
        false,
        &["-p", "22", "--script", "ssh-hostkey,banner"],
    ),
    ("10.66.0.16/29", false, &["-PS22", "-F"]),
    ("10.66.0.20", true, &["-sS", "-p-"]),
    ("10.66.0.20", true, &["-sU", "-F"]),
    (
        "10.66.0.20",
        true,
        &["-sS", "-p", "22", "--traceroute", "-PE"],
    ),
];

#[test]
fn nothing_but_an_allowed_port_is_touched() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Ssh])? else {
        return Ok(());
    };
    let ssh = lab.host(Host::Ssh)?;
    touched::watch(ssh)?;
    let embedded = config::embedded(&lab.binaries().executor, ONLY_22);
    let embedded = lab.file("only22.toml", &embedded)?;
    let options = Options::net_raw(identity::lent()).security(ONLY_22);
    let executor = ExecutorProcess::start(&lab, &options)?;
    let raw = lab.file("raw22.toml", &config::system(executor.socket(), ONLY_22))?;
    for (target, needs_raw, args) in SCANS {
        let file = if *needs_raw { &raw } else { &embedded };
        let words: Vec<&str> = ["run", "nmap", target, "--json", "--"]
            .iter()
            .chain(*args)
            .copied()
            .collect();
        let ended = run(&mut lab.mantlet_with(file, &words), BOUND)?.expect_code(0)?;
        let argv = json_of(&ended)?["argv"].to_string();
        let chooses = ["-p-", "-F", "--top-ports"]
            .iter()
            .any(|flag| argv.contains(flag));
        ensure!(
            argv.contains("1-21,23-65535") == chooses,
            "{args:?}: {argv}"
        );
    }
    let only = BTreeSet::from(["tcp 22".to_owned(), "udp 22".to_owned()]);
    let touched = touched::ports(ssh)?;
    ensure!(touched == only, "{touched:?}");
    // The same watch sees what a call without restrictions does.
    let open = config::embedded(&lab.binaries().executor, "");
    let open = lab.file("open.toml", &open)?;
    let words = ["run", "nmap", "10.66.0.20", "--", "-p", "21-23"];
    run(&mut lab.mantlet_with(&open, &words), BOUND)?.expect_code(0)?;
    let touched = touched::ports(ssh)?;
    ensure!(
        touched.contains("tcp 23"),
        "the watch is blind: {touched:?}"
    );
    Ok(())
}

#[test]
fn check_shows_where_the_sides_differ_and_the_executor_holds_to_its_own() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let own = "max_network_size = 16\n[security.tools.nmap]\nallowed_ports = [\"80\"]\n\
        allow_intrusive = true\n";
    let options = Options::plain(identity::lent()).security(own);
    let executor = ExecutorProcess::start(&lab, &options)?;
    let file = lab.file("system.toml", &config::system(executor.socket(), ""))?;
    let mantlet = |words: &[&str]| run(&mut lab.mantlet_with(&file, words), BOUND);

    let checked = mantlet(&["check"])?.expect_code(1)?;
    for said in [
        "system, enforces another scope than the broker",
        "max_network_size             1024\n    executor:                  16\n    differs:                   the executor is tighter",
        "nmap.allowed_ports           all\n    executor:                  80\n    differs:                   the executor is tighter; what only the broker allows is refused by the executor (SEC1",
        "nmap.allow_intrusive         false\n    executor:                  true\n    differs:                   the broker is tighter; what only the executor allows is refused by the broker (ARG6)",
    ] {
        ensure!(
            checked.stdout.contains(said),
            "{said}\nis not in\n{}",
            checked.stdout
        );
    }
    let checked = json_of(&mantlet(&["check", "--json"])?.expect_code(1)?)?;
    let rows = checked["sides"]["scope"].as_array().context("rows")?;
    let ports = rows
        .iter()
        .find(|row| row["tool"] == "nmap" && row["key"] == "allowed_ports");
    let ports = ports.context("nmap's ports")?;
    ensure!(
        ports["same"] == false && ports["tighter"] == "executor",
        "{ports:#}"
    );
    ensure!(
        ports["executor"] == "80" && ports["broker"] == "all",
        "{ports:#}"
    );

    let scan = |args: &[&str]| {
        let words = ["run", "nmap", "10.66.0.10", "--json", "--"];
        mantlet(&words.iter().chain(args).copied().collect::<Vec<_>>())
    };
    scan(&["-p", "80"])?.expect_code(0)?;
    for (args, rule, why) in [
        (
            ["-p", "8080"],
            "SEC1",
            "a port that the executor doesn't allow",
        ),
        (["-p", "80,8080"], "SEC1", "one of two"),
        (
            ["--top-ports", "9"],
            "ARG7",
            "nmap would have to be told what to leave alone",
        ),
    ] {
        let refused = json_of(&scan(&args)?.expect_code(3)?)?;
        let metadata = &refused["metadata"];
        ensure!(
            metadata["refused_by"] == "executor" && metadata["rule"] == rule,
            "{why}: {refused:#}"
        );
        ensure!(
            refused["sandbox"].is_null(),
            "nothing may have run: {refused:#}"
        );
    }
    Ok(())
}

#[test]
fn a_table_for_an_unknown_tool_stops_both_sides_with_the_nearest_name() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let table = "[security.tools.nmpa]\nallowed_ports = [\"22\"]\n";
    let file = config::embedded(&lab.binaries().executor, table);
    let file = lab.file("nmpa.toml", &file)?;
    let ended = run(&mut lab.mantlet_with(&file, &["check"]), BOUND)?.expect_code(2)?;
    let said = "security.tools.nmpa: no profile has that name; did you mean nmap?";
    ensure!(ended.stderr.contains(said), "{ended:?}");
    let options = Options::plain(identity::lent()).security(table);
    let executor = ExecutorProcess::start_unready(&lab, &options)?;
    let ended = executor.wait(BOUND)?.expect_code(1)?;
    ensure!(ended.stderr.contains("did you mean nmap?"), "{ended:?}");
    Ok(())
}

#[test]
fn check_says_what_it_can_where_no_executor_answers() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let nowhere = config::system(std::path::Path::new("/nonexistent.sock"), ONLY_22);
    let broken = config::embedded(std::path::Path::new("/bin/false"), ONLY_22);
    for (name, text, said) in [
        ("nowhere.toml", nowhere, "system, does not answer"),
        ("broken.toml", broken, "started from this configuration"),
    ] {
        let file = lab.file(name, &text)?;
        let ended = run(&mut lab.mantlet_with(&file, &["check"]), BOUND)?.expect_code(1)?;
        ensure!(ended.stdout.contains(said), "{ended:?}");
        ensure!(
            ended.stdout.contains("nmap.allowed_ports           22\n"),
            "the broker's side is shown: {ended:?}"
        );
        ensure!(!ended.stdout.contains("differs"), "{ended:?}");
    }
    Ok(())
}
