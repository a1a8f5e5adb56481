//! What operators see over HTTP: metrics, health, readiness, events.
//!
//! What it is not: the rules behind them; their tables stand beside the code.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::http_service::Prepared;
use harness::lab::Host;
use harness::running::{Running, run};
use harness::{HttpService, Lab, processes, skip, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PROMPT: Duration = Duration::from_secs(20);
/// A look, its timeout, and the next.
const LOOKS: Duration = Duration::from_secs(40);
/// Where Prometheus answers, in a network of the test's own.
const PROMETHEUS: &str = "127.0.0.1:9090";
const OFTEN: &str = "[health]\ncheck_interval = 5\n";

/// The scrape configuration that OPERATING.md shows, for this service.
fn scrape_config(service: &HttpService<'_>, token_file: &str) -> Result<String> {
    let document = include_str!("../../docs/OPERATING.md");
    let example = document.split("```yaml\n").nth(1).context("an example")?;
    let example = example.split("```").next().unwrap_or_default();
    let config = example
        .replace("/etc/prometheus/mantlet.token", token_file)
        .replace("127.0.0.1:8080", &service.address()?.to_string());
    Ok(format!("global:\n  scrape_interval: 1s\n{config}"))
}

/// The value of a series, as Prometheus has it.
fn query(service: &HttpService<'_>, series: &str) -> Result<Option<f64>> {
    let mut command = service.place.command("curl");
    command.args(["--silent", "--get", "--max-time", "10"]);
    command.args(["--data-urlencode", &format!("query={series}")]);
    command.arg(format!("http://{PROMETHEUS}/api/v1/query"));
    let answer = run(&mut command, PROMPT)?.stdout;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let value = answer["data"]["result"][0]["value"][1].as_str();
    Ok(value.and_then(|value| value.parse().ok()))
}

#[test]
fn prometheus_scrapes_the_service_as_the_manual_says() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    if run(
        lab.client()
            .command(harness::identity::Identity::Root, "prometheus")
            .arg("--version"),
        PROMPT,
    )?
    .code
        != 0
    {
        skip::skip("needs Debian's package prometheus");
        return Ok(());
    }
    let service = Prepared::inside(&lab)?.start(OFTEN)?;
    let token_file = service.place.dir().join("token");
    fs::write(&token_file, service.token("read")?)?;
    let config = scrape_config(&service, &token_file.display().to_string())?;
    let config_file = service.place.dir().join("prometheus.yml");
    fs::write(&config_file, config)?;
    let mut command = service.place.command("prometheus");
    command.arg(format!("--config.file={}", config_file.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        service.place.dir().join("tsdb").display()
    ));
    command.arg(format!("--web.listen-address={PROMETHEUS}"));
    let prometheus = Running::start(&mut command)?;
    let seen = |series: &str, wanted: &dyn Fn(f64) -> bool| {
        let found = wait::until_true(
            series,
            LOOKS,
            || matches!(query(&service, series), Ok(Some(value)) if wanted(value)),
        );
        found.with_context(|| format!("{series}\n{}", prometheus.stderr_so_far()))
    };
    seen("up{job=\"mantlet\"}", &|up| up > 0.5)?;
    seen("mantlet_executor_up", &|up| up > 0.5)?;
    for series in [
        "mcp_circuit_breaker_state{tool=\"nmap\"}",
        "mcp_tool_active_executions{tool=\"nmap\"}",
        "mcp_tool_execution_total{tool=\"nmap\",status=\"success\"}",
        "mcp_tool_execution_duration_seconds_count{tool=\"nmap\"}",
        "mantlet_refusals_total{error_type=\"not_found\"}",
    ] {
        seen(series, &|value| value.abs() < 0.5)?;
    }
    seen(
        "mcp_http_request_duration_seconds_count{endpoint=\"/metrics\"}",
        &|count| count > 0.5,
    )?;
    Ok(())
}

#[test]
fn promtool_has_no_complaint_of_the_served_metrics() -> Result<()> {
    let service = Prepared::new()?.start(OFTEN)?;
    let token = service.token("read")?;
    for path in ["/livez", "/health", "/nothing/here"] {
        service.curl(Some(&token), &[], path)?;
    }
    let answer = service.curl(Some(&token), &[], "/metrics")?.expect(200)?;
    let kind = answer.header("content-type");
    ensure!(
        kind == Some("text/plain; version=0.0.4; charset=utf-8"),
        "{answer:?}"
    );
    for route in ["/health", "/livez", "other"] {
        let series = format!("_count{{endpoint=\"{route}\"}} 1");
        ensure!(answer.body.contains(&series), "{series}: {}", answer.body);
    }
    ensure!(!answer.body.contains("nothing/here"), "{}", answer.body);
    let mut command = service.place.command("promtool");
    let Ok((promtool, mut stdin, _)) = Running::start_talking(command.args(["check", "metrics"]))
    else {
        skip::skip("needs promtool, of Debian's package prometheus");
        return Ok(());
    };
    stdin.write_all(answer.body.as_bytes())?;
    drop(stdin);
    let ended = promtool.wait(PROMPT)?;
    ensure!(
        ended.code == 0 && ended.stderr.is_empty(),
        "{ended:?}\n{}",
        answer.body
    );
    Ok(())
}

#[test]
fn metrics_that_are_switched_off_are_not_served() -> Result<()> {
    let service = Prepared::new()?.start("[metrics]\nenabled = false\n")?;
    let token = service.token("read")?;
    service.curl(Some(&token), &[], "/metrics")?.expect(404)?;
    Ok(())
}

