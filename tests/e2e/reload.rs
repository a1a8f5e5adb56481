//! Configuration read anew on SIGHUP, and faults of it, by the programs.
//!
//! What it is not: the tables of keys; those stand beside the code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::running::{Running, run};
use harness::{Binaries, config, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

const PROMPT: Duration = Duration::from_secs(20);

/// A directory with a configuration file, and commands that read it.
struct Place {
    dir: TempDir,
    binaries: Binaries,
}

impl Place {
    fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("mantlet-reload-")
            .tempdir()?;
        // The service gives root up, and has to get through and write.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        for name in ["tmp", "tools", "log"] {
            let path = dir.path().join(name);
            fs::create_dir(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o1777))?;
        }
        let binaries = Binaries::find()?;
        Ok(Self { dir, binaries })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration, with what a test adds to each of two tables.
    fn write(&self, tool: &str, rest: &str) -> Result<()> {
        let extra = format!(
            "[server]\nport = 0\n[audit]\nfile = \"{}\"\n[tool]\nprofiles = [\"{}\", \"{}\"]\n{tool}{rest}",
            self.path("log/audit").display(),
            self.path("none").display(),
            self.path("tools").display()
        );
        let text = config::embedded(&self.binaries.executor, &extra);
        Ok(fs::write(self.path("config.toml"), text)?)
    }

    fn mantlet(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binaries.mantlet);
        command.arg("--config").arg(self.path("config.toml"));
        command.args(args).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("TMPDIR", self.path("tmp"));
        command.env("STATE_DIRECTORY", self.path("state"));
        command.env("LOG_FORMAT", "json");
        command
    }
}

/// Lines of the log with this message.
fn said(service: &Running, message: &str) -> Vec<Value> {
    let log = service.stderr_so_far();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let said = |line: &Value| {
        let text = line.get("message").and_then(Value::as_str);
        text.is_some_and(|text| text.contains(message))
    };
    lines.filter(said).collect()
}

fn await_said(service: &Running, message: &str, times: usize) -> Result<()> {
    let found = || said(service, message).len() >= times;
    wait::until_true(message, PROMPT, found)
        .map(drop)
        .map_err(|error| error.context(service.stderr_so_far()))
}

#[test]
fn sighup_takes_a_good_configuration_and_leaves_a_bad_one_alone() -> Result<()> {
    let place = Place::new()?;
    place.write("", "")?;
    let service = Running::start(&mut place.mantlet(&["serve"]))?;
    await_said(&service, "listening", 1)?;
    // It reads the profiles too, and would speak of a wrong one.
    await_said(&service, "event=serving", 1)?;

    place.write("default_timeout = 9\n", "[logging]\nlevel = \"debug\"\n")?;
    service.signal(Signal::SIGHUP)?;
    await_said(&service, "configuration reloaded", 1)?;
    let reloaded = said(&service, "configuration reloaded");
    let changed = reloaded.first().map(|line| line["changed"].clone());
    ensure!(
        changed == Some("tool.default_timeout".into()),
        "{reloaded:?}"
    );
    await_said(&service, "takes effect at the next start", 1)?;

    place.write("default_timeout = 0\nnonsense = 1\n", "[sceurity]\n")?;
    service.signal(Signal::SIGHUP)?;
    for fault in [
        "nothing was changed",
        "tool.default_timeout takes",
        "unknown key tool.nonsense",
        "did you mean security?",
    ] {
        await_said(&service, fault, 1)?;
    }

    place.write("", "")?;
    fs::write(place.path("tools/x.toml"), "name = \"x\"\n")?;
    service.signal(Signal::SIGHUP)?;
    await_said(&service, "nothing was changed", 2)?;
    await_said(&service, "tools/x.toml", 1)?;
    fs::remove_file(place.path("tools/x.toml"))?;
    service.signal(Signal::SIGHUP)?;
    await_said(&service, "configuration reloaded", 2)?;

    service.signal(Signal::SIGTERM)?;
    let ended = service.wait(PROMPT)?.expect_code(0)?;
    ensure!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let log = place.path("log/audit").display().to_string();
    run(&mut place.mantlet(&["audit", "verify", &log]), PROMPT)?.expect_code(0)?;
    let records = fs::read_to_string(place.path("log/audit"))?;
    let recorded = records.matches("\"kind\":\"changed\"").count();
    ensure!(recorded == 2, "{records}");
    ensure!(records.contains("\"surface\":\"signal\""), "{records}");
    Ok(())
}

#[test]
fn check_tells_every_fault_at_once_and_mistyped_variables() -> Result<()> {
    let place = Place::new()?;
    place.write(
        "default_timeout = 0\nnonsense = 1\n",
        "[logging]\nlevel = \"loud\"\n",
    )?;
    let mut command = place.mantlet(&["check"]);
    command.env("MCP_SERVER_PORT", "http");
    let ended = run(&mut command, PROMPT)?.expect_code(2)?;
    for fault in [
        "tool.default_timeout takes a whole number from 1 to 3600",
        "unknown key tool.nonsense",
        "logging.level takes one of",
        "environment variable MCP_SERVER_PORT",
    ] {
        ensure!(ended.stderr.contains(fault), "{fault}: {}", ended.stderr);
    }
    ensure!(ended.stderr.lines().count() == 4, "{}", ended.stderr);

    place.write("default_timeout = 9\n", "")?;
    let mut command = place.mantlet(&["check", "--json"]);
    command.env("MCP_DEFAULT_TIMEOUT", "secret");
    let ended = run(&mut command, PROMPT)?.expect_code(0)?;
    ensure!(!ended.stdout.contains("secret"), "{}", ended.stdout);
    let shown: Value = serde_json::from_str(&ended.stdout)?;
    let warning = shown["warnings"][0].as_str().unwrap_or_default();
    ensure!(
        warning.contains("did you mean MCP_DEFAULT_TIMEOUT_SEC?"),
        "{shown}"
    );
    let row = &shown["values"]["tool.default_timeout"];
    let file = place.path("config.toml").display().to_string();
    ensure!(row["value"] == 9, "{row}");
    ensure!(
        row["source"]
            .as_str()
            .is_some_and(|source| source.starts_with(&file)),
        "{row}"
    );
    let tool = &shown["tools"]["nmap"]["timeout_sec"];
    ensure!(
        tool["value"] == 9 && tool["source"] == row["source"],
        "{tool}"
    );
    Ok(())
}
