//! What ping and traceroute need of an executor, and how much time.

use std::time::Duration;

use sandbox_profiles::vet::vet;
use sandbox_profiles::{RefusalKind, VettedRun, load};

use crate::bench::{call, scope, tool};

fn run(name: &str, args: &str) -> VettedRun {
    vet(tool(name), &scope(), &call("10.0.0.1", args)).unwrap()
}

#[test]
fn needs_name_what_does_as_well() {
    let cases = [
        (
            "ping",
            "",
            "CAP_NET_RAW or ICMP datagram sockets",
            "every run of it",
        ),
        (
            "traceroute",
            "-I",
            "CAP_NET_RAW or ICMP datagram sockets",
            "one flag of it",
        ),
        ("traceroute", "-T", "CAP_NET_RAW", "nothing does as well"),
        ("traceroute", "-U", "", "nothing is needed"),
        ("traceroute", "--mtu -q 1", "", "nothing is needed"),
    ];
    for (name, args, needs, why) in cases {
        let needed: Vec<String> = run(name, args)
            .needs()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(needed.join(", "), needs, "{name} {args}: {why}");
    }
}

#[test]
fn of_what_is_missing_the_refusal_names_the_way_without() {
    let cases = [
        (
            "traceroute",
            "-I -m 5",
            "-I",
            Some("-m 5"),
            "UDP needs nothing",
        ),
        ("traceroute", "-I", "-I", None, "the remedy says it"),
        (
            "traceroute",
            "-T -q 1 -p 443",
            "-T",
            Some("-U -q 1 -p 443"),
            "the same port",
        ),
        ("ping", "-c 2", "ping", None, "nothing of it works without"),
    ];
    for (name, args, offending, nearest, why) in cases {
        let run = run(name, args);
        let refusal = run.refuse_without(tool(name), run.needs()[0]);
        assert_eq!(refusal.kind, RefusalKind::Capability, "{why}");
        assert_eq!((&*refusal.rule, &*refusal.offending), ("NM9", offending));
        let arguments = refusal.nearest.map(|nearest| nearest.join(" "));
        assert_eq!(arguments.as_deref(), nearest, "{name} {args}: {why}");
        let socket = refusal.remedy.contains("ping_group_range");
        assert_eq!(socket, offending != "-T", "{why}: {}", refusal.remedy);
        if let Some(nearest) = nearest {
            assert!(self::run(name, nearest).needs().is_empty(), "{nearest}");
        }
    }
}

#[test]
fn the_time_a_call_can_take_follows_from_its_values() {
    let cases = [
        ("ping", "", 4 + 10 + 5, "four requests, a second apart"),
        (
            "ping",
            "-c 100 -i 10",
            1000 + 10 + 5,
            "longer than the default timeout",
        ),
        (
            "ping",
            "-c 50 -i 0.2 -W 2",
            10 + 2 + 5,
            "the quality template",
        ),
        ("ping", "-c 100 -i 10 -w 30", 30 + 5, "-w ends it"),
        (
            "traceroute",
            "",
            30 + 15,
            "90 packets, 16 at a time, 5 seconds each",
        ),
        ("traceroute", "-N 1", 450 + 15, "one at a time"),
        ("traceroute", "--mtu", 450 + 15, "--mtu sends one at a time"),
        (
            "traceroute",
            "-m 64 -q 5 -w 10 -N 1 -z 1",
            3200 + 320 + 15,
            "the slowest there is",
        ),
        (
            "traceroute",
            "-m 1 -q 1 -w 1 -z 0.5",
            2 + 15,
            "fractions are rounded by nobody",
        ),
    ];
    for (name, args, seconds, why) in cases {
        let lasts = run(name, args).lasts(tool(name)).unwrap();
        let rounded = Duration::from_secs(lasts.as_millis().div_ceil(1000).try_into().unwrap());
        assert_eq!(
            rounded,
            Duration::from_secs(seconds),
            "{name} {args}: {why}"
        );
        assert!(
            lasts <= tool(name).run.timeout_max,
            "{args}: a timeout can cover it"
        );
    }
    let nmap = run("nmap", "-sT");
    assert_eq!(nmap.lasts(tool("nmap")), None, "nobody knows");
}

#[test]
fn a_profile_says_what_is_needed_and_for_how_long_without_contradiction() {
    const PING: &str = include_str!("../../tools/ping.toml");
    let cases = [
        (
            "raw = \"by-need\"",
            "raw = \"never\"",
            "needs",
            "does not list it",
            "needed and never granted",
        ),
        (
            "\"icmp-socket\"",
            "\"icmp\"",
            "needs_or",
            "write icmp-socket",
            "no substitute",
        ),
        (
            "absent = 1_000",
            "",
            "run.lasts.terms[0].times",
            "may be absent",
            "what the tool takes by itself is not known",
        ),
        (
            "times = [\"-c\", \"-i\"]",
            "times = [\"-i\", \"-W\"]",
            "run.lasts.terms[0].times",
            "at most one time",
            "a time by a time",
        ),
        (
            "times = [\"-c\", \"-i\"]",
            "times = [\"-M\"]",
            "run.lasts.terms[0].times",
            "not numbers",
            "a word",
        ),
    ];
    for (from, to, key, expected, why) in cases {
        assert!(PING.contains(from), "{from}");
        let errors = load::parse("x.toml", &PING.replacen(from, to, 1)).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let mut found = errors.iter().zip(&texts);
        assert!(
            found.any(|(error, text)| error.key.ends_with(key) && text.contains(expected)),
            "{why}: {texts:#?}"
        );
    }
}
