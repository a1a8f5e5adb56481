//! Targets and scope: TGT1 to TGT9.

use sandbox_profiles::{Detail, Scope, ScopeConfig, Target};

use crate::bench::{flags, nmap, scope, scope_of, tool};

#[test]
fn accepts_canonical_targets_within_the_scope() {
    let long = format!("{}.lab.internal", "x".repeat(63));
    let cases = [
        ("10.0.0.0", "10.0.0.0", "least of a block"),
        ("172.31.255.255", "172.31.255.255", "greatest of a block"),
        ("192.168.0.0/22", "192.168.0.0/22", "exactly the limit"),
        ("172.16.50.0/22", "172.16.48.0/22", "host bits are masked"),
        (
            "192.168.1.255/25",
            "192.168.1.128/25",
            "host bits are masked",
        ),
        ("192.168.1.1/32", "192.168.1.1", "a network of one"),
        ("10.0.0.4/31", "10.0.0.4/31", "a network of two"),
        ("a.lab.internal", "a.lab.internal", "one label"),
        (
            "db01.prod.lab.internal",
            "db01.prod.lab.internal",
            "two labels",
        ),
        ("Web.LAB.internal.", "web.lab.internal", "case and root dot"),
        (
            "0-0.lab.internal",
            "0-0.lab.internal",
            "digits and a hyphen",
        ),
        (&long, &long, "the longest label"),
    ];
    for (target, expected, why) in cases {
        let run = nmap(&scope(), target, "").unwrap();
        assert_eq!(run.argv().last().unwrap(), expected, "{why}");
        assert_eq!(
            run.notes().is_empty(),
            target == expected,
            "a correction is noted: {why}"
        );
    }
}

#[test]
fn refuses_by_rule() {
    let long_label = format!("{}.lab.internal", "x".repeat(64));
    let long_name = format!("{}lab.internal", "abcdefgh.".repeat(28));
    let cases = [
        ("TGT1", "", "empty"),
        ("TGT1", "192.168.1/24", "three octets"),
        ("TGT1", "web.lab.internal/24", "block around a name"),
        ("TGT1", "http://10.0.0.1/", "URL"),
        ("TGT2", "9.255.255.255", "just below"),
        ("TGT2", "172.32.0.0", "just above"),
        ("TGT2", "127.0.0.1", "loopback is not listed"),
        ("TGT2", "192.0.2.1", "documentation"),
        ("TGT2", "100.64.0.1", "carrier-grade NAT"),
        ("TGT2", "10.0.0.0/7", "half outside"),
        ("TGT2", "192.168.0.0/15", "half outside"),
        ("TGT2", "lab.internal", "the zone itself"),
        ("TGT2", "weblab.internal", "no dot before the suffix"),
        ("TGT2", "web.lab.internal.evil.com", "suffix in the middle"),
        ("TGT2", "localhost", "no suffix"),
        ("TGT3", "0.0.0.0", "this host"),
        ("TGT3", "169.254.169.254", "metadata service"),
        ("TGT3", "239.255.255.250", "multicast"),
        ("TGT3", "255.255.255.255", "broadcast"),
        ("TGT3", "0.0.0.0/0", "everything touches it"),
        ("TGT3", "168.0.0.0/7", "touches link-local"),
        ("TGT5", "10.0.0.0/21", "just above the limit"),
        ("TGT6", "-x.lab.internal", "leading hyphen"),
        ("TGT6", "a..lab.internal", "empty label"),
        ("TGT6", "a-.lab.internal", "trailing hyphen"),
        ("TGT6", "a_b.lab.internal", "underscore"),
        ("TGT6", "web.lab.internal..", "two root dots"),
        ("TGT6", "user@10.0.0.1", "userinfo"),
        ("TGT6", &long_label, "label of 64"),
        ("TGT6", &long_name, "name of 264"),
        ("TGT8", "10.0.0.01", "leading zero"),
        ("TGT8", "167772161", "one number"),
        ("TGT8", "10.66.10", "short form"),
        ("TGT8", "10.0.0.1-5", "range"),
        ("TGT8", "10.0.0.1,2", "list"),
        ("TGT8", "192.168.1.*", "wildcard"),
        ("TGT8", "10.0.0.1:80", "port"),
        ("TGT8", " 10.0.0.1", "white space"),
        ("TGT8", "10.0.0.1\n", "line end"),
        ("TGT8", "10.0.0.\u{ff11}", "full-width digit"),
        ("TGT8", "\u{202e}10.0.0.1", "bidi override"),
        ("TGT8", "10.0.0.0/33", "prefix beyond the address"),
        ("TGT8", "10.0.0.0/024", "leading zero in the prefix"),
        ("TGT8", "10.0.0.0/255.255.255.0", "netmask"),
        ("TGT9", "fd00::1", "IPv6 is not in the scope"),
        ("TGT9", "::ffff:10.0.0.1", "IPv4 in IPv6 clothing"),
    ];
    for (rule, target, why) in cases {
        let refusal = nmap(&scope(), target, "").unwrap_err();
        assert_eq!(&*refusal.rule, rule, "{target:?}: {why}: {refusal}");
        assert!(!refusal.remedy.is_empty(), "{target:?}");
    }
}

