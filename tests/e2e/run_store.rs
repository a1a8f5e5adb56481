//! Runs that outlast their answer, their broker, or its death.
//!
//! What it is not: the store's own tests; here are programs, signals and disks.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::identity::Identity;
use harness::lab::Host;
use harness::running::run;
use harness::stdio_client::{Era, PROMPT, SCAN};
use harness::{Lab, StdioClient, config, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const NMAP: &str = "/usr/bin/nmap";
/// How long a cancelled run's processes may live (RUN5).
const DEATH: Duration = Duration::from_millis(100);
/// Answers are waited for no longer than a second.
const BRIEF: &str = "[server]\ninline_time = 1\n";

fn start(lab: &Lab, extra: &str, era: Era) -> Result<StdioClient> {
    let text = config::embedded(&lab.binaries().executor, extra);
    let file = lab.file("store.toml", &text)?;
    StdioClient::start(&mut lab.mantlet_with(&file, &["stdio"]), era)
}

fn ask(client: &mut StdioClient, tool: &str, arguments: &Value) -> Result<(bool, Value)> {
    let id = client.call(tool, arguments)?;
    client.structured(id, SCAN)
}

/// Starts a scan that takes long; gives its id once its answer is there.
fn slow_scan(lab: &Lab, client: &mut StdioClient) -> Result<Value> {
    let arguments = json!({"target": "10.66.0.66", "extra_args": "-p 1-1000"});
    let (is_error, handle) = ask(client, "nmap", &arguments)?;
    ensure!(!is_error && handle["state"] == "running", "{handle:#}");
    ensure!(!lab.tools(NMAP)?.is_empty(), "it goes on");
    Ok(handle["run_id"].clone())
}

fn state_of(client: &mut StdioClient, run_id: &Value) -> Result<Value> {
    let (_, status) = ask(client, "run_status", &json!({ "run_id": run_id }))?;
    Ok(status["state"].clone())
}

/// What the database answers to a statement on the store, asked by another program.
fn sql(lab: &Lab, statement: &str) -> Result<String> {
    let script = "import sqlite3, sys\n\
        store = sqlite3.connect(sys.argv[1])\n\
        print(store.execute(sys.argv[2]).fetchall())\n\
        store.commit()\n";
    let mut python = lab.client().command(Identity::Root, "/usr/bin/python3");
    python
        .args(["-c", script])
        .arg(lab.state().join("runs.db"))
        .arg(statement);
    Ok(run(&mut python, PROMPT)?.expect_code(0)?.stdout)
}

#[test]
fn a_long_run_is_answered_by_a_handle_and_cancelled_by_its_id() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    for era in [Era::Legacy, Era::Modern] {
        let mut client = start(&lab, BRIEF, era)?;
        let run_id = slow_scan(&lab, &mut client)?;
        let waiting = json!({"target": "10.66.0.66", "extra_args": "-p 1-10"});
        let (_, queued) = ask(&mut client, "nmap", &waiting)?;
        ensure!(queued["state"] == "queued", "one at a time: {queued:#}");
        let asked = json!({"run_id": run_id, "wait_sec": 1});
        let (is_error, status) = ask(&mut client, "run_status", &asked)?;
        ensure!(!is_error && status["state"] == "running", "{status:#}");
        ensure!(status["elapsed_sec"].as_f64() > Some(2.0), "{status:#}");
        client.call("run_cancel", &json!({"run_id": queued["run_id"]}))?;
        client.call("run_cancel", &json!({ "run_id": run_id }))?;
        let died = wait::until_true("the end of nmap", SCAN, || {
            lab.tools(NMAP).is_ok_and(|tools| tools.is_empty())
        })?;
        ensure!(died <= DEATH, "nmap lived {died:?} after it was cancelled");
        let (_, status) = ask(&mut client, "run_status", &asked)?;
        ensure!(status["state"] == "cancelled", "{status:#}");
        ensure!(
            state_of(&mut client, &queued["run_id"])? == "cancelled",
            "it too"
        );
    }
    Ok(())
}

#[test]
fn results_outlive_the_broker() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let mut client = start(&lab, "", Era::Legacy)?;
    let arguments = json!({"target": "10.66.0.10", "extra_args": "-p 79-82,8080"});
    let (_, scan) = ask(&mut client, "nmap", &arguments)?;
    client.finish(PROMPT)?.expect_code(0)?;
    for era in [Era::Legacy, Era::Modern] {
        let mut client = start(&lab, "", era)?;
        let (_, list) = ask(&mut client, "run_status", &json!({"tool": "nmap"}))?;
        ensure!(list["runs"][0]["run_id"] == scan["run_id"], "{list:#}");
        let asked = json!({"run_id": scan["run_id"], "state": "open"});
        let (is_error, page) = ask(&mut client, "run_result", &asked)?;
        ensure!(!is_error && page["total"] == 2, "{page:#}");
        let uri = format!(
            "mantlet://runs/{}",
            scan["run_id"].as_str().context("an id")?
        );
        let id = client.request("resources/read", json!({ "uri": uri }))?;
        let read = client.result(id, PROMPT)?;
        let whole = read["contents"][0]["text"].as_str().context("a text")?;
        let whole: Value = serde_json::from_str(whole)?;
        ensure!(whole["structured"] == scan["structured"], "{whole:#}");
        client.finish(PROMPT)?.expect_code(0)?;
    }
    Ok(())
}

