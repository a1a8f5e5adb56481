//! What is found where nothing answers, and who may be sent work.

use serde_json::json;

use super::*;
use crate::config::Settings;
use crate::executor::Executor;
use crate::store::Store;

fn engine(extra: &str) -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, extra).unwrap();
    let settings = Settings::load(Some(&file), |_| None).unwrap();
    let profiles = sandbox_profiles::load::built_in().unwrap();
    (
        dir,
        Engine::new(settings, profiles, Executor::none(), None, Store::none()),
    )
}

#[tokio::test]
async fn without_an_executor_the_service_is_unhealthy_and_says_what_to_do() {
    let (_dir, engine) = engine("");
    engine.watch().metrics.set_executor_up(true);
    let health = start(&engine, "http", Vec::new());
    let report = health.report().await;
    assert_eq!(report.status, Status::Unhealthy);
    assert_eq!(report.status.http_status(), 503);
    let executor = &report.checks[EXECUTOR];
    assert!(
        executor.message.contains("/nonexistent"),
        "{}",
        executor.message
    );
    assert!(
        executor.message.contains("mantlet doctor"),
        "{}",
        executor.message
    );
    assert!(engine.metrics_text().contains("mantlet_executor_up 0\n"));
    for name in ["circuit_breaker_nmap", "cpu", "memory"] {
        assert_eq!(
            report.status_of(name),
            Some(Status::Healthy),
            "{name}: {report:?}"
        );
    }
    assert_eq!(report.status_of("audit"), None, "none is kept");
    let refused = ready(&report, false).unwrap_err();
    assert!(refused.contains("/nonexistent"), "{refused}");
}

#[test]
fn work_is_sent_only_where_the_executor_answers_and_nothing_is_ending() {
    let report = |status| {
        Report::new(
            "http",
            [Check::new(EXECUTOR, Priority::Critical, status, "why")],
        )
    };
    let cases = [
        (report(Status::Healthy), false, None, "as it should be"),
        (report(Status::Degraded), false, None, "it answers"),
        (report(Status::Unhealthy), false, Some("why"), "it doesn't"),
        (
            report(Status::Healthy),
            true,
            Some("shutting down"),
            "draining",
        ),
        (
            Report::new("http", []),
            false,
            Some("not looked at"),
            "nobody knows",
        ),
    ];
    for (report, draining, refusal, why) in cases {
        match (ready(&report, draining), refusal) {
            (Ok(()), None) => {}
            (Err(said), Some(refusal)) => assert!(said.contains(refusal), "{why}: {said}"),
            (found, _) => panic!("{why}: {found:?}"),
        }
    }
}

#[test]
fn the_parts_of_the_engine_have_series_of_their_own() {
    let (_dir, engine) = engine("");
    let text = engine.metrics_text();
    for profile in engine.policy().profiles().iter() {
        let tool = &profile.name;
        for line in [
            format!("mcp_circuit_breaker_state{{tool=\"{tool}\"}} 0\n"),
            format!("mantlet_queue_length{{tool=\"{tool}\"}} 0\n"),
        ] {
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
    assert_eq!(
        engine.watch().metrics.summary()["executions_total"],
        json!(0)
    );
}
