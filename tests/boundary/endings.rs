//! How runs end when the tool would rather not: deaf, forking, daemonised,
//! flooding; and when the peer goes away.
//!
//! What it is not: resource limits; those are in `limits`.
//!
//! Invariants: when a run is reported finished, no process of it is left.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::executor_process::Options;
use harness::hostile::{Hostile, Policy, Tool};
use harness::identity;
use harness::raw_peer::RunRecord;
use harness::{ExecutorProcess, Lab, RawPeer, processes, wait};
use protocol::Request;
use protocol::event::Exit;
use protocol::request::Run;

/// How long a cancelled tree may live (RUN5).
const DEATH: Duration = Duration::from_millis(100);
const BOUND: Duration = Duration::from_secs(20);

struct Ground {
    tool: Tool,
    executor: ExecutorProcess,
    lab: Lab,
}

impl Ground {
    fn new() -> Result<Option<Self>> {
        Self::with(&Policy::default())
    }

    fn with(policy: &Policy) -> Result<Option<Self>> {
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
            lab,
        }))
    }

    fn peer(&self) -> Result<RawPeer> {
        Ok(RawPeer::greeted(self.executor.socket())?.0)
    }

    /// Runs to the end, and requires that nothing is left of it.
    fn run(&self, run: Run) -> Result<RunRecord> {
        let record = self.peer()?.run(run)?.ran()?;
        let left = self.left()?;
        ensure!(
            left == 0,
            "{left} processes are left after the end: {record:?}"
        );
        Ok(record)
    }

    fn left(&self) -> Result<usize> {
        let inode = self.lab.client().net_inode()?;
        Ok(processes::running(&[self.tool.executable()], inode)?.len())
    }

    fn started(&self, what: &str) -> Result<(RawPeer, Instant)> {
        let mut peer = self.peer()?;
        peer.send(&Request::Run(self.tool.run(what)))?;
        peer.started()?;
        // Let it get as far as its misbehaviour.
        std::thread::sleep(Duration::from_millis(150));
        ensure!(self.left()? > 0, "{what} runs");
        Ok((peer, Instant::now()))
    }
}

#[test]
fn a_tool_that_ends_by_itself_is_reported_as_it_ended() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let cases = [
        ("quiet", Exit::Code(0), "success"),
        ("fail", Exit::Code(7), "its own code"),
        ("crash", Exit::Signal(11), "its own fault"),
    ];
    for (what, exit, why) in cases {
        let record = ground.run(ground.tool.run(what))?;
        ensure!(record.finished.exit == exit, "{what} ({why}): {record:?}");
        ensure!(
            !record.finished.timed_out && !record.finished.cancelled,
            "{what}: {record:?}"
        );
    }
    Ok(())
}

#[test]
fn a_run_is_ended_on_time() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let cases = [
        // what            least ms  most ms   why
        ("linger", 500, 1_000, "SIGTERM is enough"),
        ("close-output", 500, 1_000, "closed streams are no end"),
        ("ignore-signals", 2_500, 3_500, "SIGKILL 2 s after SIGTERM"),
        ("block-signals", 2_500, 3_500, "SIGKILL can't be blocked"),
        ("tree", 500, 3_500, "the whole tree"),
        ("spin", 500, 1_000, "busy is no excuse"),
    ];
    for (what, least_ms, most_ms, why) in cases {
        let begun = Instant::now();
        let record = ground.run(ground.tool.run_for(what, 500))?;
        let took_ms = begun.elapsed().as_millis();
        ensure!(record.finished.timed_out, "{what} ({why}): {record:?}");
        ensure!(
            (least_ms..=most_ms).contains(&took_ms),
            "{what} ({why}): {took_ms} ms"
        );
    }
    Ok(())
}

#[test]
fn output_before_a_timeout_is_kept() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let record = ground.run(ground.tool.run_for("talk-then-linger", 300))?;
    ensure!(record.stdout_text() == "before\n", "{record:?}");
    Ok(())
}

#[test]
fn a_daemon_does_not_outlive_its_run() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    for what in ["daemonise", "daemonise-talking"] {
        let begun = Instant::now();
        let record = ground.run(ground.tool.run(what))?;
        ensure!(record.finished.exit == Exit::Code(0), "{what}: {record:?}");
        let took = begun.elapsed();
        ensure!(took < Duration::from_secs(2), "{what} took {took:?}");
    }
    Ok(())
}

