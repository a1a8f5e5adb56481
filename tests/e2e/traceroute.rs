//! traceroute, and ping beside it, over a routed path: with privileges and without.
//!
//! What it is not: a test of the parser, whose recordings are beside it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::path::{DROPPED, DROPPED_SIX, HOST, HOST_SIX, MTU, PROHIBITED, PROHIBITED_SIX, Path};
use harness::running::run;
use harness::stdio_client::Era;
use harness::{ExecutorProcess, Lab, StdioClient, config, identity};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_mins(1);
/// What a hop of the path answers with, one by one.
const ROUTERS: [&str; 3] = ["10.67.1.2", "10.67.2.2", "10.67.3.2"];
const ROUTERS_SIX: [&str; 3] = ["fd67:0:0:1::2", "fd67:0:0:2::2", "fd67:0:0:3::2"];

/// A lab with a path behind its client; `None` where nobody is root.
fn routed() -> Result<Option<(Lab, Path)>> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(None);
    };
    let path = Path::behind(&lab)?;
    Ok(Some((lab, path)))
}

/// The broker with the embedded executor, for the lab's and the path's networks.
fn embedded(lab: &Lab, words: &[&str]) -> Result<Command> {
    let text = config::embedded(&lab.binaries().executor, "");
    let networks = "[\"10.66.0.0/24\", \"fd67::/48\"]";
    let file = lab.file("path.toml", &text.replace("[\"10.66.0.0/24\"]", networks))?;
    Ok(lab.mantlet_with(&file, words))
}

/// `mantlet run TOOL TARGET --json … -- ARGS` by the embedded executor.
fn call(lab: &Lab, tool: &str, target: &str, args: &str, code: i32) -> Result<Value> {
    let mut words = vec!["run", tool, target, "--json", "--"];
    words.extend(args.split_ascii_whitespace());
    let ended = run(&mut embedded(lab, &words)?, BOUND)?.expect_code(code)?;
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

/// The same, by an executor of the test's own.
fn call_system(lab: &Lab, executor: &ExecutorProcess, words: &[&str], code: i32) -> Result<Value> {
    let file = lab.file("system.toml", &config::system(executor.socket(), ""))?;
    let ended = run(&mut lab.mantlet_with(&file, words), BOUND)?.expect_code(code)?;
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

/// The first address that answered at each hop; null where nobody did.
fn hops(structured: &Value) -> Vec<Value> {
    let hops = structured["hops"].as_array();
    let mut firsts = Vec::new();
    for hop in hops.into_iter().flatten() {
        let probes = hop["probes"].as_array().into_iter().flatten();
        let mut addresses = probes.map(|probe| &probe["address"]);
        firsts.push(addresses.find(|address| address.is_string()).cloned());
    }
    firsts.into_iter().map(Option::unwrap_or_default).collect()
}

fn path_to(routers: [&str; 3], last: &str) -> Vec<Value> {
    routers.into_iter().chain([last]).map(Value::from).collect()
}

#[test]
fn udp_finds_the_way_without_any_privilege() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    for (target, routers, why) in [(HOST, ROUTERS, "IPv4"), (HOST_SIX, ROUTERS_SIX, "IPv6")] {
        for args in ["-q 2", "-U -q 1", "-F -N 1 -z 0.01 -p 40000"] {
            let result = call(&lab, "traceroute", target, args, 0)?;
            let structured = &result["structured"];
            ensure!(
                hops(structured) == path_to(routers, target),
                "{why} {args}: {result:#}"
            );
            ensure!(structured["reached"] == true, "{why} {args}: {result:#}");
            ensure!(structured["truncated"] == false, "{why} {args}: {result:#}");
            ensure!(
                result["sandbox"]["capabilities"] == json!([]),
                "{why}: {result:#}"
            );
        }
    }
    Ok(())
}

#[test]
fn what_stops_a_packet_is_named() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    let refused = [(PROHIBITED, ROUTERS), (PROHIBITED_SIX, ROUTERS_SIX)];
    for (target, routers) in refused {
        let structured = call(&lab, "traceroute", target, "-q 1", 0)?["structured"].take();
        // The third router answers for the fourth hop, in the name of a filter.
        ensure!(
            hops(&structured) == path_to(routers, routers[2]),
            "{structured:#}"
        );
        ensure!(structured["reached"] == false, "{structured:#}");
        let annotation = structured.pointer("/hops/3/probes/0/annotation");
        ensure!(annotation == Some(&json!("!X")), "{structured:#}");
        let meaning = structured
            .pointer("/annotations/0/meaning")
            .and_then(Value::as_str);
        ensure!(
            meaning.is_some_and(|text| text.contains("prohibited")),
            "{structured:#}"
        );
    }
    for (target, routers) in [(DROPPED, ROUTERS), (DROPPED_SIX, ROUTERS_SIX)] {
        let structured =
            call(&lab, "traceroute", target, "-q 1 -w 1 -m 5", 0)?["structured"].take();
        let silent = [Value::Null, Value::Null];
        let expected: Vec<Value> = routers.into_iter().map(Value::from).chain(silent).collect();
        ensure!(hops(&structured) == expected, "{structured:#}");
        ensure!(structured["reached"] == false, "{structured:#}");
    }
    Ok(())
}

