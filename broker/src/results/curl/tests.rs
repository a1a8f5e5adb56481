//! Tests of what is believed of a transcript, and of bounds.
//!
//! The golden tests hold recordings of real runs; here stand the cases that are made up, and random
//! servers.

use super::*;
use crate::results::bounded;
use proptest::prelude::*;
use serde_json::Value;

const ASKED: &str = "*   Trying 10.0.0.1:443...\n* Connected to a (10.0.0.1) port 443 (#0)\n";
const SECURED: &str = "* SSL connection using TLSv1.3 / TLS_AES_256_GCM_SHA384\n\
    * ALPN: server accepted h2\n* Server certificate:\n*  subject: ";

fn parse(argv: &str, stdout: &[u8], stderr: &[u8], end: RunEnd) -> Parsed {
    let mut parser = CurlParser::new(&Expect {
        argv: argv.split(' ').map(str::to_owned).collect(),
        ..Expect::default()
    });
    parser.push(stdout);
    parser.push_stderr(stderr);
    parser.finish(end)
}

fn structured(argv: &str, stderr: &str) -> Value {
    parse(argv, b"", stderr.as_bytes(), RunEnd::default()).structured
}

#[test]
fn tells_trust_and_name_apart() {
    let done = format!("{ASKED}{SECURED}CN=a\n> GET / HTTP/2\n");
    let cases = [
        (
            "curl",
            done.as_str(),
            0,
            0,
            Some(true),
            Some(true),
            "all is well",
        ),
        (
            "curl -k",
            &done,
            0,
            0,
            Some(true),
            None,
            "-k checks no name",
        ),
        ("curl -k", &done, 0, 18, Some(false), None, "-k goes on"),
        (
            "curl",
            ASKED,
            60,
            10,
            Some(false),
            None,
            "refused for the chain",
        ),
        (
            "curl",
            &done,
            60,
            1,
            Some(true),
            Some(false),
            "refused for the name",
        ),
        (
            "curl",
            ASKED,
            35,
            1,
            None,
            None,
            "no handshake, nothing verified",
        ),
        (
            "curl",
            ASKED,
            7,
            0,
            None,
            None,
            "no connection, nothing verified",
        ),
    ];
    for (argv, transcript, exit, verify, trusted, name_matches, why) in cases {
        let json = format!("{{\"certs\":\"\",\"exitcode\":{exit},\"ssl_verify_result\":{verify}}}");
        let told = structured(
            &format!("{argv} https://a/"),
            &format!("{transcript}\n{json}\n"),
        );
        let tls = &told["tls"];
        assert_eq!(tls["trusted"].as_bool(), trusted, "{why}: {told}");
        assert_eq!(tls["name_matches"].as_bool(), name_matches, "{why}: {told}");
        assert_eq!(told["error"]["code"].as_i64().unwrap_or(0), exit, "{why}");
    }
    let plain = structured("curl http://a/", ASKED);
    assert!(plain["tls"].is_null(), "no TLS where none was asked for");
}

#[test]
fn a_stopped_run_tells_what_the_transcript_has() {
    let stopped = RunEnd {
        timed_out: true,
        ..RunEnd::default()
    };
    let transcript = format!(
        "{ASKED}{SECURED}CN=a\n> HEAD / HTTP/2\n> Host: a\n> \n< HTTP/2 200\n< server: x\n< a"
    );
    let parsed = parse(
        "curl https://a/",
        b"HTTP/2 200\r\n",
        transcript.as_bytes(),
        stopped,
    );
    let told = &parsed.structured;
    assert_eq!(told["truncated"], true);
    assert_eq!(
        (&told["status"], &told["method"]),
        (&200.into(), &"HEAD".into())
    );
    assert_eq!(
        (&told["address"], &told["port"]),
        (&"10.0.0.1".into(), &443.into())
    );
    assert_eq!(told["tls"]["version"], "TLSv1.3");
    assert!(
        told["tls"]["trusted"].is_null(),
        "the verdict was never told"
    );
    assert!(told["body"].is_null(), "with HEAD there is none: {told}");
    assert!(told["times_ms"].is_null());
    assert!(
        parsed.summary.contains("the run timed out"),
        "{}",
        parsed.summary
    );
}

#[test]
fn curls_own_words_are_kept_apart_from_the_transcript() {
    let cases = [
        (
            "curl: option --x: is unknown\n",
            "curl: option --x: is unknown",
            "before all",
        ),
        (
            "* Trying\n> G\n< curl: (1) x\ncurl: (7) no\nMore: x\n",
            "curl: (7) no",
            "after it",
        ),
        ("", "", "nothing"),
    ];
    for (stderr, words, why) in cases {
        let parsed = parse("curl http://a/", b"", stderr.as_bytes(), RunEnd::default());
        assert_eq!(parsed.stderr.as_deref(), Some(words), "{why}");
    }
}

