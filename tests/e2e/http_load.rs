//! The service under load: many clients at once, those that leave, the drain
//! and the breaker.
//!
//! What it is not: speed, which `make bench` measures, or death by SIGKILL,
//! which is in `http_deaths`.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use harness::crowd::{self, Timed};
use harness::hostile::{Hostile, Policy};
use harness::http_service::{PROMPT, Prepared};
use harness::processes::{self, Process};
use harness::{HttpService, Lab, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Runs of one of the tools below at once; as many calls may wait.
pub(crate) const RUNS: usize = 8;
/// How long an abandoned run's processes may live (RUN5).
const DEATH: Duration = Duration::from_millis(100);
/// What an answer may take that needs no tool.
const AT_ONCE: Duration = Duration::from_millis(500);
/// The shortest that may be configured.
const RECOVERY: Duration = Duration::from_secs(30);
const CLIENTS: usize = 1000;
/// Threads of the service, whatever waits; each keeps memory for some seconds.
const THREADS: u64 = 24;
/// What may stay of a crowd: caches, threads, the store.
const KEPT_KIB: u64 = 12 * 1024;

/// A service with tools of the test's own, which do as they are told.
pub(crate) struct Place {
    pub(crate) lab: Lab,
    pub(crate) hostile: Hostile,
    extra: String,
}

impl Place {
    /// With a tool under each of these names; `None` where it can't be had.
    pub(crate) fn new(tools: &[&str], more: &str) -> Result<Option<Self>> {
        let Some(lab) = Lab::start(&[])? else {
            return Ok(None);
        };
        let hostile = Hostile::build(&lab, &["misbehaviours"])?;
        for tool in tools {
            hostile.profile(tool, "misbehaviours", &Policy::default())?;
        }
        let extra = format!(
            "[tool]\nprofiles = [\"{}\"]\n[audit]\nfile = \"{}\"\n{more}",
            hostile.dir().display(),
            lab.dir().join("tmp/audit.jsonl").display()
        );
        Ok(Some(Self {
            lab,
            hostile,
            extra,
        }))
    }

    pub(crate) fn start(&self) -> Result<HttpService<'static>> {
        self.start_in(Prepared::new()?)
    }

    pub(crate) fn start_in(&self, place: Prepared<'static>) -> Result<HttpService<'static>> {
        place.start(&self.extra)
    }

    /// The service with an executor of the system's.
    pub(crate) fn start_with(&self, executor: &Path) -> Result<HttpService<'static>> {
        let place = Prepared::new()?;
        let mut command = place.mantlet(&self.extra, &["serve"])?;
        let file = place.dir().join("serve.toml");
        let embedded = fs::read_to_string(&file)?;
        let system = format!("mode = \"system\"\nsocket = \"{}\"", executor.display());
        fs::write(&file, embedded.replace("mode = \"embedded\"", &system))?;
        place.start_as(&mut command)
    }

    /// `mantlet` with the service's configuration.
    pub(crate) fn mantlet(&self, place: &Prepared<'_>, args: &[&str]) -> Result<()> {
        let ended = harness::running::run(&mut place.mantlet(&self.extra, args)?, PROMPT)?;
        ended.expect_code(0)?;
        Ok(())
    }

    /// The tools that run now.
    pub(crate) fn running(&self) -> Vec<Process> {
        living(&self.hostile.program("misbehaviours"))
    }

    /// The audit log's records of a kind.
    pub(crate) fn audited(&self, kind: &str) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.lab.dir().join("tmp/audit.jsonl"))?;
        let records = text.lines().map(serde_json::from_str);
        let mut records = records.collect::<Result<Vec<Value>, _>>()?;
        records.retain(|record| record["kind"] == kind);
        Ok(records)
    }
}

fn living(program: &Path) -> Vec<Process> {
    let mut all = processes::all().unwrap_or_default();
    // An executor that starts asks its tools for their versions.
    all.retain(|process| {
        process.state != 'Z'
            && process.program == program
            && process.argv.iter().any(|word| word == "--do")
    });
    all
}

/// What a call carries that tells a tool to do `what`.
pub(crate) fn order(what: &str) -> Value {
    json!({"target": "10.66.0.10", "extra_args": format!("--do {what}")})
}

