//! `mantlet run`: what it finds, how it ends, what it refuses.
//!
//! What it is not: MCP; that is in `mcp_sdk` and `stdio_runs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::lab::{ALL_HOSTS, Host};
use harness::running::{Ended, Running, run};
use harness::{Lab, config, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Longest scan of the whole network.
const WHOLE: Duration = Duration::from_mins(4);
/// Longest scan of one host.
const ONE: Duration = Duration::from_mins(1);

fn mantlet(lab: &Lab, args: &[&str], bound: Duration) -> Result<Ended> {
    run(&mut lab.mantlet(args)?, bound)
}

fn json(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("no JSON: {ended:?}"))
}

/// Address and open TCP ports of each host in a structured result.
fn found(result: &Value) -> Result<BTreeMap<String, BTreeSet<u16>>> {
    let hosts = result
        .pointer("/structured/hosts")
        .and_then(Value::as_array);
    let mut found = BTreeMap::new();
    for host in hosts.with_context(|| format!("no hosts: {result}"))? {
        let address = host
            .get("address")
            .and_then(Value::as_str)
            .context("an address")?;
        let ports = host
            .get("ports")
            .and_then(Value::as_array)
            .context("ports")?;
        let open = ports
            .iter()
            .filter(|port| port.get("state") == Some(&Value::from("open")));
        let numbers = open.filter_map(|port| u16::try_from(port.get("number")?.as_u64()?).ok());
        found.insert(address.to_owned(), numbers.collect());
    }
    Ok(found)
}

#[test]
fn finds_exactly_the_hosts_and_services_of_the_lab() -> Result<()> {
    let Some(lab) = Lab::start(&ALL_HOSTS)? else {
        return Ok(());
    };
    let ended = mantlet(&lab, &["run", "nmap", "10.66.0.0/24", "--json"], WHOLE)?;
    let result = json(&ended.expect_code(0)?)?;
    ensure!(found(&result)? == lab.truth(), "{:#}", result["structured"]);
    let filtered = result
        .pointer("/structured/hosts")
        .and_then(Value::as_array);
    let silent = filtered
        .into_iter()
        .flatten()
        .find(|host| host["address"] == "10.66.0.30");
    let states: BTreeMap<u64, &str> = silent
        .and_then(|host| host["ports"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|port| Some((port["number"].as_u64()?, port["state"].as_str()?)))
        .collect();
    ensure!(
        states.get(&443) == Some(&"filtered"),
        "the silent port: {states:?}"
    );
    Ok(())
}

#[test]
fn a_category_of_scripts_comes_to_its_end() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    for scripts in [
        &["-sC"][..],
        &["--script", "safe"],
        &["--script", "version"],
    ] {
        let mut words = vec!["run", "nmap", "10.66.0.10", "--json", "--", "-p", "80"];
        words.extend(scripts);
        let ended = mantlet(&lab, &words, ONE)?.expect_code(0)?;
        let result = json(&ended)?;
        ensure!(result["timed_out"] == false, "{scripts:?}: {result:#}");
        if scripts == ["-sC"] {
            let title = result["structured"].to_string().contains("http-title");
            ensure!(title, "{:#}", result["structured"]);
        }
    }
    Ok(())
}

#[test]
fn names_the_services_and_versions_it_sees() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Ssh])? else {
        return Ok(());
    };
    let args = [
        "run",
        "nmap",
        "10.66.0.20",
        "--json",
        "--",
        "-sV",
        "-p",
        "22",
    ];
    let result = json(&mantlet(&lab, &args, ONE)?.expect_code(0)?)?;
    let port = result
        .pointer("/structured/hosts/0/ports/0")
        .context("a port")?;
    ensure!(
        port["service"] == "ssh" && port["product"] == "OpenSSH",
        "{port}"
    );
    ensure!(port["version"].is_string(), "{port}");
    Ok(())
}

#[test]
fn the_result_has_every_promised_field() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let args = ["run", "nmap", "10.66.0.10", "--json", "--", "-p", "80"];
    let result = json(&mantlet(&lab, &args, ONE)?.expect_code(0)?)?;
    let fields = "stdout stderr returncode truncated_stdout truncated_stderr timed_out error \
                  error_type execution_time correlation_id metadata run_id tool argv targets \
                  structured sandbox started_at";
    for field in fields.split_whitespace() {
        ensure!(
            result.get(field).is_some(),
            "{field} is missing: {result:#}"
        );
    }
    let receipt = &result["sandbox"];
    let promised = "uid capabilities landlock_abi rlimits egress tool_path tool_version";
    for field in promised.split_whitespace() {
        ensure!(
            receipt.get(field).is_some(),
            "{field} is missing: {receipt:#}"
        );
    }
    ensure!(
        receipt["capabilities"] == serde_json::json!([]),
        "{receipt:#}"
    );
    ensure!(receipt["uid"] != 0, "no tool runs as root: {receipt:#}");
    Ok(())
}

