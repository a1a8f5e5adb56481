//! Resource limits of a run, as the tool feels them.
//!
//! What it is not: policy; the numbers are the test's own profile's.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::hostile::{Hostile, Policy, Tool};
use harness::identity;
use harness::raw_peer::RunRecord;
use harness::{ExecutorProcess, Lab, RawPeer};
use protocol::event::Exit;

struct Ground {
    tool: Tool,
    executor: ExecutorProcess,
    _lab: Lab,
}

impl Ground {
    fn new(policy: &Policy) -> Result<Option<Self>> {
        let Some(lab) = Lab::start(&[])? else {
            return Ok(None);
        };
        let hostile = Hostile::build(&lab, &["misbehaviours"])?;
        let tool = hostile.profile("misbehaviours", "misbehaviours", policy)?;
        let options = Options::plain(identity::lent()).profiles(hostile.dir());
        let executor = ExecutorProcess::start(&lab, &options)?;
        Ok(Some(Self {
            tool,
            executor,
            _lab: lab,
        }))
    }

    fn run(&self, what: &str) -> Result<RunRecord> {
        RawPeer::greeted(self.executor.socket())?
            .0
            .run(self.tool.run(what))?
            .ran()
    }
}

/// The first number of a text.
fn number(text: &str) -> Result<u64> {
    let digits = text
        .split(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty());
    Ok(digits
        .with_context(|| format!("no number: {text:?}"))?
        .parse()?)
}

#[test]
fn address_space_is_limited() -> Result<()> {
    let Some(ground) = Ground::new(&Policy::default())? else {
        return Ok(());
    };
    let record = ground.run("eat-memory")?;
    let text = record.stdout_text();
    ensure!(
        text.starts_with("refused") && number(&text)? <= 512,
        "{record:?}"
    );
    Ok(())
}

#[test]
fn descriptors_are_limited() -> Result<()> {
    let Some(ground) = Ground::new(&Policy::default())? else {
        return Ok(());
    };
    let record = ground.run("eat-descriptors")?;
    ensure!(number(&record.stdout_text())? <= 64, "{record:?}");
    Ok(())
}

#[test]
fn files_in_the_runs_own_directory_are_limited() -> Result<()> {
    let policy = Policy {
        file_size_bytes: 65_536,
        ..Policy::default()
    };
    let Some(ground) = Ground::new(&policy)? else {
        return Ok(());
    };
    let record = ground.run("fill-directory")?;
    ensure!(number(&record.stdout_text())? == 65_536, "{record:?}");
    Ok(())
}

#[test]
fn cpu_time_is_limited() -> Result<()> {
    let policy = Policy {
        cpu_s: 1,
        ..Policy::default()
    };
    let Some(ground) = Ground::new(&policy)? else {
        return Ok(());
    };
    let record = ground.run("spin")?;
    // SIGXCPU at the soft limit, SIGKILL at the hard one.
    ensure!(
        matches!(record.finished.exit, Exit::Signal(24 | 9)),
        "{record:?}"
    );
    ensure!(
        record.finished.cpu_ms >= 900 && record.finished.cpu_ms <= 2_500,
        "{record:?}"
    );
    Ok(())
}

#[test]
fn each_run_has_its_own_empty_directory_that_goes_with_it() -> Result<()> {
    let Some(ground) = Ground::new(&Policy::default())? else {
        return Ok(());
    };
    let mut places = Vec::new();
    for _ in 0..2 {
        let record = ground.run("show-directory")?;
        let text = record.stdout_text();
        let (place, writable) = text.trim().split_once('\n').context("two lines")?;
        ensure!(writable == "writable", "{record:?}");
        let runs = ground.executor.runs_dir();
        ensure!(
            std::path::Path::new(place).parent() == Some(runs),
            "{place} in {}",
            runs.display()
        );
        ensure!(!std::path::Path::new(place).exists(), "{place} is left");
        places.push(place.to_owned());
    }
    let left = std::fs::read_dir(ground.executor.runs_dir())?.count();
    ensure!(left == 0, "{left} directories are left");
    Ok(())
}

#[test]
fn a_littered_directory_delays_no_news_and_is_removed() -> Result<()> {
    let Some(ground) = Ground::new(&Policy::default())? else {
        return Ok(());
    };
    let record = ground.run("litter-directory")?;
    ensure!(record.stdout_text().contains("made"), "{record:?}");
    // Removing goes on after the end was told; nothing of it is left for good.
    let runs = ground.executor.runs_dir().to_owned();
    harness::wait::until_true("an empty directory", Duration::from_mins(1), || {
        std::fs::read_dir(&runs).is_ok_and(|left| left.count() == 0)
    })?;
    ground.run("quiet")?;
    Ok(())
}
