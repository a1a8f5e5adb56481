//! Who is let in over HTTP, and to what (ACC1, ACC3, ACC4).
//!
//! What it is not: what a call does once it is let in.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::http_service::{PROMPT, Prepared};
use harness::running::run;
use harness::{crowd, wait};
use serde_json::{Value, json};

/// Methods and paths: all routes, and what is none.
const ROUTES: [(&str, &str); 27] = [
    ("GET", "/health"),
    ("GET", "/readyz"),
    ("GET", "/tools"),
    ("GET", "/tools/nmap"),
    ("POST", "/tools/nmap/execute"),
    ("POST", "/tools/NmapTool/execute"),
    ("POST", "/tools/nmap/enable"),
    ("POST", "/tools/nmap/disable"),
    ("GET", "/metrics"),
    ("GET", "/events"),
    ("GET", "/config"),
    ("GET", "/openapi.json"),
    ("GET", "/runs"),
    ("GET", "/runs/x"),
    ("GET", "/runs/x/stdout"),
    ("DELETE", "/runs/x"),
    ("POST", "/reload"),
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("OPTIONS", "/tools"),
    ("GET", "/nothing"),
    ("POST", "/"),
    ("PUT", "/livez"),
    ("GET", "//"),
    ("GET", "/livez/../tools"),
    ("PATCH", "/%6civez"),
];

#[test]
fn nothing_but_two_paths_answers_without_a_valid_token() -> Result<()> {
    let service = Prepared::new()?.start("")?;
    let revoked = service.token("admin")?;
    let id = revoked.split('_').nth(1).context("an id")?;
    service.place.token(&["revoke", id])?;
    let short = service
        .place
        .token(&["create", "short", "--role", "admin", "--expires", "1m"])?;
    // As if its minute were over.
    let file = service.place.state().join("tokens.toml");
    let text = fs::read_to_string(&file)?;
    let expires = text.lines().find(|line| line.starts_with("expires"));
    let over = text.replace(
        expires.context("expires")?,
        "expires = \"2001-01-01T00:00:00Z\"",
    );
    fs::write(&file, over)?;

    let (admin, wrong) = (
        service.admin()?,
        "mantlet_00000000_".to_owned() + &"0".repeat(64),
    );
    let forged = admin.replace(&admin[admin.len() - 4..], "0000");
    let garbage = "x".repeat(9000);
    let shown = [
        None,
        Some(""),
        Some("garbage"),
        Some(garbage.as_str()),
        Some(wrong.as_str()),
        Some(forged.as_str()),
        Some(revoked.as_str()),
        Some(short.as_str()),
    ];
    for (method, path) in ROUTES {
        for token in shown {
            let answer = service.curl(token, &["--request", method], path)?;
            let answer = answer.expect(401)?;
            let challenge = answer.header("www-authenticate");
            ensure!(
                challenge.is_some_and(|challenge| challenge.starts_with("bearer ")),
                "{method} {path} {token:?}: {answer:?}"
            );
        }
    }
    for path in ["/", "/livez"] {
        service.curl(None, &[], path)?.expect(200)?;
        service.curl(None, &["--head"], path)?.expect(200)?;
    }
    service.curl(Some(&admin), &[], "/nothing")?.expect(404)?;
    let other = ["--header", &format!("Authorization: Basic {admin}")];
    service.curl(None, &other, "/nothing")?.expect(401)?;
    for secret in [admin, revoked, short, forged] {
        ensure!(!service.log().contains(&secret), "a token is in the log");
    }
    Ok(())
}

