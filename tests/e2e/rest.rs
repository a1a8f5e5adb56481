//! Calls and runs over REST, as a program sees them.
//!
//! What it is not: who may make them (`http_access`), nor what the tools find.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::http_service::{Answer, Prepared};
use harness::lab::Host;
use harness::{HttpService, Lab, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const SCAN: Duration = Duration::from_mins(1);
/// A scan of the tarpit, which takes long.
const SLOW: &str = r#"{"target": "10.66.0.66", "extra_args": "-p 1-1000"}"#;

fn execute(service: &HttpService<'_>, token: &str, tool: &str, body: &str) -> Result<Answer> {
    let args = [
        "--header",
        "Content-Type: application/json",
        "--data-raw",
        body,
    ];
    service.curl(Some(token), &args, &format!("/tools/{tool}/execute"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("{name} of {value:#}"))
}

/// Sends the slow call over a connection of its own, and waits until it runs.
fn slow_call(lab: &Lab, service: &HttpService<'_>, token: &str) -> Result<std::net::TcpStream> {
    let mut stream = service.connect()?;
    let (address, length) = (service.address()?, SLOW.len());
    let request = format!(
        "POST /tools/nmap/execute HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{SLOW}"
    );
    stream.write_all(request.as_bytes())?;
    wait::until("nmap", SCAN, || lab.tools("/usr/bin/nmap").ok()?.pop())?;
    Ok(stream)
}

fn no_tool_runs(lab: &Lab, within: Duration) -> Result<()> {
    let gone = || {
        lab.tools("/usr/bin/nmap")
            .is_ok_and(|tools| tools.is_empty())
    };
    wait::until_true("the end of nmap", within, gone).map(drop)
}

#[test]
fn a_call_is_answered_with_its_result_which_is_kept_for_its_caller() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let (mine, other) = (service.token("execute")?, service.token("execute")?);
    let body = json!({"target": "10.66.0.10", "template": "quick", "correlation_id": "c-1"});
    // The reference's name for it.
    let answer = execute(&service, &mine, "NmapTool", &body.to_string())?;
    let result = answer.expect(200)?.json()?;
    ensure!(
        result["tool"] == "nmap" && result["returncode"] == 0,
        "{result:#}"
    );
    ensure!(result["correlation_id"] == "c-1", "{result:#}");
    ensure!(
        result["error"].is_null() && result["sandbox"].is_object(),
        "{result:#}"
    );
    let id = text(&result, "run_id")?;

    let run = service.curl(Some(&mine), &[], &format!("/runs/{id}"))?;
    let run = run.expect(200)?.json()?;
    ensure!(
        run["state"] == "finished" && run["run_id"] == *id,
        "{run:#}"
    );
    ensure!(run["outcome"] == result, "the same result: {run:#}");
    let mut whole = String::new();
    let total = loop {
        let path = format!("/runs/{id}/stdout?offset={}", whole.len());
        let part = service.curl(Some(&mine), &[], &path)?.expect(200)?;
        let total: usize = part.header("x-total-bytes").context("a length")?.parse()?;
        whole.push_str(&part.body);
        if part.body.is_empty() || whole.len() >= total {
            break total;
        }
    };
    ensure!(
        whole.len() == total && whole.contains("<nmaprun"),
        "{whole}"
    );
    let listed = service
        .curl(Some(&mine), &[], "/runs?tool=nmap")?
        .expect(200)?
        .json()?;
    ensure!(listed["runs"][0]["run_id"] == *id, "{listed:#}");

    for path in [format!("/runs/{id}"), format!("/runs/{id}/stdout")] {
        service.curl(Some(&other), &[], &path)?.expect(404)?;
        service
            .curl(Some(&service.admin()?), &[], &path)?
            .expect(200)?;
    }
    let path = format!("/runs/{id}");
    service
        .curl(Some(&other), &["--request", "DELETE"], &path)?
        .expect(404)?;
    for id in ["..%2f..%2fetc%2fpasswd", "%00", "'%20OR%201=1--", "x%0ay"] {
        let answer = service.curl(Some(&mine), &[], &format!("/runs/{id}"))?;
        answer.expect(404)?;
    }
    Ok(())
}

/// Tool, body, status, kind of error, and why.
const REFUSED: &[(&str, &str, u16, &str, &str)] = &[
    (
        "nmap",
        r#"{"target": "8.8.8.8"}"#,
        400,
        "validation_error",
        "out of scope",
    ),
    (
        "nmap",
        r#"{"taget": "10.66.0.10"}"#,
        400,
        "validation_error",
        "mistyped",
    ),
    (
        "nmap",
        r#"{"target": "10.66.0.10", "x": 1}"#,
        400,
        "validation_error",
        "unknown",
    ),
    (
        "nmap",
        r#"{"target": "10.66.0.10", "tool": "ping"}"#,
        400,
        "validation_error",
        "another tool",
    ),
    (
        "nmap",
        r#"{"target": 7}"#,
        400,
        "validation_error",
        "no text",
    ),
    (
        "nmap",
        r#"{"target": "a", "target": "b"}"#,
        400,
        "validation_error",
        "twice",
    ),
    (
        "nmap",
        r#"{"target": "10.66.0.10", "timeout_sec": -1}"#,
        400,
        "validation_error",
        "no time",
    ),
    (
        "nmap",
        r#"{"target": "10.66.0.10""#,
        400,
        "validation_error",
        "cut",
    ),
    ("nmap", "[]", 400, "validation_error", "no object"),
    ("nmap", "", 400, "validation_error", "nothing"),
    (
        "nmap",
        r#"{"target": "10.66.0.10", "extra_args": "; id"}"#,
        400,
        "validation_error",
        "a shell",
    ),
    (
        "nmap",
        r#"{"target": "10.66.0.10", "extra_args": "-sS"}"#,
        403,
        "permission_denied",
        "raw sockets",
    ),
    (
        "nmpa",
        r#"{"target": "10.66.0.10"}"#,
        404,
        "not_found",
        "no such tool",
    ),
    (
        "..%2fnmap",
        r#"{"target": "10.66.0.10"}"#,
        404,
        "not_found",
        "a path",
    ),
    (
        "%ff",
        r#"{"target": "10.66.0.10"}"#,
        400,
        "validation_error",
        "no text",
    ),
];

#[test]
fn what_does_not_run_is_a_problem_with_its_status() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let admin = service.admin()?;
    let deep = format!("{{\"target\": {}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let deep = ("nmap", deep.as_str(), 400, "validation_error", "deep");
    for (tool, body, status, kind, why) in REFUSED.iter().chain([&deep]) {
        let answer = execute(&service, &admin, tool, body)?;
        let answer = answer.expect(*status)?.json()?;
        ensure!(answer["error_type"] == *kind, "{why}: {answer:#}");
    }
    let plain = ["--header", "Content-Type: text/plain", "--data-raw", "{}"];
    service
        .curl(Some(&admin), &plain, "/tools/nmap/execute")?
        .expect(415)?;
    ensure!(lab.tools("/usr/bin/nmap")?.is_empty());
    Ok(())
}

#[test]
fn a_tool_switched_off_is_refused_until_it_is_on_again() -> Result<()> {
    let service = Prepared::new()?.start("")?;
    let admin = service.admin()?;
    let post = ["--request", "POST"];
    service
        .curl(Some(&admin), &post, "/tools/NmapTool/disable")?
        .expect(200)?;
    let answer = execute(&service, &admin, "nmap", r#"{"target": "10.66.0.10"}"#)?;
    let answer = answer.expect(403)?.json()?;
    ensure!(answer["error_type"] == "tool_disabled", "{answer:#}");
    let call = json!({"name": "nmap", "arguments": {"target": "10.66.0.10"}});
    let request = String::from_utf8(service.mcp(&admin, "tools/call", call)?)?;
    let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    let answer = service.raw(request.as_bytes())?;
    ensure!(answer.contains("tool_disabled"), "{answer}");
    let about = service.curl(None, &[], "/")?.expect(200)?.json()?;
    ensure!(
        about["enabled_tools"] == 4 && about["tools"] == 5,
        "{about:#}"
    );
    service
        .curl(Some(&admin), &post, "/tools/nmap/enable")?
        .expect(200)?;
    let answer = execute(&service, &admin, "nmap", r#"{"target": "8.8.8.8"}"#)?;
    answer.expect(400)?;
    Ok(())
}

#[test]
fn a_token_runs_its_own_tools_only_and_is_told_when_to_come_back() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let place = Prepared::inside(&lab)?;
    let token = place.token(&["create", "one", "--role", "execute", "--tool", "CurlTool"])?;
    let often = "[circuit_breaker]\nfailure_threshold = 1\n";
    let service = place.start(often)?;
    let body = r#"{"target": "10.66.0.10"}"#;
    let refused = execute(&service, &token, "nmap", body)?
        .expect(403)?
        .json()?;
    ensure!(refused["error_type"] == "permission_denied", "{refused:#}");
    execute(&service, &token, "curl", body)?.expect(200)?;
    let read = service.token("read")?;
    execute(&service, &read, "curl", body)?.expect(403)?;
    // One fault opens this breaker.
    let silent = r#"{"target": "10.66.0.250", "timeout_sec": 1}"#;
    let late = execute(&service, &token, "curl", silent)?
        .expect(200)?
        .json()?;
    ensure!(
        late["error_type"] == "timeout" && late["timed_out"] == true,
        "{late:#}"
    );
    let open = execute(&service, &token, "curl", body)?.expect(503)?;
    let wait: u64 = open.header("retry-after").context("a time")?.parse()?;
    ensure!((1..=60).contains(&wait), "{open:?}");
    Ok(())
}

#[test]
fn a_client_that_goes_away_cancels_its_run() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let token = service.token("execute")?;
    drop(slow_call(&lab, &service, &token)?);
    no_tool_runs(&lab, Duration::from_secs(3))?;
    let is_cancelled = || {
        let runs = service.curl(Some(&token), &[], "/runs").ok()?.json().ok()?;
        (runs["runs"][0]["state"] == "cancelled").then_some(())
    };
    wait::until("the record of it", Duration::from_secs(5), is_cancelled)?;

    let held = slow_call(&lab, &service, &token)?;
    let runs = service
        .curl(Some(&token), &[], "/runs?state=running")?
        .json()?;
    let path = format!("/runs/{}", text(&runs["runs"][0], "run_id")?);
    let early = service.curl(Some(&token), &[], &format!("{path}/stdout"))?;
    early.expect(409)?;
    let ended = service.curl(Some(&token), &["--request", "DELETE"], &path)?;
    let ended = ended.expect(200)?.json()?;
    ensure!(ended["state"] == "cancelled", "{ended:#}");
    no_tool_runs(&lab, Duration::from_secs(3))?;
    drop(held);
    Ok(())
}

#[test]
fn a_client_that_goes_away_behind_an_unread_byte_cancels_its_run() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let token = service.token("execute")?;
    let mut held = slow_call(&lab, &service, &token)?;
    // The next request's first byte, which nobody reads before this one's answer.
    std::io::Write::write_all(&mut held, b"G")?;
    std::thread::sleep(Duration::from_millis(200));
    ensure!(!lab.tools("/usr/bin/nmap")?.is_empty(), "the run goes on");
    drop(held);
    no_tool_runs(&lab, Duration::from_secs(3))
}