#[test]
fn says_how_large_a_network_may_be() {
    let refusal = nmap(&scope(), "192.168.0.0/16", "").unwrap_err();
    let detail = |name: &str| {
        refusal
            .detail
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .unwrap()
    };
    assert_eq!(*detail("network_size"), Detail::Integer(65_536));
    assert_eq!(*detail("max_allowed"), Detail::Integer(1024));
    assert_eq!(*detail("suggested_cidr"), Detail::Text("/22".to_owned()));
    assert_eq!(
        *detail("example"),
        Detail::Text("192.168.0.0/22".to_owned())
    );
    let Detail::Map(breakdown) = detail("cidr_breakdown") else {
        panic!("a map")
    };
    assert_eq!(breakdown[0], ("/22".to_owned(), "1024 hosts".to_owned()));
    assert_eq!(breakdown[3], ("/25".to_owned(), "128 hosts".to_owned()));
}

#[test]
fn suggests_a_network_that_fits_an_odd_limit() {
    let config = ScopeConfig {
        max_network_size: 1000,
        ..ScopeConfig::default()
    };
    let scope = Scope::new(&config).unwrap();
    let refusal = nmap(&scope, "10.0.0.0/22", "").unwrap_err();
    assert!(
        refusal
            .detail
            .contains(&("suggested_cidr", Detail::Text("/23".to_owned())))
    );
    assert!(
        nmap(&scope, "10.0.0.0/23", "").is_ok(),
        "the suggestion is accepted"
    );
}

#[test]
fn leaves_denied_parts_out() {
    let scope = scope_of(
        &["10.0.0.0/8"],
        &["10.0.0.7/32", "10.0.0.128/25", "10.9.0.0/16"],
    );
    let run = nmap(&scope, "10.0.0.0/24", "-F").unwrap();
    assert!(
        flags(&run).ends_with("--exclude 10.0.0.7,10.0.0.128/25"),
        "{}",
        flags(&run)
    );
    assert_eq!(run.notes().len(), 2, "both are noted");
    let own = nmap(&scope, "10.0.0.0/24", "-F --exclude 10.0.0.1,10.0.0.130").unwrap();
    assert!(
        flags(&own).ends_with("--exclude 10.0.0.1,10.0.0.7,10.0.0.128/25"),
        "merged"
    );
    let cases = [
        ("10.0.0.7", "denied address"),
        ("10.0.0.128/26", "inside a denied network"),
        ("10.9.0.0/24", "inside a denied network"),
    ];
    for (target, why) in cases {
        assert_eq!(
            &*nmap(&scope, target, "").unwrap_err().rule,
            "TGT4",
            "{why}"
        );
    }
    let halves = scope_of(&["10.0.0.0/8"], &["10.0.0.0/25", "10.0.0.128/25"]);
    assert_eq!(
        &*nmap(&halves, "10.0.0.0/24", "").unwrap_err().rule,
        "TGT4",
        "nothing is left"
    );
}

