//! Runs over `mantlet stdio`: results, errors, bounds, in both protocol eras.
//!
//! What it is not: the SDK's view; here the bytes are the test's own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::lab::Host;
use harness::stdio_client::{Era, PROMPT, SCAN};
use harness::{Lab, StdioClient, config, wait};
use serde_json::{Value, json};

const NMAP: &str = "/usr/bin/nmap";
/// How long a cancelled run's processes may live (RUN5).
const DEATH: Duration = Duration::from_millis(100);

fn no_nmap(lab: &Lab) -> bool {
    lab.tools(NMAP).is_ok_and(|tools| tools.is_empty())
}

fn await_nmap(lab: &Lab) -> Result<Duration> {
    wait::until_true("nmap", SCAN, || {
        lab.tools(NMAP).is_ok_and(|tools| !tools.is_empty())
    })
}

#[test]
fn errors_carry_kind_reason_and_remedy() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let cases = [
        // arguments                                        error_type          offending      why
        (
            json!({"target": "192.0.2.1"}),
            "validation_error",
            "192.0.2.1",
            "outside the scope",
        ),
        (
            json!({"target": "10.66.0.10", "extra_args": "-p 80;id"}),
            "validation_error",
            ";",
            "a shell character",
        ),
        (
            json!({"target": "10.66.0.10", "colour": "red"}),
            "validation_error",
            "colour",
            "an unknown field",
        ),
        (
            json!({"target": "10.66.0.10", "timeout_sec": 0}),
            "validation_error",
            "timeout_sec",
            "out of range",
        ),
        (
            json!({"target": "10.66.0.10", "timeout_sec": "60"}),
            "validation_error",
            "timeout_sec",
            "not a number",
        ),
        (
            json!({"target": "10.66.0.10", "template": "quik"}),
            "validation_error",
            "quik",
            "an unknown template",
        ),
        (json!({}), "validation_error", "target", "no target"),
        (
            json!({"target": "10.66.0.10", "extra_args": "-A"}),
            "permission_denied",
            "-A",
            "intrusive",
        ),
        (
            json!({"target": "10.66.0.10", "extra_args": "-sS"}),
            "permission_denied",
            "-sS",
            "needs a capability",
        ),
        (
            json!({"target": "10.66.0.10", "extra_args": "x".repeat(3000)}),
            "validation_error",
            "extra_args",
            "too long",
        ),
    ];
    for era in [Era::Legacy, Era::Modern] {
        let mut client = StdioClient::start(&mut lab.mantlet(&["stdio"])?, era)?;
        for (arguments, kind, offending, why) in &cases {
            let id = client.call("nmap", arguments)?;
            let (is_error, error) = client.structured(id, PROMPT)?;
            ensure!(is_error, "{arguments} ({why}): {error:#}");
            ensure!(
                error["error_type"] == *kind,
                "{arguments} ({why}): {error:#}"
            );
            for field in ["message", "recovery_suggestion", "timestamp"] {
                let given = error[field].as_str().is_some_and(|text| !text.is_empty());
                ensure!(given, "{field} of {arguments} ({why}): {error:#}");
            }
            ensure!(
                error["tool_name"] == "nmap",
                "{arguments} ({why}): {error:#}"
            );
            ensure!(
                error["target"].is_string(),
                "{arguments} ({why}): {error:#}"
            );
            let named = error["metadata"]["offending"].as_str().unwrap_or_default();
            ensure!(named.contains(offending), "{arguments} ({why}): {error:#}");
        }
        ensure!(no_nmap(&lab), "nothing may have run");
    }
    Ok(())
}

#[test]
fn an_oversized_network_is_answered_with_what_would_fit() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let extra = "[server]\n";
    let text =
        config::embedded(&lab.binaries().executor, extra).replace("10.66.0.0/24", "10.0.0.0/8");
    let file = lab.file("wide.toml", &text)?;
    let mut client = StdioClient::start(&mut lab.mantlet_with(&file, &["stdio"]), Era::Legacy)?;
    let id = client.call("nmap", &json!({"target": "10.66.0.0/16"}))?;
    let (is_error, error) = client.structured(id, PROMPT)?;
    ensure!(
        is_error && error["error_type"] == "validation_error",
        "{error:#}"
    );
    let facts = &error["metadata"];
    ensure!(
        facts["network_size"] == 65536 && facts["max_allowed"] == 1024,
        "{error:#}"
    );
    ensure!(
        facts["suggested_cidr"].to_string().contains("/22"),
        "{error:#}"
    );
    for field in ["example", "cidr_breakdown"] {
        ensure!(!facts[field].is_null(), "{field}: {error:#}");
    }
    Ok(())
}

