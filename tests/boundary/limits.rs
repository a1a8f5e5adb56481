//! Resource limits of a run, as the tool feels them.
//!
//! What it is not: policy; the numbers are the test's own profile's, or less where
//! a peer asks for less.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::hostile::{Hostile, Policy, Tool};
use harness::identity;
use harness::raw_peer::RunRecord;
use harness::{ExecutorProcess, Lab, RawPeer};
use protocol::event::{Exit, RefusalKind};
use protocol::request::Run;
use protocol::{Request, frame};

const MIB: u64 = 1024 * 1024;

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
    let left = fs::read_dir(ground.executor.runs_dir())?.count();
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
        fs::read_dir(&runs).is_ok_and(|left| left.count() == 0)
    })?;
    ground.run("quiet")?;
    Ok(())
}

/// The soft and the hard limit that the kernel holds a process to.
fn held_to(pid: u32, title: &str) -> Result<(u64, u64)> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix(title));
    let mut values = line.context("no such limit")?.split_whitespace();
    let mut next = || -> Result<u64> { Ok(values.next().context("a limit")?.parse()?) };
    Ok((next()?, next()?))
}

#[test]
fn a_peer_cuts_limits_and_never_widens_them() -> Result<()> {
    let Some(ground) = Ground::new(&Policy::default())? else {
        return Ok(());
    };
    let (own, files) = (512 * MIB, 64);
    #[rustfmt::skip]
    let cases = [
        // asked memory     asked files     memory     files  why
        (None,              None,           own,       files, "nothing asked: the profile's"),
        (Some(64 * MIB),    Some(20),       64 * MIB,  20,    "less of both"),
        (Some(16 * MIB),    Some(16),       16 * MIB,  16,    "the floors"),
        (Some(own),         Some(64),       own,       files, "the profile's own"),
        (Some(own + 1),     Some(65),       own,       files, "one more than the profile's"),
        (Some(u64::MAX),    Some(u32::MAX), own,       files, "what setrlimit takes for no limit"),
    ];
    for (memory_max, files_max, memory, files, why) in cases {
        let (mut peer, _) = RawPeer::greeted(ground.executor.socket())?;
        let run = Run {
            memory_max,
            files_max,
            ..ground.tool.run("linger")
        };
        peer.send(&Request::Run(run))?;
        let started = peer.started()?;
        for (name, title, expected) in [
            ("as", "Max address space", memory),
            ("nofile", "Max open files", files),
        ] {
            let held = held_to(started.pid, title)?;
            ensure!(held == (expected, expected), "{why}: {name} is {held:?}");
            let told = started.receipt.rlimits.iter().find(|(key, _)| key == name);
            ensure!(
                told.is_some_and(|(_, value)| *value == expected),
                "{why}: {told:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_tool_feels_the_limits_that_were_cut() -> Result<()> {
    let Some(ground) = Ground::new(&Policy::default())? else {
        return Ok(());
    };
    for (what, most) in [("eat-memory", 32), ("eat-descriptors", 20)] {
        let run = Run {
            memory_max: Some(32 * MIB),
            files_max: Some(20),
            ..ground.tool.run(what)
        };
        let (mut peer, _) = RawPeer::greeted(ground.executor.socket())?;
        let record = peer.run(run)?.ran()?;
        ensure!(number(&record.stdout_text())? <= most, "{record:?}");
        ensure!(record.finished.exit == Exit::Code(0), "{record:?}");
    }
    Ok(())
}

/// Frames that no broker of ours would send: a run at the floors, its last bytes changed.
#[test]
fn limits_below_the_floor_are_refused_and_nothing_runs() -> Result<()> {
    let Some(ground) = Ground::new(&Policy::default())? else {
        return Ok(());
    };
    let cases: [(&[u8], Option<&str>, &str); 5] = [
        (&[1, 0x80, 0x80, 0x80, 8, 1, 16], None, "the floors"),
        (
            &[1, 0xff, 0xff, 0xff, 7, 1, 16],
            Some("memory of 16777215"),
            "a byte less memory",
        ),
        (&[1, 0, 1, 16], Some("memory of 0"), "none is not no limit"),
        (
            &[1, 0x80, 0x80, 0x80, 8, 1, 15],
            Some("15 descriptors"),
            "one descriptor less",
        ),
        (
            &[0],
            Some(""),
            "cut short, as an older broker would send it",
        ),
    ];
    for (tail, refused, why) in cases {
        let whole = frame::encode_request(&Request::Run(Run {
            memory_max: None,
            files_max: None,
            ..ground.tool.run("quiet")
        }))?;
        let head = whole.get(4..whole.len() - 2).context("a body")?;
        let (mut peer, _) = RawPeer::greeted(ground.executor.socket())?;
        peer.send_body(&[head, tail].concat())?;
        let answer = peer.to_the_end(None)?;
        match refused {
            None => ensure!(answer.ran()?.finished.exit == Exit::Code(0), "{why}"),
            Some(words) => {
                let told = answer.refused().context(why)?;
                ensure!(
                    told.kind == RefusalKind::Malformed && told.message.contains(words),
                    "{why}: {told:?}"
                );
            }
        }
    }
    Ok(())
}
