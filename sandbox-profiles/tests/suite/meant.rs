//! Targets in other forms: refused, with the one that was meant.

use proptest::prelude::*;
use sandbox_profiles::{Detail, Refusal, Scope, ScopeConfig, vet};

use crate::bench::{call, nmap, scope, scope_of, tool};

fn nearest(refusal: &Refusal) -> Option<&str> {
    let found = refusal
        .detail
        .iter()
        .find(|(name, _)| *name == "nearest_target");
    if let Some((_, Detail::Text(text))) = found {
        Some(text)
    } else {
        None
    }
}

#[test]
fn name_what_is_too_much_and_the_target_without_it() {
    let cases = [
        // target, nearest, said, why
        ("10.0.0.1:80", Some("10.0.0.1"), "no port", "a port"),
        (
            "10.0.0.1:80",
            Some("10.0.0.1"),
            "80 as the parameter ports",
            "where it belongs",
        ),
        (
            "web.lab.internal:443",
            Some("web.lab.internal"),
            "no port",
            "a name's port",
        ),
        (
            "http://10.0.0.1/",
            Some("10.0.0.1"),
            "no scheme and no path",
            "a URL",
        ),
        (
            "https://Web.lab.internal:8443/a?b#c",
            Some("web.lab.internal"),
            "8443 as",
            "all of it",
        ),
        (
            "http://u:p@10.0.0.1",
            Some("10.0.0.1"),
            "no scheme and no user name",
            "a password",
        ),
        (
            "http://10.0.0.1",
            Some("10.0.0.1"),
            "no scheme",
            "without a path",
        ),
        (
            "web.lab.internal/admin",
            Some("web.lab.internal"),
            "no path",
            "without a scheme",
        ),
        (
            "10.0.0.1/index.html",
            Some("10.0.0.1"),
            "no path",
            "an address and a path",
        ),
        (
            "web.lab.internal/24",
            Some("web.lab.internal"),
            "only an address",
            "block around a name",
        ),
        (
            "root@10.0.0.1",
            Some("10.0.0.1"),
            "no user name",
            "as ssh has it",
        ),
        ("[10.0.0.1]", Some("10.0.0.1"), "no brackets", "brackets"),
        (
            " 10.0.0.1\n",
            Some("10.0.0.1"),
            "no white space",
            "around it",
        ),
        (
            "10.0.0.0/255.255.255.0",
            Some("10.0.0.0/24"),
            "not a netmask",
            "a netmask",
        ),
        (
            "10.0.0.9/255.255.255.0",
            Some("10.0.0.0/24"),
            "not a netmask",
            "with host bits",
        ),
        (
            "10.0.0.*",
            Some("10.0.0.0/24"),
            "wildcards",
            "exactly a network",
        ),
        (
            "10.0.0.0-255",
            Some("10.0.0.0/24"),
            "ranges",
            "exactly a network",
        ),
        (
            "10.0.0-3.*",
            Some("10.0.0.0/22"),
            "ranges",
            "exactly a network",
        ),
        (
            "10.0.0.4-10.0.0.7",
            Some("10.0.0.4/30"),
            "ranges",
            "both ends in full",
        ),
        (
            "10.0.0.1-5",
            None,
            "like 10.0.0.0/29",
            "a network has more than that",
        ),
        (
            "10.0.0.1-10.0.0.5",
            None,
            "like 10.0.0.0/29",
            "a network has more than that",
        ),
        ("10.0.0-1.5", None, "one address per call", "with gaps"),
        ("10.0.0.1,2", None, "one address per call", "a list"),
        (
            "10.0.0.1,10.0.0.2",
            None,
            "one target per call",
            "a list of addresses",
        ),
        (
            "10.0.0.1 10.0.0.2",
            None,
            "one target per call",
            "two targets",
        ),
        ("-iL", None, "extra_args", "an argument"),
        (
            "8.8.8.8:53",
            None,
            "8.8.8.8 alone would be refused too (TGT2",
            "both mistakes at once",
        ),
        (
            "http://evil.com/",
            None,
            "evil.com alone would be refused too (TGT2",
            "both at once",
        ),
        (
            "10.0.*.*",
            None,
            "10.0.0.0/16 alone would be refused too (TGT5",
            "both at once",
        ),
        (
            "fe80::1%eth0",
            None,
            "fe80::1 alone would be refused too (TGT9",
            "a zone",
        ),
        (
            "[fd00::1]",
            None,
            "fd00::1 alone would be refused too (TGT9",
            "brackets, IPv6 is off",
        ),
        (
            "010.0.0.*",
            None,
            "wildcards",
            "octal to some: nothing is guessed",
        ),
        ("10.0.0.5-1", None, "ranges", "the wrong way round"),
        (
            "10.0.0.1:0x50",
            None,
            "neither",
            "no port that anyone means",
        ),
        (
            "10.0.0.0/33",
            None,
            "larger than 32",
            "a prefix of its own kind",
        ),
    ];
    for (target, expected, said, why) in cases {
        let refusal = nmap(&scope(), target, "").unwrap_err();
        assert_eq!(nearest(&refusal), expected, "{target}: {why}: {refusal}");
        let words = refusal.to_string();
        assert!(words.contains(said), "{target}: {why}: {words}");
    }
}

