//! The service's log, as whoever collects it reads it.
//!
//! What it is not: the executor's own log, which is passed on in lines of text.

use anyhow::{Context as _, Result, ensure};
use harness::stdio_client::{Era, PROMPT};
use harness::{Lab, StdioClient};
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