#[test]
fn told_to_stop_it_lets_runs_finish_and_told_again_ends_them() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut service = Prepared::inside(&lab)?.start("")?;
    let token = service.token("execute")?;
    let held = slow_call(&lab, &service, &token)?;
    service.running().signal(Signal::SIGTERM)?;
    let closed = || service.connect().is_err();
    wait::until_true("the end of accepting", Duration::from_secs(3), closed)?;
    ensure!(!lab.tools("/usr/bin/nmap")?.is_empty(), "the run goes on");
    let told = Instant::now();
    let ended = service.stop(Duration::from_secs(10))?.expect_code(0)?;
    ensure!(told.elapsed() < Duration::from_secs(8), "{ended:?}");
    no_tool_runs(&lab, Duration::from_secs(1))?;
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut &held, &mut answer)?;
    ensure!(
        answer.contains("\"cancelled\""),
        "the client is told: {answer}"
    );

    let place = Prepared::inside(&lab)?;
    let service = place.start("[server]\nshutdown_grace_period = 1\n")?;
    let token = service.token("execute")?;
    let _held = slow_call(&lab, &service, &token)?;
    service.stop(Duration::from_secs(10))?.expect_code(0)?;
    no_tool_runs(&lab, Duration::from_secs(1))
}

#[test]
fn a_run_that_nobody_waits_for_is_answered_by_its_handle_and_goes_on() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let token = service.token("execute")?;
    let ask = |body: &str| {
        let kind = "Content-Type: application/json";
        let args = [
            "--header",
            "Prefer: wait=5, respond-async",
            "--header",
            kind,
            "--data-raw",
            body,
        ];
        service.curl(Some(&token), &args, "/tools/nmap/execute")
    };
    let handle = ask(SLOW)?.expect(202)?;
    let info = handle.json()?;
    let id = text(&info, "run_id")?;
    ensure!(
        handle.header("location") == Some(&*format!("/runs/{id}")),
        "{handle:?}"
    );
    ensure!(
        handle.header("preference-applied") == Some("respond-async"),
        "{handle:?}"
    );
    let state = || -> Result<String> {
        let run = service.curl(Some(&token), &[], &format!("/runs/{id}"))?;
        Ok(text(&run.expect(200)?.json()?, "state")?.to_owned())
    };
    // Its connection is long gone.
    ensure!(
        ["queued", "running"].contains(&state()?.as_str()),
        "{info:#}"
    );
    service
        .curl(
            Some(&token),
            &["--request", "DELETE"],
            &format!("/runs/{id}"),
        )?
        .expect(200)?;
    wait::until_true("the run's end", SCAN, || {
        state().is_ok_and(|state| state == "cancelled")
    })?;
    no_tool_runs(&lab, SCAN)?;
    // What is refused is refused, whatever was preferred.
    ask(r#"{"target": "8.8.8.8"}"#)?.expect(400)?;
    Ok(())
}
