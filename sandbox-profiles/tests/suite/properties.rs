//! What holds for every call, whatever it says.

use std::net::IpAddr;

use proptest::prelude::*;
use sandbox_profiles::vet::{self, Arguments, Call, ParamValue};
use sandbox_profiles::{Profile, Scope, ScopeConfig};

use crate::bench::{config_of, tool};
use crate::ground::Ground;
use crate::invariants;

/// Settings as a careful caller writes them, most of them accepted.
const SETTINGS: &[&str] = &[
    "-sS",
    "-sT",
    "-sU",
    "-sn",
    "-sV",
    "-sC",
    "-Pn",
    "-PS",
    "-PS80",
    "-PA22,80",
    "-PU53",
    "-PY",
    "-PE",
    "-p-",
    "-p=80",
    "-p 443,80",
    "-p 1-65535",
    "-F",
    "--top-ports 9",
    "--top-ports=100",
    "-T4",
    "-T0",
    "--min-rate 10",
    "--max-rate 1000",
    "-O",
    "-A",
    "--script default,safe",
    "--script vuln",
    "--script http-vuln-*,http-vuln-x",
    "-v",
    "-vv",
    "--host-timeout 30s",
    "--host-timeout 500ms",
    "--scan-delay 1s",
    "--max-scan-delay 10ms",
    "--exclude 10.0.0.7",
    "--exclude 10.0.0.0/30,10.0.0.9",
    "-f",
    "--mtu 8",
    "-D 10.0.0.9,ME",
    "-g 53",
    "--ttl 64",
    "--spoof-mac 0",
    "--data-length 25",
    "--open",
    "--reason",
    "-n",
    "--traceroute",
    "--exclude-ports 80,443",
    "--max-retries 3",
    "--max-parallelism 20",
    "--max-hostgroup 16",
    "--randomize-hosts",
    "--version-intensity 9",
    "--script-timeout 1m",
    "-c 3",
    "-i 0.5",
    "-W 1",
    "-w 9",
    "-s 1472",
    "-s 65507",
    "-t 64",
    "-M do",
    "-q",
    "-4",
    "-6",
    "-D fd00::9",
    "-I",
    "-T",
    "-U",
    "--mtu",
    "-m 40",
    "-f 31",
    "-q 2",
    "-N 4",
    "-z 0.50",
    "--wait=2",
    "-p 443",
];

/// Parts that break a setting, or another one with it.
const PARTS: &[&str] = &[
    "-",
    "--",
    "80",
    "-p",
    "-p80",
    "-T",
    "4",
    "--min-rate",
    "--script",
    "vuln",
    "8.8.8.8",
    "ME",
    "10.0.0.0/28",
    "-oN",
    "-oX=/tmp/x",
    "/etc/passwd",
    "-iL",
    "../x",
    "--reason=1",
    "-sSV",
    "--rand",
    "10.0.0.1",
    "--exclude",
    "-D",
    "0",
    "1000",
    "--stats-every",
    "-oX",
];

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(ToOwned::to_owned).collect()
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(PARTS).prop_map(ToOwned::to_owned),
        1 => "[ -~]{0,12}",
        1 => any::<String>(),
    ]
}

/// An argument list: settings, and now and then something else among them.
fn tokens() -> impl Strategy<Value = Vec<String>> {
    let group = prop_oneof![
        12 => prop::sample::select(SETTINGS).prop_map(words),
        1 => fragment().prop_map(|part| vec![part]),
    ];
    prop::collection::vec(group, 0..5).prop_map(|groups| groups.concat())
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u8..3, any::<u8>()).prop_map(|(net, host)| format!("10.0.{net}.{host}")),
        3 => (any::<u8>(), 20_u8..33).prop_map(|(host, bits)| format!("10.0.0.{host}/{bits}")),
        1 => (any::<u32>(), 0_u8..34).prop_map(|(base, bits)| {
            format!("{}/{bits}", std::net::Ipv4Addr::from(base))
        }),
        1 => (any::<u128>(), 100_u8..129).prop_map(|(base, bits)| {
            format!("{}/{bits}", std::net::Ipv6Addr::from(base))
        }),
        1 => (0_u16..9).prop_map(|host| format!("fd00::{host:x}")),
        1 => "[a-z0-9-]{1,9}\\.lab\\.internal\\.?",
        1 => "[ -~]{0,20}",
        1 => any::<String>(),
    ]
}

fn parameter() -> impl Strategy<Value = (String, ParamValue)> {
    let text = |text: &str| ParamValue::Text(text.to_owned());
    let good = prop::sample::select(vec![
        ("ports", text("22,80")),
        ("ports", text("-")),
        ("scan_type", text("syn")),
        (
            "scan_type",
            ParamValue::List(vec![text("connect"), text("udp")]),
        ),
        ("host_discovery", text("icmp_echo")),
        ("timing", ParamValue::Integer(3)),
        (
            "scripts",
            ParamValue::List(vec![text("safe"), text("vuln")]),
        ),
        ("verbosity", ParamValue::Integer(2)),
        ("service_detection", ParamValue::Flag(true)),
        ("top_ports", ParamValue::Integer(7)),
        ("exclude", text("10.0.0.3")),
        (
            "decoys",
            ParamValue::List(vec![text("ME"), text("10.0.0.9")]),
        ),
        ("count", ParamValue::Integer(9)),
        ("interval", text("0.25")),
        ("size", ParamValue::Integer(1473)),
    ]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(ParamValue::Flag),
        (-9_i64..70_000).prop_map(ParamValue::Integer),
        fragment().prop_map(ParamValue::Text),
    ];
    let value = leaf.prop_recursive(2, 6, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(ParamValue::List)
    });
    (good, prop::option::weighted(0.2, value))
        .prop_map(|((name, good), other)| (name.to_owned(), other.unwrap_or(good)))
}

