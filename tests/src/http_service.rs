//! `mantlet serve`, started for one test, and clients of it.
//!
//! What it is: the service (or the conformance fixture, which listens as it does) on a port of its own (or where the test says), its
//! tokens made by `mantlet token`, and requests by curl or by raw bytes.
//! What it is not: an HTTP library. What curl can't be made to send is sent as
//! bytes.
//!
//! Invariants: the service is reached over loopback, inside a lab's namespace
//! where it was started in one; it and its files are gone with this value.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::identity::Identity;
use crate::running::{Ended, Running, run};
use crate::{Binaries, Lab, config, wait};

/// Longest wait for the service to listen, and for a prompt answer.
pub const PROMPT: Duration = Duration::from_secs(20);

/// The protocol version that has no sessions.
const MODERN: &str = "2026-07-28";

/// A directory for the service, prepared and not started.
#[derive(Debug)]
pub struct Prepared<'a> {
    dir: TempDir,
    binaries: Binaries,
    lab: Option<&'a Lab>,
}

/// A running service.
// NOTE: fields drop in order: the service, then its files.
#[derive(Debug)]
pub struct HttpService<'a> {
    running: Running,
    /// What it says it listens on: `http://127.0.0.1:PORT`, or `unix:PATH`.
    pub url: String,
    /// Its files and commands.
    pub place: Prepared<'a>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head as it was sent, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body, which is JSON.
    ///
    /// # Errors
    ///
    /// When it isn't.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&name))
    }

    /// Requires a status; with 400 and above also that it is a whole problem.
    ///
    /// # Errors
    ///
    /// With the whole answer, when it is another.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "{status} was expected: {self:?}");
        if status >= 400 {
            let kind = self.header("content-type");
            ensure!(kind == Some("application/problem+json"), "{self:?}");
            let problem = self.json()?;
            for member in [
                "type",
                "title",
                "detail",
                "instance",
                "error_type",
                "message",
                "recovery_suggestion",
                "timestamp",
            ] {
                let text = problem.get(member).and_then(Value::as_str);
                ensure!(
                    text.is_some_and(|text| !text.is_empty()),
                    "{member}: {self:?}"
                );
            }
            ensure!(problem.get("status") == Some(&status.into()), "{self:?}");
            ensure!(self.header("x-request-id").is_some(), "{self:?}");
        }
        Ok(self)
    }
}

impl<'a> Prepared<'a> {
    /// On this machine's loopback.
    ///
    /// # Errors
    ///
    /// When the directory can't be made, or the programs are not built.
    pub fn new() -> Result<Self> {
        Self::prepare(None)
    }

    /// On the loopback of a lab's client, which reaches the lab.
    ///
    /// # Errors
    ///
    /// As [`Prepared::new`].
    pub fn inside(lab: &'a Lab) -> Result<Self> {
        Self::prepare(Some(lab))
    }