#[test]
fn health_and_readiness_follow_the_executor() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut service = Prepared::inside(&lab)?.start(OFTEN)?;
    let broker = service.running().pid();
    let token = service.token("read")?;
    let health = || service.curl(Some(&token), &[], "/health");
    let (first, body) = {
        let answer = health()?;
        (answer.status, answer.json()?)
    };
    // What this machine lacks may degrade it.
    let expected = if body["status"] == "healthy" {
        200
    } else {
        207
    };
    ensure!(first == expected, "{first}: {body:#}");
    let checks = &body["checks"];
    ensure!(checks["executor"]["status"] == "healthy", "{body:#}");
    ensure!(checks["executor"]["priority"] == "critical", "{body:#}");
    ensure!(checks["policy"]["status"] == "healthy", "{body:#}");
    // In the state directory, which no key names.
    ensure!(checks["disk_store"]["status"].is_string(), "{body:#}");
    let version = checks["tool_nmap"]["details"]["version"].as_str();
    ensure!(
        version.is_some_and(|version| !version.is_empty()),
        "{body:#}"
    );
    ensure!(checks["sandbox"]["details"]["egress"] == "argv", "{body:#}");
    ensure!(
        checks["circuit_breaker_nmap"]["status"] == "healthy",
        "{body:#}"
    );
    ensure!(
        body["transport"] == "http" && body["timestamp"].is_string(),
        "{body:#}"
    );
    service.curl(Some(&token), &[], "/readyz")?.expect(200)?;

    let executors = processes::descendants(broker)?;
    let signal = |signal| -> Result<()> {
        for process in &executors {
            kill(Pid::from_raw(process.pid.try_into()?), signal)?;
        }
        Ok(())
    };
    ensure!(!executors.is_empty(), "no executor runs");
    signal(Signal::SIGSTOP)?;
    let unhealthy = wait::until_true("503", LOOKS, || {
        health().is_ok_and(|answer| answer.status == 503)
    });
    let ready = service.curl(Some(&token), &[], "/readyz");
    let (body, metrics) = (health()?, service.curl(Some(&token), &[], "/metrics"));
    signal(Signal::SIGCONT)?;
    unhealthy?;
    ready?.expect(503)?;
    let body = body.json()?;
    ensure!(body["status"] == "unhealthy", "{body:#}");
    ensure!(
        body["checks"]["executor"]["status"] == "unhealthy",
        "{body:#}"
    );
    ensure!(
        metrics?.body.contains("mantlet_executor_up 0\n"),
        "the metric says so too"
    );
    wait::until_true("the same as before", LOOKS, || {
        health().is_ok_and(|answer| answer.status == first)
    })?;
    service.curl(Some(&token), &[], "/readyz")?.expect(200)?;
    Ok(())
}

/// curl, reading the events until they end.
fn reader(service: &HttpService<'_>, token: &str) -> Result<Running> {
    let mut command = service.place.command("curl");
    command.args(["--silent", "--no-buffer", "--include", "--max-time", "60"]);
    command.args(["--header", &format!("Authorization: Bearer {token}")]);
    command.arg(format!("{}/events", service.url));
    Running::start(&mut command)
}

#[test]
fn a_stream_ends_with_the_token_that_opened_it_and_others_go_on() -> Result<()> {
    let service = Prepared::new()?.start(OFTEN)?;
    let (kept, revoked) = (service.token("read")?, service.token("read")?);
    let brief = ["create", "brief", "--role", "read", "--expires", "4s"];
    let brief = service.place.token(&brief)?;
    let mut stays = reader(&service, &kept)?;
    let ends = [reader(&service, &revoked)?, reader(&service, &brief)?];
    for reader in ends.iter().chain([&stays]) {
        let begun = || reader.stdout_so_far().contains("data: ");
        wait::until_true("the stream", PROMPT, begun)?;
    }
    let id = revoked.split('_').nth(1).context("an id")?;
    service.place.token(&["revoke", id])?;
    for reader in ends {
        // 18: it ended before its time, as a stream that is cut does; or 0.
        let ended = reader.wait(PROMPT)?;
        ensure!([0, 18].contains(&ended.code), "{ended:?}");
    }
    ensure!(!stays.has_ended()?, "the other goes on");
    Ok(())
}

#[test]
fn events_bring_health_and_metrics_and_end_with_the_service() -> Result<()> {
    let service = Prepared::new()?.start(OFTEN)?;
    let token = service.token("read")?;
    let reader = reader(&service, &token)?;
    wait::until_true("two rounds", PROMPT, || {
        reader
            .stdout_so_far()
            .matches("\"type\":\"metrics\"")
            .count()
            >= 2
    })?;
    let ended = service.stop(PROMPT)?;
    ensure!(ended.code == 0, "the stream holds nothing up: {ended:?}");
    let text = reader.wait(PROMPT)?.stdout;
    ensure!(text.contains("content-type: text/event-stream"), "{text}");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let messages: Result<Vec<Value>, _> = data.map(serde_json::from_str).collect();
    let messages = messages.with_context(|| text.clone())?;
    let kinds: Vec<_> = messages
        .iter()
        .take(4)
        .map(|message| message["type"].as_str())
        .collect();
    ensure!(
        kinds == ["health", "metrics", "health", "metrics"].map(Some),
        "{text}"
    );
    ensure!(messages[0]["data"]["status"].is_string(), "{text}");
    ensure!(messages[1]["data"]["executions_total"] == 0, "{text}");
    Ok(())
}