#[test]
fn a_killed_broker_leaves_a_sound_store_and_interrupted_runs() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = start(&lab, BRIEF, Era::Legacy)?;
        let run_id = slow_scan(&lab, &mut client)?;
        let arguments = json!({"target": "10.66.0.10", "extra_args": "-c 1"});
        let (_, first) = ask(&mut client, "ping", &arguments)?;
        kept.push(first["run_id"].clone());
        // Killed while runs begin, end and are stored.
        for _ in 0..20 {
            client.call("ping", &arguments)?;
        }
        client.message("a ping's answer", SCAN, |message| {
            message.get("result").is_some()
        })?;
        client.server().signal(Signal::SIGKILL)?;
        client.wait_open(PROMPT)?;
        wait::until_true("the end of nmap", PROMPT, || {
            lab.tools(NMAP).is_ok_and(|tools| tools.is_empty())
        })?;
        ensure!(
            sql(&lab, "PRAGMA integrity_check")?.contains("ok"),
            "it is sound"
        );
        let mut client = start(&lab, BRIEF, Era::Modern)?;
        ensure!(state_of(&mut client, &run_id)? == "interrupted", "{run_id}");
        let (is_error, status) = ask(&mut client, "run_result", &json!({ "run_id": run_id }))?;
        ensure!(
            !is_error && status["error"].is_string(),
            "it says why: {status:#}"
        );
        for run_id in &kept {
            ensure!(state_of(&mut client, run_id)? == "finished", "{run_id}");
        }
        let left = sql(&lab, "SELECT count(*) FROM runs WHERE ended_ms IS NULL")?;
        ensure!(left.contains("(0,)"), "{left} are left under way");
        client.finish(PROMPT)?;
    }
    Ok(())
}

#[test]
fn two_brokers_share_a_store() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    let mut one = start(&lab, BRIEF, Era::Legacy)?;
    let run_id = slow_scan(&lab, &mut one)?;
    let mut other = start(&lab, BRIEF, Era::Modern)?;
    ensure!(
        state_of(&mut other, &run_id)? == "running",
        "its broker lives"
    );
    let (is_error, refused) = ask(&mut other, "run_cancel", &json!({ "run_id": run_id }))?;
    ensure!(
        is_error && refused["error_type"] == "execution_error",
        "{refused:#}"
    );
    ensure!(!lab.tools(NMAP)?.is_empty(), "nothing was cancelled");
    let arguments = json!({"target": "10.66.0.10", "extra_args": "-c 1"});
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.push((
            one.call("ping", &arguments)?,
            other.call("ping", &arguments)?,
        ));
    }
    for (first, second) in asked {
        for (client, id) in [(&mut one, first), (&mut other, second)] {
            let (is_error, result) = client.structured(id, SCAN)?;
            ensure!(!is_error, "{result:#}");
        }
    }
    one.server().signal(Signal::SIGKILL)?;
    one.wait_open(PROMPT)?;
    let interrupted = || state_of(&mut other, &run_id).is_ok_and(|state| state == "interrupted");
    wait::until_true("the death to be noticed", PROMPT, interrupted)?;
    Ok(())
}

#[test]
fn another_callers_run_is_like_one_that_never_was() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let mut client = start(&lab, "", Era::Legacy)?;
    let arguments = json!({"target": "10.66.0.10", "extra_args": "-c 1"});
    let (_, result) = ask(&mut client, "ping", &arguments)?;
    let run_id = result["run_id"].clone();
    sql(&lab, "UPDATE runs SET caller = 'stdio:uid=1'")?;
    let nobody = json!("01890a5d-ac96-774b-bcce-b302099a8057");
    for tool in ["run_status", "run_result", "run_cancel"] {
        let mut errors = Vec::new();
        for run_id in [&run_id, &nobody] {
            let (is_error, mut error) = ask(&mut client, tool, &json!({ "run_id": run_id }))?;
            ensure!(
                is_error && error["error_type"] == "not_found",
                "{tool}: {error:#}"
            );
            error["timestamp"].take();
            errors.push(error);
        }
        ensure!(
            errors.first() == errors.last(),
            "{tool} tells them apart: {errors:#?}"
        );
    }
    let (_, list) = ask(&mut client, "run_status", &json!({}))?;
    ensure!(list["runs"] == json!([]), "{list:#}");
    let id = client.request("resources/list", json!({}))?;
    let list = client.result(id, PROMPT)?;
    ensure!(list["resources"] == json!([]), "{list:#}");
    Ok(())
}

