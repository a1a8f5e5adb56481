//! The judge of argument vectors, judged: it must object to what no vetting would
//! let through, or the properties that rest on it say nothing.

use sandbox_profiles::ScopeConfig;

use crate::bench::{config_of, tool};
use crate::ground::Ground;
use crate::invariants::{Check, harmless};

fn said(name: &str, config: &ScopeConfig, elements: &[&str]) -> Check {
    let profile = tool(name);
    let mut argv = vec![profile.executable.to_str().unwrap().to_owned()];
    argv.extend(profile.fixed.iter().cloned());
    argv.extend(elements.iter().map(|&element| element.to_owned()));
    harmless(profile, &Ground::new(config), &argv)
}

#[test]
fn sees_what_is_not_harmless() {
    let plain = ScopeConfig::default();
    let denied = config_of(&["10.0.0.0/8"], &["10.0.0.64/26"]);
    let intrusive = ScopeConfig {
        allow_intrusive: true,
        ..plain.clone()
    };
    let cases = [
        // tool, scope, what follows the fixed arguments, what is said of it
        ("nmap", &plain, "-p 80 -T4 -- 10.0.0.1", None),
        ("nmap", &plain, "-p- -vv -- web.lab.internal", None),
        (
            "nmap",
            &denied,
            "--exclude 10.0.0.64/26 -- 10.0.0.0/24",
            None,
        ),
        ("nmap", &intrusive, "-A --ttl 3 -- 10.0.0.1", None),
        ("nmap", &intrusive, "-D 10.0.0.9,ME -- 10.0.0.1", None),
        ("ping", &plain, "-4 -c 4 -- 10.0.0.1", None),
        (
            "curl",
            &plain,
            "-H Accept:*/* http://10.0.0.1:80/a?b=1",
            None,
        ),
        (
            "curl",
            &plain,
            "--resolve a.lab.internal:80:10.0.0.1 http://a.lab.internal:80/",
            None,
        ),
        (
            "dig",
            &plain,
            "@10.0.0.1 -q 7.0.0.10.in-addr.arpa +time=3",
            None,
        ),
        ("nmap", &plain, "-p 80 10.0.0.1", Some("behind --")),
        ("nmap", &plain, "-oN -- 10.0.0.1", Some("no listed flag")),
        (
            "nmap",
            &plain,
            "10.0.0.2 -- 10.0.0.1",
            Some("no listed flag"),
        ),
        (
            "nmap",
            &plain,
            "-T4 -p 80 -- 10.0.0.1",
            Some("profile's order"),
        ),
        (
            "nmap",
            &plain,
            "-p 80 -p 81 -- 10.0.0.1",
            Some("profile's order"),
        ),
        (
            "nmap",
            &plain,
            "-p -sV -- 10.0.0.1",
            Some("looks like a flag"),
        ),
        ("nmap", &plain, "-p -- 10.0.0.1", Some("without its value")),
        ("nmap", &plain, "-p http -- 10.0.0.1", Some("out of bounds")),
        ("nmap", &plain, "-T7 -- 10.0.0.1", Some("out of bounds")),
        (
            "nmap",
            &plain,
            "--top-ports 0 -- 10.0.0.1",
            Some("out of bounds"),
        ),
        (
            "nmap",
            &plain,
            "--script /tmp/x -- 10.0.0.1",
            Some("a path"),
        ),
        ("nmap", &plain, "-A -- 10.0.0.1", Some("intrusive")),
        (
            "nmap",
            &plain,
            "--exclude 8.8.8.8 -- 10.0.0.0/24",
            Some("not in the target"),
        ),
        ("nmap", &plain, "-- 8.8.8.8", Some("outside the scope")),
        (
            "nmap",
            &plain,
            "-- 10.0.0.1,8.8.8.8",
            Some("more than a target"),
        ),
        ("nmap", &plain, "-- example.com", Some("outside the scope")),
        ("nmap", &plain, "-- http://10.0.0.1/", Some("no host name")),
        ("nmap", &denied, "-- 10.0.0.0/24", Some("not left out")),
        (
            "nmap",
            &denied,
            "--exclude 10.0.0.64/27 -- 10.0.0.0/24",
            Some("not left out"),
        ),
        (
            "nmap",
            &intrusive,
            "-D 8.8.8.8 -- 10.0.0.1",
            Some("outside the scope"),
        ),
        ("ping", &plain, "-s 1473 -- 10.0.0.1", Some("out of bounds")),
        (
            "curl",
            &plain,
            "http://8.8.8.8:80/",
            Some("outside the scope"),
        ),
        (
            "curl",
            &plain,
            "http://a@10.0.0.1:80/",
            Some("not one address"),
        ),
        (
            "curl",
            &plain,
            "http://[10.0.0.1]:80/",
            Some("no host name"),
        ),
        ("curl", &plain, "file://10.0.0.1:80/", Some("out of bounds")),
        ("curl", &plain, "http://10.0.0.1:0/", Some("out of bounds")),
        ("curl", &plain, "http://10.0.0.1:80", Some("out of bounds")),
        (
            "curl",
            &plain,
            "--port 80 http://10.0.0.1:80/",
            Some("into the target"),
        ),
        (
            "curl",
            &plain,
            "-o /tmp/x http://10.0.0.1:80/",
            Some("no listed flag"),
        ),
        (
            "curl",
            &plain,
            "-A @x http://10.0.0.1:80/",
            Some("looks like a flag"),
        ),
        (
            "curl",
            &plain,
            "-H Host:x http://10.0.0.1:80/",
            Some("out of bounds"),
        ),
        (
            "curl",
            &plain,
            "--resolve a.lab.internal:80:8.8.8.8 http://a.lab.internal:80/",
            Some("no listed flag"),
        ),
        (
            "curl",
            &plain,
            "--resolve x.example:80:10.0.0.1 http://x.example:80/",
            Some("outside"),
        ),
        (
            "dig",
            &plain,
            "@8.8.8.8 -q a.lab.internal",
            Some("outside the scope"),
        ),
        (
            "dig",
            &plain,
            "@10.0.0.1 -q example.com",
            Some("out of bounds"),
        ),
        (
            "dig",
            &plain,
            "@10.0.0.1 -q 8.8.8.8.in-addr.arpa",
            Some("out of bounds"),
        ),
        (
            "dig",
            &plain,
            "@10.0.0.1 -x 8.8.8.8",
            Some("outside the scope"),
        ),
        (
            "dig",
            &plain,
            "@10.0.0.1 -t AXFR -q lab.internal",
            Some("out of bounds"),
        ),
        ("dig", &plain, "@10.0.0.1 +trace", Some("no listed flag")),
    ];
    let mut wrong = Vec::new();
    for (name, config, text, expected) in cases {
        let elements: Vec<&str> = text.split(' ').collect();
        let said = said(name, config, &elements);
        let as_expected = match expected {
            None => said.is_ok(),
            Some(part) => said.as_ref().is_err_and(|why| why.contains(part)),
        };
        if !as_expected {
            wrong.push(format!("{name} {text}: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for odd in ["", " ", "\n", "\u{e9}"] {
        let said = said("nmap", &plain, &["-p", odd, "--", "10.0.0.1"]);
        assert!(said.is_err_and(|why| why.contains("not plain")), "{odd:?}");
    }
}
