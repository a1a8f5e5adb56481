//! What the HTTP bench measures: the service, the bare libraries, the peer.
//!
//! What it is not: the measuring.
//!
//! Invariants: all of them listen on loopback, and end with this value.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use harness::crowd;
use harness::hostile::Hostile;
use harness::http_service::{PROMPT, Prepared};
use harness::python_client::Sdk;
use harness::{Binaries, HttpService, Running, wait};
use serde_json::{Value, json};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
const ACCEPT: &str = "Accept: application/json, text/event-stream\r\n";

/// All servers.
pub(crate) struct Servers {
    pub(crate) service: HttpService<'static>,
    pub(crate) bare: SocketAddr,
    /// `None` where the SDK isn't installed.
    pub(crate) peer: Option<SocketAddr>,
    /// Enough tokens for no bucket of calls to be empty.
    pub(crate) tokens: Vec<String>,
    _running: Vec<Running>,
}

impl Servers {
    pub(crate) fn start(hostile: &Hostile, tokens: usize) -> Result<Self> {
        let extra = format!(
            "[tool]\nprofiles = [\"{}\"]\n[server]\nmax_calls = 1024\nmax_connections = 4096\n",
            hostile.dir().display()
        );
        let service = Prepared::new()?.start(&extra)?;
        let tokens: Result<Vec<String>> = (0..tokens).map(|_| service.token("execute")).collect();
        let bare = Running::start(&mut Command::new(Binaries::example("bare")?))?;
        let url = wait::until("the bare server", PROMPT, || {
            let said = bare.stdout_so_far();
            said.ends_with('\n').then_some(said)
        })?;
        let address = url.trim_end().rsplit('/').next().context("an address")?;
        let address = address.parse()?;
        let mut running = vec![bare];
        let peer = Sdk::Two.interpreter()?;
        let peer = peer.map(|python| peer_at(&python)).transpose()?;
        let peer = peer.map(|(address, peer)| {
            running.push(peer);
            address
        });
        Ok(Self {
            service,
            bare: address,
            peer,
            tokens: tokens?,
            _running: running,
        })
    }

    pub(crate) fn token(&self) -> Result<&str> {
        Ok(self.tokens.first().context("a token")?)
    }
}

fn peer_at(python: &Path) -> Result<(SocketAddr, Running)> {
    // Free a moment ago; nobody else is likely to take it.
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peer.py");
    let mut command = Command::new(python);
    command
        .arg("-B")
        .arg(script)
        .arg(address.port().to_string());
    let peer = Running::start(&mut command)?;
    wait::until_true("the peer", PROMPT, || TcpStream::connect(address).is_ok())?;
    Ok((address, peer))
}

/// A request's bytes.
pub(crate) fn request(
    host: SocketAddr,
    token: &str,
    line: &str,
    more: &str,
    body: &str,
) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    (head + body).into_bytes()
}

fn message(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

/// A request of the newer era.
pub(crate) fn modern(host: SocketAddr, token: &str, method: &str) -> Vec<u8> {
    let more = format!("{ACCEPT}MCP-Protocol-Version: {MODERN}\r\nMcp-Method: {method}\r\n");
    let params = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }});
    request(host, token, "POST /mcp", &more, &message(method, &params))
}

/// A request of the older era, in a session of its own where the server gives one.
pub(crate) fn legacy(host: SocketAddr, token: &str, method: &str) -> Result<Vec<u8>> {
    let hello = json!({
        "protocolVersion": LEGACY, "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    });
    let hello = message("initialize", &hello);
    let hello = request(host, token, "POST /mcp", ACCEPT, &hello);
    let answer = once(host, hello)?;
    let session = answer.header("mcp-session-id");
    let session = session.map(|id| format!("Mcp-Session-Id: {id}\r\n"));
    let more = format!(
        "{ACCEPT}MCP-Protocol-Version: {LEGACY}\r\n{}",
        session.unwrap_or_default()
    );
    let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    once(host, request(host, token, "POST /mcp", &more, &begun))?;
    Ok(request(
        host,
        token,
        "POST /mcp",
        &more,
        &message(method, &json!({})),
    ))
}

/// One request by itself.
pub(crate) fn once(host: SocketAddr, request: Vec<u8>) -> Result<harness::http_service::Answer> {
    let connection = vec![TcpStream::connect(host)?];
    let answers = crowd::at_once(connection, &[request], PROMPT)?;
    let answer = answers.into_iter().flatten().next();
    Ok(answer.context("no answer")?.answer)
}