#[test]
fn speak_of_what_the_tool_takes() {
    let refuse = |target: &str| {
        let refused = vet::vet(tool("ping"), &scope(), &call(target, ""));
        refused.unwrap_err()
    };
    let port = refuse("10.0.0.1:80");
    assert!(port.remedy.contains("ping takes no port"), "{port}");
    let range = refuse("10.0.0.*");
    assert_eq!(nearest(&range), None, "it takes no networks: {range}");
    assert!(range.remedy.contains("one address per call"), "{range}");
    assert!(!range.remedy.contains("network"), "{range}");
}

#[test]
fn of_ipv6_propose_what_the_scope_has() {
    let scope = scope_of(&["fd00::/64"], &[]);
    for target in ["[fd00::1]", "[fd00::1]:80", "http://[fd00::1]:80/x"] {
        let refusal = nmap(&scope, target, "").unwrap_err();
        assert_eq!(nearest(&refusal), Some("fd00::1"), "{refusal}");
    }
    let zone = nmap(&scope, "fe80::1%eth0", "").unwrap_err();
    assert!(zone.remedy.contains("TGT3"), "{zone}");
    assert_eq!(nearest(&zone), None);
}

#[test]
fn loopback_says_who_can_open_it() {
    for (target, listed) in [("127.0.0.1", "127.0.0.0/8"), ("localhost", "127.0.0.0/8")] {
        let refusal = nmap(&scope(), target, "").unwrap_err();
        assert_eq!(&*refusal.rule, "TGT2", "{refusal}");
        let words = refusal.remedy.contains("allowed_networks") && refusal.remedy.contains(listed);
        assert!(words && refusal.message.contains("loopback"), "{refusal}");
    }
    let six = nmap(&scope_of(&["fd00::/64"], &[]), "::1", "").unwrap_err();
    assert!(six.remedy.contains("::1/128"), "{six}");
    let open = scope_of(&["127.0.0.0/8"], &[]);
    let name = nmap(&open, "localhost", "").unwrap_err();
    assert_eq!(nearest(&name), Some("127.0.0.1"), "{name}");
    let other = nmap(&scope(), "8.8.8.8", "").unwrap_err();
    assert!(!other.remedy.contains("loopback"), "{other}");
}

#[test]
fn a_network_too_large_names_the_bound_that_it_is_over() {
    let of = |size: u32| {
        Scope::new(&ScopeConfig {
            max_network_size: size,
            ..ScopeConfig::default()
        })
        .unwrap()
    };
    let text = include_str!("../../tools/nmap.toml");
    let text = text.replacen("addresses_max = 65536", "addresses_max = 256", 1);
    let narrow = sandbox_profiles::load::parse("narrow.toml", &text).unwrap();
    let cases = [
        // scope, most, bound named, not named
        (128, 128, "max_network_size of the scope", "addresses_max"),
        (256, 256, "max_network_size of the scope", "addresses_max"),
        (
            1024,
            256,
            "addresses_max of the tool's profile",
            "max_network_size",
        ),
    ];
    for (size, most, named, other) in cases {
        let refused = vet::vet(&narrow, &of(size), &call("10.0.0.0/22", ""));
        let refusal = refused.unwrap_err();
        assert_eq!(&*refusal.rule, "TGT5", "{refusal}");
        let words = &refusal.message;
        assert!(words.contains(named) && !words.contains(other), "{words}");
        assert!(words.contains(&format!("at most {most} are")), "{words}");
    }
}

proptest! {
    #[test]
    fn a_proposed_target_is_accepted(
        text in "(http://|-|)([a-z]@|)(10|127|8|fd00)[.:](0|66|\\*|0-255)[.:](0|[0-9]{1,2}|\\*)[.:]([0-9]{1,3}|\\*|[0-9]-[0-9]{1,2})(:[0-9]{1,6}|/[a-z0-9.]{1,4}|%eth0|,[0-9]|)"
    ) {
        for name in ["nmap", "ping"] {
            let Err(refusal) = vet::vet(tool(name), &scope(), &call(&text, "")) else { continue };
            let Some(meant) = nearest(&refusal) else { continue };
            let again = vet::vet(tool(name), &scope(), &call(meant, ""));
            prop_assert!(again.is_ok(), "{}: {}: {:?}", text, meant, again);
        }
    }
}
