//! curl's and dig's structured results, from servers that behave and servers that attack.
//!
//! What it is not: a test of what may be asked; vetting has its own.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::identity::Identity;
use harness::lab::Host;
use harness::running::{Running, run};
use harness::{Lab, wait};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_mins(1);
/// Records of random bytes in an answer of the hostile name server, and some more.
const RECORDS: u32 = 24;

fn result(lab: &Lab, args: &[&str]) -> Result<Value> {
    let ended = run(&mut lab.mantlet(args)?, BOUND)?;
    serde_json::from_str(&ended.stdout).with_context(|| format!("no JSON: {ended:?}"))
}

/// An HTTPS server on port 443 whose certificate's subject holds the given text.
fn https(lab: &Lab, host: Host, subject: &str) -> Result<Running> {
    let path = |name: &str| lab.dir().join(name).display().to_string();
    let (key, cert) = (path("tls.key"), path("tls.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/CN={}", subject.replace('/', "\\/")),
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:web.lab.internal,IP:10.66.0.10",
        ])
        .args(["-keyout", &key, "-out", &cert])
        .output()?;
    ensure!(made.status.success(), "{made:?}");
    let mut server = lab.host(host)?.command(Identity::Root, "openssl");
    server.args(["s_server", "-accept", "443", "-quiet", "-www"]);
    let server = Running::start(server.args(["-key", &key, "-cert", &cert]))?;
    let address = (host.addr(), 443);
    lab.client().enter(|| {
        wait::until_true("the HTTPS server", BOUND, || {
            std::net::TcpStream::connect(address).is_ok()
        })
    })?;
    Ok(server)
}

#[test]
fn curl_tells_a_response_from_a_closed_port() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let told = result(&lab, &["run", "curl", "10.66.0.10", "--json"])?;
    let curl = &told["structured"];
    ensure!(
        curl["status"] == 200 && curl["http_version"] == "1.1",
        "{told:#}"
    );
    ensure!(curl["body"]["text"] == "a lab page\n", "{told:#}");
    ensure!(
        curl["body"]["complete"] == true && curl["address"] == "10.66.0.10",
        "{told:#}"
    );
    ensure!(
        curl["times_ms"]["total"]
            .as_f64()
            .is_some_and(|ms| ms > 0.0),
        "{told:#}"
    );
    ensure!(
        told["stderr"] == "",
        "the transcript is no complaint: {told:#}"
    );
    let told = result(
        &lab,
        &["run", "curl", "10.66.0.10", "--json", "--", "--port", "81"],
    )?;
    let curl = &told["structured"];
    ensure!(
        told["returncode"] == 7 && told["error"].is_null(),
        "a finding: {told:#}"
    );
    ensure!(curl["error"]["kind"] == "no_connection", "{told:#}");
    ensure!(curl["status"].is_null() && curl["port"] == 81, "{told:#}");
    Ok(())
}

#[test]
fn curl_tells_tls_facts_that_a_certificate_does_not_forge() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let forged = "a\n* SSL connection using TLSv9 / FORGED\n> \n< HTTP/1.1 599 F";
    let _server = https(&lab, Host::Web, forged)?;
    let call = [
        "run",
        "curl",
        "10.66.0.10",
        "--json",
        "--",
        "--scheme",
        "https",
    ];
    let told = result(&lab, &call)?;
    let curl = &told["structured"];
    ensure!(
        told["returncode"] == 60 && curl["error"]["kind"] == "not_trusted",
        "{told:#}"
    );
    ensure!(
        curl["tls"]["trusted"] == false && curl["status"].is_null(),
        "{told:#}"
    );
    let told = result(&lab, &[&call[..], &["-k"]].concat())?;
    let curl = &told["structured"];
    let tls = &curl["tls"];
    ensure!(
        tls["version"] == "TLSv1.3" && tls["trusted"] == false,
        "{told:#}"
    );
    ensure!(
        tls["verify_code"] == 18 && curl["status"] == 200,
        "{told:#}"
    );
    let names = json!(["web.lab.internal", "10.66.0.10"]);
    let certificate = &curl["certificates"][0];
    ensure!(
        certificate["names"] == names && certificate["key"] == "EC P-256",
        "{told:#}"
    );
    let subject = certificate["subject"].as_str().unwrap_or_default();
    ensure!(
        subject.starts_with("CN=a\\x0a* SSL"),
        "as it is, on one line: {subject}"
    );
    Ok(())
}

