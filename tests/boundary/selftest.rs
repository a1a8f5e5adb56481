//! The executor's self-test, beside a sandbox with a layer less.
//!
//! What it is not: the attempts; those are the executor's own.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::{ExecutorProcess, Lab, identity};
use serde_json::Value;

/// Exit status when something got through.
const THROUGH: i32 = 3;

fn report(lab: &Lab, options: &Options, words: &[&str], code: i32) -> Result<Value> {
    let executor = ExecutorProcess::start(lab, options)?;
    let words = [&["--json"], words].concat();
    let ended = executor.ask(lab, "selftest", &words)?.expect_code(code)?;
    Ok(serde_json::from_str(&ended.stdout)?)
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| key.to_owned())
}

#[test]
fn no_attempt_gets_through_in_any_sandbox_of_any_tool() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let account = identity::lent();
    for (options, raw) in [(Options::plain(account), 0), (Options::net_raw(account), 3)] {
        let report = report(&lab, &options, &[], 0)?;
        ensure!(report["passed"] == true, "{report:#}");
        let attempts = list(&report, "attempts")?;
        let proving = attempts.iter().filter(|attempt| attempt["proves"] == true);
        let proving = proving.count();
        ensure!(
            attempts.len() >= 200 && proving >= 180,
            "{proving} prove something"
        );
        let sandboxes = list(&report, "sandboxes")?;
        let names: Vec<_> = sandboxes
            .iter()
            .filter_map(|each| each["name"].as_str())
            .collect();
        let found = names.iter().filter(|name| name.ends_with("+raw")).count();
        ensure!(names.len() >= 4 && found == raw, "{names:?}");
        for sandbox in sandboxes {
            let count = |key: &str| sandbox[key].as_u64().unwrap_or(u64::MAX);
            let sum = count("stopped").saturating_add(count("allowed"));
            ensure!(usize::try_from(sum)? == attempts.len(), "{sandbox}");
            // A profile lets its tool do little of what is tried.
            ensure!(count("allowed") <= 12, "{sandbox}");
        }
    }
    Ok(())
}

#[test]
fn a_layer_that_is_left_out_is_missed() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let options = Options::net_raw(identity::lent());
    for layer in ["landlock", "seccomp", "capabilities"] {
        let words = ["--tool", "nmap", "--without", layer];
        let report = report(&lab, &options, &words, THROUGH)?;
        ensure!(
            report["passed"] == false && report["without"] == layer,
            "{layer}"
        );
        let (mut missed, mut blamed) = (0, BTreeSet::new());
        for attempt in list(&report, "attempts")? {
            // Without its capability, since with it more is allowed.
            let results = list(attempt, "results")?;
            let plain = results.iter().find(|result| result["sandbox"] == "nmap");
            let verdict = &plain.context("nmap's own")?["verdict"];
            let failed = verdict == "through" || verdict == "otherwise";
            let of_layer = attempt["layer"] == layer;
            missed += u32::from(failed && of_layer);
            if verdict == "through" && !of_layer {
                blamed.insert(attempt["name"].to_string());
            }
        }
        let expected = match layer {
            "landlock" => 10,
            "seccomp" => 150,
            _ => 1,
        };
        ensure!(missed >= expected, "{layer}: {missed} missed");
        ensure!(blamed.is_empty(), "{layer}: others got through: {blamed:?}");
    }
    Ok(())
}

#[test]
fn the_self_test_says_what_it_cant_do() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let executor = ExecutorProcess::start(&lab, &Options::plain(identity::lent()))?;
    // Its file has a capability that this executor can't pass on.
    let report: Value = {
        let ended = executor
            .ask(&lab, "selftest", &["--json"])?
            .expect_code(0)?;
        serde_json::from_str(&ended.stdout)?
    };
    let untried = list(&report, "untried")?;
    let ping = untried.iter().find(|each| each["tool"] == "ping");
    let tried = list(&report, "sandboxes")?;
    let is_tried = tried.iter().any(|each| each["tool"] == "ping");
    ensure!(
        ping.is_some() != is_tried,
        "ping is either tried or named: {untried:?}"
    );
    let cases: [(&[&str], i32, &str); 3] = [
        (
            &["--tool", "netcat"],
            1,
            "there is no tool netcat that can run",
        ),
        (&["--without", "capabilities"], 1, "holds no capability"),
        (
            &["--without", "walls"],
            2,
            "landlock, seccomp or capabilities",
        ),
    ];
    for (words, code, expected) in cases {
        let ended = executor.ask(&lab, "selftest", words)?.expect_code(code)?;
        ensure!(
            ended.stderr.contains(expected),
            "{words:?}: {}",
            ended.stderr
        );
    }
    let ended = executor
        .ask(&lab, "selftest", &["--tool", "dig"])?
        .expect_code(0)?;
    for word in ["attempt", "control", "read-accounts", "dig: ", "passed"] {
        ensure!(ended.stdout.contains(word), "{word}: {}", ended.stdout);
    }
    Ok(())
}