#[test]
fn leaves_out_no_more_than_the_executor_would_take() {
    let scope_without = |hosts: u32| {
        let denied: Vec<String> = (0..hosts)
            .map(|host| format!("10.0.{}.{}/32", host / 128, 100 + host % 128))
            .collect();
        let config = ScopeConfig {
            denied_networks: denied,
            ..ScopeConfig::default()
        };
        Scope::new(&config).unwrap()
    };
    let scope = scope_without(200);
    let run = nmap(&scope, "10.0.0.0/22", "").unwrap();
    let again = sandbox_profiles::vet::vet_argv(tool("nmap"), &scope, run.argv()).unwrap();
    assert_eq!(again.argv(), run.argv());
    let own: Vec<String> = (1..100).map(|host| format!("10.0.0.{host}")).collect();
    let refusal = nmap(
        &scope,
        "10.0.0.0/22",
        &format!("--exclude {}", own.join(",")),
    )
    .unwrap_err();
    assert_eq!(&*refusal.rule, "TGT4", "{refusal}");
}

#[test]
fn a_network_may_lie_in_several_allowed_ones() {
    let scope = scope_of(&["10.0.0.0/25", "10.0.0.128/25"], &[]);
    assert!(nmap(&scope, "10.0.0.0/24", "").is_ok());
    assert!(nmap(&scope, "10.0.0.0/23", "").is_err());
}

#[test]
fn loopback_is_allowed_where_it_is_listed() {
    let scope = scope_of(&["127.0.0.0/8"], &[]);
    assert!(nmap(&scope, "127.0.0.1", "").is_ok());
    assert!(
        nmap(&scope, "10.0.0.1", "").is_err(),
        "and nothing else then"
    );
}

#[test]
fn nothing_opens_what_is_never_allowed() {
    let scope = scope_of(&["0.0.0.0/0", "::/0"], &[]);
    for target in [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2001:0:1::1",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd00:ec2::/118",
        "0.0.0.0/24",
        "224.0.0.0/24",
    ] {
        let refusal = nmap(&scope, target, "").unwrap_err();
        assert_eq!(&*refusal.rule, "TGT3", "{target}: {refusal}");
    }
    assert!(
        nmap(&scope, "8.8.8.8", "").is_ok(),
        "what is listed is allowed"
    );
}

#[test]
fn ipv6_works_once_it_is_listed() {
    let scope = scope_of(&["10.0.0.0/8", "fd00:66::/48"], &["fd00:66::dead/128"]);
    let run = nmap(&scope, "FD00:66:0::10", "-sT -p 22").unwrap();
    assert_eq!(run.argv()[6], "-6");
    assert_eq!(run.argv().last().unwrap(), "fd00:66::10", "canonical text");
    assert_eq!(
        run.targets(),
        [Target::Address("fd00:66::10".parse().unwrap())]
    );
    assert!(
        nmap(&scope, "fd00:66::10", "-6").is_ok(),
        "the switch fits the target"
    );
    assert!(nmap(&scope, "10.0.0.1", "-6").is_err(), "here it doesn't");
    let net = nmap(&scope, "fd00:66::/118", "-sn").unwrap();
    assert!(
        !net.argv().contains(&"--exclude".to_owned()),
        "the denied one is not in it"
    );
    let cases = [
        ("TGT2", "fd00:67::1", "another prefix"),
        ("TGT4", "fd00:66::dead", "denied"),
        ("TGT5", "fd00:66::/117", "2048 addresses"),
        ("TGT1", "fe80::1%eth0/64", "zone"),
    ];
    for (rule, target, why) in cases {
        let refusal = nmap(&scope, target, "").unwrap_err();
        assert_eq!(&*refusal.rule, rule, "{target}: {why}: {refusal}");
    }
    let ping = tool("ping");
    let call = crate::bench::call("fd00:66::10", "");
    let run = sandbox_profiles::vet::vet(ping, &scope, &call).unwrap();
    assert_eq!(run.argv()[4], "-6");
}