#[test]
fn a_scan_reports_progress_and_its_result() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Ssh])? else {
        return Ok(());
    };
    for era in [Era::Legacy, Era::Modern] {
        let mut client = StdioClient::start(&mut lab.mantlet(&["stdio"])?, era)?;
        // Version detection waits for greetings, so this takes some seconds.
        let arguments =
            json!({"target": "10.66.0.20", "template": "version", "correlation_id": "e2e-1"});
        let id = client.call("nmap", &arguments)?;
        let (is_error, result) = client.structured(id, SCAN)?;
        ensure!(!is_error, "{result:#}");
        ensure!(result["correlation_id"] == "e2e-1", "{result:#}");
        let port = result
            .pointer("/structured/hosts/0/ports/0")
            .context("a port")?;
        ensure!(
            port["number"] == 22 && port["product"] == "OpenSSH",
            "{port:#}"
        );
        let progress = client.notifications("notifications/progress");
        let mut last = -1.0;
        for note in &progress {
            ensure!(note["params"]["progressToken"] == id, "{note}");
            let value = note["params"]["progress"].as_f64().context("a number")?;
            ensure!(value > last, "progress only grows: {progress:?}");
            last = value;
        }
    }
    Ok(())
}

#[test]
fn a_cancelled_call_leaves_no_process() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    for era in [Era::Legacy, Era::Modern] {
        let mut client = StdioClient::start(&mut lab.mantlet(&["stdio"])?, era)?;
        for _ in 0..3 {
            let id = client.call(
                "nmap",
                &json!({"target": "10.66.0.66", "extra_args": "-p 1-1000"}),
            )?;
            await_nmap(&lab)?;
            client.notify(
                "notifications/cancelled",
                &json!({"requestId": id, "reason": "test"}),
            )?;
            let died = wait::until_true("the end of nmap", SCAN, || no_nmap(&lab))?;
            ensure!(died <= DEATH, "nmap lived {died:?} after the cancellation");
        }
    }
    Ok(())
}

#[test]
fn a_client_that_vanishes_leaves_no_process() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut command = lab.mantlet(&["stdio"])?;
    let (broker, stdin, stdout) = harness::Running::start_talking(&mut command)?;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "nmap", "arguments": {"target": "10.66.0.66", "extra_args": "-p 1-1000"},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}},
    }});
    std::io::Write::write_all(&mut &stdin, format!("{call}\n").as_bytes())?;
    await_nmap(&lab)?;
    drop(stdout);
    drop(stdin);
    let died = wait::until_true("the end of nmap", SCAN, || no_nmap(&lab))?;
    ensure!(died <= DEATH, "nmap lived {died:?} after its client");
    broker.wait(Duration::from_secs(10))?;
    Ok(())
}

#[test]
fn calls_beyond_the_bound_are_told_so_and_all_are_answered() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let text = config::embedded(&lab.binaries().executor, "[server]\nmax_calls = 4\n");
    let file = lab.file("bounded.toml", &text)?;
    let mut client = StdioClient::start(&mut lab.mantlet_with(&file, &["stdio"]), Era::Legacy)?;
    let arguments = json!({"target": "10.66.0.66", "extra_args": "-p 1-1000"});
    let mut waiting = BTreeSet::new();
    for _ in 0..40 {
        waiting.insert(client.call("nmap", &arguments)?);
    }
    // Which of them get in is nobody's promise; how many is.
    while waiting.len() > 4 {
        let is_answer = |message: &Value| message.get("result").is_some();
        let answer = client.message("a refusal", SCAN, is_answer)?;
        let error = &answer["result"]["structuredContent"];
        ensure!(error["error_type"] == "resource_exhausted", "{answer:#}");
        waiting.remove(&answer["id"].as_u64().context("an id")?);
    }
    await_nmap(&lab)?;
    ensure!(
        lab.tools(NMAP)?.len() <= 1,
        "nmap's own bound is one at a time"
    );
    for id in &waiting {
        client.notify("notifications/cancelled", &json!({"requestId": id}))?;
    }
    wait::until_true("the end of nmap", SCAN, || no_nmap(&lab))?;
    let id = client.call(
        "ping",
        &json!({"target": "10.66.0.66", "extra_args": "-c 1 -W 1"}),
    )?;
    let (_, result) = client.structured(id, SCAN)?;
    ensure!(
        result["error_type"] != "resource_exhausted",
        "permits come back: {result:#}"
    );
    Ok(())
}

#[test]
fn a_summary_of_the_whole_network_fits_a_models_context() -> Result<()> {
    let Some(lab) = Lab::start(&harness::lab::ALL_HOSTS)? else {
        return Ok(());
    };
    let mut client = StdioClient::start(&mut lab.mantlet(&["stdio"])?, Era::Legacy)?;
    let begun = Instant::now();
    let arguments = json!({"target": "10.66.0.0/24", "extra_args": "-p 22,53,80,443,8080"});
    let id = client.call("nmap", &arguments)?;
    let result = client.result(id, SCAN)?;
    let content = result["content"].as_array().context("content")?;
    let texts = content.iter().filter_map(|block| block["text"].as_str());
    let characters: usize = texts.map(str::len).sum();
    // Four characters a token is the usual rule of thumb.
    ensure!(
        characters <= 2_000 * 4,
        "{characters} characters: {content:?}"
    );
    ensure!(result["isError"] != Value::Bool(true), "{result:#}");
    ensure!(
        begun.elapsed() < SCAN,
        "the scan took {:?}",
        begun.elapsed()
    );
    Ok(())
}