    fn prepare(lab: Option<&'a Lab>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("mantlet-http-").tempdir()?;
        // The service gives root up, and has to get through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        let tmp = dir.path().join("tmp");
        fs::create_dir(&tmp)?;
        fs::set_permissions(&tmp, Permissions::from_mode(0o1777))?;
        let binaries = Binaries::find()?;
        Ok(Self { dir, binaries, lab })
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The state directory that it is given.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// Any program, where the service runs.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.lab.map_or_else(
            || Command::new(program),
            |lab| lab.client().command(Identity::Root, program),
        )
    }

    /// `mantlet` with its configuration: a free port unless `extra` says otherwise.
    ///
    /// # Errors
    ///
    /// When the configuration can't be written.
    pub fn mantlet(&self, extra: &str, args: &[&str]) -> Result<Command> {
        let listens = ["port =", "socket ="].iter().any(|key| extra.contains(key));
        let port = if listens { "" } else { "[server]\nport = 0\n" };
        // A test's own [server] has to be the only one.
        let extra = match extra.split_once("[server]\n") {
            Some((before, after)) if !listens => format!("{before}{port}{after}"),
            Some(_) => extra.to_owned(),
            None => format!("{port}{extra}"),
        };
        // One file for each command: the service may be told to read its own again.
        let name = args.first().copied().unwrap_or("mantlet");
        let file = self.dir().join(format!("{name}.toml"));
        fs::write(&file, config::embedded(&self.binaries.executor, &extra))?;
        let program = self.binaries.mantlet.display().to_string();
        let mut command = self.command(&program);
        command.arg("--config").arg(&file).args(args).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("TMPDIR", self.dir().join("tmp"));
        command.env("STATE_DIRECTORY", self.state());
        command.env("LOG_FORMAT", "json");
        Ok(command)
    }

    /// Runs `mantlet token` with these arguments.
    ///
    /// # Errors
    ///
    /// When it doesn't end well.
    pub fn token(&self, args: &[&str]) -> Result<String> {
        let words: Vec<&str> = ["token"].iter().chain(args).copied().collect();
        let ended = run(&mut self.mantlet("", &words)?, PROMPT)?.expect_code(0)?;
        Ok(ended.stdout.trim_end().to_owned())
    }

    /// Starts the service and waits until it listens.
    ///
    /// # Errors
    ///
    /// When it doesn't.
    pub fn start(self, extra: &str) -> Result<HttpService<'a>> {
        let mut command = self.mantlet(extra, &["serve"])?;
        self.listening(&mut command)
    }

    /// Starts the conformance fixture in place of the service.
    ///
    /// # Errors
    ///
    /// When it isn't built, or doesn't listen.
    pub fn start_fixture(self) -> Result<HttpService<'a>> {
        fs::create_dir(self.state())?;
        let program = Binaries::example("conformance")?;
        let mut command = self.command(&program.display().to_string());
        command.arg(self.state());
        self.listening(&mut command)
    }

    /// Starts the service by a command of the test's own.
    ///
    /// # Errors
    ///
    /// When it doesn't listen.
    pub fn start_as(self, command: &mut Command) -> Result<HttpService<'a>> {
        self.listening(command)
    }

    fn listening(self, command: &mut Command) -> Result<HttpService<'a>> {
        let mut running = Running::start(command)?;
        let listening = |log: &str| {
            let mut lines = log.lines().filter_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let said = line.get("message")?.as_str()? == "listening";
                said.then(|| line.get("address")?.as_str().map(str::to_owned))?
            });
            lines.next_back()
        };
        let url = wait::until("the service to listen", PROMPT, || {
            let ended = running.has_ended().unwrap_or(true);
            listening(&running.stderr_so_far()).or_else(|| ended.then(String::new))
        })?;
        if url.is_empty() {
            bail!("the service ended: {}", running.stderr_so_far());
        }
        Ok(HttpService {
            running,
            url,
            place: self,
        })
    }
}