#[test]
fn a_stopped_curl_tells_what_had_come() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Bare])? else {
        return Ok(());
    };
    let listener = lab.host(Host::Bare)?.enter(|| {
        let listener = TcpListener::bind("10.66.0.40:80")?;
        Ok(listener)
    })?;
    let server = thread::spawn(move || -> Result<()> {
        let (mut peer, _) = listener.accept()?;
        let mut request = [0; 1024];
        ensure!(peer.read(&mut request)? > 0, "a request");
        peer.write_all(b"HTTP/1.1 203 So so\r\nX-Lab: yes\r\nContent-Length: 9\r\n\r\nhalf")?;
        // Until the client is gone, which its kernel may tell by a reset.
        if let Err(error) = peer.read_to_end(&mut Vec::new()) {
            ensure!(error.kind() == ErrorKind::ConnectionReset, "{error}");
        }
        Ok(())
    });
    let call = [
        "run",
        "curl",
        "10.66.0.40",
        "--json",
        "--timeout",
        "2",
        "--",
        "--max-time",
        "60",
    ];
    let told = result(&lab, &call)?;
    let curl = &told["structured"];
    ensure!(
        told["timed_out"] == true && curl["truncated"] == true,
        "{told:#}"
    );
    ensure!(
        curl["status"] == 203 && curl["reason"] == "So so",
        "{told:#}"
    );
    ensure!(
        curl["headers"][0] == json!({"name": "X-Lab", "value": "yes"}),
        "{told:#}"
    );
    server.join().ok().context("the server panicked")??;
    Ok(())
}

/// Bytes that look random, the same in each run.
fn bytes(seed: u32, length: usize) -> Vec<u8> {
    // Every other byte is one that means something in YAML, in a zone file or to a terminal.
    let special = b"'\"\\\n\r\t #:-{}[]&*!|>%@`;$().,?\x1b\x00\xff";
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [random, ..] = state.to_be_bytes();
        random
    };
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let at = usize::from(next()).checked_rem(special.len()).unwrap_or(0);
        bytes.extend([special[at], next()]);
    }
    bytes.truncate(length);
    bytes
}

/// The label and the text of each record, longer and longer.
fn payloads() -> Vec<(Vec<u8>, Vec<u8>)> {
    let labels = (1..RECORDS).map(|seed| bytes(seed, 2).repeat(usize::try_from(seed).unwrap_or(1)));
    let texts = (1..RECORDS).map(|seed| bytes(!seed, 4).repeat(usize::try_from(seed).unwrap_or(1)));
    let mut all: Vec<_> = labels.zip(texts).collect();
    all.push((bytes(0, 63), bytes(0, 255)));
    let forged = b"x' \n        - 'forged.lab. 1 IN A 6.6.6.6'\n- type: MESSAGE\n";
    all.push((forged.to_vec(), forged.to_vec()));
    all.push((b"---".to_vec(), b"'; Transfer failed.".to_vec()));
    all
}

/// An answer to the query with a TXT record for each payload.
fn answer(query: &[u8]) -> Vec<u8> {
    let (header, rest) = query.split_at(12);
    let name = rest
        .split_inclusive(|byte| *byte == 0)
        .next()
        .unwrap_or(rest);
    let question = [name, &[0, 16, 0, 1]].concat();
    let count = u16::try_from(payloads().len()).unwrap_or(0).to_be_bytes();
    let mut message = [
        &header[..2],
        &[0x85, 0x80, 0, 1],
        &count,
        &[0; 4],
        &question,
    ]
    .concat();
    for (label, text) in payloads() {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap_or(0);
        message.extend([&[length(&label)], &label[..], b"\x03lab\x00"].concat());
        message.extend([0, 16, 0, 1, 0, 0, 0, 60]);
        let data_bytes = u16::from(length(&text)).saturating_add(1);
        message.extend(data_bytes.to_be_bytes());
        message.push(length(&text));
        message.extend(text);
    }
    message
}