#[test]
fn limits_of_the_configuration_cut_those_of_the_profile() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let call = |set: &[(&str, &str)]| {
        let args = ["run", "nmap", "10.66.0.10", "--json", "--", "-p", "80"];
        let mut command = lab.mantlet(&args)?;
        command.envs(set.iter().copied());
        run(&mut command, ONE)
    };
    let (memory, files) = ("MCP_MAX_MEMORY_MB", "MCP_MAX_FILE_DESCRIPTORS");
    for (set, expected_memory, expected_files, why) in [
        (&[][..], 512_u64 << 20, 256, "nothing set"),
        (&[(memory, "64")], 64 << 20, 256, "less memory"),
        (&[(files, "32")], 512 << 20, 32, "fewer descriptors"),
        (
            &[(memory, "4096"), (files, "4096")],
            512 << 20,
            256,
            "more than the profile gives",
        ),
    ] {
        let result = json(&call(set)?.expect_code(0)?)?;
        let limits = &result["sandbox"]["rlimits"];
        ensure!(limits["as"] == expected_memory, "{why}: {limits}");
        ensure!(limits["nofile"] == expected_files, "{why}: {limits}");
        ensure!(found(&result)?["10.66.0.10"].contains(&80), "{why}");
    }
    let result = json(&call(&[(memory, "16")])?.expect_code(1)?)?;
    let remedy = result["recovery_suggestion"].to_string();
    ensure!(
        remedy.contains("tool.max_memory_mb leaves nmap 16 of its profile's 512 MiB"),
        "a tool that can't be loaded doesn't say why: {result:#}"
    );
    ensure!(!remedy.contains(files), "its descriptors were not cut");
    let refused = call(&[(memory, "15")])?.expect_code(2)?;
    ensure!(refused.stderr.contains(memory), "{}", refused.stderr);
    Ok(())
}

#[test]
fn prints_a_table_for_people() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let args = ["run", "nmap", "10.66.0.10", "--", "-p", "80,81"];
    let ended = mantlet(&lab, &args, ONE)?.expect_code(0)?;
    for expected in ["10.66.0.10", "80", "open", "http"] {
        ensure!(
            ended.stdout.contains(expected),
            "{expected} is missing: {}",
            ended.stdout
        );
    }
    ensure!(
        !ended.stdout.contains("<?xml"),
        "the machine's form is for machines"
    );
    ensure!(
        !ended.stdout.contains('\u{1b}'),
        "no escapes without a terminal"
    );
    Ok(())
}

#[test]
fn resolves_a_name_once_and_aims_at_the_address() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Dns])? else {
        return Ok(());
    };
    let args = [
        "run",
        "nmap",
        "web.lab.internal",
        "--json",
        "--",
        "-p",
        "80",
    ];
    let result = json(&mantlet(&lab, &args, ONE)?.expect_code(0)?)?;
    let ran = result["argv"].to_string();
    ensure!(
        ran.contains("10.66.0.10") && !ran.contains("web.lab.internal"),
        "{ran}"
    );
    let targets = result["targets"].to_string();
    ensure!(
        targets.contains("web.lab.internal") && targets.contains("10.66.0.10"),
        "{targets}"
    );
    Ok(())
}

/// Calls that are refused before anything runs.
#[rustfmt::skip]
const REFUSED: [(&str, &[&str], &str, &str); 12] = [
    // target               arguments         error_type           why
    ("192.0.2.1",            &[],              "validation_error",  "outside every allowed network"),
    ("10.66.1.1",            &[],              "validation_error",  "private, but not this lab"),
    ("10.66.0.0/8",          &[],              "validation_error",  "a network wider than the scope"),
    ("169.254.169.254",      &[],              "validation_error",  "the metadata service, never"),
    ("10.66.0.1-5",          &[],              "validation_error",  "octet ranges are nmap's, not ours"),
    ("010.66.0.10",          &[],              "validation_error",  "a leading zero means octal to some"),
    ("outside.lab.internal", &[],              "validation_error",  "a lab name for a public address"),
    ("mixed.lab.internal",   &[],              "validation_error",  "one of its addresses is outside"),
    ("10.66.0.10",           &["-iL", "x"],    "validation_error",  "reads targets from a file"),
    ("10.66.0.10",           &["-oN", "/x"],   "validation_error",  "writes a file"),
    ("10.66.0.10",           &["10.66.0.20"],  "validation_error",  "a second target"),
    ("10.66.0.10",           &["-A"],          "permission_denied", "intrusive, and the policy says no"),
];

