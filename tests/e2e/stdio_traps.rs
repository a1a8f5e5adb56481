//! What a careless or hostile client does to `mantlet stdio`.
//!
//! What it is not: a run; most of these never reach a tool.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::lab::Host;
use harness::stdio_client::{Era, PROMPT, SCAN};
use harness::{Lab, Running, StdioClient, processes, wait};
use serde_json::{Value, json};

fn is_alive(client: &mut StdioClient) -> Result<()> {
    let id = client.request("tools/list", json!({}))?;
    let tools = client.result(id, PROMPT)?;
    ensure!(
        tools["tools"]
            .as_array()
            .is_some_and(|tools| !tools.is_empty()),
        "{tools}"
    );
    Ok(())
}

fn start(lab: &Lab) -> Result<StdioClient> {
    StdioClient::start(&mut lab.mantlet(&["stdio"])?, Era::Legacy)
}

#[test]
fn garbage_is_answered_and_survived() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut client = start(&lab)?;
    let lines: [&[u8]; 9] = [
        b"this is no JSON",
        b"{\"jsonrpc\":\"2.0\",\"id\":900",
        b"[]",
        b"42",
        b"{\"jsonrpc\":\"1.0\",\"id\":901,\"method\":\"tools/list\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":902}",
        b"\xff\xfe\x00\x01",
        b"{\"jsonrpc\":\"2.0\",\"id\":903,\"method\":17}",
        b"",
    ];
    for line in lines {
        client.send_line(line)?;
    }
    let is_error = |message: &Value| message.get("error").is_some() && message["id"].is_null();
    for _ in 0..3 {
        client.message("error without an id", PROMPT, is_error)?;
    }
    is_alive(&mut client)?;
    // Nesting that would overflow a recursive reader's stack.
    client.send_line("[".repeat(100_000).as_bytes())?;
    is_alive(&mut client)
}

#[test]
fn unknown_methods_and_tools_are_errors() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut client = start(&lab)?;
    let id = client.request("tools/destroy", json!({}))?;
    ensure!(client.error_code(id, PROMPT)? == -32601, "method not found");
    let id = client.call("nmapp", &json!({"target": "10.66.0.10"}))?;
    let answer = client.answer(id, PROMPT)?;
    ensure!(
        answer.to_string().contains("nmap"),
        "the nearest is named: {answer}"
    );
    let id = client.request(
        "tools/call",
        json!({"name": "nmap", "arguments": "10.66.0.10"}),
    )?;
    let answer = client.answer(id, PROMPT)?;
    let is_error =
        answer.get("error").is_some() || answer.pointer("/result/isError") == Some(&json!(true));
    ensure!(is_error, "arguments must be an object: {answer}");
    is_alive(&mut client)
}

#[test]
fn an_over_long_line_is_answered_and_skipped() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut client = start(&lab)?;
    let pid = client.server().pid();
    let before = processes::status_number(pid, "VmHWM:")?;
    let mut line = b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"".to_vec();
    line.resize(32 * 1024 * 1024, b'x');
    client.send_line(&line)?;
    let is_error = |message: &Value| message.get("error").is_some();
    client.message("an error for the line", PROMPT, is_error)?;
    is_alive(&mut client)?;
    let grown_kib = processes::status_number(pid, "VmHWM:")?.saturating_sub(before);
    ensure!(
        grown_kib < 8 * 1024,
        "a line of 32 MiB took {grown_kib} KiB"
    );
    Ok(())
}

