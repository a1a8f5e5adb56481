//! What a name may resolve to, with a real name server in the lab.
//!
//! What it is not: about servers that fail, change their mind or are not asked;
//! `name_servers` has those.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::lab::Host;
use harness::running::{Ended, Running, run};
use harness::stdio_client::{Era, PROMPT};
use harness::{Lab, StdioClient, names};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);

/// A scope of the lab, without one address of it, and where `ipv6`, of the lab's IPv6 network.
fn scoped(lab: &Lab, ipv6: bool) -> Result<std::path::PathBuf> {
    let six = if ipv6 { ", \"fd00:66::/64\"" } else { "" };
    let text = format!(
        "[security]\nallowed_networks = [\"10.66.0.0/24\"{six}]\n\
         denied_networks = [\"10.66.0.99/32\"]\nallowed_suffixes = [\".lab.internal\"]\n\
         [executor]\nmode = \"embedded\"\nbinary = \"{}\"\n",
        lab.binaries().executor.display()
    );
    lab.file("scoped.toml", &text)
}

/// Every kind of answer, by name.
fn start_zone(lab: &Lab) -> Result<Running> {
    let records = [
        "ready.lab.internal,10.66.0.10",
        "one.lab.internal,10.66.0.10",
        "two.lab.internal,10.66.0.10",
        "two.lab.internal,10.66.0.40",
        "mixed.lab.internal,10.66.0.10",
        "mixed.lab.internal,198.51.100.7",
        "out.lab.internal,198.51.100.7",
        "out.lab.internal,203.0.113.9",
        "loop.lab.internal,127.0.0.1",
        "cloud.lab.internal,169.254.169.254",
        "zero.lab.internal,0.0.0.0",
        "denied.lab.internal,10.66.0.99",
        "six.lab.internal,fd00:66::10",
        "both.lab.internal,10.66.0.10,fd00:66::10",
        "half.lab.internal,10.66.0.10,2001:db8::7",
        "mapped.lab.internal,::ffff:10.66.0.10",
        "evil.example,198.51.100.7",
        "foreign.example,10.66.0.10",
    ];
    let mut options: Vec<String> = records
        .iter()
        .map(|record| format!("--host-record={record}"))
        .collect();
    for last in 100..170 {
        options.push(format!("--host-record=many.lab.internal,10.66.0.{last}"));
    }
    for (alias, of) in [
        ("inside", "one.lab.internal"),
        ("outside", "evil.example"),
        ("foreign", "foreign.example"),
    ] {
        options.push(format!("--cname={alias}.lab.internal,{of}"));
    }
    options.push("--txt-record=words.lab.internal,nothing but words".to_owned());
    names::zone(lab, &options)
}

fn mantlet(lab: &Lab, ipv6: bool, args: &[&str]) -> Result<Ended> {
    run(&mut lab.mantlet_with(&scoped(lab, ipv6)?, args), BOUND)
}

fn parsed(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

/// The texts of a list, sorted: a name server may turn its answers round.
fn sorted(list: &Value) -> Vec<&str> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
    texts.sort_unstable();
    texts
}

/// Names that are accepted: every answer, sorted, and why.
#[rustfmt::skip]
const ACCEPTED: [(&str, &[&str], &str); 4] = [
    ("one",     &["10.66.0.10"],               "a single address"),
    ("two",     &["10.66.0.10", "10.66.0.40"], "several, all of them in scope"),
    ("inside",  &["10.66.0.10"],               "an alias within the zone"),
    ("foreign", &["10.66.0.10"],               "an alias of a foreign name: its address decides"),
];

