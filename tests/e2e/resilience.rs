//! Rate limits and breakers, as a client over `mantlet stdio` meets them.
//!
//! What it is not: the tables of their rules; those stand beside the code.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::lab::Host;
use harness::stdio_client::{Era, PROMPT, SCAN};
use harness::{Lab, StdioClient, config};
use serde_json::{Value, json};

/// Nobody has this address, so a ping of it lasts until its time is up.
const NOBODY: &str = "10.66.0.99";
const SOMEBODY: &str = "10.66.0.10";
/// The shortest that may be configured.
const RECOVERY: Duration = Duration::from_secs(30);
/// What an answer may take that needs no tool.
const AT_ONCE: Duration = Duration::from_millis(500);

fn client(lab: &Lab, name: &str, text: &str) -> Result<StdioClient> {
    let file = lab.file(name, text)?;
    StdioClient::start(&mut lab.mantlet_with(&file, &["stdio"]), Era::Legacy)
}

fn ask(client: &mut StdioClient, tool: &str, arguments: &Value) -> Result<Value> {
    let id = client.call(tool, arguments)?;
    Ok(client.result(id, SCAN)?["structuredContent"].take())
}

#[test]
fn refuses_the_eleventh_call_of_a_minute_and_says_when_to_come_back() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let text = config::embedded(&lab.binaries().executor, "").replace(config::MANY_CALLS, "");
    let mut client = client(&lab, "limited.toml", &text)?;
    let outside = json!({"target": "192.0.2.1"});
    for number in 1..=10 {
        let answer = ask(&mut client, "nmap", &outside)?;
        ensure!(
            answer["error_type"] == "validation_error",
            "{number}: {answer}"
        );
    }
    let refused = ask(&mut client, "nmap", &outside)?;
    ensure!(refused["error_type"] == "rate_limited", "{refused}");
    let wait = refused["metadata"]["retry_after_sec"].as_u64();
    ensure!(
        wait.is_some_and(|wait| (1..=6).contains(&wait)),
        "a call every six seconds: {refused}"
    );
    let other = ask(&mut client, "ping", &outside)?;
    ensure!(
        other["error_type"] == "validation_error",
        "each tool has its own: {other}"
    );
    Ok(())
}

#[test]
fn a_breaker_opens_refuses_at_once_probes_once_and_closes() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let extra = "[server]\nmax_calls = 256\n[circuit_breaker]\nrecovery_timeout = 30\n";
    let text = config::embedded(&lab.binaries().executor, extra);
    let mut client = client(&lab, "breaker.toml", &text)?;

    let refused = json!({"target": "192.0.2.1"});
    for _ in 0..10 {
        let answer = ask(&mut client, "ping", &refused)?;
        ensure!(
            answer["error_type"] == "validation_error",
            "refusals don't count: {answer}"
        );
    }
    let silent = json!({"target": NOBODY, "extra_args": "-c 10", "timeout_sec": 1});
    for number in 1..=5 {
        let answer = ask(&mut client, "ping", &silent)?;
        ensure!(
            answer["error_type"] == "timeout",
            "fault {number}: {answer}"
        );
    }
    let opened = Instant::now();
    let probing = json!({"target": SOMEBODY, "extra_args": "-c 3"});
    let answer = ask(&mut client, "ping", &probing)?;
    ensure!(answer["error_type"] == "circuit_breaker_open", "{answer}");
    ensure!(opened.elapsed() < AT_ONCE, "took {:?}", opened.elapsed());
    let wait = answer["metadata"]["retry_after_sec"].as_u64();
    ensure!(
        wait.is_some_and(|wait| (28..=30).contains(&wait)),
        "{answer}"
    );

    std::thread::sleep(RECOVERY.saturating_sub(opened.elapsed()) + AT_ONCE);
    let calls: Result<Vec<u64>> = (0..100).map(|_| client.call("ping", &probing)).collect();
    let mut through = 0;
    for id in calls? {
        let answer = client.result(id, SCAN)?;
        let answer = &answer["structuredContent"];
        if answer["error_type"].is_null() {
            through += 1;
        } else {
            ensure!(answer["error_type"] == "circuit_breaker_open", "{answer}");
        }
    }
    ensure!(
        through == 1,
        "{through} of a hundred calls were let through"
    );
    let answer = ask(
        &mut client,
        "ping",
        &json!({"target": SOMEBODY, "extra_args": "-c 1"}),
    )?;
    ensure!(answer["returncode"] == 0, "it is closed again: {answer}");
    client.finish(PROMPT)?.expect_code(0)?;
    Ok(())
}