#[test]
fn the_narrow_link_is_found() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    for target in [HOST, HOST_SIX] {
        let structured = call(&lab, "traceroute", target, "--mtu -q 1", 0)?["structured"].take();
        ensure!(structured["mtu"] == MTU, "{structured:#}");
        let third = structured.pointer("/hops/2/probes/0/mtu");
        ensure!(
            third == Some(&json!(MTU)),
            "where it shrinks: {structured:#}"
        );
    }
    Ok(())
}

#[test]
fn icmp_and_tcp_run_with_net_raw_and_nothing_else() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    // ICMP datagram sockets are closed: the capability is the only way.
    lab.client()
        .script("echo 1 0 >/proc/sys/net/ipv4/ping_group_range")?;
    let executor = ExecutorProcess::start(&lab, &Options::net_raw(identity::lent()))?;
    for (args, method) in [
        ("-I", "icmp"),
        ("-T", "tcp"),
        ("-T -p 443 -F", "tcp"),
        ("", "udp"),
    ] {
        let mut words = vec![
            "run",
            "traceroute",
            HOST,
            "--json",
            "--",
            "-q",
            "1",
            "-w",
            "2",
        ];
        words.extend(args.split_ascii_whitespace());
        let result = call_system(&lab, &executor, &words, 0)?;
        let structured = &result["structured"];
        ensure!(structured["method"] == method, "{args}: {result:#}");
        ensure!(
            hops(structured) == path_to(ROUTERS, HOST),
            "{args}: {result:#}"
        );
        let granted = if args.is_empty() {
            json!([])
        } else {
            json!(["CAP_NET_RAW"])
        };
        ensure!(
            result["sandbox"]["capabilities"] == granted,
            "{args}: {result:#}"
        );
    }
    let result = call_system(
        &lab,
        &executor,
        &["run", "ping", HOST, "--json", "--", "-c", "1"],
        0,
    )?;
    ensure!(
        result["sandbox"]["capabilities"] == json!(["CAP_NET_RAW"]),
        "{result:#}"
    );
    Ok(())
}

#[test]
fn icmp_sockets_do_as_well_as_the_capability() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    for (target, routers) in [(HOST, ROUTERS), (HOST_SIX, ROUTERS_SIX)] {
        let result = call(&lab, "traceroute", target, "-I", 0)?;
        ensure!(
            hops(&result["structured"]) == path_to(routers, target),
            "{result:#}"
        );
        ensure!(result["structured"]["method"] == "icmp", "{result:#}");
        ensure!(result["sandbox"]["capabilities"] == json!([]), "{result:#}");
        let result = call(&lab, "ping", target, "-c 1", 0)?;
        ensure!(result["structured"]["received"] == 1, "{result:#}");
        ensure!(result["sandbox"]["capabilities"] == json!([]), "{result:#}");
    }
    Ok(())
}

