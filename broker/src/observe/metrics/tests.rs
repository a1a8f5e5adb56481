//! What the text says, and that no client makes it longer.

use super::*;

const ERRORS: &[&str] = &["not_found", "timeout", "rate_limited"];

fn metrics() -> Metrics {
    let metrics = Metrics::new(ERRORS);
    metrics.know_tools(["nmap", "ping"]);
    metrics.know_endpoints(["/tools/{name}"]);
    metrics
}

/// Names and labels of all series, without their values.
fn series(metrics: &Metrics) -> Vec<String> {
    let text = metrics.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut names: Vec<_> = lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series.to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_shows_under_the_promised_names() {
    let metrics = metrics();
    let active = metrics.begin_run("nmap");
    let during = metrics.text();
    drop(active);
    let end = RunEnd {
        took: Duration::from_millis(40),
        setup: Some(Duration::from_micros(900)),
        stdout_bytes: 7,
        ..RunEnd::default()
    };
    metrics.end_run("nmap", &end);
    let error_type = Some("timeout");
    metrics.end_run("nmap", &RunEnd { error_type, ..end });
    metrics.set_breaker("nmap", BreakerState::HalfOpen);
    metrics.set_queue("nmap", 3);
    metrics.refuse("not_found");
    metrics.limit_rate("ping");
    metrics.set_executor_up(true);
    metrics.http_request("/tools/{name}", Duration::from_millis(2));
    let text = metrics.text();
    assert!(
        during.contains("mcp_tool_active_executions{tool=\"nmap\"} 1\n"),
        "{during}"
    );
    for line in [
        "# TYPE mcp_tool_execution_total counter",
        "mcp_tool_execution_total{tool=\"nmap\",status=\"success\"} 1",
        "mcp_tool_execution_total{tool=\"nmap\",status=\"failure\"} 1",
        "mcp_tool_execution_total{tool=\"ping\",status=\"success\"} 0",
        "mcp_tool_active_executions{tool=\"nmap\"} 0",
        "mcp_circuit_breaker_state{tool=\"nmap\"} 2",
        "mcp_tool_execution_duration_seconds_bucket{tool=\"nmap\",le=\"0.025\"} 0",
        "mcp_tool_execution_duration_seconds_bucket{tool=\"nmap\",le=\"0.05\"} 2",
        "mcp_tool_execution_duration_seconds_bucket{tool=\"nmap\",le=\"3600\"} 2",
        "mcp_http_request_duration_seconds_count{endpoint=\"/tools/{name}\"} 1",
        "mantlet_run_failures_total{tool=\"nmap\",error_type=\"timeout\"} 1",
        "mantlet_refusals_total{error_type=\"not_found\"} 1",
        "mantlet_rate_limited_total{tool=\"ping\"} 1",
        "mantlet_queue_length{tool=\"nmap\"} 3",
        "mantlet_sandbox_setup_seconds_bucket{le=\"0.001\"} 2",
        "mantlet_output_bytes_total{tool=\"nmap\",stream=\"stdout\"} 14",
        "mantlet_executor_up 1",
        concat!(
            "mantlet_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing:\n{text}"
        );
    }
}

#[test]
fn what_clients_choose_makes_no_series() {
    let metrics = metrics();
    metrics.refuse("not_found");
    let before = series(&metrics);
    for number in 0..10_000 {
        metrics.refuse("not_found");
        assert_eq!(
            &*metrics.0.tools.name(&format!("tool{number}")),
            names::OTHER
        );
    }
    assert_eq!(
        series(&metrics),
        before,
        "a call to an unknown tool is only a refusal"
    );
    for number in 0..10_000 {
        let forged = format!("t{number}\",tool=\"nmap");
        metrics.end_run(&forged, &RunEnd::default());
        metrics.limit_rate(&forged);
        metrics.set_queue(&forged, 1);
        metrics.set_breaker(&forged, BreakerState::Open);
        metrics.http_request(&format!("/runs/{number}"), Duration::ZERO);
        drop(metrics.begin_run(&forged));
    }
    let after = series(&metrics);
    let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    assert!(new.iter().all(|name| name.contains("\"other\"")), "{new:?}");
    assert!(
        new.len() < 60,
        "one set for whatever is unknown: {}",
        new.len()
    );
}

#[test]
fn the_summary_counts_what_the_series_count() {
    let metrics = metrics();
    let took = Duration::from_secs(3);
    metrics.end_run(
        "nmap",
        &RunEnd {
            took,
            ..RunEnd::default()
        },
    );
    let took = Duration::from_secs(1);
    let error_type = Some("timeout");
    metrics.end_run(
        "ping",
        &RunEnd {
            error_type,
            took,
            ..RunEnd::default()
        },
    );
    metrics.refuse("rate_limited");
    let _active = metrics.begin_run("ping");
    let summary = metrics.summary();
    let got = [
        "executions_total",
        "failures_total",
        "refusals_total",
        "active_executions",
    ]
    .map(|key| summary[key].as_u64());
    assert_eq!(got, [Some(2), Some(1), Some(1), Some(1)], "{summary}");
    assert_eq!(summary["avg_duration"].as_f64(), Some(2.0), "{summary}");
}

/// Every series, told of something.
fn all() -> Metrics {
    let metrics = metrics();
    let end = RunEnd {
        error_type: Some("timeout"),
        took: Duration::from_secs(1),
        setup: Some(Duration::from_millis(1)),
        stdout_bytes: 1,
        stderr_bytes: 1,
    };
    metrics.end_run("nmap", &end);
    metrics.http_request("/tools/{name}", Duration::from_millis(2));
    metrics
}

#[test]
fn operating_md_has_a_row_for_every_series_and_none_beside() {
    let document = include_str!("../../../../docs/OPERATING.md");
    let rows = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `m"));
    let mut described: Vec<_> = rows
        .filter_map(|row| row.split(['{', '`']).next())
        .map(|name| format!("m{name}"))
        .collect();
    let text = all().text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut shown: Vec<_> = types.filter_map(|line| line.split(' ').next()).collect();
    described.sort();
    shown.sort_unstable();
    assert_eq!(described, shown);
}
