//! The audit log: what it says of runs and refusals, and what happens without it.
//!
//! What it is not: the chain's own tables; those are the broker's unit tests.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::identity::NOBODY;
use harness::lab::Host;
use harness::running::{Ended, Running, run};
use harness::stdio_client::{Era, SCAN};
use harness::{Lab, StdioClient, config, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Longest wait for a command.
const BOUND: Duration = Duration::from_mins(1);

/// A lab whose broker keeps an audit log.
struct Audited {
    lab: Lab,
    config: PathBuf,
    log: PathBuf,
}

impl Audited {
    fn start(hosts: &[Host]) -> Result<Option<Self>> {
        let Some(lab) = Lab::start(hosts)? else {
            return Ok(None);
        };
        // A place where the account that the broker becomes may make a file.
        let log = lab.dir().join("tmp/audit.jsonl");
        let config = configure(&lab, &log)?;
        Ok(Some(Self { lab, config, log }))
    }

    fn mantlet(&self, args: &[&str]) -> Result<Ended> {
        run(&mut self.lab.mantlet_with(&self.config, args), BOUND)
    }

    fn records(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.log)?;
        let lines = text.lines().map(serde_json::from_str);
        Ok(lines.collect::<Result<_, _>>()?)
    }

    fn kinds(&self) -> Result<Vec<String>> {
        let kind = |record: &Value| record["kind"].as_str().unwrap_or_default().to_owned();
        Ok(self.records()?.iter().map(kind).collect())
    }
}

fn configure(lab: &Lab, log: &Path) -> Result<PathBuf> {
    let extra = format!("[audit]\nfile = \"{}\"\n", log.display());
    lab.file(
        "audited.toml",
        &config::embedded(&lab.binaries().executor, &extra),
    )
}

#[test]
fn a_run_has_an_intent_before_and_an_outcome_after() -> Result<()> {
    let Some(audited) = Audited::start(&[Host::Web])? else {
        return Ok(());
    };
    let ping = ["run", "ping", "10.66.0.10", "--json", "--", "-c", "1"];
    let ended = audited.mantlet(&ping)?.expect_code(0)?;
    let result: Value = serde_json::from_str(&ended.stdout)?;
    let records = audited.records()?;
    ensure!(
        audited.kinds()? == ["started", "intent", "outcome", "stopped"],
        "{records:#?}"
    );
    for at in [1, 2] {
        for field in ["run_id", "correlation_id", "tool", "argv", "targets"] {
            ensure!(
                records[at][field] == result[field],
                "{field}: {:#}",
                records[at]
            );
        }
        ensure!(records[at]["surface"] == "terminal", "{:#}", records[at]);
        let caller = records[at]["caller"].as_str();
        ensure!(
            caller.is_some_and(|text| text.contains("uid=")),
            "{:#}",
            records[at]
        );
        ensure!(records[at]["target"] == "10.66.0.10", "{:#}", records[at]);
    }
    ensure!(records[2]["returncode"] == 0, "{:#}", records[2]);
    ensure!(records[1].get("returncode").is_none(), "{:#}", records[1]);
    for (at, record) in records.iter().enumerate() {
        ensure!(record["seq"] == at + 1, "{record:#}");
        let policy = record["policy"].as_str().map(str::len);
        ensure!(policy == Some(64), "{record:#}");
    }
    Ok(())
}

#[test]
fn an_intent_is_there_while_the_tool_runs() -> Result<()> {
    let Some(audited) = Audited::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let args = ["run", "nmap", "10.66.0.66", "--", "-p", "1-1000"];
    let running = Running::start(&mut audited.lab.mantlet_with(&audited.config, &args))?;
    wait::until_true("nmap", BOUND, || {
        audited
            .lab
            .tools("/usr/bin/nmap")
            .is_ok_and(|tools| !tools.is_empty())
    })?;
    ensure!(
        audited.kinds()? == ["started", "intent"],
        "{:#?}",
        audited.records()?
    );
    // A second broker is told to use a file of its own, and runs nothing.
    let second = audited
        .mantlet(&["run", "ping", "10.66.0.66"])?
        .expect_code(4)?;
    ensure!(
        second.stderr.contains("name another file"),
        "{}",
        second.stderr
    );
    // Killed, it leaves a log that is whole, and that the next one continues.
    running.signal(Signal::SIGKILL)?;
    running.wait(BOUND)?;
    audited.mantlet(&["audit", "verify"])?.expect_code(0)?;
    audited
        .mantlet(&["run", "nmap", "192.0.2.1"])?
        .expect_code(3)?;
    audited.mantlet(&["audit", "verify"])?.expect_code(0)?;
    let expected = ["started", "intent", "started", "refused", "stopped"];
    ensure!(audited.kinds()? == expected, "{:#?}", audited.records()?);
    Ok(())
}

