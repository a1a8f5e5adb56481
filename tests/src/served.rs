//! A server that speaks HTTP: `mantlet serve`, or the conformance fixture.
//!
//! What it is not: a client.
//!
//! Invariants: it listens on loopback, on a port that the kernel picked; it dies
//! with the test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::running::Running;
use crate::{Binaries, Lab, config, wait};

/// Longest start.
const START: Duration = Duration::from_secs(20);
/// The file that a first start leaves its token in.
const TOKEN_FILE: &str = "admin-token";
/// Below the directory of one server: what it keeps itself.
const KEPT: &str = "state";
const ANY_PORT: &str = "[server]\nport = 0\n";

/// A server that listens.
#[derive(Debug)]
pub struct Served {
    /// Its origin, as `http://ADDRESS:PORT`.
    pub origin: String,
    /// The administrator's token.
    pub token: String,
    process: Running,
    _state: TempDir,
}

impl Served {
    /// The product, on this machine's own loopback.
    ///
    /// # Errors
    ///
    /// When it doesn't start.
    pub fn mantlet(binaries: &Binaries) -> Result<Self> {
        let state = state()?;
        let file = state.path().join("mantlet.toml");
        fs::write(&file, config::embedded(&binaries.executor, ANY_PORT))?;
        let mut command = Command::new(&binaries.mantlet);
        command.arg("--config").arg(&file).arg("serve");
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Self::start(&mut command, state)
    }

    /// The product, on the lab's client host.
    ///
    /// # Errors
    ///
    /// When it doesn't start.
    pub fn in_lab(lab: &Lab) -> Result<Self> {
        let text = config::embedded(&lab.binaries().executor, ANY_PORT);
        let file = lab.file("served.toml", &text)?;
        Self::start(&mut lab.mantlet_with(&file, &["serve"]), state()?)
    }

    /// The conformance fixture, on this machine's own loopback; its tokens are
    /// of its own.
    ///
    /// # Errors
    ///
    /// When it isn't built or doesn't start.
    pub fn fixture(binaries: &Binaries) -> Result<Self> {
        let program = fixture(binaries)?;
        let state = state()?;
        let kept = state.path().join(KEPT);
        fs::create_dir(&kept)?;
        Self::start(Command::new(program).arg(kept), state)
    }

    fn start(command: &mut Command, state: TempDir) -> Result<Self> {
        let kept = state.path().join(KEPT);
        let process = Running::start(command.env("STATE_DIRECTORY", &kept))?;
        let said = || origin(&process.stderr_so_far());
        let origin = wait::until("the address that is listened on", START, said)
            .with_context(|| process.stderr_so_far())?;
        let token = fs::read_to_string(kept.join(TOKEN_FILE));
        let token = token.with_context(|| process.stderr_so_far())?;
        Ok(Self {
            origin,
            token: token.trim().to_owned(),
            process,
            _state: state,
        })
    }

    /// Where MCP is.
    #[must_use]
    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stderr_so_far()
    }
}

/// A directory to keep things below; the product makes its own in it.
fn state() -> Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("mantlet-served-")
        .tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// The address that the log says it listens on, as text or as JSON.
fn origin(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("listening"))?;
    let address = line.split("http://").nth(1)?;
    let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    let (address, _) = address.split_at_checked(end.unwrap_or(address.len()))?;
    Some(format!("http://{address}"))
}

/// The fixture's program; copies of the product's binaries don't include it.
fn fixture(binaries: &Binaries) -> Result<PathBuf> {
    let profile = std::env::current_exe()?;
    let profile = profile.ancestors().nth(2).map(Path::to_owned);
    let profile = profile.with_context(|| binaries.target.display().to_string())?;
    let program = profile.join("examples/conformance");
    ensure!(
        program.is_file(),
        "{} is missing; run `cargo build --package mantlet --example conformance`",
        program.display()
    );
    Ok(program)
}