#[test]
fn a_scope_is_read_strictly() {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let networks = [
        ("10.0.0.0/8", true, "plain"),
        ("10.0.0.7", true, "single address"),
        (
            "10.0.0.7/8",
            false,
            "host bits: it may not mean what it says",
        ),
        ("10.0.0.0/255.0.0.0", false, "netmask"),
        ("10/8", false, "short form"),
        ("lab", false, "name"),
        ("", false, "empty"),
    ];
    for (entry, good, why) in networks {
        for denied in [false, true] {
            let list = texts(&[entry]);
            let config = if denied {
                ScopeConfig {
                    denied_networks: list,
                    ..ScopeConfig::default()
                }
            } else {
                ScopeConfig {
                    allowed_networks: list,
                    ..ScopeConfig::default()
                }
            };
            assert_eq!(Scope::new(&config).is_ok(), good, "{entry}: {why}");
        }
    }
    let suffixes = [
        (".lab.internal", true, "plain"),
        ("lab.internal", false, "no dot: weblab.internal would fit"),
        (".", false, "everything"),
        ("", false, "everything"),
        (".Lab", false, "upper case"),
        (".lab.", false, "root dot"),
        (".*", false, "pattern"),
    ];
    for (entry, good, why) in suffixes {
        let config = ScopeConfig {
            allowed_suffixes: texts(&[entry]),
            ..ScopeConfig::default()
        };
        assert_eq!(Scope::new(&config).is_ok(), good, "{entry}: {why}");
    }
    for (size, ranges, good) in [
        (1, 1, true),
        (65_536, 100, true),
        (0, 1, false),
        (65_537, 1, false),
        (1, 0, false),
        (1, 101, false),
    ] {
        let config = ScopeConfig {
            max_network_size: size,
            max_port_ranges: ranges,
            ..ScopeConfig::default()
        };
        assert_eq!(Scope::new(&config).is_ok(), good, "{size} {ranges}");
    }
}

#[test]
fn an_empty_scope_allows_nothing() {
    let config = ScopeConfig {
        allowed_networks: Vec::new(),
        allowed_suffixes: Vec::new(),
        ..ScopeConfig::default()
    };
    let scope = Scope::new(&config).unwrap();
    for target in ["10.0.0.1", "10.0.0.0/24", "web.lab.internal", "fd00::1"] {
        assert!(nmap(&scope, target, "").is_err(), "{target}");
    }
}

#[test]
fn a_scope_limits_port_lists() {
    let config = ScopeConfig {
        max_port_ranges: 3,
        ..ScopeConfig::default()
    };
    let scope = Scope::new(&config).unwrap();
    assert!(nmap(&scope, "10.0.0.1", "-p 1,2,3").is_ok());
    assert!(nmap(&scope, "10.0.0.1", "-p 1,2,3,4").is_err());
}

#[test]
fn digests_tell_scopes_apart_by_meaning() {
    let base = scope_of(&["10.0.0.0/8", "172.16.0.0/12"], &[]).digest();
    let cases = [
        (
            scope_of(&["172.16.0.0/12", "10.0.0.0/8"], &[]),
            true,
            "another order",
        ),
        (
            scope_of(&["10.0.0.0/8", "10.1.0.0/16", "172.16.0.0/12"], &[]),
            true,
            "nested",
        ),
        (scope_of(&["10.0.0.0/8"], &[]), false, "fewer"),
        (
            scope_of(&["10.0.0.0/8", "172.16.0.0/12"], &["10.0.0.1/32"]),
            false,
            "denied",
        ),
    ];
    for (other, same, why) in cases {
        assert_eq!(other.digest() == base, same, "{why}");
    }
    assert_ne!(scope().digest(), crate::bench::intrusive().digest());
}