/// A call of each kind: over REST, and over MCP.
pub(crate) fn calls(service: &HttpService<'_>, tool: &str, what: &str) -> Result<[Vec<u8>; 2]> {
    let (admin, order) = (service.admin()?, order(what));
    let call = json!({"name": tool, "arguments": order});
    Ok([
        service.execution(&admin, tool, &order)?,
        service.mcp(&admin, "tools/call", call)?,
    ])
}

/// The result or error of a call, whichever surface gave it.
pub(crate) fn said(timed: &Timed) -> Result<Value> {
    let mut json = timed.answer.json()?;
    let over_mcp = json["result"]["structuredContent"].take();
    Ok(if over_mcp.is_null() { json } else { over_mcp })
}

/// One call over REST.
fn call(service: &HttpService<'_>, what: &str) -> Result<Timed> {
    let [rest, _] = calls(service, "one", what)?;
    let answers = crowd::at_once(service.connections(1)?, &[rest], PROMPT)?;
    answers.into_iter().flatten().next().context("no answer")
}

#[test]
fn a_thousand_clients_at_once_are_each_answered_and_give_their_memory_back() -> Result<()> {
    let Some(place) = Place::new(&["one"], "[server]\nmax_calls = 64\n")? else {
        return Ok(());
    };
    let mut service = place.start()?;
    let pid = service.running().pid();
    let [rest, mcp] = calls(&service, "one", "nap")?;
    let idle = processes::resident_kib(pid)?;
    let mut resident = Vec::new();
    for round in 0..6 {
        let connections = service.connections(CLIENTS)?;
        let done = AtomicBool::new(false);
        let (answers, most) = thread::scope(|scope| {
            let most = scope.spawn(|| {
                let mut most = 0;
                while !done.load(Ordering::SeqCst) {
                    most = most.max(place.running().len());
                }
                most
            });
            let requests = [rest.clone(), mcp.clone()];
            let answers = crowd::at_once(connections, &requests, Duration::from_mins(1));
            done.store(true, Ordering::SeqCst);
            (answers, most.join())
        });
        let most = most.map_err(|_| anyhow!("the look-out"))?;
        let mut ran = 0;
        for (number, timed) in answers?.iter().enumerate() {
            let timed = timed.as_ref().with_context(|| format!("{number}: none"))?;
            let result = said(timed)?;
            if result["error_type"].is_null() {
                ensure!(result["returncode"] == 0, "{timed:?}");
                ran += 1;
                continue;
            }
            ensure!(result["error_type"] == "resource_exhausted", "{timed:?}");
            let wait = result["metadata"]["retry_after_sec"].as_u64();
            ensure!(wait > Some(0), "{timed:?}");
            if number % 2 == 0 {
                ensure!(timed.answer.status == 503, "{timed:?}");
                let after = timed.answer.header("retry-after");
                ensure!(after.and_then(|s| s.parse().ok()) == wait, "{timed:?}");
            }
        }
        // So many at once, as many that waited, and some that came when one ended.
        ensure!((RUNS..=6 * RUNS).contains(&ran), "{ran} ran");
        ensure!((1..=RUNS).contains(&most), "{most} ran at once");
        let threads = processes::status_number(pid, "Threads:")?;
        ensure!(threads <= THREADS, "{threads} threads");
        thread::sleep(Duration::from_millis(500));
        resident.push(processes::resident_kib(pid)?);
        ensure!(place.running().is_empty(), "round {round}");
    }
    let most = resident.iter().max().copied().unwrap_or_default();
    ensure!(
        most.saturating_sub(idle) <= KEPT_KIB,
        "{idle} KiB before the crowds, and after each: {resident:?}"
    );
    let log = service.log();
    ensure!(!log.contains("panick"), "{log}");
    Ok(())
}

#[test]
fn a_client_that_leaves_ends_its_run_and_the_record_says_so() -> Result<()> {
    let Some(place) = Place::new(&["one"], "")? else {
        return Ok(());
    };
    let service = place.start()?;
    let admin = service.admin()?;
    for (number, request) in calls(&service, "one", "tree")?.iter().enumerate() {
        let mut stream = service.connect()?;
        std::io::Write::write_all(&mut stream, request)?;
        wait::until_true("the tool", PROMPT, || place.running().len() > 1)?;
        drop(stream);
        let took = wait::until_true("its end", PROMPT, || place.running().is_empty())?;
        ensure!(took <= DEATH, "it lived for {took:?} after its client");
        let recorded = || {
            let outcomes = place.audited("outcome").unwrap_or_default();
            outcomes.get(number).cloned()
        };
        let outcome = wait::until("its record", PROMPT, recorded)?;
        ensure!(outcome["error_type"] == "cancelled", "{outcome:#}");
        let runs = service.curl(Some(&admin), &[], "/runs")?.expect(200)?;
        let runs = runs.json()?;
        let run = &runs["runs"][0];
        ensure!(
            run["state"] == "cancelled" && run["run_id"] == outcome["run_id"],
            "{runs:#}"
        );
    }
    Ok(())
}