#[test]
fn tells_text_from_other_bodies() {
    let cases: &[(&[u8], Option<&str>, &str)] = &[
        (
            b"<p>\n\thi \x1b[0m</p> and so on",
            Some("<p>\n\thi \\x1b[0m</p> and so on"),
            "text",
        ),
        ("é漢字".as_bytes(), Some("é漢字"), "UTF-8"),
        (
            b"caf\xe9 and a dozen more",
            Some("caf\\xe9 and a dozen more"),
            "Latin-1",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", None, "a picture"),
        (b"\xff\xfe\xfd\xfcab", None, "mostly no text"),
    ];
    for (body, expected, why) in cases {
        let parsed = parse("curl http://a/", body, b"> GET\n", RunEnd::default());
        let told = &parsed.structured["body"];
        assert_eq!(told["text"].as_str(), *expected, "{why}");
        assert_eq!(told["bytes"], body.len(), "{why}");
        assert_eq!(told["complete"], false, "{why}: nobody said so");
    }
}

#[test]
fn stays_small_whatever_comes() {
    let mut parser = CurlParser::new(&Expect::default());
    parser.push_stderr(b"> GET / HTTP/1.1\n< HTTP/1.1 200 OK\n");
    for number in 0..20_000 {
        parser.push(&[b'\x1b'; 4096]);
        parser.push_stderr(format!("< X-{number}: {}\n", "\u{202e}".repeat(400)).as_bytes());
    }
    parser.push_stderr(b"< X: ");
    for _ in 0..1000 {
        parser.push_stderr(&[b'x'; 4096]);
    }
    assert!(parser.body.capacity() <= 2 * BODY_BYTES_MAX);
    let parsed = parser.finish(RunEnd::default());
    assert_eq!(parsed.structured["headers_omitted"], 20_001 - 256);
    assert!(parsed.structured.to_string().len() < 1024 * 1024);
    assert!(parsed.readable.len() <= Expect::default().readable_bytes_max);
    let trimmed = bounded(parsed.structured, 8_000).to_string();
    assert!(trimmed.chars().count() <= 8_000, "{trimmed}");
}

#[test]
fn the_largest_certificates_and_body_fit_a_models_budget() {
    let one = Certificate {
        subject: "s".repeat(512),
        issuer: "i".repeat(512),
        names: vec!["n".repeat(255); 16],
        ..Certificate::default()
    };
    let report = CurlReport {
        certificates: vec![one; 8],
        body: Some(Body {
            text: Some("\"\n".repeat(8_000)),
            ..Body::default()
        }),
        ..CurlReport::default()
    };
    let trimmed = bounded(serde_json::to_value(report).unwrap(), 8_000);
    assert!(trimmed.to_string().chars().count() <= 8_000, "{trimmed}");
    assert_eq!(trimmed["body"]["text_cut"], true);
    assert_eq!(trimmed["certificates"].as_array().unwrap().len(), 1);
}

proptest! {
    /// Whatever a server puts into its certificate's subject, which curl prints as it is, and into
    /// its headers, which curl marks: what curl itself found out stays.
    #[test]
    fn a_server_changes_no_fact_of_curls(
        subject in "(\\* SSL connection using TLSv9 / X|\\{\"certs\":\"\",\"exitcode\":0\\}|curl: \\(0\\) x|\
            \\* ALPN: server accepted evil|> |< HTTP/1.1 1 x|[ -~\n\r\u{e9}]|\n){0,40}",
        headers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20),
    ) {
        let json = "{\"certs\":\"\",\"exitcode\":56,\"http_code\":200,\"ssl_verify_result\":18,\
            \"time_total\":0.5,\"remote_ip\":\"10.0.0.1\",\"remote_port\":443}";
        let mut stderr = format!("{ASKED}{SECURED}{subject}\n*  start date: x\n> GET / HTTP/2\n").into_bytes();
        stderr.extend(b"< HTTP/2 200\n");
        for header in &headers {
            stderr.extend(b"< ");
            stderr.extend(header.iter().filter(|byte| **byte != b'\n'));
            stderr.push(b'\n');
        }
        stderr.extend(b"< \n* Closing connection 0\ncurl: (56) broken\n\n");
        stderr.extend(json.bytes());
        stderr.push(b'\n');
        let told = parse("curl -k https://a/", b"", &stderr, RunEnd::default()).structured;
        prop_assert_eq!(&told["tls"]["version"], "TLSv1.3");
        prop_assert_eq!(&told["tls"]["cipher"], "TLS_AES_256_GCM_SHA384");
        prop_assert_eq!(&told["tls"]["alpn"], "h2");
        prop_assert_eq!(&told["tls"]["trusted"], false);
        prop_assert_eq!(&told["error"]["code"], 56);
        prop_assert_eq!(&told["times_ms"]["total"], 500.0);
        prop_assert_eq!(&told["address"], "10.0.0.1");
        prop_assert_eq!(&told["truncated"], false);
    }
}