#[test]
fn without_either_it_is_refused_with_the_way_that_is_left() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    let cases = [
        // tool, arguments, whether ICMP sockets are open, nearest call, part of the remedy
        (
            "traceroute",
            "-T -q 1 -p 443",
            true,
            Some("-U -q 1 -p 443"),
            "-U -q 1",
        ),
        (
            "traceroute",
            "-I -m 4",
            false,
            Some("-m 4"),
            "ping_group_range",
        ),
        ("ping", "-c 1", false, None, "ping_group_range"),
    ];
    for (tool, args, is_open, nearest, remedy) in cases {
        let range = if is_open { "0 2147483647" } else { "1 0" };
        lab.client().script(&format!(
            "echo {range} >/proc/sys/net/ipv4/ping_group_range"
        ))?;
        for target in [HOST, HOST_SIX] {
            let result = call(&lab, tool, target, args, 3)?;
            ensure!(
                result["error_type"] == "permission_denied",
                "{tool} {args}: {result:#}"
            );
            ensure!(
                result["metadata"]["rule"] == "NM9",
                "{tool} {args}: {result:#}"
            );
            ensure!(
                result["sandbox"].is_null(),
                "nothing may have run: {result:#}"
            );
            let said = result["recovery_suggestion"].as_str().unwrap_or_default();
            ensure!(said.contains(remedy), "{tool} {args}: {result:#}");
            let words: Option<Vec<&str>> = nearest.map(|words| words.split(' ').collect());
            ensure!(
                result["metadata"]["nearest_allowed"] == json!(words),
                "{result:#}"
            );
            if let Some(nearest) = nearest {
                let again = call(&lab, tool, target, nearest, 0)?;
                ensure!(again["structured"]["reached"] == true, "{again:#}");
            }
        }
    }
    let doctor = run(&mut embedded(&lab, &["doctor"])?, BOUND)?.expect_code(0)?;
    ensure!(
        doctor.stdout.contains("ok       traceroute 2."),
        "{doctor:?}"
    );
    let ping = doctor
        .stdout
        .lines()
        .find(|line| line.contains("ping can't run"));
    ensure!(
        ping.is_some_and(|line| line.contains("ICMP datagram sockets")),
        "{doctor:?}"
    );
    Ok(())
}

#[test]
fn a_run_that_is_out_of_time_keeps_the_hops_it_found() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    let words = [
        "run",
        "traceroute",
        DROPPED,
        "--json",
        "--timeout",
        "3",
        "--",
    ];
    let words: Vec<&str> = words
        .into_iter()
        .chain(["-q", "1", "-N", "1", "-w", "2"])
        .collect();
    let ended = run(&mut embedded(&lab, &words)?, BOUND)?.expect_code(124)?;
    let result: Value = serde_json::from_str(&ended.stdout)?;
    let structured = &result["structured"];
    ensure!(structured["truncated"] == true, "{result:#}");
    let found: Vec<Value> = hops(structured).into_iter().take(3).collect();
    ensure!(found == ROUTERS.map(Value::from), "{result:#}");
    let notes = result["metadata"]["notes"].to_string();
    ensure!(
        notes.contains("can take 75 s") && notes.contains("after 3 s"),
        "{result:#}"
    );
    Ok(())
}

#[test]
fn a_model_gets_hops_and_progress() -> Result<()> {
    let Some((lab, _path)) = routed()? else {
        return Ok(());
    };
    let mut client = StdioClient::start(&mut lab.mantlet(&["stdio"])?, Era::Legacy)?;
    let arguments = json!({
        "target": DROPPED, "method": "udp", "max_hops": 6, "queries": 1, "wait": 1, "parallel": 2,
    });
    let id = client.call("traceroute", &arguments)?;
    let (is_error, result) = client.structured(id, BOUND)?;
    ensure!(!is_error, "{result:#}");
    let found = hops(&result["structured"]);
    ensure!(
        found.len() == 6 && found[..3] == ROUTERS.map(Value::from),
        "{result:#}"
    );
    let progress = client.notifications("notifications/progress");
    let tells = |note: &&Value| note.to_string().contains("of at most 6");
    ensure!(progress.iter().any(tells), "{progress:?}");
    let tcp = json!({"target": HOST, "method": "tcp", "port": 443});
    let id = client.call("traceroute", &tcp)?;
    let (is_error, result) = client.structured(id, BOUND)?;
    ensure!(
        is_error && result["error_type"] == "permission_denied",
        "{result:#}"
    );
    ensure!(
        result["metadata"]["nearest_allowed"] == json!(["-U", "-p", "443"]),
        "{result:#}"
    );
    Ok(())
}