#[test]
fn answers_in_scope_are_pinned_and_shown() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, names::SERVER])? else {
        return Ok(());
    };
    let _zone = start_zone(&lab)?;
    for (label, answers, why) in ACCEPTED {
        let name = format!("{label}.lab.internal");
        let vet = ["vet", "ping", &name, "--resolve", "--json"];
        let verdict = parsed(&mantlet(&lab, false, &vet)?.expect_code(0)?)?;
        let args = ["run", "ping", &name, "--json", "--", "-c", "1"];
        let ended = mantlet(&lab, false, &args)?.expect_code(0)?;
        let result = parsed(&ended)?;
        for (shown, argv) in [
            (&verdict["resolved"], &verdict["argv"]),
            (&result["metadata"]["resolved"], &result["argv"]),
        ] {
            ensure!(shown["name"] == name.as_str(), "{name} ({why}): {shown}");
            ensure!(
                sorted(&shown["answers"]) == answers,
                "{name} ({why}): {shown}"
            );
            let pinned = shown["pinned"].as_str().context("an address")?;
            ensure!(answers.contains(&pinned), "{name} ({why}): {shown}");
            let words = argv.as_array().context("an argv")?;
            ensure!(
                words.last() == Some(&json!(pinned)),
                "{name} ({why}): {argv}"
            );
            ensure!(!argv.to_string().contains("lab.internal"), "{argv}");
        }
        let pinned = result["metadata"]["resolved"]["pinned"].as_str();
        let target = format!("{name} ({})", pinned.context("an address")?);
        ensure!(result["targets"] == json!([target]), "{result:#}");
    }
    Ok(())
}

/// Names that are refused: the answers that are forbidden, the reason of the first, and why.
#[rustfmt::skip]
const REFUSED: [(&str, &[&str], &str, &str); 11] = [
    ("mixed",   &["198.51.100.7"],                "TGT2", "one public address among allowed ones"),
    ("out",     &["198.51.100.7", "203.0.113.9"], "TGT2", "public addresses only"),
    ("outside", &["198.51.100.7"],                "TGT2", "an alias of a public name"),
    ("loop",    &["127.0.0.1"],                   "TGT2", "this machine itself: rebinding"),
    ("cloud",   &["169.254.169.254"],             "TGT3", "the metadata service"),
    ("zero",    &["0.0.0.0"],                     "TGT3", "this machine itself, to some"),
    ("denied",  &["10.66.0.99"],                  "TGT4", "a denied address of an allowed network"),
    ("six",     &["fd00:66::10"],                 "TGT9", "IPv6 only, which isn't enabled"),
    ("both",    &["fd00:66::10"],                 "TGT9", "an IPv6 address besides, which isn't enabled"),
    ("mapped",  &["::ffff:10.66.0.10"],           "TGT9", "an allowed address in IPv6 clothing"),
    ("half",    &["2001:db8::7"],                 "TGT9", "a public IPv6 address besides"),
];

#[test]
fn one_answer_out_of_scope_refuses_the_name_and_is_named() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, names::SERVER])? else {
        return Ok(());
    };
    let _zone = start_zone(&lab)?;
    for (label, forbidden, rule, why) in REFUSED {
        let name = format!("{label}.lab.internal");
        let vet = ["vet", "ping", &name, "--resolve", "--json"];
        let verdict = parsed(&mantlet(&lab, false, &vet)?.expect_code(3)?)?;
        let args = ["run", "ping", &name, "--json", "--", "-c", "1"];
        let result = parsed(&mantlet(&lab, false, &args)?.expect_code(3)?)?;
        ensure!(result["sandbox"].is_null(), "nothing ran: {result:#}");
        ensure!(result["error_type"] == "validation_error", "{result:#}");
        for facts in [&verdict["error"]["metadata"], &result["metadata"]] {
            ensure!(facts["rule"] == "TGT7", "{name} ({why}): {facts}");
            ensure!(facts["name"] == name.as_str(), "{name} ({why}): {facts}");
            ensure!(
                sorted(&facts["forbidden"]) == forbidden,
                "{name} ({why}): {facts}"
            );
            let reason = facts["reasons"][forbidden[0]].as_str().unwrap_or_default();
            ensure!(reason.starts_with(rule), "{name} ({why}): {facts}");
            for address in forbidden {
                ensure!(sorted(&facts["answers"]).contains(address), "{facts}");
            }
            let others = sorted(&facts["answers"]).len() > forbidden.len();
            let nearest = facts["nearest_target"].as_str();
            let expected = others.then_some("10.66.0.10");
            ensure!(nearest == expected, "{name} ({why}): {facts}");
        }
    }
    Ok(())
}

