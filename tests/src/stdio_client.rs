//! Raw JSON-RPC over the standard input and output of `mantlet stdio`.
//!
//! What it is not: an MCP library. It sends the bytes it is told, well-formed or
//! not, in either protocol era.
//!
//! Invariants: every wait has a bound; every line of standard output is kept
//! until asked for, and a line that isn't JSON is an error at once (standard
//! output carries the protocol and nothing else).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::running::{Ended, Running};

/// Longest wait for an answer that needs no scan.
pub const PROMPT: Duration = Duration::from_secs(10);
/// Longest wait for a scan's answer.
pub const SCAN: Duration = Duration::from_mins(2);

/// The last handshake era.
pub const LEGACY: &str = "2025-11-25";
/// The stateless era.
pub const MODERN: &str = "2026-07-28";

/// Which protocol era a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Handshake first.
    Legacy,
    /// Every request carries its own metadata.
    Modern,
}

/// A client and the server that it started.
#[derive(Debug)]
pub struct StdioClient {
    server: Running,
    stdin: Option<ChildStdin>,
    lines: Receiver<Result<Value, String>>,
    kept: Vec<Value>,
    era: Era,
    next_id: u64,
}

impl StdioClient {
    /// Starts the server and shakes hands, where the era has a handshake.
    ///
    /// # Errors
    ///
    /// When the server doesn't start or answer.
    pub fn start(command: &mut Command, era: Era) -> Result<Self> {
        let mut client = Self::start_silent(command, era)?;
        if era == Era::Legacy {
            let about = json!({
                "protocolVersion": LEGACY,
                "capabilities": {},
                "clientInfo": {"name": "harness", "version": "1"},
            });
            let id = client.request("initialize", about)?;
            client.result(id, PROMPT)?;
            client.notify("notifications/initialized", &json!({}))?;
        }
        Ok(client)
    }

    /// Starts the server and says nothing.
    ///
    /// # Errors
    ///
    /// When the server doesn't start.
    pub fn start_silent(command: &mut Command, era: Era) -> Result<Self> {
        let (server, stdin, stdout) = Running::start_talking(command)?;
        Ok(Self {
            server,
            stdin: Some(stdin),
            lines: read_lines(stdout),
            kept: Vec::new(),
            era,
            next_id: 0,
        })
    }

    /// The server's process.
    #[must_use]
    pub fn server(&mut self) -> &mut Running {
        &mut self.server
    }

    /// Sends bytes and a line feed.
    ///
    /// # Errors
    ///
    /// When the server has gone.
    pub fn send_line(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input was closed")?;
        stdin.write_all(bytes)?;
        stdin.write_all(b"\n")?;
        Ok(stdin.flush()?)
    }

    /// Sends a notification.
    ///
    /// # Errors
    ///
    /// When the server has gone.
    pub fn notify(&mut self, method: &str, params: &Value) -> Result<()> {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send_line(message.to_string().as_bytes())
    }

    /// Sends a request under the next id, which it gives back.
    ///
    /// # Errors
    ///
    /// When the server has gone.
    pub fn request(&mut self, method: &str, params: Value) -> Result<u64> {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        self.request_as(id, method, params)?;
        Ok(id)
    }

    /// Sends a request under an id of the caller's choice.
    ///
    /// # Errors
    ///
    /// When the server has gone.
    pub fn request_as(&mut self, id: u64, method: &str, mut params: Value) -> Result<()> {
        if self.era == Era::Modern {
            let params = params.as_object_mut().context("parameters are an object")?;
            let meta = params.entry("_meta").or_insert_with(|| json!({}));
            let meta = meta.as_object_mut().context("_meta is an object")?;
            let key = |name: &str| format!("io.modelcontextprotocol/{name}");
            meta.insert(key("protocolVersion"), json!(MODERN));
            meta.insert(key("clientCapabilities"), json!({}));
            meta.insert(
                key("clientInfo"),
                json!({"name": "harness", "version": "1"}),
            );
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send_line(message.to_string().as_bytes())
    }

    /// Calls a tool; gives the request's id, which is its progress token too.
    ///
    /// # Errors
    ///
    /// When the server has gone.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Result<u64> {
        let meta = json!({"progressToken": self.next_id});
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        self.request("tools/call", params)
    }

