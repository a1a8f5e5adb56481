//! MCP as the official Inspector's command line sees it, over both transports.
//!
//! What it is: what a person does first with a new server: list, then call.
//! What it is not: a judge of the protocol; `conformance` is.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::http_service::Prepared;
use harness::identity::Identity;
use harness::lab::Host;
use harness::node::Node;
use harness::running::run;
use harness::{Lab, config};
use serde_json::Value;

/// Longest session: Node starts, the server starts, nmap scans a host.
const SESSION: Duration = Duration::from_mins(2);

/// Runs the Inspector on the lab's client host; gives the JSON that it prints.
fn inspect(lab: &Lab, node: &Node, server: &[&str], method: &[&str]) -> Result<Value> {
    let mut command = lab.client().command(Identity::Root, node.program());
    command.arg(node.inspector()).arg("--cli");
    command.args(server).args(method);
    // It keeps files in its user's home.
    command.env("HOME", lab.dir());
    let ended = run(&mut command, SESSION)?.expect_code(0)?;
    serde_json::from_str(&ended.stdout).with_context(|| format!("{}{}", ended.stdout, ended.stderr))
}

fn lists_and_calls(lab: &Lab, node: &Node, server: &[&str]) -> Result<()> {
    let listed = inspect(lab, node, server, &["--method", "tools/list", "--strict"])?;
    let tools = listed["tools"].as_array().context("tools")?;
    let names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    for name in ["nmap", "ping", "dig", "curl", "traceroute"] {
        ensure!(names.contains(&name), "{name} is not in {names:?}");
    }
    let call = "tools/call --tool-name nmap --tool-arg target=10.66.0.10 template=quick";
    let call: Vec<&str> = ["--method"].into_iter().chain(call.split(' ')).collect();
    let called = inspect(lab, node, server, &call)?;
    ensure!(called["isError"] == false, "{called:#}");
    let host = &called["structuredContent"]["structured"]["hosts"][0];
    let ports = host["ports"]
        .as_array()
        .with_context(|| format!("{called:#}"))?;
    let open = |number: u64| {
        ports
            .iter()
            .any(|port| port["number"] == number && port["state"] == "open")
    };
    ensure!(open(80) && open(8080), "{called:#}");
    Ok(())
}

#[test]
fn the_inspector_lists_and_calls_over_stdio() -> Result<()> {
    let (Some(node), Some(lab)) = (Node::find()?, Lab::start(&[Host::Web])?) else {
        return Ok(());
    };
    let text = config::embedded(&lab.binaries().executor, "");
    let file = lab.file("inspector.toml", &text)?;
    // By its environment: the Inspector would take `--config` for its own.
    let file = format!("MCP_CONFIG_FILE={}", file.display());
    let mantlet = lab.binaries().mantlet.to_str().context("a path")?;
    lists_and_calls(&lab, &node, &[mantlet, "stdio", "-e", &file])
}

#[test]
fn the_inspector_lists_and_calls_over_http() -> Result<()> {
    let (Some(node), Some(lab)) = (Node::find()?, Lab::start(&[Host::Web])?) else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let url = format!("{}/mcp", service.url);
    let token = format!("Authorization: Bearer {}", service.admin()?);
    lists_and_calls(&lab, &node, &["--server-url", &url, "--header", &token])
}