#[test]
fn a_name_without_usable_answers_is_told_apart_from_one_out_of_scope() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, names::SERVER])? else {
        return Ok(());
    };
    let _zone = start_zone(&lab)?;
    let cases = [
        ("none", "not_found", "there is no name", "NXDOMAIN"),
        ("words", "not_found", "has no address", "no data"),
        (
            "many",
            "validation_error",
            "70 addresses, at most 64",
            "over TCP, too many",
        ),
    ];
    for (label, kind, said, why) in cases {
        let name = format!("{label}.lab.internal");
        let vet = ["vet", "ping", &name, "--resolve", "--json"];
        let verdict = parsed(&mantlet(&lab, false, &vet)?.expect_code(3)?)?;
        let result = parsed(&mantlet(&lab, false, &["run", "ping", &name, "--json"])?)?;
        ensure!(result["error_type"] == kind, "{name} ({why}): {result:#}");
        let error = &verdict["error"];
        ensure!(error["error_type"] == kind, "{name} ({why}): {verdict:#}");
        for message in [&error["message"], &result["message"]] {
            let message = message.as_str().unwrap_or_default();
            ensure!(message.contains(said), "{name} ({why}): {message}");
        }
        for facts in [&error["metadata"], &result["metadata"]] {
            ensure!(facts["rule"] == "TGT7", "{name} ({why}): {facts}");
            ensure!(facts["name"] == name.as_str(), "{name} ({why}): {facts}");
        }
    }
    Ok(())
}

/// The address that a name is pinned to, or the rule that refuses it.
type Pinned = Result<&'static str, &'static str>;

#[test]
fn ipv6_answers_count_once_ipv6_is_enabled() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, names::SERVER])? else {
        return Ok(());
    };
    let _zone = start_zone(&lab)?;
    for (host, last) in [(lab.client(), "2"), (lab.host(Host::Web)?, "10")] {
        host.ip_batch(&format!("addr add fd00:66::{last}/64 dev eth0 nodad"))?;
    }
    let cases: [(&str, &[&str], Pinned, &str); 7] = [
        ("six", &[], Ok("fd00:66::10"), "IPv6 only"),
        (
            "both",
            &[],
            Ok("10.66.0.10"),
            "IPv4 is taken where nothing is asked for",
        ),
        (
            "both",
            &["-6"],
            Ok("fd00:66::10"),
            "what is asked for is taken",
        ),
        ("one", &["-6"], Err("TGT9"), "it has no IPv6 address"),
        ("half", &[], Err("TGT7"), "its IPv6 address is public"),
        ("mapped", &[], Err("TGT7"), "IPv4 in IPv6 clothing never"),
        (
            "half",
            &["-4"],
            Err("TGT7"),
            "also where only the other is asked for",
        ),
    ];
    for (label, family, expected, why) in cases {
        let name = format!("{label}.lab.internal");
        let mut args = vec!["run", "ping", &name, "--json", "--", "-c", "1"];
        args.extend(family);
        let ended = mantlet(&lab, true, &args)?;
        let result = parsed(&ended)?;
        match expected {
            Ok(pinned) => {
                ensure!(ended.code == 0, "{name} {family:?} ({why}): {result:#}");
                let got = &result["metadata"]["resolved"]["pinned"];
                ensure!(got == pinned, "{name} {family:?} ({why}): {result:#}");
            }
            Err(rule) => {
                ensure!(ended.code == 3, "{name} {family:?} ({why}): {result:#}");
                let got = &result["metadata"]["rule"];
                ensure!(got == rule, "{name} {family:?} ({why}): {result:#}");
            }
        }
    }
    let args = ["vet", "ping", "one.lab.internal", "--json", "--", "-6"];
    let off = parsed(&mantlet(&lab, false, &args)?.expect_code(3)?)?;
    ensure!(off["error"]["metadata"]["rule"] == "TGT9", "{off:#}");
    Ok(())
}