#[test]
fn forking_without_end_ends_with_the_run() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    for what in ["fork-without-end", "fork-and-exit"] {
        let begun = Instant::now();
        let record = ground.run(ground.tool.run_for(what, 1_000))?;
        let took = begun.elapsed();
        ensure!(
            took < Duration::from_secs(5),
            "{what} took {took:?}: {record:?}"
        );
    }
    // The executor is none the worse.
    ground.run(ground.tool.run("quiet"))?;
    Ok(())
}

#[test]
fn a_cancelled_run_is_dead_within_100_ms() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    for what in [
        "linger",
        "ignore-signals",
        "block-signals",
        "tree",
        "close-output",
        "fork-without-end",
    ] {
        let (mut peer, begun) = ground.started(what)?;
        peer.send(&Request::Cancel)?;
        let finished = peer.finished(BOUND)?;
        let took = begun.elapsed();
        ensure!(ground.left()? == 0, "{what}: something is left");
        ensure!(took <= DEATH, "{what} lived {took:?} after the cancel");
        ensure!(finished.cancelled, "{what}: {finished:?}");
    }
    Ok(())
}

#[test]
fn a_peer_that_vanishes_takes_its_run_with_it() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    for what in [
        "linger",
        "ignore-signals",
        "tree",
        "close-output",
        "flood-gibibyte",
    ] {
        let mut peer = ground.peer()?;
        peer.send(&Request::Run(ground.tool.run(what)))?;
        peer.started()?;
        drop(peer);
        let gone = || ground.left().is_ok_and(|left| left == 0);
        let took = wait::until_true("the end of the run", BOUND, gone)?;
        ensure!(took <= DEATH, "{what} lived {took:?} after its peer");
    }
    Ok(())
}

#[test]
fn a_flood_is_cut_counted_and_stopped() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let kept_max: u64 = 1024 * 1024;
    let record = ground.run(ground.tool.run("flood-three"))?;
    let count = record.finished.stdout;
    ensure!(
        count.bytes_seen == 3 * kept_max && count.bytes_kept == kept_max,
        "{count:?}"
    );
    ensure!(
        u64::try_from(record.stdout.len())? == kept_max,
        "{} bytes",
        record.stdout.len()
    );
    ensure!(
        record.finished.exit == Exit::Code(0),
        "a small excess is no crime"
    );

    let record = ground.run(ground.tool.run("flood-errors"))?;
    let count = record.finished.stderr;
    ensure!(
        count.bytes_seen == 3 * kept_max && count.bytes_kept == 256 * 1024,
        "{count:?}"
    );

    let record = ground.run(ground.tool.run("flood-gibibyte"))?;
    let count = record.finished.stdout;
    ensure!(record.finished.killed_for_output, "{:?}", record.finished);
    ensure!(count.bytes_kept == kept_max, "{count:?}");
    ensure!(
        count.bytes_seen <= 18 * kept_max,
        "the second bound is 16 MiB: {count:?}"
    );
    Ok(())
}

#[test]
fn a_peer_that_reads_nothing_stops_neither_the_clock_nor_the_memory() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let mut peer = ground.peer()?;
    let mut run = ground.tool.run_for("flood-gibibyte", 1_500);
    run.stdout_max = 64 * 1024 * 1024;
    peer.send(&Request::Run(run))?;
    let pid = ground.executor.pid();
    let mut peak_kib = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_200) {
        for session in processes::descendants(pid)? {
            if session.program != ground.tool.executable() {
                peak_kib = peak_kib.max(processes::resident_kib(session.pid).unwrap_or_default());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(
        peak_kib > 0 && peak_kib < 12 * 1024,
        "a session took {peak_kib} KiB"
    );
    let gone = || ground.left().is_ok_and(|left| left == 0);
    wait::until_true("the end of the run", Duration::from_secs(4), gone)?;
    drop(peer);
    Ok(())
}

#[test]
fn memory_stays_flat_over_many_runs() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let pid = ground.executor.pid();
    let batch = |count: u32| -> Result<u64> {
        for _ in 0..count {
            ground.run(ground.tool.run("flood-three"))?;
        }
        processes::resident_kib(pid)
    };
    let early = batch(10)?;
    let late = batch(60)?;
    ensure!(
        late <= early.saturating_add(256),
        "from {early} KiB to {late} KiB"
    );
    Ok(())
}
