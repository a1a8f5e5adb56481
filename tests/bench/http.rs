//! The HTTP part of `make bench`: what an answer costs, beside the bare libraries
//! and the Python SDK, and what memory it takes.
//!
//! What it is not: a test of answers; those that are not as expected are an error.
//!
//! Invariants: what is compared was measured in the same run, in turns; each
//! figure is the median of the rounds; a row whose client used most of a
//! processor is marked, since it may be the client that was measured.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::crowd::{self, Load};
use harness::hostile::{Hostile, Policy};
use harness::processes;
use serde_json::json;

use crate::say;
use crate::servers::{self, Servers};

const CLIENTS: [usize; 3] = [1, 8, 64];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(1);
/// The reference's best, in executes a second.
const REFERENCE: f64 = 157.0;
/// Clients of the measurement of memory.
const CROWD: usize = 1000;
/// How long memory is watched under load unless `BENCH_SOAK_SECONDS` says more.
const SOAK: Duration = Duration::from_mins(1);
/// A client that used more of a processor than this may be what was measured.
const CLIENT_CPU_MAX: f64 = 0.9;

/// Something that is asked again and again.
struct Row {
    name: &'static str,
    at: SocketAddr,
    /// One for each client, used in turn.
    requests: Vec<Vec<u8>>,
    status: u16,
    /// Answers a second and latencies for each of [`CLIENTS`], round by round.
    seen: Vec<Vec<Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    rate: f64,
    p50: f64,
    p99: f64,
    client: f64,
}

impl Seen {
    fn of(load: &Load) -> Result<Self> {
        let count: usize = load.statuses.values().sum();
        let seconds = load.lasted.as_secs_f64();
        let at = |percent: usize| {
            let place = load.took.len().saturating_mul(percent).checked_div(100);
            let took = load.took.get(place.unwrap_or_default());
            took.copied().unwrap_or_default().as_secs_f64() * 1e6
        };
        Ok(Self {
            rate: f64::from(u32::try_from(count)?) / seconds,
            p50: at(50),
            p99: at(99),
            client: load.own_cpu.as_secs_f64() / seconds,
        })
    }
}

/// The median round, by rate.
fn median(rounds: &[Seen]) -> Option<Seen> {
    let mut rounds = rounds.to_vec();
    rounds.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    rounds.get(rounds.len() / 2).copied()
}

/// All of it.
pub(crate) fn measure(hostile: &Hostile) -> Result<()> {
    for name in ["noop", "refused"] {
        hostile.profile(name, "noop", &Policy::default())?;
    }
    let tokens = CLIENTS.len().saturating_mul(ROUNDS);
    let mut servers = Servers::start(hostile, tokens)?;
    let pid = servers.service.running().pid();
    std::thread::sleep(Duration::from_secs(2));
    let idle = processes::resident_kib(pid)?;
    let mut rows = rows(&servers)?;
    let mut tokens = servers.tokens.clone().into_iter();
    for _ in 0..ROUNDS {
        for (number, clients) in CLIENTS.into_iter().enumerate() {
            let token = tokens.next().context("a token")?;
            renew(&mut rows, &servers, &token)?;
            for row in &mut rows {
                let seen = ask(row, clients)?;
                row.seen.get_mut(number).context("a column")?.push(seen);
            }
        }
    }
    table(&rows)?;
    memory(&servers, pid, idle)?;
    Ok(())
}

fn row(name: &'static str, at: SocketAddr, requests: Vec<Vec<u8>>, status: u16) -> Row {
    let seen = vec![Vec::new(); CLIENTS.len()];
    Row {
        name,
        at,
        requests,
        status,
        seen,
    }
}

fn sessions(at: SocketAddr, token: &str) -> Result<Vec<Vec<u8>>> {
    let most = CLIENTS.into_iter().max().unwrap_or_default();
    (0..most)
        .map(|_| servers::legacy(at, token, "ping"))
        .collect()
}

fn rows(servers: &Servers) -> Result<Vec<Row>> {
    let (ours, bare, token) = (servers.service.address()?, servers.bare, servers.token()?);
    let get = |at, path: &str| vec![servers::request(at, token, &format!("GET {path}"), "", "")];
    let modern = |at, method: &str| vec![servers::modern(at, token, method)];
    let mut rows = vec![
        row("axum, bare: hello", bare, get(bare, "/"), 200),
        row("GET /livez", ours, get(ours, "/livez"), 200),
        row("GET /tools", ours, get(ours, "/tools"), 200),
        row("GET /health", ours, get(ours, "/health"), 200),
        row(
            "rmcp, bare: ping, session",
            bare,
            sessions(bare, token)?,
            200,
        ),
        row("MCP ping, session", ours, sessions(ours, token)?, 200),
        row(
            "rmcp, bare: discover",
            bare,
            modern(bare, "server/discover"),
            200,
        ),
        row("MCP discover", ours, modern(ours, "server/discover"), 200),
        row(
            "rmcp, bare: tools/list",
            bare,
            modern(bare, "tools/list"),
            200,
        ),
        row("MCP tools/list", ours, modern(ours, "tools/list"), 200),
    ];
    if let Some(peer) = servers.peer {
        rows.push(row("Python SDK: ping", peer, sessions(peer, token)?, 200));
        let discover = modern(peer, "server/discover");
        rows.push(row("Python SDK: discover", peer, discover, 200));
    }
    rows.push(row("rejected call", ours, Vec::new(), 400));
    rows.push(row("execute", ours, Vec::new(), 200));
    Ok(rows)
}

