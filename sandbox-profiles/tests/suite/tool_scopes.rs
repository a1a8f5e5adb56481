//! Scopes of single tools: what takes the place of the general scope, what adds
//! to it, and what nothing changes.

use std::collections::BTreeMap;

use sandbox_profiles::scope::{NEVER_ALLOWED, ToolScopeConfig};
use sandbox_profiles::vet;
use sandbox_profiles::{Scope, ScopeConfig, load};

use crate::bench::{call, nmap, tool};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn with(general: ScopeConfig, nmap: ToolScopeConfig) -> ScopeConfig {
    ScopeConfig {
        tools: BTreeMap::from([("nmap".to_owned(), nmap)]),
        ..general
    }
}

fn general() -> ScopeConfig {
    ScopeConfig {
        allowed_networks: texts(&["10.0.0.0/8"]),
        denied_networks: texts(&["10.0.9.0/24"]),
        denied_ports: texts(&["25"]),
        ..ScopeConfig::default()
    }
}

#[test]
fn a_tools_own_keys_take_the_place_of_the_general_ones() {
    let own = ToolScopeConfig {
        allowed_networks: Some(texts(&["192.168.0.0/16", "10.0.9.0/24"])),
        denied_networks: Some(texts(&["192.168.7.0/24"])),
        allowed_suffixes: Some(texts(&[".scan.lab.internal"])),
        allowed_ports: Some(texts(&["20-30"])),
        denied_ports: Some(texts(&["22"])),
        allow_intrusive: Some(true),
        max_network_size: Some(4),
        max_port_ranges: Some(2),
    };
    let scope = Scope::new(&with(general(), own)).unwrap();
    let (nmap_scope, ping_scope) = (scope.for_tool("nmap"), scope.for_tool("ping"));
    assert_eq!(ping_scope, &scope, "others have the general one");
    assert_eq!(
        nmap_scope.for_tool("nmap"),
        nmap_scope,
        "a tool's scope is its own"
    );
    assert_eq!(
        nmap_scope.ports().to_string(),
        "20-21,23-24,26-30",
        "denied for all and for it"
    );
    let cases = [
        ("192.168.1.1", "-p 21", None, "its own network and port"),
        (
            "10.1.0.1",
            "-p 21",
            Some("TGT2"),
            "the general network gave way",
        ),
        (
            "10.0.9.1",
            "-p 21",
            Some("TGT4"),
            "denied for all, allowed for it: denied",
        ),
        ("192.168.7.1", "-p 21", Some("TGT4"), "denied for it"),
        ("192.168.1.0/29", "-p 21", Some("TGT5"), "its own size"),
        ("192.168.1.1", "-p 25", Some("SEC1"), "denied for all"),
        ("192.168.1.1", "-p 22", Some("SEC1"), "denied for it"),
        ("192.168.1.1", "-p 20,21,23", Some("NM2"), "its own bound"),
        ("192.168.1.1", "-p 21 -f", None, "its own intrusiveness"),
        (
            "web.lab.internal",
            "-p 21",
            Some("TGT2"),
            "the general suffix gave way",
        ),
        ("web.scan.lab.internal", "-p 21", None, "its own suffix"),
    ];
    for (target, args, rule, why) in cases {
        let got = nmap(&scope, target, args).err().map(|refusal| refusal.rule);
        assert_eq!(got.as_deref(), rule, "{target} {args}: {why}");
    }
    let ping = |target: &str| vet::vet(tool("ping"), &scope, &call(target, ""));
    assert!(ping("10.1.0.1").is_ok());
    assert!(
        ping("192.168.1.1").is_err(),
        "nmap's network is nmap's alone"
    );
}

#[test]
fn every_step_of_a_run_applies_the_tools_own_scope() {
    let own = ToolScopeConfig {
        allowed_networks: Some(texts(&["10.66.0.0/24"])),
        ..ToolScopeConfig::default()
    };
    let scope = Scope::new(&with(general(), own)).unwrap();
    let named = |args: &str| nmap(&scope, "web.lab.internal", args).unwrap();
    let pinned = |address: &str| {
        let address = address.parse().unwrap();
        let answers = named("").pin_answers(tool("nmap"), &scope, &[address]);
        let alone = named("").pin(tool("nmap"), &scope, address);
        assert_eq!(answers.is_ok(), alone.is_ok(), "{address}");
        alone.ok()
    };
    let run = pinned("10.66.0.1").unwrap();
    assert!(vet::vet_argv(tool("nmap"), &scope, run.argv()).is_ok());
    assert!(
        pinned("10.1.0.1").is_none(),
        "in the general scope, and not in nmap's"
    );
    let outside = run.argv().join(" ").replace("10.66.0.1", "10.1.0.1");
    let outside: Vec<String> = outside.split(' ').map(ToOwned::to_owned).collect();
    assert!(vet::vet_argv(tool("nmap"), &scope, &outside).is_err());
}

