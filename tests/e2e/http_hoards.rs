//! Too much of everything: connections, slow clients, long bodies. None of it
//! stops the service, and its memory comes back.
//!
//! What it is not: the refusal of one bad request; that is in `http_bytes`.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use harness::http_service::Prepared;
use harness::{HttpService, crowd, processes};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const CONNECTIONS: usize = 10_000;
/// Unless a service is told otherwise.
const SERVED: usize = 1024;
/// Of the impatient services below.
const PATIENCE: Duration = Duration::from_secs(2);
const EXTRA: &str = "[server]\nrequest_timeout = 2\n";
/// What the allocator may keep, in KiB: the buffers of all connections that there
/// may be. It is there for the next ones; that it doesn't grow is what counts.
const KEPT_KIB_MAX: u64 = 48 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

/// Makes room for the descriptors of all connections in this process.
fn descriptors() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let needed = u64::try_from(CONNECTIONS + 500)?;
    ensure!(hard >= needed, "{needed} descriptors are needed");
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// That a decent client is answered, soon.
fn serves(service: &HttpService<'_>) -> Result<()> {
    let began = Instant::now();
    let admin = service.admin()?;
    service.curl(Some(&admin), &[], "/tools")?.expect(200)?;
    ensure!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    Ok(())
}

/// That memory is what it was, about.
fn given_back(service: &mut HttpService<'_>, before: u64) -> Result<()> {
    thread::sleep(Duration::from_secs(1));
    let after = processes::status_number(service.running().pid(), "RssAnon:")?;
    ensure!(
        after.saturating_sub(before) <= KEPT_KIB_MAX,
        "{before} KiB became {after} KiB"
    );
    let log = service.log();
    ensure!(!log.contains("panick"), "{log}");
    Ok(())
}

/// Resident memory once the service is warm.
fn warm(service: &mut HttpService<'_>) -> Result<u64> {
    serves(service)?;
    processes::status_number(service.running().pid(), "RssAnon:")
}

#[test]
fn ten_thousand_connections_are_bounded_and_given_back() -> Result<()> {
    descriptors()?;
    let mut service = Prepared::new()?.start("")?;
    let before = warm(&mut service)?;
    let began = Instant::now();
    let held = service.connections(CONNECTIONS)?;
    let request = service.request("nobody", "GET /livez", "", "")?;
    // Those that are served keep their connection; the others are told, or cut.
    let answers = crowd::at_once(held, &[request], Duration::from_secs(20))?;
    let mut served = 0;
    for timed in answers.iter().flatten() {
        match timed.answer.status {
            200 => served += 1,
            503 => ensure!(timed.answer.header("retry-after").is_some(), "{timed:?}"),
            _ => return Err(anyhow!("{timed:?}")),
        }
    }
    ensure!(
        served == SERVED,
        "{served} of {CONNECTIONS} were served, not {SERVED}"
    );
    ensure!(began.elapsed() < Duration::from_secs(20));
    serves(&service)?;
    given_back(&mut service, before)
}

