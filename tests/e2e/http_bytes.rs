//! Bytes that no decent client sends: each is refused, none is believed twice.
//!
//! What it is not: load; that is for the bench.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::HttpService;
use harness::http_service::{Prepared, parse};

/// Of the services below, in seconds.
const PATIENCE: Duration = Duration::from_secs(2);

fn start() -> Result<HttpService<'static>> {
    Prepared::new()?.start("[server]\nrequest_timeout = 2\n")
}

/// A request's head without its end.
fn head(service: &HttpService<'_>, line: &str, more: &str) -> Result<String> {
    let (address, admin) = (service.address()?, service.admin()?);
    Ok(format!(
        "{line}\r\nHost: {address}\r\nAuthorization: Bearer {admin}\r\n{more}"
    ))
}

/// How many answers there are.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[test]
fn a_request_that_two_readers_could_split_differently_is_refused_and_is_the_last() -> Result<()> {
    let service = start()?;
    let hidden = head(&service, "GET /livez HTTP/1.1", "\r\n")?;
    let post = "POST /tools/nmap/execute HTTP/1.1";
    let cases = [
        // headers, body, statuses allowed, why
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0\r\n\r\n",
            &[400, 411][..],
            "CL.TE",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "8\r\nSMUGGLED\r\n0\r\n\r\n",
            &[400, 411],
            "TE.CL",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            "0\r\n\r\n",
            &[400, 411],
            "TE.TE",
        ),
        (
            "Transfer-Encoding: xchunked\r\n\r\n",
            "",
            &[400, 411],
            "an unknown encoding",
        ),
        (
            "Transfer-Encoding : chunked\r\n\r\n",
            "0\r\n\r\n",
            &[400],
            "a space before the colon",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n",
            "0\r\n\r\n",
            &[411],
            "no length at all",
        ),
        (
            "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
            "",
            &[400],
            "two lengths",
        ),
        ("Content-Length: +5\r\n\r\n", "", &[400], "a sign"),
        ("Content-Length: 0x5\r\n\r\n", "", &[400], "hexadecimal"),
        ("Content-Length: -1\r\n\r\n", "", &[400], "negative"),
        (
            "Content-Length: 18446744073709551616\r\n\r\n",
            "",
            &[400],
            "too large for a number",
        ),
        ("X: a\r\n b\r\n\r\n", "", &[400], "a folded line"),
        ("X: a\0b\r\n\r\n", "", &[400], "NUL"),
        ("X: a\rb\r\n\r\n", "", &[400], "a bare return"),
        ("Host: localhost\r\n\r\n", "", &[400], "two hosts"),
        ("Authorization: Bearer x\r\n\r\n", "", &[400], "two tokens"),
        ("nonsense\r\n\r\n", "", &[400], "no header"),
    ];
    for (fields, body, allowed, why) in cases {
        let request = head(&service, post, fields)? + body + &hidden;
        let text = service.raw(request.as_bytes())?;
        let answer = parse(&text).with_context(|| format!("{why}: {text:?}"))?;
        let lasts = why == "two hosts" || why == "two tokens";
        ensure!(allowed.contains(&answer.status), "{why}: {text}");
        ensure!(
            lasts || answers(&text) == 1,
            "{why}: what followed was answered: {text}"
        );
    }
    Ok(())
}