#[test]
fn no_tool_is_allowed_what_is_never_allowed() {
    let own = ToolScopeConfig {
        allowed_networks: Some(texts(&["0.0.0.0/0", "::/0"])),
        ..ToolScopeConfig::default()
    };
    let scope = Scope::new(&with(ScopeConfig::default(), own)).unwrap();
    for (network, name) in NEVER_ALLOWED {
        let address = network.split('/').next().unwrap().parse().unwrap();
        assert!(!scope.for_tool("nmap").admits(address), "{network}: {name}");
    }
}

#[test]
fn digests_tell_scopes_of_tools_apart_by_meaning() {
    let digest = |own: ToolScopeConfig| Scope::new(&with(general(), own)).unwrap().digest();
    let plain = Scope::new(&general()).unwrap().digest();
    let same = [
        (ToolScopeConfig::default(), "an empty table"),
        (
            ToolScopeConfig {
                allowed_networks: Some(texts(&["10.128.0.0/9", "10.0.0.0/8"])),
                denied_ports: Some(texts(&["25"])),
                max_port_ranges: Some(100),
                ..ToolScopeConfig::default()
            },
            "a table that says the general thing",
        ),
    ];
    for (own, why) in same {
        assert_eq!(digest(own), plain, "{why}");
    }
    let ports = |list: &[&str]| ToolScopeConfig {
        allowed_ports: Some(texts(list)),
        ..ToolScopeConfig::default()
    };
    assert_ne!(digest(ports(&["22"])), plain);
    assert_eq!(
        digest(ports(&["80-90", "22"])),
        digest(ports(&["22", "85-90", "80-86"]))
    );
    assert_ne!(digest(ports(&["22"])), digest(ports(&["22", "80"])));
    let allowed = ScopeConfig {
        allowed_ports: texts(&["1-24", "26-65535"]),
        denied_ports: Vec::new(),
        ..general()
    };
    assert_eq!(
        Scope::new(&allowed).unwrap().digest(),
        plain,
        "not allowed, or denied"
    );
}

#[test]
fn says_where_a_scope_is_wrong_and_how_to_write_it() {
    let own = |own: ToolScopeConfig| with(ScopeConfig::default(), own);
    let cases = [
        (
            ScopeConfig {
                allowed_ports: texts(&["ssh"]),
                ..ScopeConfig::default()
            },
            "allowed_ports: \"ssh\" is no port; write a port from 1 to 65535 or a range",
        ),
        (
            ScopeConfig {
                denied_ports: texts(&["9-8"]),
                ..ScopeConfig::default()
            },
            "denied_ports: \"9-8\" is no port",
        ),
        (
            own(ToolScopeConfig {
                allowed_ports: Some(texts(&["0"])),
                ..ToolScopeConfig::default()
            }),
            "tools.nmap.allowed_ports: \"0\" is no port",
        ),
        (
            own(ToolScopeConfig {
                max_network_size: Some(0),
                ..ToolScopeConfig::default()
            }),
            "tools.nmap.max_network_size: 0 is out of range; write a number from 1 to 65536",
        ),
    ];
    for (config, expected) in cases {
        let error = Scope::new(&config).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_table_for_a_tool_that_no_profile_describes_is_a_mistake() {
    let profiles = load::built_in().unwrap();
    let cases = [
        ("nmap", None, "a tool"),
        (
            "nmpa",
            Some("tools.nmpa: no profile has that name; did you mean nmap?"),
            "a typo",
        ),
        (
            "NmapTool",
            Some("tools.NmapTool: no profile has that name; write nmap"),
            "an alias",
        ),
        (
            "zzz",
            Some("tools.zzz: no profile has that name; known tools: "),
            "nothing near",
        ),
    ];
    for (name, expected, why) in cases {
        let config = ScopeConfig {
            tools: BTreeMap::from([(name.to_owned(), ToolScopeConfig::default())]),
            ..ScopeConfig::default()
        };
        let got = profiles.check_scope(&Scope::new(&config).unwrap()).err();
        let got = got.map(|error| error.to_string());
        match (got, expected) {
            (None, None) => {}
            (Some(got), Some(expected)) => assert!(got.starts_with(expected), "{why}: {got}"),
            (got, _) => panic!("{name}: {why}: {got:?}"),
        }
    }
}