#[test]
fn a_service_with_few_descriptors_keeps_some_for_its_own_work() -> Result<()> {
    descriptors()?;
    let place = Prepared::new()?;
    let mantlet = place.mantlet(EXTRA, &["serve"])?;
    let mut few = place.command("prlimit");
    // As a service manager sets them: few, and more for the asking.
    few.args(["--nofile=256:256", "--"])
        .arg(mantlet.get_program());
    few.args(mantlet.get_args()).env_clear();
    few.envs(
        mantlet
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut service = place.start_as(&mut few)?;
    let before = warm(&mut service)?;
    let held = service.connections(1000)?;
    thread::sleep(Duration::from_millis(500));
    let log = service.log();
    ensure!(!log.contains("can't accept"), "it ran out of them: {log}");
    drop(held);
    thread::sleep(Duration::from_millis(500));
    serves(&service)?;
    given_back(&mut service, before)
}

/// Connections that have sent a part of a request.
fn slow(service: &HttpService<'_>, part: &[u8], count: usize) -> Result<Vec<TcpStream>> {
    let mut held = service.connections(count)?;
    for stream in &mut held {
        stream.write_all(part)?;
    }
    Ok(held)
}

#[test]
fn slow_clients_do_not_keep_others_waiting_and_are_given_up() -> Result<()> {
    let mut service = Prepared::new()?.start(EXTRA)?;
    let admin = service.admin()?;
    let before = warm(&mut service)?;
    let whole = service.request(&admin, "POST /tools/ping/execute", "", &" ".repeat(60_000))?;
    let mcp = service.request(&admin, "POST /mcp", "", &" ".repeat(60_000))?;
    let cut = |bytes: &[u8], at: usize| bytes.get(..at).map(<[u8]>::to_vec);
    let parts = [
        cut(&whole, 40).context("a head's part")?,
        cut(&whole, whole.len() - 10).context("a body's part")?,
        cut(&mcp, mcp.len() - 10).context("a body's part")?,
    ];
    let mut held = Vec::new();
    for part in &parts {
        held.extend(slow(&service, part, 300)?);
    }
    let began = Instant::now();
    serves(&service)?;
    for mut stream in held {
        let mut rest = Vec::new();
        // Closed with 408, or without a word: a head that never came.
        drop(std::io::Read::read_to_end(&mut stream, &mut rest));
    }
    ensure!(began.elapsed() < 4 * PATIENCE, "{:?}", began.elapsed());
    serves(&service)?;
    given_back(&mut service, before)
}

#[test]
fn long_bodies_cost_nothing_whether_declared_or_not() -> Result<()> {
    let mut service = Prepared::new()?.start(EXTRA)?;
    let (admin, host) = (service.admin()?, service.address()?);
    let before = warm(&mut service)?;
    let head = |path: &str, length: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {admin}\r\n\
             Content-Type: application/json\r\n{length}\r\n\r\n"
        )
    };
    let declared = format!("Content-Length: {}", 10 * MEBIBYTE);
    let cases = [
        ("/tools/ping/execute", declared.as_str(), "HTTP/1.1 413"),
        ("/mcp", declared.as_str(), "HTTP/1.1 413"),
        (
            "/tools/ping/execute",
            "Transfer-Encoding: chunked",
            "HTTP/1.1 411",
        ),
        ("/mcp", "Transfer-Encoding: chunked", "HTTP/1.1 411"),
        ("/tools/ping/execute", "Content-Length: 0", "HTTP/1.1 400"),
    ];
    for (path, length, expected) in cases {
        let senders = thread::scope(|scope| -> Result<Vec<String>> {
            let senders: Vec<_> = (0..32)
                .map(|_| {
                    let head = head(path, length);
                    let service = &service;
                    scope.spawn(move || -> Result<String> {
                        let mut stream = service.connect()?;
                        stream.write_all(head.as_bytes())?;
                        let chunk = vec![b' '; MEBIBYTE];
                        for _ in 0..10 {
                            // The service may close once it has said no.
                            if stream.write_all(b"100000\r\n").is_err()
                                || stream.write_all(&chunk).is_err()
                            {
                                break;
                            }
                        }
                        let mut text = Vec::new();
                        drop(std::io::Read::read_to_end(&mut stream, &mut text));
                        Ok(String::from_utf8_lossy(&text).into_owned())
                    })
                })
                .collect();
            let joined = senders.into_iter().map(|sender| {
                let joined = sender.join();
                joined.map_err(|_| anyhow!("a sender"))?
            });
            joined.collect()
        })?;
        for text in senders {
            // A client that goes on sending may lose the answer to the reset.
            ensure!(
                text.is_empty() || text.starts_with(expected),
                "{path} {length}: {text}"
            );
        }
    }
    serves(&service)?;
    given_back(&mut service, before)
}