#[test]
fn people_read_every_answer_and_the_way_out() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, names::SERVER])? else {
        return Ok(());
    };
    let _zone = start_zone(&lab)?;
    let two = "two.lab.internal";
    let ran = mantlet(&lab, false, &["run", "ping", two, "--", "-c", "1"])?.expect_code(0)?;
    let vetted = mantlet(&lab, false, &["vet", "ping", two, "--resolve"])?.expect_code(0)?;
    for text in [&ran.stderr, &vetted.stdout] {
        let line = text.lines().find(|line| line.contains("has 2 addresses"));
        let line = line.with_context(|| format!("a line: {text}"))?;
        for part in ["resolved", two, "10.66.0.10", "10.66.0.40", "was taken"] {
            ensure!(line.contains(part), "{part}: {line}");
        }
    }
    let mixed = mantlet(&lab, false, &["run", "ping", "mixed.lab.internal"])?.expect_code(3)?;
    for part in ["198.51.100.7 (TGT2", "nearest allowed target: 10.66.0.10"] {
        ensure!(mixed.stderr.contains(part), "{part}: {}", mixed.stderr);
    }
    let port = mantlet(&lab, false, &["run", "nmap", "10.66.0.10:80"])?.expect_code(3)?;
    for part in [
        "no port",
        "parameter ports",
        "nearest allowed target: 10.66.0.10",
    ] {
        ensure!(port.stderr.contains(part), "{part}: {}", port.stderr);
    }
    let judged = mantlet(&lab, false, &["vet", "nmap", "http://10.66.0.10/"])?.expect_code(3)?;
    ensure!(
        judged.stdout.contains("\ntarget   10.66.0.10\n"),
        "{judged:?}"
    );
    Ok(())
}

#[test]
fn models_get_every_answer_over_stdio() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web, names::SERVER])? else {
        return Ok(());
    };
    let _zone = start_zone(&lab)?;
    let mut stdio = lab.mantlet_with(&scoped(&lab, false)?, &["stdio"]);
    let mut client = StdioClient::start(&mut stdio, Era::Legacy)?;
    let id = client.request("tools/list", json!({}))?;
    let tools = client.result(id, PROMPT)?;
    let tool = tools["tools"].as_array().context("tools")?.iter();
    let mut tool = tool.filter(|tool| tool["name"] == "ping");
    let fields = &tool.next().context("ping")?["outputSchema"]["properties"]["metadata"];
    ensure!(
        fields["properties"]["resolved"]["type"] == "object",
        "{fields:#}"
    );

    let id = client.call("ping", &json!({"target": "two.lab.internal", "count": 1}))?;
    let result = client.result(id, BOUND)?;
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    ensure!(
        text.contains("Resolved: two.lab.internal has 2 addresses"),
        "{text}"
    );
    let shown = &result["structuredContent"]["metadata"]["resolved"];
    ensure!(
        sorted(&shown["answers"]) == ["10.66.0.10", "10.66.0.40"],
        "{shown}"
    );
    let pinned: Ipv4Addr = shown["pinned"].as_str().context("an address")?.parse()?;
    ensure!(pinned.octets()[..3] == [10, 66, 0], "{shown}");

    let id = client.call("ping", &json!({"target": "mixed.lab.internal", "count": 1}))?;
    let result = client.result(id, BOUND)?;
    ensure!(result["isError"] == true, "{result:#}");
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    for part in [
        "Rule: TGT7",
        "198.51.100.7",
        "Nearest allowed target: 10.66.0.10",
    ] {
        ensure!(text.contains(part), "{part}: {text}");
    }
    let facts = &result["structuredContent"]["metadata"];
    ensure!(facts["forbidden"] == json!(["198.51.100.7"]), "{facts}");

    let arguments = json!({"target": "two.lab.internal", "extra_args": "-sS -p 80"});
    let id = client.call("nmap", &arguments)?;
    let (is_error, error) = client.structured(id, BOUND)?;
    ensure!(
        is_error && error["error_type"] == "permission_denied",
        "{error:#}"
    );
    let shown = &error["metadata"]["resolved"];
    ensure!(
        shown["name"] == "two.lab.internal",
        "the executor's no, too: {error:#}"
    );
    Ok(())
}