pub(crate) fn any_call() -> impl Strategy<Value = Call> {
    let arguments = prop_oneof![
        6 => tokens().prop_map(Arguments::Tokens),
        6 => tokens().prop_map(|tokens| Arguments::Text(tokens.join(" "))),
        1 => any::<String>().prop_map(Arguments::Text),
    ];
    let template = prop::option::weighted(
        0.2,
        prop::sample::select(vec!["quick", "thorough", "discovery", "mtu", "x"])
            .prop_map(ToOwned::to_owned),
    );
    let parameters = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(parameter(), 0..3),
    ];
    (target(), arguments, template, parameters).prop_map(
        |(target, arguments, template, parameters)| Call {
            target,
            arguments,
            template,
            parameters,
        },
    )
}

/// Scopes, each beside a second reading of its configuration.
fn scopes() -> Vec<(Scope, Ground)> {
    let configs = [
        ScopeConfig::default(),
        ScopeConfig {
            allow_intrusive: true,
            ..ScopeConfig::default()
        },
        config_of(
            &["10.0.0.0/8", "fd00::/64"],
            &["10.0.0.128/25", "10.0.1.7/32", "fd00::3/128"],
        ),
    ];
    let both = |config: &ScopeConfig| (Scope::new(config).unwrap(), Ground::new(config));
    configs.iter().map(both).collect()
}

fn profiles() -> [&'static Profile; 3] {
    [tool("nmap"), tool("ping"), tool("traceroute")]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn vetting_is_total_and_deterministic(call in any_call()) {
        for (scope, _) in scopes() {
            for profile in profiles() {
                prop_assert_eq!(vet::vet(profile, &scope, &call), vet::vet(profile, &scope, &call));
            }
        }
    }

    #[test]
    fn what_is_accepted_is_harmless_and_a_fixpoint(call in any_call()) {
        for (scope, ground) in scopes() {
            for profile in profiles() {
                let Ok(run) = vet::vet(profile, &scope, &call) else { continue };
                let check = invariants::accepted(profile, &scope, &ground, &run);
                prop_assert!(check.is_ok(), "{:?}: {:?}", check, run.argv());
            }
        }
    }

    #[test]
    fn a_nearest_call_is_accepted(call in any_call()) {
        for (scope, _) in scopes() {
            for profile in profiles() {
                let Err(refusal) = vet::vet(profile, &scope, &call) else { continue };
                prop_assert_eq!(invariants::refused(&refusal), Ok(()), "{}", refusal);
                let Some(nearest) = refusal.nearest else { continue };
                let mended = Call { arguments: Arguments::Tokens(nearest), ..call.clone() };
                prop_assert!(vet::vet(profile, &scope, &mended).is_ok());
            }
        }
    }

    #[test]
    fn a_pinned_run_is_what_the_address_itself_would_get(
        host in any::<u32>(),
        call in any_call(),
    ) {
        let address = IpAddr::V4(std::net::Ipv4Addr::from(host | 0x0a00_0000));
        let named = Call { target: "web.lab.internal".to_owned(), ..call.clone() };
        let direct = Call { target: address.to_string(), ..call };
        for (scope, _) in scopes() {
            for profile in profiles() {
                let Ok(run) = vet::vet(profile, &scope, &named) else { continue };
                let pinned = run.pin(profile, &scope, address);
                match (pinned, vet::vet(profile, &scope, &direct)) {
                    (Ok(pinned), Ok(direct)) => prop_assert_eq!(pinned.argv(), direct.argv()),
                    (Err(_), Err(_)) => {}
                    (pinned, direct) => prop_assert!(false, "{:?} but {:?}", pinned, direct),
                }
            }
        }
    }

    #[test]
    fn a_tampered_vector_is_refused_or_canonical(
        call in any_call(),
        place in any::<prop::sample::Index>(),
        part in prop::option::of(fragment()),
        insert in any::<bool>(),
    ) {
        for (scope, ground) in scopes() {
            for profile in profiles() {
                let Ok(run) = vet::vet(profile, &scope, &call) else { continue };
                let mut argv = run.argv().to_vec();
                let at = place.index(argv.len());
                match &part {
                    Some(part) if insert => argv.insert(at, part.clone()),
                    Some(part) => argv[at].clone_from(part),
                    None => drop(argv.remove(at)),
                }
                if let Ok(again) = vet::vet_argv(profile, &scope, &argv) {
                    prop_assert_eq!(again.argv(), argv.as_slice());
                    let check = invariants::accepted(profile, &scope, &ground, &again);
                    prop_assert!(check.is_ok(), "{:?}: {:?}", check, argv);
                }
            }
        }
    }
}