    /// The next message that `wanted` accepts; others are kept.
    ///
    /// # Errors
    ///
    /// When it doesn't come in time, or standard output ends or isn't JSON.
    pub fn message(
        &mut self,
        what: &str,
        bound: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return Ok(self.kept.remove(at));
        }
        let deadline = Instant::now().checked_add(bound).context("a deadline")?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(Ok(message)) if wanted(&message) => return Ok(message),
                Ok(Ok(message)) => self.kept.push(message),
                Ok(Err(line)) => bail!("standard output carried {line:?}"),
                Err(error) => {
                    let why = match error {
                        RecvTimeoutError::Timeout => "in time",
                        RecvTimeoutError::Disconnected => "before the end of output",
                    };
                    let log = self.server.stderr_so_far();
                    bail!(
                        "no {what} {why} ({bound:?}); kept: {:?}\nlog: {log}",
                        self.kept
                    )
                }
            }
        }
    }

    /// The answer to a request, result or error.
    ///
    /// # Errors
    ///
    /// As [`StdioClient::message`].
    pub fn answer(&mut self, id: u64, bound: Duration) -> Result<Value> {
        let is_answer = |message: &Value| {
            message.get("id") == Some(&json!(id)) && message.get("method").is_none()
        };
        self.message(&format!("answer to {id}"), bound, is_answer)
    }

    /// The result of a request.
    ///
    /// # Errors
    ///
    /// When it is an error, and as [`StdioClient::message`].
    pub fn result(&mut self, id: u64, bound: Duration) -> Result<Value> {
        let answer = self.answer(id, bound)?;
        answer
            .get("result")
            .cloned()
            .with_context(|| format!("an error: {answer}"))
    }

    /// The structured content of a tool call's result, with its `isError`.
    ///
    /// # Errors
    ///
    /// As [`StdioClient::result`].
    pub fn structured(&mut self, id: u64, bound: Duration) -> Result<(bool, Value)> {
        let result = self.result(id, bound)?;
        let is_error = result
            .get("isError")
            .and_then(Value::as_bool)
            .unwrap_or_default();
        let content = result.get("structuredContent").cloned();
        Ok((
            is_error,
            content.with_context(|| format!("no structured content: {result}"))?,
        ))
    }

    /// The notifications of a method received so far.
    #[must_use]
    pub fn notifications(&self, method: &str) -> Vec<&Value> {
        let is_it = |message: &&Value| message.get("method") == Some(&json!(method));
        self.kept.iter().filter(is_it).collect()
    }

    /// Ends standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Ends standard input, unless that was done, and waits for the server's end.
    ///
    /// # Errors
    ///
    /// When it doesn't end in time.
    pub fn finish(mut self, bound: Duration) -> Result<Ended> {
        self.close();
        self.server.wait(bound)
    }

    /// Waits for the server's end with its standard input left open.
    ///
    /// # Errors
    ///
    /// When it doesn't end in time.
    pub fn wait_open(self, bound: Duration) -> Result<Ended> {
        let Self { server, stdin, .. } = self;
        let ended = server.wait(bound);
        drop(stdin);
        ended
    }

    /// Whether a line can be read as a request's error with this code.
    ///
    /// # Errors
    ///
    /// When the answer is no error.
    pub fn error_code(&mut self, id: u64, bound: Duration) -> Result<i64> {
        let answer = self.answer(id, bound)?;
        let code = answer.pointer("/error/code").and_then(Value::as_i64);
        ensure!(code.is_some(), "not an error: {answer}");
        code.context("a code")
    }
}

fn read_lines(stdout: ChildStdout) -> Receiver<Result<Value, String>> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let message = serde_json::from_str(&line).map_err(|_| line);
            if send.send(message).is_err() {
                break;
            }
        }
    });
    lines
}
