//! `mantlet vet`: verdicts without running or resolving anything.
//!
//! What it is not: a table of every rule; the profile crate has those.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::Lab;
use harness::lab::Host;
use harness::running::{Ended, Running, run};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(20);

fn vet(lab: &Lab, args: &[&str]) -> Result<Ended> {
    let args: Vec<&str> = ["vet"].iter().chain(args).copied().collect();
    run(&mut lab.mantlet(&args)?, BOUND)
}

fn parsed(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

#[test]
fn shows_the_argv_that_would_run() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let args = ["nmap", "10.66.0.10", "--json", "--extra-args", "-p 80 -sV"];
    let ended = vet(&lab, &args)?.expect_code(0)?;
    let verdict = parsed(&ended)?;
    ensure!(verdict["verdict"] == "accept", "{verdict}");
    let words = verdict["argv"].as_array().context("an argv")?;
    ensure!(words.first() == Some(&json!("/usr/bin/nmap")), "{verdict}");
    ensure!(words.last() == Some(&json!("10.66.0.10")), "{verdict}");
    for defaulted in ["-T4", "-Pn", "--max-parallelism"] {
        ensure!(
            words.contains(&json!(defaulted)),
            "{defaulted} is added when absent: {verdict}"
        );
    }
    ensure!(
        verdict["targets"].is_array() && verdict["needs"] == json!([]),
        "{verdict}"
    );
    Ok(())
}

#[test]
fn refuses_with_code_3_and_says_what_is_needed() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let refused = vet(&lab, &["nmap", "192.0.2.1", "--json"])?.expect_code(3)?;
    let verdict = parsed(&refused)?;
    ensure!(verdict["verdict"] == "refuse", "{verdict}");
    ensure!(
        verdict["error"]["error_type"] == "validation_error",
        "{verdict}"
    );
    let raw = vet(&lab, &["nmap", "10.66.0.10", "--json", "--", "-sS"])?;
    let verdict = parsed(&raw)?;
    ensure!(verdict["needs"] == json!(["CAP_NET_RAW"]), "{verdict}");
    Ok(())
}

#[test]
fn resolves_only_when_asked() -> Result<()> {
    // No DNS server runs here: whoever asks one waits, and fails.
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let ended = vet(&lab, &["nmap", "web.lab.internal", "--json"])?.expect_code(0)?;
    ensure!(
        ended.took < Duration::from_secs(3),
        "something was asked: {ended:?}"
    );
    let Some(lab) = Lab::start(&[Host::Web, Host::Dns])? else {
        return Ok(());
    };
    let args = ["nmap", "web.lab.internal", "--json", "--resolve"];
    let verdict = parsed(&vet(&lab, &args)?.expect_code(0)?)?;
    ensure!(
        verdict["argv"].to_string().contains("10.66.0.10"),
        "{verdict}"
    );
    let args = ["nmap", "mixed.lab.internal", "--json", "--resolve"];
    vet(&lab, &args)?.expect_code(3)?;
    Ok(())
}

#[test]
fn judges_a_file_of_calls_in_order() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let lines = [
        (
            json!({"tool": "nmap", "target": "10.66.0.10"}).to_string(),
            "accept",
        ),
        (
            json!({"tool": "nmap", "target": "192.0.2.1"}).to_string(),
            "refuse",
        ),
        ("this is no call".to_owned(), "refuse"),
        (
            json!({"tool": "nmap", "target": "10.66.0.10", "colour": 1}).to_string(),
            "refuse",
        ),
        (
            json!({"tool": "nmap", "target": "10.66.0.10", "extra_args": "-p 80;id"}).to_string(),
            "refuse",
        ),
        (
            json!({"tool": "nmap", "target": "10.66.0.10", "template": "quick"}).to_string(),
            "accept",
        ),
        (
            json!({"tool": "ping", "target": "10.66.0.10"}).to_string(),
            "accept",
        ),
    ];
    let text = lines
        .iter()
        .map(|(line, _)| line.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    let file = lab.file("calls.jsonl", &text)?;
    let path = file.to_str().context("a path")?;
    let from_file = vet(&lab, &["--calls", path])?.expect_code(0)?;
    let mut command = lab.mantlet(&["vet", "--calls", "-"])?;
    let (running, mut stdin, mut stdout) = Running::start_talking(&mut command)?;
    stdin.write_all(fs::read_to_string(&file)?.as_bytes())?;
    drop(stdin);
    let mut from_stdin = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut from_stdin)?;
    running.wait(BOUND)?.expect_code(0)?;
    for output in [&from_file.stdout, &from_stdin] {
        let verdicts: Vec<Value> = output
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        ensure!(
            verdicts.len() == lines.len(),
            "one verdict a line: {output}"
        );
        for (verdict, (line, expected)) in verdicts.iter().zip(&lines) {
            ensure!(verdict["verdict"] == *expected, "{line}: {verdict}");
            if *expected == "accept" {
                ensure!(
                    verdict["argv"].is_array() && verdict["needs"].is_array(),
                    "{verdict}"
                );
            } else {
                ensure!(verdict["error"]["message"].is_string(), "{line}: {verdict}");
            }
        }
    }
    Ok(())
}

#[test]
fn starts_no_process() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut strace = lab
        .client()
        .command(harness::identity::Identity::Root, "strace");
    strace.args(["-f", "-qq", "-e", "trace=execve,execveat", "-o"]);
    let log = lab.dir().join("strace.log");
    let vet = lab.mantlet(&["vet", "nmap", "10.66.0.10"])?;
    // The words after the last `--` of the prefix are the program's own.
    let words: Vec<_> = vet.get_args().collect();
    let at = words
        .iter()
        .rposition(|word| *word == "--")
        .context("the program")?;
    strace
        .arg(&log)
        .args(words.iter().skip(at.saturating_add(1)));
    run(&mut strace, BOUND)?.expect_code(0)?;
    let log = fs::read_to_string(&log)?;
    let started = log.lines().filter(|line| line.contains("execve")).count();
    ensure!(started == 1, "only the program itself: {log}");
    Ok(())
}
