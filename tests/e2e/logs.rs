//! The service's log, as whoever collects it reads it.
//!
//! What it is not: the executor's own log, which is passed on in lines of text.

use anyhow::{Context as _, Result, ensure};
use harness::lab::Host;
use harness::stdio_client::{Era, PROMPT, SCAN};
use harness::{Lab, StdioClient, config};
use serde_json::{Value, json};

#[test]
fn a_failed_call_is_one_json_line_with_run_caller_and_reason() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut command = lab.mantlet(&["stdio"])?;
    command.env("LOG_FORMAT", "json");
    let mut client = StdioClient::start(&mut command, Era::Legacy)?;
    let forged = "192.0.2.1\n{\"level\":\"ERROR\"}";
    let id = client.call(
        "nmap",
        &json!({"target": forged, "correlation_id": "ticket-7"}),
    )?;
    let (is_error, error) = client.structured(id, PROMPT)?;
    ensure!(is_error, "{error:#}");
    let log = client.finish(PROMPT)?.expect_code(0)?.stderr;
    let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
    let lines = lines.with_context(|| format!("each line is JSON: {log}"))?;
    let about = |line: &&Value| line["message"] == "call failed";
    let line = lines.iter().find(about).context("a line for the call")?;
    ensure!(line["error_type"] == "validation_error", "{line}");
    ensure!(line["target_asked"] == error["target"], "{line}");
    ensure!(line["reason"] == error["message"], "{line}");
    let span = &line["span"];
    ensure!(span["correlation_id"] == "ticket-7", "{line}");
    ensure!(
        span["tool"] == "nmap" && span["run_id"].is_string(),
        "{line}"
    );
    let caller = span["caller"].as_str().unwrap_or_default();
    ensure!(caller.starts_with("stdio:uid="), "{line}");
    Ok(())
}

#[test]
fn every_line_of_a_run_names_run_correlation_and_tool() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let text = config::embedded(
        &lab.binaries().executor,
        "[circuit_breaker]\nfailure_threshold = 1\n",
    );
    let file = lab.file("logged.toml", &text)?;
    let mut command = lab.mantlet_with(&file, &["stdio"]);
    command.env("LOG_FORMAT", "json").env("LOG_LEVEL", "debug");
    let mut client = StdioClient::start(&mut command, Era::Legacy)?;
    let calls = [
        json!({"target": "10.66.0.10", "extra_args": "-c 1", "correlation_id": "good"}),
        json!({"target": "10.66.0.99", "extra_args": "-c 9", "timeout_sec": 1, "correlation_id": "bad"}),
        json!({"target": "10.66.0.10", "correlation_id": "refused"}),
    ];
    for call in &calls {
        let id = client.call("ping", call)?;
        client.result(id, SCAN)?;
    }
    let log = client.finish(PROMPT)?.expect_code(0)?.stderr;
    let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
    let lines = lines.with_context(|| format!("each line is JSON: {log}"))?;
    let expected = [
        &["tool started", "run finished"][..],
        &["tool started", "call failed", "breaker open"],
        &["call failed"],
    ];
    for (call, expected) in calls.iter().zip(expected) {
        let correlation_id = &call["correlation_id"];
        let own = |line: &&Value| line["span"]["correlation_id"] == *correlation_id;
        let own: Vec<&Value> = lines.iter().filter(own).collect();
        for words in expected {
            let says = |line: &Value| {
                let message = line["message"].as_str().unwrap_or_default();
                message.starts_with(words)
            };
            ensure!(
                own.iter().any(|line| says(line)),
                "{words} of {correlation_id}: {log}"
            );
        }
    }
    // What isn't of a run is the start, the end, or the executor's own log.
    let of_runs = ["tool started", "run finished", "call failed", "breaker"];
    for line in &lines {
        let message = line["message"].as_str().unwrap_or_default();
        let of_run = of_runs.iter().any(|words| message.starts_with(words));
        let span = &line["span"];
        let named = ["run_id", "correlation_id", "tool"].map(|key| span[key].is_string());
        ensure!(!of_run || named == [true; 3], "{line}");
    }
    Ok(())
}
