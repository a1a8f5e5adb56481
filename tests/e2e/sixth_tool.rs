//! A sixth tool: one file in `/etc/mantlet/tools.d`, and no code.
//!
//! What it is not: a test of the loader's mistakes; its own tests do that.
//!
//! Invariants: the client host has a copy of `/etc` to itself, so that nothing
//! is written to the machine's own.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::lab::Host;
use harness::running::{Ended, run};
use harness::stdio_client::Era;
use harness::{Lab, StdioClient};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);
const PROFILE: &str = include_str!("tracepath.toml");

/// A lab whose client has the profile installed where administrators put it.
fn lab_with_a_sixth_tool() -> Result<Option<Lab>> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(None);
    };
    let profile = lab.file("tracepath.toml", PROFILE)?;
    let etc = lab.dir().join("etc");
    lab.client().script(&format!(
        "mkdir {etc}; mount -t tmpfs -o mode=755 etc {etc}; cp -a /etc/. {etc}/
         mkdir -p {etc}/mantlet/tools.d; cp {profile} {etc}/mantlet/tools.d/tracepath.toml
         chmod 644 {etc}/mantlet/tools.d/tracepath.toml; mount --bind {etc} /etc",
        etc = etc.display(),
        profile = profile.display(),
    ))?;
    Ok(Some(lab))
}

fn mantlet(lab: &Lab, args: &[&str]) -> Result<Ended> {
    run(&mut lab.mantlet(args)?, BOUND)
}

#[test]
fn a_sixth_tool_is_one_file_and_no_code() -> Result<()> {
    let Some(lab) = lab_with_a_sixth_tool()? else {
        return Ok(());
    };
    let listed = mantlet(&lab, &["tools"])?.expect_code(0)?;
    for tool in ["curl - ", "dig - ", "nmap - ", "ping - ", "tracepath - "] {
        ensure!(listed.stdout.contains(tool), "{tool}: {}", listed.stdout);
    }
    let args = ["run", "tracepath", "10.66.0.10", "--json", "--", "-m", "5"];
    let ran = mantlet(&lab, &args)?.expect_code(0)?;
    let result: Value = serde_json::from_str(&ran.stdout)?;
    ensure!(
        result["stdout"]
            .as_str()
            .is_some_and(|text| text.contains("reached")),
        "{result}"
    );
    let argv = json!(["/usr/bin/tracepath", "-n", "-m", "5", "--", "10.66.0.10"]);
    ensure!(result["argv"] == argv, "{result}");
    // Vetted and confined like the others.
    for args in [&["-p", "80"][..], &["-m", "0"], &["10.66.0.20"], &["-h"]] {
        let mut words = vec!["vet", "tracepath", "10.66.0.10", "--"];
        words.extend(args);
        mantlet(&lab, &words)?.expect_code(3)?;
    }
    mantlet(&lab, &["vet", "tracepath", "8.8.8.8"])?.expect_code(3)?;
    Ok(())
}

#[test]
fn a_sixth_tool_has_a_schema_and_runs_over_mcp() -> Result<()> {
    let Some(lab) = lab_with_a_sixth_tool()? else {
        return Ok(());
    };
    let mut client = StdioClient::start(&mut lab.mantlet(&["stdio"])?, Era::Legacy)?;
    let id = client.request("tools/list", json!({}))?;
    let list = client.result(id, BOUND)?;
    let tools = list["tools"].as_array().cloned().unwrap_or_default();
    let tool = tools.iter().find(|tool| tool["name"] == "tracepath");
    let hops = tool.map(|tool| &tool["inputSchema"]["properties"]["max_hops"]);
    ensure!(
        hops.is_some_and(|hops| hops["maximum"] == 64),
        "no typed parameter: {tools:?}"
    );
    let call = json!({ "target": "10.66.0.10", "max_hops": 5 });
    let id = client.call("tracepath", &call)?;
    let (is_error, result) = client.structured(id, BOUND)?;
    ensure!(!is_error, "{result}");
    ensure!(result["tool"] == "tracepath", "{result}");
    client.finish(BOUND)?.expect_code(0)?;
    Ok(())
}