/// Calls count against their token, so each turn has a token of its own.
fn renew(rows: &mut [Row], servers: &Servers, token: &str) -> Result<()> {
    let at = servers.service.address()?;
    let path = "POST /tools/noop/execute";
    for row in rows {
        let body = match row.name {
            "rejected call" => json!({"target": "192.0.2.1"}),
            "execute" => json!({"target": "10.66.0.10"}),
            _ => continue,
        };
        // Refused calls count too, but under the name of another tool.
        let path = if row.name == "execute" {
            path.to_owned()
        } else {
            path.replace("noop", "refused")
        };
        row.requests = vec![servers::request(at, token, &path, "", &body.to_string())];
    }
    Ok(())
}

fn connect(at: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    (0..count).map(|_| Ok(TcpStream::connect(at)?)).collect()
}

fn ask(row: &Row, clients: usize) -> Result<Seen> {
    let load = crowd::again_and_again(connect(row.at, clients)?, &row.requests, ROUND);
    let load = load.context(row.name)?;
    let wrong = load.statuses.iter().find(|(status, _)| {
        // With more clients than runs and places in the queue, some are refused.
        **status != row.status && !(row.name == "execute" && **status == 503)
    });
    ensure!(wrong.is_none(), "{}: {:?}", row.name, load.statuses);
    let mut seen = Seen::of(&load)?;
    if row.name == "execute" {
        let ran = load.statuses.get(&200).copied().unwrap_or_default();
        seen.rate = f64::from(u32::try_from(ran)?) / load.lasted.as_secs_f64();
    }
    Ok(seen)
}

fn table(rows: &[Row]) -> Result<()> {
    say("", "1 client            8 clients           64 clients")?;
    say("HTTP: answers a second (p50 / p99 in µs)", "")?;
    let rate = |name: &str, at: usize| {
        let row = rows.iter().find(|row| row.name == name)?;
        Some(median(row.seen.get(at)?)?.rate)
    };
    for row in rows {
        let cells = row.seen.iter().map(|rounds| {
            let seen = median(rounds)?;
            let mark = if seen.client > CLIENT_CPU_MAX {
                "*"
            } else {
                ""
            };
            Some(format!(
                "{:>6.0}{mark} ({:.0} / {:.0})",
                seen.rate, seen.p50, seen.p99
            ))
        });
        let cells: Vec<String> = cells.map(Option::unwrap_or_default).collect();
        say(row.name, &cells.join("  "))?;
    }
    say("*: the client used over 90 % of a processor", "")?;
    let pairs = [
        ("GET /livez", "axum, bare: hello", "at least 0.67"),
        ("GET /tools", "axum, bare: hello", "at least 0.67"),
        (
            "MCP ping, session",
            "rmcp, bare: ping, session",
            "at least 0.67",
        ),
        ("MCP discover", "rmcp, bare: discover", "at least 0.67"),
        ("MCP ping, session", "Python SDK: ping", "at least 30"),
        ("MCP discover", "Python SDK: discover", "at least 30"),
    ];
    for (name, other, aim) in pairs {
        let ratio = |at: usize| Some(rate(name, at)? / rate(other, at)?);
        let cells: Vec<String> = (0..CLIENTS.len())
            .filter_map(|at| Some(format!("{:.2}", ratio(at)?)))
            .collect();
        say(
            &format!("{name} : {other}"),
            &format!("{} (aim: {aim})", cells.join("  ")),
        )?;
    }
    let cells: Vec<String> = (0..CLIENTS.len())
        .filter_map(|at| Some(format!("{:.1}", rate("execute", at)? / REFERENCE)))
        .collect();
    say(
        "execute : the reference's 157 a second",
        &format!("{} (aim: at least 10)", cells.join("  ")),
    )
}

fn memory(servers: &Servers, pid: u32, idle: u64) -> Result<()> {
    say("service, idle", &format!("{idle} KiB resident"))?;
    let after_rows = processes::resident_kib(pid)?;
    say(
        "after the rows above",
        &format!("{after_rows} KiB resident"),
    )?;
    let at = servers.service.address()?;
    let token = servers.tokens.last().context("a token")?;
    let call = json!({"target": "10.66.0.10"}).to_string();
    let call = servers::request(at, token, "POST /tools/noop/execute", "", &call);
    let list = servers::request(at, token, "GET /tools", "", "");
    // From here on the peak is that of the crowd.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    for (what, requests) in [("executes", [call.clone()]), ("GET /tools", [list.clone()])] {
        let began = Instant::now();
        let answers = crowd::at_once(connect(at, CROWD)?, &requests, Duration::from_mins(1))?;
        let answered = answers.iter().flatten().count();
        ensure!(answered == CROWD, "{answered} of {CROWD} {what}");
        let peak = processes::status_number(pid, "VmHWM:")?;
        say(
            &format!("{CROWD} {what} at once"),
            &format!("{:.2?}, peak {peak} KiB (aim: 40960)", began.elapsed()),
        )?;
    }
    let seconds = std::env::var("BENCH_SOAK_SECONDS").ok();
    let seconds = seconds.map(|seconds| seconds.parse()).transpose()?;
    let soak = seconds.map_or(SOAK, Duration::from_secs);
    let began = Instant::now();
    let mut looks = Vec::new();
    while began.elapsed() < soak {
        // Refused for their number, sooner or later, which is part of the load.
        let requests = [call.clone(), list.clone()];
        crowd::again_and_again(
            connect(at, 64)?,
            &requests,
            soak.min(Duration::from_secs(6)),
        )?;
        looks.push(processes::resident_kib(pid)?);
    }
    say(
        &format!("{soak:?} of load, in ten steps or more"),
        &format!("{looks:?} KiB resident"),
    )
}