#[test]
fn a_duplicate_id_in_flight_is_refused_and_loses_no_answer() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    let mut client = start(&lab)?;
    let call = |ports: &str| json!({"name": "nmap", "arguments": {"target": "10.66.0.10", "extra_args": format!("-p {ports}")}});
    client.request_as(500, "tools/call", call("80"))?;
    client.request_as(500, "tools/call", call("8080"))?;
    let both = [client.answer(500, SCAN)?, client.answer(500, SCAN)?];
    let results = both
        .iter()
        .filter(|answer| answer.get("result").is_some())
        .count();
    let errors = both
        .iter()
        .filter(|answer| answer.get("error").is_some())
        .count();
    ensure!((results, errors) == (1, 1), "{both:?}");
    let result = both
        .iter()
        .find_map(|answer| answer.get("result"))
        .context("a result")?;
    let port = result.pointer("/structuredContent/structured/hosts/0/ports/0/number");
    ensure!(
        port == Some(&json!(80)),
        "the first call is the one that ran: {result}"
    );
    client.request_as(500, "tools/call", call("8080"))?;
    let again = client.answer(500, SCAN)?;
    ensure!(
        again.get("result").is_some(),
        "an answered id may be used again: {again}"
    );
    Ok(())
}

#[test]
fn requests_sent_before_the_end_of_input_are_answered() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let mut client = start(&lab)?;
    let id = client.call(
        "nmap",
        &json!({"target": "10.66.0.10", "extra_args": "-p 80"}),
    )?;
    client.close();
    let (is_error, result) = client.structured(id, SCAN)?;
    ensure!(!is_error, "{result:#}");
    let ended = client.finish(Duration::from_secs(5))?;
    ended.expect_code(0)?;
    Ok(())
}

#[test]
fn the_end_of_input_ends_an_idle_server_at_once() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut client = start(&lab)?;
    is_alive(&mut client)?;
    let pid = client.server().pid();
    client.close();
    let begun = std::time::Instant::now();
    client.finish(Duration::from_secs(5))?.expect_code(0)?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(1), "it took {took:?}");
    ensure!(
        processes::descendants(pid)?.is_empty(),
        "the executor goes with it"
    );
    Ok(())
}

#[test]
fn a_long_run_ends_soon_after_the_end_of_input() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut client = start(&lab)?;
    client.call(
        "nmap",
        &json!({"target": "10.66.0.66", "extra_args": "-p 1-1000"}),
    )?;
    let nmap = || lab.tools("/usr/bin/nmap").map_or(0, |tools| tools.len());
    wait::until_true("nmap", SCAN, || nmap() == 1)?;
    client.finish(Duration::from_secs(20))?.expect_code(0)?;
    ensure!(nmap() == 0, "nmap outlived the server");
    Ok(())
}

#[test]
fn standard_output_carries_nothing_but_the_protocol() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let mut command = lab.mantlet(&["stdio"])?;
    command.env("LOG_LEVEL", "trace").env("RUST_BACKTRACE", "1");
    let (running, mut stdin, mut stdout) = Running::start_talking(&mut command)?;
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nmap",
        "arguments": {"target": "10.66.0.10", "extra_args": "-p 80"}, "_meta": meta}});
    stdin.write_all(format!("nonsense\n{call}\n").as_bytes())?;
    drop(stdin);
    let mut output = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut output)?;
    let ended = running.wait(SCAN)?.expect_code(0)?;
    ensure!(output.lines().count() >= 2, "{output}");
    for line in output.lines() {
        let message: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(message["jsonrpc"] == "2.0", "{line}");
    }
    ensure!(!ended.stderr.is_empty(), "the logs go to standard error");
    Ok(())
}

#[test]
fn a_client_that_reads_nothing_costs_bounded_memory() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut command = lab.mantlet(&["stdio"])?;
    let (server, stdin, stdout) = Running::start_talking(&mut command)?;
    let pid = server.pid();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    // The writer blocks once the server stops reading, which is the point.
    let writer = std::thread::spawn(move || {
        let mut stdin = stdin;
        for id in 0..20_000 {
            let list = json!({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {"_meta": meta}});
            if stdin.write_all(format!("{list}\n").as_bytes()).is_err() {
                break;
            }
        }
    });
    std::thread::sleep(Duration::from_secs(3));
    let peak_kib = processes::status_number(pid, "VmHWM:")?;
    drop(stdout);
    drop(server);
    writer.join().ok().context("the writer")?;
    ensure!(peak_kib < 64 * 1024, "unread answers took {peak_kib} KiB");
    Ok(())
}