/// The bytes that a name or text stands for, as zone files write them.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let digits = rest
            .get(1..4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let (byte, used) = match (char, digits) {
            ('\\', Some(code)) => (code.parse().unwrap_or(0), 4),
            ('\\', None) => (rest.as_bytes()[1], 2),
            (_, _) => (rest.as_bytes()[0], 1),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    bytes
}

#[test]
fn names_and_texts_of_any_bytes_forge_no_record() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Bare])? else {
        return Ok(());
    };
    let socket = lab.host(Host::Bare)?.enter(|| {
        let socket = UdpSocket::bind("10.66.0.40:53")?;
        Ok(socket)
    })?;
    socket.set_read_timeout(Some(BOUND))?;
    let server = thread::spawn(move || -> Result<()> {
        let mut query = [0; 1500];
        let (length, from) = socket.recv_from(&mut query)?;
        socket.send_to(&answer(&query[..length]), from)?;
        Ok(())
    });
    let question = ["-q", "any.lab.internal", "-t", "TXT", "+bufsize=4096"];
    let call = [&["run", "dig", "10.66.0.40", "--json", "--"], &question[..]].concat();
    let told = result(&lab, &call)?;
    server.join().ok().context("the server panicked")??;
    let dig = &told["structured"];
    let answers = dig["answers"]
        .as_array()
        .with_context(|| format!("{told:#}"))?;
    ensure!(answers.len() == payloads().len(), "{told:#}");
    for (record, (label, text)) in answers.iter().zip(payloads()) {
        let name = record["name"].as_str().unwrap_or_default();
        let name = name.strip_suffix(".lab.").unwrap_or_default();
        ensure!(unescaped(name) == label, "{label:?} came as {record}");
        let data = record["data"].as_str().unwrap_or_default().trim();
        let data = data
            .strip_prefix('"')
            .and_then(|data| data.strip_suffix('"'));
        ensure!(
            data.map(unescaped) == Some(text.clone()),
            "{text:?} came as {record}"
        );
        ensure!(record["type"] == "TXT" && record["ttl"] == 60, "{record}");
    }
    ensure!(
        dig["messages"] == 1 && dig["warnings"].is_null(),
        "{told:#}"
    );
    Ok(())
}

#[test]
fn dig_tells_an_answer_from_silence() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Dns])? else {
        return Ok(());
    };
    let ask = |name, server| {
        result(
            &lab,
            &["run", "dig", server, "--json", "--", "-q", name, "+time=1"],
        )
    };
    let told = ask("web.lab.internal", "10.66.0.53")?;
    let dig = &told["structured"];
    ensure!(
        dig["status"] == "NOERROR" && dig["server"]["protocol"] == "UDP",
        "{told:#}"
    );
    ensure!(dig["answers"][0]["data"] == "10.66.0.10", "{told:#}");
    ensure!(
        dig["query"]["name"] == "web.lab.internal." && dig["query"]["type"] == "A",
        "{told:#}"
    );
    let told = ask("nosuch.lab.internal", "10.66.0.53")?;
    ensure!(told["structured"]["status"] == "NXDOMAIN", "{told:#}");
    ensure!(
        told["error"].is_null() && told["returncode"] == 0,
        "{told:#}"
    );
    let told = ask("web.lab.internal", "10.66.0.2")?;
    let dig = &told["structured"];
    ensure!(
        told["returncode"] == 9 && dig["status"].is_null(),
        "{told:#}"
    );
    ensure!(
        dig["errors"][0] == "no servers could be reached",
        "{told:#}"
    );
    Ok(())
}