impl<'a> HttpService<'a> {
    /// The service's process.
    #[must_use]
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// The token that it made at its first start.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn admin(&self) -> Result<String> {
        let path = self.place.state().join("admin-token");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.trim_end().to_owned())
    }

    /// A token of a role.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn token(&self, role: &str) -> Result<String> {
        self.place.token(&["create", role, "--role", role])
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.stderr_so_far()
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When that is no address.
    pub fn address(&self) -> Result<SocketAddr> {
        let address = self.url.split_once("://").map(|(_, address)| address);
        Ok(address.context("no address")?.parse()?)
    }

    /// A request by curl, to a path of this service.
    ///
    /// # Errors
    ///
    /// When curl gets no answer.
    pub fn curl(&self, token: Option<&str>, args: &[&str], path: &str) -> Result<Answer> {
        let mut command = self.place.command("curl");
        command.args(["--silent", "--show-error", "--include", "--max-time", "60"]);
        if let Some(token) = token {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        command.args(args).arg("--path-as-is");
        match self.url.strip_prefix("unix:") {
            Some(socket) => command
                .args(["--unix-socket", socket])
                .arg(format!("http://localhost{path}")),
            None => command.arg(format!("{}{path}", self.url)),
        };
        let ended = run(&mut command, Duration::from_mins(2))?.expect_code(0)?;
        parse(&ended.stdout)
    }

    /// A connection to the service.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn connect(&self) -> Result<TcpStream> {
        let address = self.address()?;
        let connect = || {
            let stream = TcpStream::connect_timeout(&address, PROMPT)?;
            stream.set_read_timeout(Some(PROMPT))?;
            Ok(stream)
        };
        match self.place.lab {
            Some(lab) => lab.client().enter(connect),
            None => connect(),
        }
    }

    /// Sends bytes and gives all that comes until the service closes.
    ///
    /// # Errors
    ///
    /// When it doesn't close within [`PROMPT`].
    pub fn raw(&self, bytes: &[u8]) -> Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(bytes)?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    /// Connections to the service, to be used by a crowd.
    ///
    /// # Errors
    ///
    /// When one can't be made.
    pub fn connections(&self, count: usize) -> Result<Vec<TcpStream>> {
        (0..count).map(|_| self.connect()).collect()
    }

    /// The bytes of a request: its first line without the version, further
    /// header lines (each with its end), its body.
    ///
    /// # Errors
    ///
    /// When the service has no address.
    pub fn request(&self, token: &str, line: &str, more: &str, body: &str) -> Result<Vec<u8>> {
        let (host, length) = (self.address()?, body.len());
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"
        );
        Ok((head + body).into_bytes())
    }

    /// The bytes of a call of a tool over REST.
    ///
    /// # Errors
    ///
    /// As [`HttpService::request`].
    pub fn execution(&self, token: &str, tool: &str, body: &Value) -> Result<Vec<u8>> {
        let line = format!("POST /tools/{tool}/execute");
        self.request(token, &line, "", &body.to_string())
    }

    /// The bytes of a request over MCP without a session.
    ///
    /// # Errors
    ///
    /// As [`HttpService::request`].
    pub fn mcp(&self, token: &str, method: &str, mut params: Value) -> Result<Vec<u8>> {
        let name = params.get("name").and_then(Value::as_str);
        let name = name.map(|name| format!("Mcp-Name: {name}\r\n"));
        let more = format!(
            "Accept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: {MODERN}\r\nMcp-Method: {method}\r\n{}",
            name.unwrap_or_default()
        );
        let members = params.as_object_mut().context("parameters are an object")?;
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"},
        });
        members.insert("_meta".to_owned(), meta);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.request(token, "POST /mcp", &more, &message.to_string())
    }

    /// Kills it; its files stay.
    ///
    /// # Errors
    ///
    /// When it was gone already.
    pub fn kill(self) -> Result<Prepared<'a>> {
        self.running.signal(Signal::SIGKILL)?;
        self.running.wait(PROMPT)?;
        Ok(self.place)
    }

    /// Tells it to stop and waits for its end.
    ///
    /// # Errors
    ///
    /// When it doesn't end within `bound`.
    pub fn stop(self, bound: Duration) -> Result<Ended> {
        self.running.signal(Signal::SIGTERM)?;
        self.running.wait(bound)
    }
}

/// Reads one answer as it was sent.
///
/// # Errors
///
/// When it isn't one.
pub fn parse(text: &str) -> Result<Answer> {
    let mut rest = text;
    // An interim answer (100) stands before the one that counts.
    while rest.starts_with("HTTP/1.1 100") {
        rest = rest.split_once("\r\n\r\n").map_or("", |(_, rest)| rest);
    }
    let (head, body) = rest.split_once("\r\n\r\n").context("no head")?;
    let status = head.split(' ').nth(1).context("no status")?;
    Ok(Answer {
        status: status.parse()?,
        head: head.to_ascii_lowercase().replace("\r\n", "\n"),
        body: body.to_owned(),
    })
}
