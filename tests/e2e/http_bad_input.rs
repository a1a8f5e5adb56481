//! Bad input over HTTP: each is refused with a reason, and starts nothing.
//!
//! What it is not: HTTP that is out of shape, which is in `http_bytes`, or too
//! much of anything, which is in `http_hoards`.

use std::fs;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, ensure};
use harness::HttpService;
use harness::http_service::{Answer, Prepared, parse};
use serde_json::json;

const CLOSE: &str = "Connection: close\r\n";
/// What a client of MCP without sessions has to send.
const MCP: &str = "Connection: close\r\nAccept: application/json, text/event-stream\r\n";
const EXECUTE: &str = "POST /tools/ping/execute";

/// A service that keeps an audit log.
fn start() -> Result<HttpService<'static>> {
    let place = Prepared::new()?;
    let log = place.dir().join("tmp/audit.jsonl");
    place.start(&format!("[audit]\nfile = \"{}\"\n", log.display()))
}

/// Fails where anything was run, or was about to.
fn nothing_ran(service: &HttpService<'_>) -> Result<()> {
    let text = fs::read_to_string(service.place.dir().join("tmp/audit.jsonl"))?;
    ensure!(!text.contains("\"kind\":\"intent\""), "{text}");
    ensure!(text.contains("\"kind\":\"started\""), "{text}");
    let log = service.log();
    ensure!(!log.contains("panick"), "{log}");
    Ok(())
}

/// The answer to one request with any bytes as its body.
fn ask(
    service: &HttpService<'_>,
    token: &str,
    line: &str,
    more: &str,
    body: &[u8],
) -> Result<Answer> {
    let (host, length) = (service.address()?, body.len());
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n{more}\r\n"
    );
    let text = service.raw(&[head.as_bytes(), body].concat())?;
    parse(&text).with_context(|| format!("{line} {more:?}: {text:?}"))
}

fn nested(open: &str, close: &str) -> Vec<u8> {
    let (open, close) = (open.repeat(10_000), close.repeat(10_000));
    format!("{{\"target\":\"10.66.0.10\",\"x\":{open}1{close}}}").into_bytes()
}

#[test]
fn a_body_that_is_no_call_is_refused_with_its_reason() -> Result<()> {
    let service = start()?;
    let admin = service.admin()?;
    let with = |rest: &str| format!("{{\"target\":\"10.66.0.10\"{rest}").into_bytes();
    let target = |value: &str| format!("{{\"target\":{value}}}").into_bytes();
    let utf16: Vec<u8> = "{\"target\":\"10.66.0.10\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "nothing"),
        (b"{".to_vec(), "a beginning"),
        (b"[]".to_vec(), "an array"),
        (b"null".to_vec(), "null"),
        (b"\"10.66.0.10\"".to_vec(), "a text"),
        (b"target=10.66.0.10".to_vec(), "a form"),
        (b"{}".to_vec(), "no target"),
        (target("1"), "a number for a text"),
        (target("[\"10.66.0.10\"]"), "an array for a text"),
        (target("{\"$ne\":null}"), "an object for a text"),
        (target("\"\\ud800\""), "half a surrogate pair"),
        (
            target("\"\\udc00\\ud800\""),
            "surrogates in the wrong order",
        ),
        (target("\"10.66.0.10\\u0000\""), "NUL"),
        (target("\"10.66.0.10\\n-f\""), "a line's end"),
        (target("\"-f\""), "a flag"),
        (target("\"../../etc/passwd\""), "a path"),
        (
            target(&format!("\"{}\"", "a".repeat(60_000))),
            "a long name",
        ),
        (target(&"9".repeat(60_000)), "a long number"),
        (target("1e999999999"), "a number beyond all bounds"),
        (b"{\"target\":\"10.66.0.\xff\"}".to_vec(), "not UTF-8"),
        (
            b"{\"target\":\"\xed\xa0\x80\"}".to_vec(),
            "a surrogate in UTF-8",
        ),
        (
            b"{\"target\":\"10.66.0.10\x01\"}".to_vec(),
            "a bare control",
        ),
        (utf16, "UTF-16"),
        (with(",\"target\":\"10.66.0.10\"}"), "a field twice"),
        (
            with(",\"t\\u0061rget\":\"10.66.0.20\"}"),
            "twice, spelt otherwise",
        ),
        (with(",\"cmd\":\"id\"}"), "an unknown field"),
        (with(",\"__proto__\":{\"x\":1}}"), "an unknown object"),
        (with(",\"timeout_sec\":-1}"), "a negative time"),
        (with(",\"timeout_sec\":0}"), "no time"),
        (with(",\"timeout_sec\":1.5}"), "a broken number"),
        (with(",\"timeout_sec\":\"5\"}"), "a text for a number"),
        (with(",\"timeout_sec\":1e400}"), "no number"),
        (
            with(",\"timeout_sec\":18446744073709551616}"),
            "a number too large",
        ),
        (with(",\"timeout_sec\":NaN}"), "NaN"),
        (
            with(",\"extra_args\":[\"-c\",\"1\"]}"),
            "an array for arguments",
        ),
        (with(",\"extra_args\":\"-c 1; id\"}"), "a shell's"),
        (with(",\"template\":\"../../x\"}"), "a path as template"),
        (
            with(",\"correlation_id\":\"a\\nb\"}"),
            "a line's end in an id",
        ),
        (
            with(&format!(",\"correlation_id\":\"{}\"}}", "a".repeat(500))),
            "a long id",
        ),
        (with("} {}"), "two documents"),
        (with("}\0"), "a NUL behind"),
        (nested("[", "]"), "deep arrays"),
        (nested("{\"x\":", "}"), "deep objects"),
        (b"[".repeat(60_000), "arrays without end"),
    ];
    for (body, why) in cases {
        let more = format!("Content-Type: application/json\r\n{CLOSE}");
        let answer = ask(&service, &admin, EXECUTE, &more, &body)?;
        let problem = answer.expect(400).context(why)?.json()?;
        ensure!(
            problem["error_type"] == "validation_error",
            "{why}: {problem}"
        );
    }
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: \r\n"] {
        let more = format!("{kind}{CLOSE}");
        let body = b"{\"target\":\"10.66.0.10\"}";
        let answer = ask(&service, &admin, EXECUTE, &more, body)?;
        answer.expect(415).context(kind)?;
    }
    nothing_ran(&service)
}

