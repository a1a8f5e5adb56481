//! What tools print, as it reaches people, models and files: bounded, neutral,
//! and partial where a run was cut short.
//!
//! What it is not: the parser's own tests; here a real tool prints.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::hostile::{Hostile, Policy};
use harness::identity::Identity;
use harness::lab::Host;
use harness::running::{Running, run};
use harness::stdio_client::{Era, PROMPT, SCAN};
use harness::{Lab, StdioClient, config, processes, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_mins(1);

/// A broker whose only tool misbehaves.
fn misbehaving(lab: &Lab, args: &[&str]) -> Result<Command> {
    let hostile = Hostile::build(lab, &["misbehaviours"])?;
    hostile.profile("misbehaviours", "misbehaviours", &Policy::default())?;
    let extra = format!("[tool]\nprofiles = [\"{}\"]\n", hostile.dir().display());
    let text = config::embedded(&lab.binaries().executor, &extra);
    let file = lab.file("misbehaving.toml", &text)?;
    Ok(lab.mantlet_with(&file, args))
}

/// Whether a text could do more to a terminal or a model than be read.
fn is_neutral(text: &str) -> bool {
    let is_tag = |c: char| ('\u{e0000}'..='\u{e007f}').contains(&c);
    let is_bidi =
        |c: char| ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
    !text
        .chars()
        .any(|c| is_tag(c) || is_bidi(c) || is_control(c))
}

/// Variables by which the bare tools were led elsewhere, or into other code.
const LEADING: [&str; 22] = [
    "ALL_PROXY",
    "CURL_HOME",
    "GCONV_PATH",
    "HOSTALIASES",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LOCALDOMAIN",
    "MTR_OPTIONS",
    "MTR_PACKET",
    "NLSPATH",
    "NMAPDIR",
    "NMAP_PRIVILEGED",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "PGHOSTADDR",
    "PYTHONPATH",
    "RES_OPTIONS",
    "RUBYOPT",
    "SNMPCONFPATH",
    "SSLKEYLOGFILE",
    "TZ",
    "http_proxy",
];

#[test]
fn no_variable_of_the_caller_reaches_a_tool() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let args = [
        "run",
        "misbehaviours",
        "10.66.0.10",
        "--json",
        "--",
        "--do",
        "show-environment",
    ];
    let mut command = misbehaving(&lab, &args)?;
    command.envs(LEADING.map(|name| (name, "/nowhere/of-the-caller")));
    command.env("HOME", "/nowhere/of-the-caller");
    // The loader complains of LD_PRELOAD, in the broker, which is the caller's own.
    let ended = run(&mut command, BOUND)?.expect_code(0)?;
    let result: Value = serde_json::from_str(&ended.stdout)?;
    let shown = result["stdout"].as_str().context("the tool's output")?;
    let names: BTreeSet<&str> = shown
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let constant = BTreeSet::from(["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR"]);
    ensure!(
        names == constant && !shown.contains("of-the-caller"),
        "{shown}"
    );
    Ok(())
}

#[test]
fn escapes_are_neutralised_for_readers_and_kept_in_the_raw_file() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let call = [
        "run",
        "misbehaviours",
        "10.66.0.10",
        "--raw-output",
        "RAW",
        "--",
        "--do",
        "escape-terminal",
    ];
    let raw = lab.dir().join("raw");
    let raw = raw.to_str().context("a path")?;
    let mut args = call
        .map(|word| if word == "RAW" { raw } else { word })
        .to_vec();
    let table = run(&mut misbehaving(&lab, &args)?, BOUND)?.expect_code(0)?;
    ensure!(
        table.stdout.contains("red") && table.stdout.contains("end"),
        "{:?}",
        table.stdout
    );
    ensure!(
        is_neutral(&table.stdout) && is_neutral(&table.stderr),
        "{table:?}"
    );
    let bytes = std::fs::read(raw)?;
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    ensure!(
        holds(b"\x1b]0;owned\x07") && holds(b"\xff\xfe"),
        "the raw file is as printed: {bytes:?}"
    );
    args.insert(1, "--json");
    let ended = run(&mut misbehaving(&lab, &args)?, BOUND)?.expect_code(0)?;
    let result: Value = serde_json::from_str(&ended.stdout)?;
    ensure!(
        result["stdout"].as_str().is_some_and(is_neutral),
        "{result:#}"
    );
    Ok(())
}