#[test]
fn a_refusal_and_a_cancelled_run_are_recorded() -> Result<()> {
    let Some(audited) = Audited::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let target = "192.0.2.1\u{202e}\n{}";
    audited.mantlet(&["run", "nmap", target])?.expect_code(3)?;
    let args = ["run", "nmap", "10.66.0.66", "--", "-p", "1-1000"];
    let running = Running::start(&mut audited.lab.mantlet_with(&audited.config, &args))?;
    wait::until_true("nmap", BOUND, || {
        audited
            .lab
            .tools("/usr/bin/nmap")
            .is_ok_and(|tools| !tools.is_empty())
    })?;
    running.signal(Signal::SIGINT)?;
    running.wait(BOUND)?.expect_code(130)?;
    let records = audited.records()?;
    let refused = records.iter().find(|record| record["kind"] == "refused");
    let refused = refused.context("a refusal")?;
    ensure!(refused["error_type"] == "validation_error", "{refused:#}");
    let asked = refused["target"].as_str().context("a target")?;
    ensure!(
        asked.starts_with("192.0.2.1") && !asked.contains(['\u{202e}', '\n']),
        "{asked:?}"
    );
    let outcome = records.iter().find(|record| record["kind"] == "outcome");
    let outcome = outcome.context("an outcome")?;
    ensure!(outcome["error_type"] == "cancelled", "{outcome:#}");
    audited.mantlet(&["audit", "verify"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn verify_finds_an_edit_and_an_end_that_was_cut() -> Result<()> {
    let Some(audited) = Audited::start(&[Host::Web])? else {
        return Ok(());
    };
    audited
        .mantlet(&["run", "ping", "10.66.0.10", "--", "-c", "1"])?
        .expect_code(0)?;
    let whole = audited
        .mantlet(&["audit", "verify", "--json"])?
        .expect_code(0)?;
    let report: Value = serde_json::from_str(&whole.stdout)?;
    let anchor = report["anchor"].as_str().context("an anchor")?;
    let text = fs::read_to_string(&audited.log)?;
    let log = audited.log.to_str().context("a path")?;
    let edited = text.replace("\"returncode\":0", "\"returncode\":1");
    ensure!(edited != text);
    fs::write(&audited.log, edited)?;
    let ended = audited.mantlet(&["audit", "verify", log])?.expect_code(1)?;
    ensure!(
        ended.stderr.contains("line 3, record 3"),
        "{}",
        ended.stderr
    );
    let cut: String = text.split_inclusive('\n').take(2).collect();
    fs::write(&audited.log, cut)?;
    audited.mantlet(&["audit", "verify"])?.expect_code(0)?;
    let ended = audited
        .mantlet(&["audit", "verify", "--anchor", anchor])?
        .expect_code(1)?;
    ensure!(
        ended.stderr.contains("the end is missing"),
        "{}",
        ended.stderr
    );
    for (args, code, why) in [
        (&["audit", "verify", "--anchor", "4"][..], 2, "no anchor"),
        (&["audit", "verify", "--key", "/dev/null"], 2, "no key"),
        (&["audit", "verify", "/nonexistent"], 1, "no file"),
    ] {
        let ended = audited.mantlet(args)?;
        ensure!(
            ended.code == code && !ended.stderr.is_empty(),
            "{why}: {ended:?}"
        );
    }
    Ok(())
}

#[test]
fn without_its_audit_log_a_broker_runs_nothing() -> Result<()> {
    let Some(audited) = Audited::start(&[Host::Web])? else {
        return Ok(());
    };
    for place in [
        Path::new("/dev/full"),
        audited.lab.dir(),
        Path::new("/nonexistent/log"),
    ] {
        let file = configure(&audited.lab, place)?;
        let args = ["run", "ping", "10.66.0.10", "--json", "--", "-c", "1"];
        let ended = run(&mut audited.lab.mantlet_with(&file, &args), BOUND)?.expect_code(4)?;
        let said = ended.stderr.contains("audit log can't be used");
        ensure!(said && ended.stdout.is_empty(), "{place:?}: {ended:?}");
    }
    Ok(())
}

#[test]
fn the_configured_key_makes_the_hashes_and_checks_them() -> Result<()> {
    let Some(mut audited) = Audited::start(&[Host::Web])? else {
        return Ok(());
    };
    let key = audited.lab.file("key", &"k".repeat(32))?;
    let extra = format!(
        "[audit]\nfile = \"{}\"\nkey_file = \"{}\"\n",
        audited.log.display(),
        key.display()
    );
    let ping = ["run", "ping", "10.66.0.10", "--", "-c", "1"];
    let keyed = |extra: &str| {
        let text = config::embedded(&audited.lab.binaries().executor, extra);
        audited.lab.file("keyed.toml", &text)
    };
    let alone = keyed(&extra.replace("\nfile = ", "\n# "))?;
    let ended = run(&mut audited.lab.mantlet_with(&alone, &ping), BOUND)?.expect_code(2)?;
    ensure!(ended.stderr.contains("name the log"), "{}", ended.stderr);
    audited.config = keyed(&extra)?;
    std::os::unix::fs::chown(&key, Some(NOBODY.uid), None)?;
    fs::set_permissions(&key, Permissions::from_mode(0o640))?;
    let ended = audited.mantlet(&ping)?.expect_code(4)?;
    ensure!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
    fs::set_permissions(&key, Permissions::from_mode(0o600))?;
    audited.mantlet(&ping)?.expect_code(0)?;
    audited.mantlet(&["audit", "verify"])?.expect_code(0)?;
    let other = audited.lab.file("other", &"o".repeat(32))?;
    fs::set_permissions(&other, Permissions::from_mode(0o600))?;
    let words = [
        "audit",
        "verify",
        "--key",
        other.to_str().context("a path")?,
    ];
    let ended = audited.mantlet(&words)?.expect_code(1)?;
    ensure!(
        ended.stderr.contains("line 1, record 1"),
        "{}",
        ended.stderr
    );
    Ok(())
}

/// A small file system, gone when dropped. Made before a lab, whose hosts see
/// the mounts that were there before them.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Result<Self> {
        let disk = Self(tempfile::tempdir()?);
        disk.ask("mount", &["-t", "tmpfs", "-o", options, "tmpfs"])?;
        Ok(disk)
    }

    fn ask(&self, program: &str, words: &[&str]) -> Result<()> {
        let ended = Command::new(program)
            .args(words)
            .arg(self.0.path())
            .output()?;
        ensure!(ended.status.success(), "{program}: {ended:?}");
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.ask("umount", &["--lazy"]));
    }
}