#[test]
fn paths_lead_nowhere_else() -> Result<()> {
    let service = start()?;
    let (admin, read) = (service.admin()?, service.token("read")?);
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    let cases = [
        // method, path, status, why
        ("GET", "/runs/..%2f..", 404, "up, encoded"),
        (
            "GET",
            "/runs/..%2f..%2f..%2fetc%2fpasswd",
            404,
            "a file, encoded",
        ),
        ("GET", "/runs/%2e%2e/%2e%2e/etc/passwd", 404, "a file"),
        ("GET", "/runs/../runs", 404, "up and down"),
        ("GET", "/runs/%00", 404, "NUL"),
        ("GET", "/runs/%0d%0aX:%20y", 404, "a header"),
        ("GET", "/runs/%ff", 400, "no text"),
        ("GET", "/runs/%", 404, "half an escape"),
        ("GET", "/runs/' OR 1=1", 400, "a space in a path"),
        ("GET", "/runs/'%20OR%201=1--", 404, "a statement"),
        (
            "GET",
            "/runs/..%2f../stdout",
            404,
            "output of what is no run",
        ),
        ("DELETE", "/runs/..%2f..", 404, "an end for what is no run"),
        ("DELETE", "/runs/%00", 404, "an end for NUL"),
        ("GET", "/runs?limit=0", 400, "too few"),
        ("GET", "/runs?limit=101", 400, "too many"),
        ("GET", "/runs?limit=-1", 400, "negative"),
        ("GET", "/runs?limit=1&limit=2", 400, "twice"),
        ("GET", "/runs?nope=1", 400, "an unknown question"),
        ("GET", "/runs?state=x", 400, "no such state"),
        ("GET", "/runs?cursor=..%2f..", 400, "a cursor of nobody's"),
        ("GET", "/tools/../config", 404, "another route"),
        ("GET", "/tools/..%2fconfig", 404, "another route, encoded"),
        ("GET", "/tools//ping", 404, "nothing between"),
        ("GET", "/tools/%00", 404, "NUL"),
        ("GET", "/tools/%ff", 400, "no text"),
        (
            "POST",
            "/tools/..%2f..%2fbin%2fsh/execute",
            404,
            "a program",
        ),
        ("POST", "/tools/..%2f..%2fbin%2fsh/enable", 404, "a program"),
        ("POST", "/tools/ping%00/execute", 404, "NUL behind a name"),
        ("POST", "/tools/PING/execute", 404, "another case"),
        ("POST", "/tools/ping/execute/", 404, "a slash behind"),
        (
            "POST",
            "/tools/ping/../nmap/execute",
            404,
            "through another",
        ),
        ("GET", "/tools/ping/execute", 405, "no such method"),
        ("BREW", "/tools", 405, "no such method anywhere"),
    ];
    let more = format!("Content-Type: application/json\r\n{CLOSE}");
    for (method, path, status, why) in cases {
        let line = format!("{method} {path}");
        let body = b"{\"target\":\"10.66.0.10\"}";
        let answer = ask(&service, &admin, &line, &more, body)?;
        // hyper itself refuses what is no request line, without a body.
        if why != "a space in a path" {
            answer.clone().expect(status).context(line.clone())?;
        }
        ensure!(answer.status == status, "{why}: {line}: {answer:?}");
        ensure!(!answer.body.contains("root:"), "{why}: {answer:?}");
        // Nothing is reached by a detour that is closed to this role.
        let answer = ask(&service, &read, &line, &more, body)?;
        ensure!((400..500).contains(&answer.status), "{why}: {answer:?}");
    }
    for query in ["offset=-1", "offset=99999999999999999999", "offset=x"] {
        let line = format!("GET /runs/{nobody}/stdout?{query}");
        ask(&service, &admin, &line, CLOSE, b"")?.expect(400)?;
    }
    nothing_ran(&service)
}