#[test]
fn sigterm_under_load_lets_runs_finish_and_lets_nobody_in() -> Result<()> {
    let Some(place) = Place::new(&["one"], "")? else {
        return Ok(());
    };
    let mut service = place.start()?;
    let address = service.address()?;
    let requests = calls(&service, "one", "nap")?;
    // Half of them run, the other half wait for their turn.
    let connections = service.connections(2 * RUNS)?;
    let idle = service.connections(100)?;
    let answers = thread::spawn(move || crowd::at_once(connections, &requests, PROMPT));
    wait::until_true("the tools", PROMPT, || place.running().len() == RUNS)?;
    service.running().signal(Signal::SIGTERM)?;
    wait::until_true("nobody to be let in", PROMPT, || {
        std::net::TcpStream::connect(address).is_err()
    })?;
    ensure!(!place.running().is_empty(), "refused while runs go on");
    let answers = answers.join().map_err(|_| anyhow!("the crowd"))??;
    for timed in &answers {
        let timed = timed.as_ref().context("an answer")?;
        let result = said(timed)?;
        ensure!(
            timed.answer.status == 200 && result["returncode"] == 0,
            "{timed:?}"
        );
    }
    drop(idle);
    let ended = service.stop(Duration::from_secs(5));
    ended?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_breaker_over_http_opens_refuses_at_once_probes_once_and_closes() -> Result<()> {
    let more = "[server]\nmax_calls = 256\n[circuit_breaker]\nrecovery_timeout = 30\n";
    let Some(place) = Place::new(&["one"], more)? else {
        return Ok(());
    };
    let service = place.start()?;
    for _ in 0..6 {
        let refused = call(&service, "no-such-thing")?;
        ensure!(refused.answer.status == 400, "{refused:?}");
        let failed = call(&service, "fail")?;
        ensure!(failed.answer.status == 200, "{failed:?}");
        let mut leaves = service.connect()?;
        let [linger, _] = calls(&service, "one", "linger")?;
        std::io::Write::write_all(&mut leaves, &linger)?;
        wait::until_true("the tool", PROMPT, || !place.running().is_empty())?;
        drop(leaves);
        wait::until_true("its end", PROMPT, || place.running().is_empty())?;
    }
    for number in 1..=5 {
        let crashed = call(&service, "crash")?;
        let error = &said(&crashed)?["error_type"];
        ensure!(error == "execution_error", "fault {number}: {crashed:?}");
    }
    let opened = Instant::now();
    let refused = call(&service, "quiet")?;
    ensure!(opened.elapsed() < AT_ONCE, "took {:?}", opened.elapsed());
    let after = refused.answer.header("retry-after");
    let after: Option<u64> = after.and_then(|seconds| seconds.parse().ok());
    ensure!(
        after.is_some_and(|after| (28..=30).contains(&after)),
        "{refused:?}"
    );
    let refused = refused.answer.expect(503)?.json()?;
    ensure!(refused["error_type"] == "circuit_breaker_open", "{refused}");

    thread::sleep(RECOVERY.saturating_sub(opened.elapsed()) + AT_ONCE);
    let requests = calls(&service, "one", "nap")?;
    let answers = crowd::at_once(service.connections(100)?, &requests, PROMPT)?;
    let mut through = 0;
    for timed in &answers {
        let result = said(timed.as_ref().context("an answer")?)?;
        if result["error_type"].is_null() {
            through += 1;
        } else {
            ensure!(result["error_type"] == "circuit_breaker_open", "{result}");
        }
    }
    ensure!(through == 1, "{through} of a hundred were let through");
    let closed = call(&service, "quiet")?;
    ensure!(closed.answer.status == 200, "{closed:?}");
    Ok(())
}
