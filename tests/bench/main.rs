//! `make bench`: what confinement, the socket and the broker cost, as ratios.
//!
//! What it is not: a test. Nothing fails on a slow machine; absolute numbers
//! depend on it, ratios of the same run much less.
//!
//! Invariants: each figure is the median of many, printed with its tenth
//! percentile; what is compared was measured in the same run, alternating.

mod http;
mod servers;

use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::hostile::{Hostile, Policy, Tool};
use harness::raw_peer::Answer;
use harness::running::run;
use harness::stdio_client::{Era, PROMPT};
use harness::{ExecutorProcess, Lab, RawPeer, StdioClient, identity, processes};
use serde_json::{Value, json};

/// Starts per round and rounds of the comparison.
const STARTS: usize = 40;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let parts = std::env::var("BENCH").unwrap_or_default();
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let hostile = Hostile::build(&lab, &["noop", "floor", "misbehaviours"])?;
    let noop = hostile.profile("noop", "noop", &Policy::default())?;
    if parts == "http" {
        return http::measure(&hostile);
    }
    let flood = hostile.profile("flood", "misbehaviours", &Policy::default())?;
    let options = Options::plain(identity::lent()).profiles(hostile.dir());
    let executor = ExecutorProcess::start(&lab, &options)?;
    start(&lab, &noop)?;
    calls(&hostile, &noop, &executor)?;
    streaming(&flood, &executor)?;
    say(
        "executor, idle",
        &format!(
            "{} KiB resident (aim: 3072)",
            processes::resident_kib(executor.pid())?
        ),
    )?;
    broker(&lab)?;
    http::measure(&hostile)
}

fn say(what: &str, figure: &str) -> Result<()> {
    Ok(writeln!(stdout().lock(), "{what:<44} {figure}")?)
}

/// A sorted sample.
struct Sample(Vec<Duration>);

impl Sample {
    fn new(mut values: Vec<Duration>) -> Result<Self> {
        ensure!(!values.is_empty(), "an empty sample");
        values.sort();
        Ok(Self(values))
    }

    fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = last
            .saturating_mul(percent)
            .checked_div(100)
            .unwrap_or_default();
        self.0.get(at).copied().unwrap_or_default()
    }

    fn text(&self) -> String {
        let (p10, p50) = (self.percentile(10), self.percentile(50));
        format!(
            "median {:>7.1} µs, p10 {:>7.1} µs",
            micros(p50),
            micros(p10)
        )
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The confined start against the floor, both by the executor's own code in one
/// process.
fn start(lab: &Lab, noop: &Tool) -> Result<()> {
    let example = lab
        .binaries()
        .target
        .join("release/examples/confined_start");
    let mut command = std::process::Command::new(&example);
    let ended = run(
        command.arg(noop.executable()).arg("2000"),
        Duration::from_mins(2),
    )?;
    let line: Value = serde_json::from_str(&ended.expect_code(0)?.stdout)?;
    let figure = |key: &str| line.get(key).and_then(Value::as_f64).context("a figure");
    let text = |p10: f64, p50: f64| format!("median {p50:>7.1} µs, p10 {p10:>7.1} µs");
    let floor = text(figure("floor_us")?, figure("floor_median_us")?);
    say("raw vfork + execve + reap of a static no-op", &floor)?;
    let confined = text(figure("confined_us")?, figure("confined_median_us")?);
    say("confined start of the same, to its reaping", &confined)?;
    say("", &format!("{:.2} × the floor (aim: 2)", figure("ratio")?))
}

/// A whole call over the socket, and the part of it until the tool's exec, with
/// the floor measured in turns.
fn calls(hostile: &Hostile, noop: &Tool, executor: &ExecutorProcess) -> Result<()> {
    let (mut floor, mut set_up, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut command = std::process::Command::new(hostile.program("floor"));
        command.arg(STARTS.to_string()).arg(noop.executable());
        for line in run(&mut command, PROMPT)?.expect_code(0)?.stdout.lines() {
            floor.push(Duration::from_nanos(line.parse()?));
        }
        for _ in 0..STARTS {
            let begun = Instant::now();
            let (mut peer, _) = RawPeer::greeted(executor.socket())?;
            let record = peer.run(noop.run("nothing"))?.ran()?;
            whole.push(begun.elapsed());
            set_up.push(Duration::from_micros(
                record.started.receipt.setup_us.into(),
            ));
        }
    }
    let (floor, set_up, whole) = (
        Sample::new(floor)?,
        Sample::new(set_up)?,
        Sample::new(whole)?,
    );
    let ratio =
        |sample: &Sample| sample.percentile(10).as_secs_f64() / floor.percentile(10).as_secs_f64();
    say("floor again, from another process", &floor.text())?;
    say("request to exec: vetting, directory, start", &set_up.text())?;
    say("", &format!("{:.2} × the floor", ratio(&set_up)))?;
    say("whole call: connect, greet, run, finished", &whole.text())?;
    say("", &format!("{:.2} × the floor", ratio(&whole)))
}

/// How fast a tool's output passes through the executor.
fn streaming(flood: &Tool, executor: &ExecutorProcess) -> Result<()> {
    let mut run = flood.run("flood-gibibyte");
    run.stdout_max = 64 * 1024 * 1024;
    let (mut peer, _) = RawPeer::greeted(executor.socket())?;
    let begun = Instant::now();
    let answer = peer.run(run)?;
    let took = begun.elapsed();
    let Answer::Ran(record) = answer else {
        anyhow::bail!("not run: {answer:?}")
    };
    let mebibytes = f64::from(u32::try_from(record.finished.stdout.bytes_seen >> 20)?);
    let rate = mebibytes / took.as_secs_f64();
    say(
        "output through the executor",
        &format!("{rate:.0} MiB/s ({mebibytes:.0} MiB)"),
    )
}

/// Time to the initialize response and idle memory of `mantlet stdio`.
fn broker(lab: &Lab) -> Result<()> {
    let mut times = Vec::new();
    let mut resident_kib = 0;
    for _ in 0..10 {
        let begun = Instant::now();
        let mut client = StdioClient::start(&mut lab.mantlet(&["stdio"])?, Era::Legacy)?;
        times.push(begun.elapsed());
        let id = client.request("tools/list", json!({}))?;
        client.result(id, PROMPT)?;
        std::thread::sleep(Duration::from_millis(100));
        resident_kib = processes::resident_kib(client.server().pid()).context("the broker")?;
        client.finish(PROMPT)?;
    }
    let times = Sample::new(times)?;
    let wrapped = "entering the namespace included";
    say(
        "start to initialize response",
        &format!("{} ({wrapped}; aim: 20,000 µs)", times.text()),
    )?;
    say(
        "broker, idle",
        &format!("{resident_kib} KiB resident (aim: 15360)"),
    )
}