#[test]
fn a_full_disk_refuses_new_runs_and_loses_nothing() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, Host::Tarpit])? else {
        return Ok(());
    };
    let disk = lab.dir().join("small");
    std::fs::create_dir(&disk)?;
    let at = disk.display();
    // The mount ends with the client's host.
    lab.client()
        .script(&format!("mount -t tmpfs -o size=40m tmpfs {at}"))?;
    let extra = format!("{BRIEF}[store]\ndirectory = \"{at}\"\n");
    let mut client = start(&lab, &extra, Era::Legacy)?;
    let arguments = json!({"target": "10.66.0.10", "extra_args": "-c 1"});
    let (is_error, first) = ask(&mut client, "ping", &arguments)?;
    ensure!(!is_error, "{first:#}");
    let under_way = slow_scan(&lab, &mut client)?;
    lab.client().script(&format!(
        "dd if=/dev/zero of={at}/fill bs=64k 2>/dev/null || true"
    ))?;
    let (is_error, refused) = ask(&mut client, "ping", &arguments)?;
    ensure!(
        is_error && refused["error_type"] == "resource_exhausted",
        "{refused:#}"
    );
    let remedy = refused["recovery_suggestion"].as_str().unwrap_or_default();
    ensure!(
        remedy.contains("make room") && remedy.contains("store.directory"),
        "{remedy}"
    );
    ensure!(refused.get("argv").is_none(), "nothing ran: {refused:#}");
    ensure!(
        state_of(&mut client, &first["run_id"])? == "finished",
        "it is still there"
    );
    // What ends now can't be written, but is still given.
    ask(&mut client, "run_cancel", &json!({ "run_id": under_way }))?;
    let (_, result) = ask(&mut client, "run_result", &json!({ "run_id": under_way }))?;
    ensure!(result["state"] == "cancelled", "{result:#}");
    lab.client().script(&format!("rm {at}/fill"))?;
    let (is_error, again) = ask(&mut client, "ping", &arguments)?;
    ensure!(!is_error, "{again:#}");
    client.finish(PROMPT)?.expect_code(0)?;
    let mut client = start(&lab, &extra, Era::Modern)?;
    for run in [&first, &again] {
        ensure!(
            state_of(&mut client, &run["run_id"])? == "finished",
            "{run:#}"
        );
    }
    Ok(())
}

#[test]
fn a_drain_lets_detached_runs_finish_and_the_end_of_input_does_not() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let arguments = json!({"target": "10.66.0.10", "extra_args": "-c 4"});
    for (drains, expected) in [(true, "finished"), (false, "cancelled")] {
        let mut client = start(&lab, BRIEF, Era::Legacy)?;
        let (_, handle) = ask(&mut client, "ping", &arguments)?;
        ensure!(handle["state"] == "running", "{handle:#}");
        if drains {
            client.server().signal(Signal::SIGTERM)?;
            client.wait_open(SCAN)?.expect_code(0)?;
        } else {
            client.finish(PROMPT)?.expect_code(0)?;
        }
        let mut client = start(&lab, BRIEF, Era::Legacy)?;
        let asked = json!({"run_id": handle["run_id"]});
        let (_, result) = ask(&mut client, "run_result", &asked)?;
        ensure!(result["state"] == expected, "{result:#}");
        ensure!(
            result["structured"]["transmitted"].is_number(),
            "with what it found: {result:#}"
        );
    }
    Ok(())
}

#[test]
fn a_store_that_cannot_be_used_is_said_at_the_start() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let used = lab.dir().join("used");
    std::fs::create_dir(&used)?;
    std::fs::write(used.join("file"), "somebody's")?;
    let cases = [
        (
            "/proc/store".to_owned(),
            "a place where nothing can be made",
        ),
        (used.display().to_string(), "somebody else's directory"),
    ];
    for (directory, why) in cases {
        let extra = format!("[store]\ndirectory = \"{directory}\"\n");
        let text = config::embedded(&lab.binaries().executor, &extra);
        let file = lab.file("unfit.toml", &text)?;
        let ended = run(&mut lab.mantlet_with(&file, &["stdio"]), PROMPT)?.expect_code(4)?;
        let said = ended.stderr;
        ensure!(
            said.contains(&directory) && said.contains("store.directory"),
            "{why}: {said}"
        );
    }
    let extra = "[store]\ndirectory = \"none\"\n";
    let client = start(&lab, extra, Era::Legacy)?;
    client.finish(PROMPT)?.expect_code(0)?;
    ensure!(!lab.state().exists(), "in memory only");
    Ok(())
}