#[test]
fn refuses_with_rule_offending_part_and_remedy() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Dns])? else {
        return Ok(());
    };
    for (target, extra, kind, why) in REFUSED {
        let args: Vec<&str> = ["run", "nmap", "--json", target, "--"]
            .iter()
            .chain(extra)
            .copied()
            .collect();
        let ended = mantlet(&lab, &args, ONE)?;
        ensure!(ended.code == 3, "{target} {extra:?} ({why}): {ended:?}");
        let result = json(&ended)?;
        ensure!(
            result["error_type"] == kind,
            "{target} {extra:?} ({why}): {result:#}"
        );
        for field in [
            "message",
            "recovery_suggestion",
            "timestamp",
            "tool_name",
            "target",
        ] {
            let given = result[field].as_str().is_some_and(|text| !text.is_empty());
            ensure!(given, "{field} of {target} {extra:?} ({why}): {result:#}");
        }
        for field in ["rule", "offending"] {
            let given = result["metadata"][field]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            ensure!(given, "{field} of {target} {extra:?} ({why}): {result:#}");
        }
        ensure!(
            result["sandbox"].is_null(),
            "nothing may have run: {result:#}"
        );
    }
    Ok(())
}

#[test]
fn exit_codes_are_the_documented_ones() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    let cases: [(&[&str], i32, &str); 9] = [
        (&["run", "nmap", "10.66.0.10", "--", "-p", "80"], 0, "done"),
        (&["run", "ping", "10.66.0.10", "--", "-c", "1"], 0, "done"),
        (
            &["run", "ping", "10.66.0.66", "--", "-c", "1", "-W", "1"],
            1,
            "no answer",
        ),
        (&["run", "nmap"], 2, "no target"),
        (
            &["run", "nmap", "10.66.0.10", "--timeout", "0"],
            2,
            "out of range",
        ),
        (&["run", "nmap", "192.0.2.1"], 3, "outside the scope"),
        (&["run", "nmapp", "10.66.0.10"], 3, "no such tool"),
        (
            &["run", "nmap", "10.66.0.10", "--template", "quik"],
            3,
            "no such template",
        ),
        (
            &[
                "run",
                "ping",
                "10.66.0.66",
                "--timeout",
                "1",
                "--",
                "-c",
                "20",
            ],
            124,
            "time is up",
        ),
    ];
    for (args, code, why) in cases {
        let ended = mantlet(&lab, args, ONE)?;
        ensure!(ended.code == code, "{args:?} ({why}): {ended:?}");
    }
    let text = config::system(&lab.dir().join("nobody-listens.sock"), "");
    let file = lab.file("system.toml", &text)?;
    let args = ["run", "nmap", "10.66.0.10"];
    let ended = run(&mut lab.mantlet_with(&file, &args), ONE)?;
    ensure!(ended.code == 4, "no executor: {ended:?}");
    Ok(())
}

#[test]
fn a_signal_cancels_and_leaves_no_tool() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let args = ["run", "nmap", "10.66.0.66", "--json", "--", "-p", "1-1000"];
        let running = Running::start(&mut lab.mantlet(&args)?)?;
        wait::until_true("nmap", ONE, || {
            lab.tools("/usr/bin/nmap").is_ok_and(|t| !t.is_empty())
        })?;
        running.signal(signal)?;
        let ended = running.wait(Duration::from_secs(10))?.expect_code(130)?;
        ensure!(json(&ended)?["error_type"] == "cancelled", "{ended:?}");
        ensure!(
            lab.tools("/usr/bin/nmap")?.is_empty(),
            "nmap outlived {signal}"
        );
    }
    Ok(())
}

#[test]
fn an_unknown_word_is_answered_with_the_nearest() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let cases: [(&[&str], &str); 3] = [
        (&["run", "nmpa", "10.66.0.10"], "nmap"),
        (
            &["run", "nmap", "10.66.0.10", "--template", "quik"],
            "quick",
        ),
        (&["run", "nmap", "10.66.0.10", "--", "-sS"], "-sT"),
    ];
    for (args, nearest) in cases {
        let ended = mantlet(&lab, args, ONE)?.expect_code(3)?;
        ensure!(ended.stderr.contains(nearest), "{args:?}: {}", ended.stderr);
    }
    Ok(())
}
