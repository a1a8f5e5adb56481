//! MCP as a client sees it: the official Python SDK, both release lines, both
//! protocol eras, both transports; and the Inspector.
//!
//! What it is not: the traps that a well-behaved client never springs; those
//! are in `stdio_traps`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use harness::http_service::Prepared;
use harness::lab::Host;
use harness::python_client::Sdk;
use harness::{HttpService, Lab, config};
use serde_json::{Value, json};

/// The server to talk to.
#[derive(Clone, Copy)]
enum Over {
    /// One that the client starts.
    Stdio,
    /// One that listens.
    Http,
}

impl Over {
    /// Longest life of a cancelled tool, in milliseconds.
    fn death_ms_max(self) -> f64 {
        match self {
            Self::Stdio => 100.0,
            // The client cancels by a request of its own, and connects for it.
            Self::Http => 500.0,
        }
    }
}

const BOTH: [Over; 2] = [Over::Stdio, Over::Http];

/// The whole story over each transport.
fn sessions(sdk: Sdk, mode: &str, protocol: &str) -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    for over in BOTH {
        session(&lab, over, sdk, mode, protocol)?;
    }
    Ok(())
}

/// The whole story: tools, a quick scan, progress, cancellation, a refusal.
fn session(lab: &Lab, over: Over, sdk: Sdk, mode: &str, protocol: &str) -> Result<()> {
    // The SDK hands on hardly any of the environment.
    let store = format!("[store]\ndirectory = \"{}\"\n", lab.state().display());
    let text = config::embedded(&lab.binaries().executor, &store);
    let config = lab.file("mantlet.toml", &text)?;
    let mantlet = lab.binaries().mantlet.to_str().context("a path")?;
    let config = config.to_str().context("a path")?;
    let mut args = vec![mode, "10.66.0.10", "10.66.0.66", "--"];
    let service = match over {
        Over::Stdio => None,
        Over::Http => Some(Prepared::inside(lab)?.start("")?),
    };
    let url = service
        .as_ref()
        .map(|service| format!("{}/mcp", service.url));
    match &url {
        None => args.extend([mantlet, "--config", config, "stdio"]),
        Some(url) => args.push(url),
    }
    let token = service
        .as_ref()
        .map(HttpService::admin)
        .transpose()?
        .unwrap_or_default();
    let Some(report) = sdk.session(lab, "session.py", &args, &token)? else {
        return Ok(());
    };

    ensure!(report["protocol"] == protocol, "{}", report["protocol"]);
    check_tools(&report)?;
    check_quick(&report["quick"])?;
    check_long(&report, over)?;
    let refused = &report["refused"];
    ensure!(refused["is_error"] == true, "{refused:#}");
    ensure!(
        refused["structured"]["error_type"] == "validation_error",
        "{refused:#}"
    );
    Ok(())
}

fn check_tools(report: &Value) -> Result<()> {
    let nmap = report.pointer("/tools/nmap").context("nmap in the list")?;
    ensure!(report.pointer("/tools/ping").is_some(), "ping in the list");
    let schema = &nmap["inputSchema"];
    ensure!(schema["additionalProperties"] == false, "{nmap:#}");
    ensure!(schema["properties"]["target"].is_object(), "{nmap:#}");
    ensure!(nmap["outputSchema"].is_object(), "{nmap:#}");
    ensure!(nmap["annotations"].is_object(), "{nmap:#}");
    Ok(())
}

fn check_quick(quick: &Value) -> Result<()> {
    ensure!(quick["is_error"] == false, "{quick:#}");
    ensure!(
        open_ports(&quick["structured"])? == BTreeSet::from([80, 8080]),
        "{quick:#}"
    );
    ensure!(
        quick["text"]
            .as_array()
            .is_some_and(|text| !text.is_empty()),
        "{quick:#}"
    );
    Ok(())
}

/// Progress, then a cancellation that leaves nothing.
fn check_long(report: &Value, over: Over) -> Result<()> {
    let progress = report["progress"].as_array().context("progress")?;
    ensure!(!progress.is_empty(), "no progress");
    ensure!(
        report["ran_before"] == true,
        "nmap ran before it was cancelled"
    );
    ensure!(
        report["left"] == json!([]),
        "nmap outlived its call: {}",
        report["left"]
    );
    let death_ms = report["death_ms"].as_f64().context("a time")?;
    ensure!(
        death_ms <= over.death_ms_max(),
        "nmap lived {death_ms} ms after the cancellation"
    );
    Ok(())
}

fn open_ports(structured: &Value) -> Result<BTreeSet<u64>> {
    let ports = structured
        .pointer("/structured/hosts/0/ports")
        .and_then(Value::as_array);
    let ports = ports.with_context(|| format!("no ports: {structured:#}"))?;
    let open = ports.iter().filter(|port| port["state"] == "open");
    Ok(open.filter_map(|port| port["number"].as_u64()).collect())
}

#[test]
fn sdk_2_speaks_the_stateless_era() -> Result<()> {
    sessions(Sdk::Two, "2026-07-28", "2026-07-28")
}

#[test]
fn sdk_2_finds_the_newest_era_by_itself() -> Result<()> {
    sessions(Sdk::Two, "auto", "2026-07-28")
}

#[test]
fn sdk_2_speaks_the_handshake_era() -> Result<()> {
    sessions(Sdk::Two, "legacy", "2025-11-25")
}

#[test]
fn sdk_1_speaks_the_handshake_era() -> Result<()> {
    sessions(Sdk::One, "one", "2025-11-25")
}