/// A call that is well formed.
fn good() -> String {
    let order = json!({"target": "10.66.0.10", "extra_args": "-c 1"});
    let params = json!({"name": "ping", "arguments": order});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

/// A problem, or an error in the protocol's own words.
fn says_why(answer: &Answer) -> Result<()> {
    let json = answer.json().with_context(|| format!("{answer:?}"))?;
    let kind = answer.header("content-type").unwrap_or_default();
    let is_problem = kind == "application/problem+json"
        && json["status"] == answer.status
        && json["detail"]
            .as_str()
            .is_some_and(|detail| detail.len() > 10)
        && json["recovery_suggestion"].is_string();
    let is_error = kind == "application/json" && json["error"]["code"].is_i64();
    ensure!(is_problem || is_error, "{answer:?}");
    Ok(())
}

#[test]
fn mcp_refuses_what_is_no_message() -> Result<()> {
    let service = start()?;
    let admin = service.admin()?;
    let (call, more) = (good(), format!("Content-Type: application/json\r\n{MCP}"));
    let message = |rest: &str| format!("{{\"jsonrpc\":\"2.0\",{rest}}}").into_bytes();
    let params = nested("[", "]");
    let params = String::from_utf8_lossy(&params);
    let cases: [(Vec<u8>, &str); 14] = [
        (format!("[{call},{call}]").into_bytes(), "a batch"),
        (b"[]".to_vec(), "an empty batch"),
        (Vec::new(), "nothing"),
        (b"{".to_vec(), "a beginning"),
        (b"null".to_vec(), "null"),
        (b"{}".to_vec(), "an object of nothing"),
        (
            message(&format!("\"id\":1,\"method\":\"ping\",\"params\":{params}")),
            "deep",
        ),
        ((call.clone() + &" ".repeat(70 * 1024)).into_bytes(), "long"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(),
            "not UTF-8",
        ),
        (message("\"id\":1,\"method\":\"\\ud800\""), "half a pair"),
        (
            message("\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\""),
            "a version twice",
        ),
        (message("\"id\":{},\"method\":\"ping\""), "an object as id"),
        (message("\"id\":1,\"method\":1"), "a number as method"),
        (call.into_bytes(), "a call without a session"),
    ];
    for (body, why) in cases {
        let answer = ask(&service, &admin, "POST /mcp", &more, &body).context(why)?;
        ensure!((400..500).contains(&answer.status), "{why}: {answer:?}");
        says_why(&answer).context(why)?;
    }
    nothing_ran(&service)
}

#[test]
fn mcp_refuses_headers_that_do_not_fit() -> Result<()> {
    let service = start()?;
    let admin = service.admin()?;
    let call = good();
    let (kind, accept) = (
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
    );
    let other = "Mcp-Method: tools/call\r\nMcp-Name: nmap\r\nMCP-Protocol-Version: 2026-07-28";
    let cases: [(&str, &[&str], &str); 11] = [
        ("POST", &[kind], "no Accept"),
        ("POST", &[kind, "Accept: text/html"], "a page"),
        ("POST", &[accept], "no type"),
        ("POST", &[accept, "Content-Type: text/plain"], "text"),
        (
            "POST",
            &[kind, accept, "MCP-Protocol-Version: 1999-01-01"],
            "a protocol of nobody's",
        ),
        (
            "POST",
            &[kind, accept, "MCP-Protocol-Version: 2026-07-28"],
            "headers are missing",
        ),
        (
            "POST",
            &[kind, accept, other],
            "a header that says another tool",
        ),
        (
            "POST",
            &[kind, accept, "Mcp-Session-Id: ../../x"],
            "a made-up session",
        ),
        ("GET", &[kind, accept], "a stream of no session"),
        ("DELETE", &[kind, accept], "an end of no session"),
        ("PUT", &[kind, accept], "a method of nobody's"),
    ];
    for (method, headers, why) in cases {
        let (line, more) = (format!("{method} /mcp"), headers.join("\r\n"));
        let more = format!("{more}\r\n{CLOSE}");
        let answer = ask(&service, &admin, &line, &more, call.as_bytes()).context(why)?;
        ensure!((400..500).contains(&answer.status), "{why}: {answer:?}");
        says_why(&answer).context(why)?;
    }
    nothing_ran(&service)
}

#[test]
fn mcp_refuses_calls_that_are_none() -> Result<()> {
    let service = start()?;
    let admin = service.admin()?;
    let cases = [
        (json!({}), "no target"),
        (json!({"target": 1}), "a number for a text"),
        (json!({"target": ["10.66.0.10"]}), "an array for a text"),
        (
            json!({"target": "10.66.0.10", "cmd": "id"}),
            "an unknown field",
        ),
        (
            json!({"target": "10.66.0.10", "timeout_sec": -1}),
            "a negative time",
        ),
        (
            json!({"target": "10.66.0.10", "extra_args": {}}),
            "an object for a text",
        ),
        (json!({"target": "10.66.0.10\n"}), "a line's end"),
        (json!({"target": "a".repeat(60_000)}), "a long name"),
    ];
    for (arguments, why) in cases {
        let params = json!({"name": "ping", "arguments": arguments});
        let request = service.mcp(&admin, "tools/call", params)?;
        let request = String::from_utf8(request)?;
        let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        let answer = parse(&service.raw(request.as_bytes())?)?.json()?;
        let error = &answer["result"]["structuredContent"];
        let refused = error["error_type"] == "validation_error"
            && error["recovery_suggestion"].is_string()
            || answer["error"]["message"].is_string();
        ensure!(refused, "{why}: {answer}");
    }
    for tool in ["../../bin/sh", "ping\0", "", "NMAP"] {
        let params = json!({"name": tool, "arguments": {"target": "10.66.0.10"}});
        let request = String::from_utf8(service.mcp(&admin, "tools/call", params)?)?;
        let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        let text = service.raw(request.as_bytes())?;
        ensure!(
            text.contains("error") || text.starts_with("HTTP/1.1 4"),
            "{tool:?}: {text}"
        );
    }
    nothing_ran(&service)
}

#[test]
fn a_token_revoked_counts_no_more_on_a_connection_that_it_opened() -> Result<()> {
    let service = start()?;
    let token = service.token("read")?;
    let request = service.request(&token, "GET /tools", "", "")?;
    let mut stream = service.connect()?;
    let mut status = || -> Result<String> {
        stream.write_all(&request)?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        let mut rest = vec![0; 64 * 1024];
        // Small answers come at once over loopback.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let _count = stream.read(&mut rest)?;
        Ok(String::from_utf8_lossy(&start).into_owned())
    };
    ensure!(status()? == "HTTP/1.1 200");
    let id = token.split('_').nth(1).context("an id")?;
    service.place.token(&["revoke", id])?;
    ensure!(status()? == "HTTP/1.1 401", "it still counts");
    Ok(())
}
