//! Who is asked about a name, how often, and what happens when nobody answers.
//!
//! What it is not: about which answers are allowed; `names` has that.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::lab::Host;
use harness::names::{SERVER, hosts_file, resolve_by};
use harness::responder::{A, AAAA, Question, Reply};
use harness::running::{Ended, Running, run};
use harness::stdio_client::Era;
use harness::{Lab, Responder, StdioClient, config, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);
/// A call that waits for a name server ends within this.
const BOUNDED: Duration = Duration::from_secs(11);

fn mantlet(lab: &Lab, args: &[&str]) -> Result<Ended> {
    run(&mut lab.mantlet(args)?, BOUND)
}

fn parsed(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

/// A lab whose client asks a server that answers by this script.
fn scripted(
    script: impl Fn(&Question) -> Reply + Send + 'static,
    further: &str,
) -> Result<Option<(Responder, Lab)>> {
    let Some(lab) = Lab::start(&[Host::Web, SERVER])? else {
        return Ok(None);
    };
    let server = Responder::start(lab.host(SERVER)?, SERVER.addr(), script)?;
    resolve_by(&lab, SERVER.addr(), further)?;
    Ok(Some((server, lab)))
}

/// What was asked, in a fixed order: the two types are asked for side by side.
fn asked(server: &Responder) -> Vec<(String, u16)> {
    let mut asked: Vec<_> = server
        .asked()
        .into_iter()
        .map(|question| (question.name, question.kind))
        .collect();
    asked.sort();
    asked
}

fn each_type_once(name: &str) -> Vec<(String, u16)> {
    vec![(name.to_owned(), A), (name.to_owned(), AAAA)]
}

#[test]
fn a_name_that_changes_is_asked_once_and_the_tool_gets_what_was_checked() -> Result<()> {
    // The second look-up of a call, if there were one, would lead out of the scope.
    let flips = |question: &Question| match question.before {
        0 => Reply::of(&["10.66.0.10"]),
        _ => Reply::of(&["198.51.100.7"]),
    };
    for (tool, args) in [("ping", ["-c", "1"]), ("nmap", ["-p", "80"])] {
        let Some((server, lab)) = scripted(flips, "")? else {
            return Ok(());
        };
        let name = "flips.lab.internal";
        let call = [&["run", tool, name, "--json", "--"][..], &args].concat();
        let result = parsed(&mantlet(&lab, &call)?.expect_code(0)?)?;
        let ran = result["argv"].as_array().context("an argv")?;
        ensure!(ran.last() == Some(&json!("10.66.0.10")), "{result:#}");
        ensure!(
            asked(&server) == each_type_once(name),
            "neither the broker again nor {tool} by itself: {:?}",
            server.asked()
        );
        let next = parsed(&mantlet(&lab, &call)?.expect_code(3)?)?;
        ensure!(next["metadata"]["rule"] == "TGT7", "{next:#}");
        ensure!(
            next["metadata"]["answers"] == json!(["198.51.100.7"]),
            "{next:#}"
        );
        ensure!(next["sandbox"].is_null(), "nothing ran: {next:#}");
    }
    Ok(())
}

#[test]
fn vetting_asks_only_when_told_to() -> Result<()> {
    let Some((server, lab)) = scripted(|_| Reply::of(&["10.66.0.10"]), "")? else {
        return Ok(());
    };
    let name = "web.lab.internal";
    mantlet(&lab, &["vet", "ping", name])?.expect_code(0)?;
    mantlet(&lab, &["vet", "ping", "10.66.0.10", "--resolve"])?.expect_code(0)?;
    mantlet(&lab, &["vet", "ping", "web.example", "--resolve"])?.expect_code(3)?;
    ensure!(asked(&server).is_empty(), "{:?}", server.asked());
    mantlet(&lab, &["vet", "ping", name, "--resolve"])?.expect_code(0)?;
    ensure!(
        asked(&server) == each_type_once(name),
        "{:?}",
        server.asked()
    );
    Ok(())
}

#[test]
fn no_search_domain_answers_for_a_name() -> Result<()> {
    // Both ways in which a resolver goes on to other names: after the name's
    // own, and, where it has fewer dots than that, before.
    for further in [
        "search corp.example",
        "search corp.example\noptions ndots:5",
    ] {
        let elsewhere = |question: &Question| match question.name.as_str() {
            "web.lab.internal.corp.example" => Reply::of(&["10.66.0.10"]),
            _ => Reply::NoName,
        };
        let Some((server, lab)) = scripted(elsewhere, further)? else {
            return Ok(());
        };
        let name = "web.lab.internal";
        let result = parsed(&mantlet(&lab, &["run", "ping", name, "--json"])?.expect_code(3)?)?;
        ensure!(result["error_type"] == "not_found", "{result:#}");
        ensure!(
            asked(&server) == each_type_once(name),
            "{:?}",
            server.asked()
        );
    }
    Ok(())
}

#[test]
fn the_hosts_file_stands_before_name_servers() -> Result<()> {
    let Some((server, lab)) = scripted(|_| Reply::of(&["10.66.0.40"]), "")? else {
        return Ok(());
    };
    hosts_file(
        &lab,
        "127.0.0.1 localhost\n10.66.0.10 web Known.lab.internal # known.example\n\
         10.66.0.10 half.lab.internal\n198.51.100.7 half.lab.internal\n",
    )?;
    let args = [
        "run",
        "ping",
        "known.lab.internal",
        "--json",
        "--",
        "-c",
        "1",
    ];
    let result = parsed(&mantlet(&lab, &args)?.expect_code(0)?)?;
    let shown = &result["metadata"]["resolved"];
    ensure!(shown["answers"] == json!(["10.66.0.10"]), "{result:#}");
    let half = ["vet", "ping", "half.lab.internal", "--resolve", "--json"];
    let verdict = parsed(&mantlet(&lab, &half)?.expect_code(3)?)?;
    let facts = &verdict["error"]["metadata"];
    ensure!(facts["forbidden"] == json!(["198.51.100.7"]), "{verdict:#}");
    ensure!(asked(&server).is_empty(), "{:?}", server.asked());
    let other = ["vet", "ping", "other.lab.internal", "--resolve", "--json"];
    let verdict = parsed(&mantlet(&lab, &other)?.expect_code(0)?)?;
    ensure!(verdict["resolved"]["pinned"] == "10.66.0.40", "{verdict:#}");
    Ok(())
}

#[test]
fn an_alias_is_followed_and_its_addresses_decide() -> Result<()> {
    let aliases = |question: &Question| match question.name.as_str() {
        "in.lab.internal" => Reply::Alias("cdn.example".into(), vec![[10, 66, 0, 10].into()]),
        "out.lab.internal" => Reply::Alias("cdn.example".into(), vec![[198, 51, 100, 7].into()]),
        _ => Reply::NoName,
    };
    let Some((server, lab)) = scripted(aliases, "")? else {
        return Ok(());
    };
    let vet = |name: &str| mantlet(&lab, &["vet", "ping", name, "--resolve", "--json"]);
    let inside = parsed(&vet("in.lab.internal")?.expect_code(0)?)?;
    ensure!(
        inside["resolved"]["name"] == "in.lab.internal",
        "{inside:#}"
    );
    let outside = parsed(&vet("out.lab.internal")?.expect_code(3)?)?;
    let facts = &outside["error"]["metadata"];
    ensure!(facts["forbidden"] == json!(["198.51.100.7"]), "{outside:#}");
    let foreign = asked(&server)
        .into_iter()
        .find(|(name, _)| name == "cdn.example");
    ensure!(
        foreign.is_none(),
        "the answer was whole: {:?}",
        server.asked()
    );
    Ok(())
}

#[test]
fn a_server_that_fails_is_no_missing_name() -> Result<()> {
    let Some((_server, lab)) = scripted(|_| Reply::Failed, "")? else {
        return Ok(());
    };
    let name = "web.lab.internal";
    for args in [
        &["run", "ping", name, "--json"][..],
        &["vet", "ping", name, "--resolve", "--json"],
    ] {
        let ended = mantlet(&lab, args)?.expect_code(1)?;
        ensure!(ended.took < Duration::from_secs(5), "{ended:?}");
        let answer = parsed(&ended)?;
        let error = answer.get("error").filter(|error| error.is_object());
        let error = error.unwrap_or(&answer);
        ensure!(error["error_type"] == "execution_error", "{answer:#}");
        let message = error["message"].as_str().unwrap_or_default();
        ensure!(message.contains("no usable answer"), "{answer:#}");
        let remedy = error["recovery_suggestion"].as_str().unwrap_or_default();
        ensure!(remedy.contains("/etc/resolv.conf"), "{answer:#}");
    }
    Ok(())
}

#[test]
fn a_silent_server_costs_a_bounded_time_and_holds_no_end_up() -> Result<()> {
    let Some((_server, lab)) = scripted(|_| Reply::Silence, "options timeout:30 attempts:3")?
    else {
        return Ok(());
    };
    let name = "web.lab.internal";
    let cases: [(&[&str], Duration, &str); 3] = [
        (
            &["run", "ping", name, "--json", "--timeout", "1"],
            Duration::from_secs(3),
            "the call's time counts the look-up",
        ),
        (
            &["run", "ping", name, "--json"],
            BOUNDED,
            "the look-up's own bound",
        ),
        (
            &["vet", "ping", name, "--resolve", "--json"],
            BOUNDED,
            "vetting has it, too",
        ),
    ];
    let mut running = Vec::new();
    for (args, bound, why) in cases {
        running.push((Running::start(&mut lab.mantlet(args)?)?, args, bound, why));
    }
    for (running, args, bound, why) in running {
        let ended = running.wait(BOUND)?.expect_code(124)?;
        ensure!(ended.took < bound, "{args:?} ({why}): {ended:?}");
        let answer = parsed(&ended)?;
        let error = answer.get("error").filter(|error| error.is_object());
        let error = error.unwrap_or(&answer);
        ensure!(
            error["error_type"] == "timeout",
            "{args:?} ({why}): {answer:#}"
        );
        let message = error["message"].as_str().unwrap_or_default();
        ensure!(message.contains(name), "{args:?} ({why}): {answer:#}");
    }
    Ok(())
}

#[test]
fn a_look_up_is_cancelled_by_a_signal() -> Result<()> {
    let Some((server, lab)) = scripted(|_| Reply::Silence, "")? else {
        return Ok(());
    };
    let args = ["run", "ping", "web.lab.internal", "--json"];
    let running = Running::start(&mut lab.mantlet(&args)?)?;
    wait::until_true("a question", BOUND, || !server.asked().is_empty())?;
    running.signal(Signal::SIGINT)?;
    let ended = running.wait(Duration::from_secs(3))?.expect_code(130)?;
    ensure!(parsed(&ended)?["error_type"] == "cancelled", "{ended:?}");
    Ok(())
}

#[test]
fn look_ups_that_hang_are_bounded_and_harm_no_other_call() -> Result<()> {
    let Some((server, lab)) = scripted(|_| Reply::Silence, "options timeout:30 attempts:3")? else {
        return Ok(());
    };
    let text = config::embedded(&lab.binaries().executor, "[server]\nmax_calls = 64\n");
    let file = lab.file("busy.toml", &text)?;
    let mut stdio = lab.mantlet_with(&file, &["stdio"]);
    let mut client = StdioClient::start(&mut stdio, Era::Legacy)?;
    // More than may wait for name servers at a time.
    let hanging: Vec<u64> = (0..40)
        .map(|n| client.call("ping", &json!({"target": format!("n{n}.lab.internal")})))
        .collect::<Result<_>>()?;
    wait::until_true("a question", BOUND, || !server.asked().is_empty())?;
    let id = client.call("ping", &json!({"target": "10.66.0.10", "count": 1}))?;
    let (is_error, result) = client.structured(id, Duration::from_secs(5))?;
    ensure!(!is_error, "an address needs no name server: {result:#}");
    let mut kinds: Vec<String> = Vec::new();
    for id in hanging {
        let (_, error) = client.structured(id, BOUNDED)?;
        kinds.push(error["error_type"].as_str().unwrap_or_default().to_owned());
    }
    kinds.sort();
    kinds.dedup();
    ensure!(kinds == ["resource_exhausted", "timeout"], "{kinds:?}");
    let ended = client.finish(Duration::from_secs(5))?;
    ensure!(ended.code == 0, "{ended:?}");
    Ok(())
}