#[test]
fn each_route_asks_for_its_role() -> Result<()> {
    let service = Prepared::new()?.start("")?;
    let tokens = ["read", "execute", "admin"].map(|role| service.token(role));
    let [read, execute, admin] = tokens;
    let (read, execute, admin) = (read?, execute?, admin?);
    let cases = [
        // method, path, how many of the three roles may
        ("GET", "/nothing", 3),
        ("POST", "/tools/nmap/execute", 2),
        ("DELETE", "/runs/x", 2),
        ("POST", "/tools/nmap/enable", 1),
        ("POST", "/tools/nmap/disable", 1),
        ("POST", "/reload", 1),
        ("GET", "/config", 1),
        ("POST", "/nothing", 3),
        ("PUT", "/tools/nmap", 3),
    ];
    for (method, path, roles) in cases {
        for (rank, token) in [&admin, &execute, &read].into_iter().enumerate() {
            let answer = service.curl(Some(token), &["--request", method], path)?;
            let forbidden = answer.status == 403;
            ensure!(
                forbidden == (rank >= roles),
                "{method} {path} {rank}: {answer:?}"
            );
            if forbidden {
                let problem = answer.expect(403)?.json()?;
                ensure!(problem["error_type"] == "permission_denied", "{problem}");
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_refused_is_recorded_counted_and_told_on_either_surface() -> Result<()> {
    let place = Prepared::new()?;
    let log = place.dir().join("tmp/audit.jsonl");
    let service = place.start(&format!("[audit]\nfile = \"{}\"\n", log.display()))?;
    let (read, execute) = (service.token("read")?, service.token("execute")?);
    let allowed = json!({"target": "10.66.0.10"});
    let faulty = json!({"target": "10.66.0.10", "timeout_sec": 0});
    for (token, arguments, kind, status) in [
        (&read, &allowed, "permission_denied", 403),
        (&execute, &faulty, "validation_error", 400),
        (&execute, &json!({}), "validation_error", 400),
    ] {
        let before = refusals(&log)?.len();
        let rest = service.execution(token, "nmap", arguments)?;
        let call = json!({"name": "nmap", "arguments": arguments});
        let mcp = service.mcp(token, "tools/call", call)?;
        for request in [rest, mcp] {
            let answers = crowd::at_once(service.connections(1)?, &[request], PROMPT)?;
            let timed = answers.into_iter().flatten().next().context("an answer")?;
            let json = timed.answer.json()?;
            let told = match timed.answer.status {
                200 => &json["result"]["structuredContent"]["error_type"],
                other => {
                    ensure!(other == status, "{timed:?}");
                    &json["error_type"]
                }
            };
            ensure!(told == kind, "{timed:?}");
        }
        let records = refusals(&log)?;
        let new = records.get(before..).context("records")?;
        ensure!(new.len() == 2, "{arguments}: {new:?}");
        ensure!(
            new.iter().all(|record| record["error_type"] == kind),
            "{new:?}"
        );
    }
    let metrics = service.curl(Some(&read), &[], "/metrics")?.expect(200)?;
    let metrics = metrics.body;
    for (kind, count) in [("permission_denied", 2), ("validation_error", 4)] {
        let line = format!("mantlet_refusals_total{{error_type=\"{kind}\"}} {count}");
        ensure!(metrics.contains(&line), "{line}: {metrics}");
    }
    service
        .curl(Some("mlt_guessed"), &[], "/tools")?
        .expect(401)?;
    let told = || {
        let log = service.log();
        let mut lines = log
            .lines()
            .filter(|line| line.contains("request turned away"));
        lines
            .find(|line| line.contains("\"status\":401"))
            .map(str::to_owned)
    };
    let line = wait::until("a line in the log", PROMPT, told)?;
    ensure!(!line.contains("guessed"), "{line}");
    Ok(())
}

fn refusals(log: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(log)?;
    let records = text.lines().map(serde_json::from_str);
    let mut records = records.collect::<Result<Vec<Value>, _>>()?;
    records.retain(|record| record["kind"] == "refused");
    Ok(records)
}

#[test]
fn the_first_start_makes_one_token_for_its_owner_alone() -> Result<()> {
    let service = Prepared::new()?.start("")?;
    let path = service.place.state().join("admin-token");
    let (file, dir) = (fs::metadata(&path)?, fs::metadata(service.place.state())?);
    ensure!(file.mode() & 0o7777 == 0o600 && dir.mode() & 0o7777 == 0o700);
    ensure!(
        file.uid() == dir.uid() && file.uid() != 0,
        "root was given up"
    );
    let log = service.log();
    ensure!(log.contains(&path.display().to_string()), "{log}");
    let admin = service.admin()?;
    service.curl(Some(&admin), &[], "/config")?;
    let tokens = fs::read_to_string(service.place.state().join("tokens.toml"))?;
    let secret = admin.rsplit('_').next().context("a secret")?;
    ensure!(!tokens.contains(secret), "kept as a digest");
    let listed = service.place.token(&["list", "--json"])?;
    ensure!(
        listed.contains("first start") && !listed.contains(secret),
        "{listed}"
    );
    Ok(())
}

#[test]
fn a_token_counts_from_when_it_is_made_until_it_is_revoked() -> Result<()> {
    let service = Prepared::new()?.start("")?;
    for _ in 0..3 {
        let token = service.token("read")?;
        service.curl(Some(&token), &[], "/nothing")?.expect(404)?;
        let id = token.split('_').nth(1).context("an id")?;
        service.place.token(&["revoke", id])?;
        service.curl(Some(&token), &[], "/nothing")?.expect(401)?;
    }
    let admin = service.admin()?;
    let file = service.place.state().join("tokens.toml");
    fs::set_permissions(&file, Permissions::from_mode(0o666))?;
    let answer = service.curl(Some(&admin), &[], "/nothing")?;
    answer.expect(503)?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    service.curl(Some(&admin), &[], "/nothing")?.expect(404)?;
    Ok(())
}

#[test]
fn a_token_file_of_somebody_else_lets_nobody_in() -> Result<()> {
    if !harness::skip::is_root() {
        return Ok(());
    }
    let service = Prepared::new()?.start("")?;
    let admin = service.admin()?;
    let file = service.place.state().join("tokens.toml");
    let own = fs::metadata(&file)?.uid();
    std::os::unix::fs::chown(&file, Some(54_321), None)?;
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    service.curl(Some(&admin), &[], "/nothing")?.expect(503)?;
    let log = service.log();
    ensure!(log.contains("owned by uid 54321"), "{log}");
    for owner in [0, own] {
        std::os::unix::fs::chown(&file, Some(owner), None)?;
        service.curl(Some(&admin), &[], "/nothing")?.expect(404)?;
    }
    Ok(())
}

#[test]
fn the_token_command_says_what_is_wrong() -> Result<()> {
    let place = Prepared::new()?;
    let cases: [(&[&str], i32, &str); 7] = [
        (&["create", "ci"], 2, "--role"),
        (&["create", "ci", "--role", "root"], 2, "execute"),
        (
            &["create", "ci", "--role", "read", "--tool", "nmpa"],
            2,
            "nmap",
        ),
        (
            &["create", "ci", "--role", "read", "--expires", "soon"],
            2,
            "30d",
        ),
        (&["create", "", "--role", "read"], 2, "printable"),
        (&["revoke", "12345678"], 1, "token list"),
        (&[], 2, "create"),
    ];
    for (args, code, expected) in cases {
        let words: Vec<&str> = ["token"].iter().chain(args).copied().collect();
        let ended = run(&mut place.mantlet("", &words)?, PROMPT)?.expect_code(code)?;
        ensure!(ended.stderr.contains(expected), "{args:?}: {ended:?}");
        ensure!(ended.stdout.is_empty(), "{args:?}: {ended:?}");
    }
    let args = [
        "token", "create", "ci", "--role", "execute", "--tool", "NmapTool",
    ];
    let ended = run(&mut place.mantlet("", &args)?, PROMPT)?.expect_code(0)?;
    ensure!(
        ended.stdout.lines().count() == 1,
        "the token alone: {ended:?}"
    );
    ensure!(!ended.stderr.contains(ended.stdout.trim_end()), "{ended:?}");
    let listed = place.token(&["list"])?;
    ensure!(
        listed.contains(" nmap") && listed.contains("never"),
        "{listed}"
    );
    Ok(())
}

#[test]
fn forged_hosts_and_origins_are_refused() -> Result<()> {
    let extra = "[server]\nallowed_hosts = [\"lab.example\"]\n\
        allowed_origins = [\"https://ui.example\"]\n";
    let service = Prepared::new()?.start(extra)?;
    let admin = service.admin()?;
    let cases = [
        ("Host: evil.example", 421),
        ("Host: 127.0.0.1.evil.example", 421),
        ("Host: lab.example", 404),
        ("Host: localhost:1", 404),
        ("Origin: https://evil.example", 403),
        ("Origin: null", 403),
        ("Origin: https://ui.example", 404),
        ("Origin: http://localhost:5173", 404),
    ];
    for (header, status) in cases {
        let answer = service.curl(Some(&admin), &["--header", header], "/nothing")?;
        let answer = answer.expect(status)?;
        let allowed = answer.header("access-control-allow-origin");
        let expected = header
            .ends_with("ui.example")
            .then_some("https://ui.example");
        ensure!(allowed == expected, "{header}: {answer:?}");
        ensure!(answer.header("access-control-allow-credentials").is_none());
        // What anybody may ask is no exception.
        let answer = service.curl(None, &["--header", header], "/livez")?;
        ensure!(
            (answer.status == 200) == (status == 404),
            "{header}: {answer:?}"
        );
    }
    let asks = "Access-Control-Request-Method: POST";
    let preflight = |origin: &str| {
        let args = ["-X", "OPTIONS", "--header", origin, "--header", asks];
        service.curl(None, &args, "/tools/nmap/execute")
    };
    let answer = preflight("Origin: https://ui.example")?.expect(200)?;
    ensure!(
        answer.header("access-control-allow-methods").is_some(),
        "{answer:?}"
    );
    ensure!(answer.body.is_empty(), "{answer:?}");
    preflight("Origin: https://evil.example")?.expect(403)?;
    preflight("Origin: http://localhost")?.expect(401)?;
    Ok(())
}

#[test]
fn without_listed_origins_no_page_is_told_anything() -> Result<()> {
    let service = Prepared::new()?.start("")?;
    let admin = service.admin()?;
    let asks = "Access-Control-Request-Method: GET";
    let args = [
        "-X",
        "OPTIONS",
        "-H",
        "Origin: http://localhost",
        "-H",
        asks,
    ];
    let answer = service.curl(None, &args, "/tools")?.expect(401)?;
    ensure!(!answer.head.contains("access-control"), "{answer:?}");
    let args = ["-H", "Origin: http://localhost"];
    let answer = service.curl(Some(&admin), &args, "/nothing")?.expect(404)?;
    ensure!(!answer.head.contains("access-control"), "{answer:?}");
    Ok(())
}

#[test]
fn sighup_ends_nothing_and_sigterm_ends_it_well() -> Result<()> {
    let service = Prepared::new()?.start("")?;
    let address = service.address()?;
    let mut service = service;
    service.running().signal(nix::sys::signal::Signal::SIGHUP)?;
    thread::sleep(Duration::from_millis(200));
    service.curl(None, &[], "/livez")?.expect(200)?;
    // An idle connection holds nothing up.
    let _idle = service.connect()?;
    service.stop(Duration::from_secs(5))?.expect_code(0)?;
    ensure!(std::net::TcpStream::connect(address).is_err());
    Ok(())
}