fn ping(client: &mut StdioClient) -> Result<Value> {
    let id = client.call(
        "ping",
        &json!({"target": "10.66.0.10", "extra_args": "-c 1"}),
    )?;
    Ok(client.structured(id, SCAN)?.1)
}

#[test]
fn on_a_full_disk_nothing_runs_until_there_is_room() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        // Says the skip.
        return Lab::start(&[Host::Web]).map(drop);
    }
    let disk = SmallDisk::mount("size=4k,mode=1777")?;
    let Some(mut audited) = Audited::start(&[Host::Web])? else {
        return Ok(());
    };
    audited.log = disk.0.path().join("audit.jsonl");
    audited.config = configure(&audited.lab, &audited.log)?;
    let mut command = audited.lab.mantlet_with(&audited.config, &["stdio"]);
    let mut client = StdioClient::start(&mut command, Era::Legacy)?;
    let mut last = Value::Null;
    for _ in 0..20 {
        last = ping(&mut client)?;
        if last["error_type"] == "resource_exhausted" {
            break;
        }
    }
    ensure!(last["error_type"] == "resource_exhausted", "{last:#}");
    let message = last["message"].as_str().unwrap_or_default();
    ensure!(
        message.starts_with("the audit log can't be written"),
        "{message}"
    );
    ensure!(last["sandbox"].is_null(), "nothing may have run: {last:#}");
    let log = audited.log.to_str().context("a path")?;
    audited.mantlet(&["audit", "verify", log])?.expect_code(0)?;
    disk.ask("mount", &["-o", "remount,size=64k"])?;
    let result = ping(&mut client)?;
    ensure!(result["returncode"] == 0, "{result:#}");
    audited.mantlet(&["audit", "verify", log])?.expect_code(0)?;
    let missing = audited
        .records()?
        .into_iter()
        .find(|record| record["kind"] == "lost");
    ensure!(missing.context("a record of the loss")?["lost"].as_u64() >= Some(1));
    // What else writes to the log stops it too.
    fs::OpenOptions::new()
        .append(true)
        .open(&audited.log)?
        .write_all(b"{}\n")?;
    let refused = ping(&mut client)?;
    ensure!(refused["error_type"] == "resource_exhausted", "{refused:#}");
    client.finish(BOUND)?;
    Ok(())
}