#[test]
fn requests_out_of_shape_are_refused() -> Result<()> {
    let service = start()?;
    let (token, host) = (service.admin()?, service.address()?);
    let long = "x".repeat(20_000);
    let many = "X: y\r\n".repeat(200);
    let cases = [
        // request, status (0: none, the connection ends), why
        (
            "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned(),
            505,
            "an old version",
        ),
        (
            "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".to_owned(),
            400,
            "no such version",
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            0,
            "HTTP/2 by prior knowledge",
        ),
        (
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            400,
            "no host",
        ),
        ("GET /\r\n\r\n".to_owned(), 400, "HTTP/0.9"),
        (
            "\x16\x03\x01\x02\x00\x01".to_owned() + "\r\n\r\n",
            400,
            "TLS where none is spoken",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            431,
            "a long path",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n"),
            431,
            "a long header",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n{many}\r\n"),
            431,
            "many headers",
        ),
        (
            format!("CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            405,
            "a proxy's request",
        ),
        (
            format!("GET http://10.0.0.1/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            421,
            "another server's",
        ),
        (
            format!(
                "TRACE / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
            ),
            405,
            "an echo of the token",
        ),
    ];
    for (request, status, why) in cases {
        let text = service.raw(request.as_bytes())?;
        ensure!(!text.contains(&token), "{why}: {text}");
        if status == 0 {
            ensure!(text.is_empty(), "{why}: {text}");
            continue;
        }
        let answer = parse(&text).with_context(|| format!("{why}: {text:?}"))?;
        ensure!(answer.status == status, "{why}: {text}");
    }
    service.curl(None, &[], "/livez")?.expect(200)?;
    Ok(())
}

#[test]
fn whoever_is_slow_is_given_up() -> Result<()> {
    let service = start()?;
    let idle = service.connect()?;
    let mut trickle = service.connect()?;
    let mut body = service.connect()?;
    let post = head(
        &service,
        "POST /nothing HTTP/1.1",
        "Content-Length: 100\r\n\r\n",
    )?;
    body.write_all(post.as_bytes())?;
    let began = Instant::now();
    let slow = thread::spawn(move || {
        // A byte now and then, as a slow loris sends them.
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".iter().cycle() {
            if trickle.write_all(&[*byte]).is_err() || began.elapsed() > 10 * PATIENCE {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        began.elapsed()
    });
    let rest = |mut stream: TcpStream| -> Result<String> {
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let answer = parse(&rest(body)?)?.expect(408)?;
    ensure!(answer.header("connection") == Some("close"), "{answer:?}");
    ensure!(rest(idle)?.is_empty(), "an idle connection is closed");
    ensure!(began.elapsed() < 3 * PATIENCE, "{:?}", began.elapsed());
    let took = slow
        .join()
        .map_err(|_| anyhow::anyhow!("the slow client"))?;
    ensure!(took < 4 * PATIENCE, "{took:?}");
    service.curl(None, &[], "/livez")?.expect(200)?;
    Ok(())
}

#[test]
fn bodies_are_whole_and_short_or_refused() -> Result<()> {
    let service = start()?;
    let admin = service.admin()?;
    let big = service.place.dir().join("big");
    std::fs::write(&big, vec![b' '; 10 * 1024 * 1024])?;
    let file = format!("@{}", big.display());
    for expect in ["Expect:", "Expect: 100-continue"] {
        let args = ["--data-binary", &file, "--header", expect];
        let answer = service.curl(Some(&admin), &args, "/tools/nmap/execute")?;
        answer.expect(413)?;
        // Nobody reads a stranger's.
        let answer = service.curl(None, &args, "/tools/nmap/execute")?;
        answer.expect(401)?;
    }
    let post = head(
        &service,
        "POST /nothing HTTP/1.1",
        "Content-Length: 100\r\n\r\n{",
    )?;
    let mut cut = service.connect()?;
    cut.write_all(post.as_bytes())?;
    cut.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    cut.read_to_string(&mut text)?;
    ensure!(text.is_empty() || parse(&text)?.status == 400, "{text}");
    let fits = vec![b' '; 64 * 1024];
    std::fs::write(&big, &fits)?;
    let args = ["--data-binary", file.as_str()];
    service.curl(Some(&admin), &args, "/nothing")?.expect(404)?;
    std::fs::write(&big, [fits, b" ".to_vec()].concat())?;
    service.curl(Some(&admin), &args, "/nothing")?.expect(413)?;
    Ok(())
}

#[test]
fn connections_are_bounded_and_given_back() -> Result<()> {
    let service = Prepared::new()?.start("[server]\nmax_connections = 8\nrequest_timeout = 2\n")?;
    let held: Result<Vec<_>> = (0..8).map(|_| service.connect()).collect();
    let held = held?;
    thread::sleep(Duration::from_millis(200));
    let beyond = service.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Refused with an answer, or by the end of the connection.
    if let Ok(text) = beyond {
        ensure!(
            text.is_empty() || text.starts_with("HTTP/1.1 503"),
            "{text}"
        );
    }
    drop(held);
    thread::sleep(Duration::from_millis(200));
    service.curl(None, &[], "/livez")?.expect(200)?;
    Ok(())
}

#[test]
fn request_ids_are_taken_over_where_they_are_harmless() -> Result<()> {
    let service = start()?;
    let long = "x".repeat(65);
    let cases = [
        ("trace-1.A_b", true, "short and harmless"),
        (long.as_str(), false, "too long"),
        ("a b", false, "a space"),
        ("a\"b", false, "a quote"),
        ("<b>", false, "markup"),
        ("\u{fc}", false, "not ASCII"),
    ];
    for (id, kept, why) in cases {
        let header = format!("X-Request-Id: {id}");
        let answer = service
            .curl(None, &["--header", &header], "/tools")?
            .expect(401)?;
        let echoed = answer.header("x-request-id").context("an id")?;
        ensure!(
            (echoed == id.to_ascii_lowercase()) == kept,
            "{why}: {answer:?}"
        );
        let instance = &answer.json()?["instance"];
        let instance = instance.as_str().context("instance")?.to_ascii_lowercase();
        ensure!(
            instance == format!("urn:request:{echoed}"),
            "{why}: {answer:?}"
        );
    }
    Ok(())
}