#[test]
fn a_flood_costs_the_broker_bounded_memory_and_says_that_it_was_cut() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut client = StdioClient::start(&mut misbehaving(&lab, &["stdio"])?, Era::Legacy)?;
    let pid = client.server().pid();
    let quiet = json!({"target": "10.66.0.10", "extra_args": "--do quiet"});
    let id = client.call("misbehaviours", &quiet)?;
    client.structured(id, PROMPT)?;
    let before_kib = processes::status_number(pid, "VmHWM:")?;
    for _ in 0..5 {
        let flood = json!({"target": "10.66.0.10", "extra_args": "--do flood-gibibyte"});
        let id = client.call("misbehaviours", &flood)?;
        let (_, result) = client.structured(id, SCAN)?;
        ensure!(result["truncated_stdout"] == true, "{}", result["metadata"]);
        let kept = result["stdout"].as_str().map_or(0, str::len);
        ensure!(kept <= 1024 * 1024, "{kept} bytes of standard output");
    }
    let after_kib = processes::status_number(pid, "VmHWM:")?;
    let grown_kib = after_kib.saturating_sub(before_kib);
    ensure!(
        grown_kib < 24 * 1024,
        "from {before_kib} KiB to {after_kib} KiB"
    );
    Ok(())
}

#[test]
fn a_cancelled_scan_keeps_the_hosts_it_had_finished() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    // The second address of this network is dead, which takes nmap long to believe.
    let args = [
        "run",
        "nmap",
        "10.66.0.10/31",
        "--json",
        "--",
        "-Pn",
        "-p",
        "1-1000",
        "--max-hostgroup",
        "1",
    ];
    let running = Running::start(&mut lab.mantlet(&args)?)?;
    let nmap = || {
        lab.tools("/usr/bin/nmap")
            .is_ok_and(|tools| !tools.is_empty())
    };
    wait::until_true("nmap", BOUND, nmap)?;
    std::thread::sleep(Duration::from_secs(6));
    running.signal(Signal::SIGINT)?;
    let ended = running.wait(Duration::from_secs(10))?.expect_code(130)?;
    let result: Value = serde_json::from_str(&ended.stdout)?;
    let structured = &result["structured"];
    ensure!(structured["truncated"] == true, "{structured:#}");
    let host = structured["hosts"]
        .as_array()
        .and_then(|hosts| hosts.first())
        .context("a host")?;
    ensure!(host["address"] == "10.66.0.10", "{structured:#}");
    let ports = host["ports"].as_array().into_iter().flatten();
    let open: BTreeSet<u64> = ports
        .filter(|port| port["state"] == "open")
        .filter_map(|port| port["number"].as_u64())
        .collect();
    ensure!(open == BTreeSet::from([80]), "{structured:#}");
    Ok(())
}

#[test]
fn a_terminal_gets_a_progress_bar_and_a_pipe_does_not() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Ssh])? else {
        return Ok(());
    };
    let args = ["run", "nmap", "10.66.0.20", "--", "-sV", "-p", "20-25"];
    let plain = run(&mut lab.mantlet(&args)?, BOUND)?.expect_code(0)?;
    ensure!(
        !plain.stderr.contains('%') && !plain.stdout.contains('%'),
        "{plain:?}"
    );
    let file = lab.dir().join("embedded.toml");
    let line = format!(
        "{} --config {} {}",
        lab.binaries().mantlet.display(),
        file.display(),
        args.join(" ")
    );
    // `script` runs it on a terminal of its own.
    let mut script = lab.client().command(Identity::Root, "script");
    script
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm");
    let shown = run(&mut script, BOUND)?.expect_code(0)?.stdout;
    ensure!(
        shown.contains('%') && shown.contains("nmap 10.66.0.20"),
        "{shown:?}"
    );
    ensure!(shown.contains("OpenSSH"), "{shown:?}");
    Ok(())
}
