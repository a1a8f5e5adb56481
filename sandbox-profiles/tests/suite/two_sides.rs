//! Broker and executor, each with a scope of its own: what one renders the other
//! takes as it is or refuses, and nothing outside both scopes gets through.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sandbox_profiles::scope::{PortSet, ToolScopeConfig};
use sandbox_profiles::vet;
use sandbox_profiles::{Scope, ScopeConfig, VettedRun};

use crate::bench::tool;
use crate::properties::any_call;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn port_lists() -> impl Strategy<Value = Vec<String>> {
    prop::sample::select(vec![
        texts(&["1-65535"]),
        texts(&["22"]),
        texts(&["1-1024"]),
        texts(&["22", "80", "443", "8000-8100"]),
        texts(&["30000-45000", "53"]),
        texts(&[]),
    ])
}

fn networks() -> impl Strategy<Value = Vec<String>> {
    prop::sample::select(vec![
        texts(&["10.0.0.0/8"]),
        texts(&["10.0.0.0/24"]),
        texts(&["10.0.0.0/16", "fd00::/64"]),
        texts(&["10.0.0.0/25", "10.0.1.0/24"]),
    ])
}

fn own() -> impl Strategy<Value = ToolScopeConfig> {
    let ports = prop::option::of(port_lists());
    let denied = prop::option::of(prop::sample::select(vec![texts(&["80"]), texts(&["1-79"])]));
    (
        ports,
        denied,
        prop::option::of(networks()),
        any::<Option<bool>>(),
    )
        .prop_map(
            |(allowed_ports, denied_ports, allowed_networks, allow_intrusive)| ToolScopeConfig {
                allowed_ports,
                denied_ports,
                allowed_networks,
                allow_intrusive,
                ..ToolScopeConfig::default()
            },
        )
}

fn config() -> impl Strategy<Value = ScopeConfig> {
    let denied = prop::sample::select(vec![texts(&[]), texts(&["10.0.0.8/29"])]);
    let tool = prop::option::weighted(0.4, own());
    (networks(), denied, port_lists(), any::<bool>(), tool).prop_map(
        |(allowed_networks, denied_networks, allowed_ports, allow_intrusive, own)| ScopeConfig {
            allowed_networks,
            denied_networks,
            allowed_ports,
            allow_intrusive,
            tools: own
                .map(|own| ("nmap".to_owned(), own))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            ..ScopeConfig::default()
        },
    )
}

/// The same scope, and more denied.
fn tightened(config: &ScopeConfig, ports: &[String], plain: bool) -> ScopeConfig {
    let mut config = config.clone();
    config.denied_ports.extend_from_slice(ports);
    config.denied_networks.push("10.0.0.0/30".to_owned());
    if plain {
        config.allow_intrusive = false;
        for own in config.tools.values_mut() {
            own.allow_intrusive = None;
        }
    }
    config
}

/// Every port that the vector names, and those that it tells nmap to leave alone.
fn ports_of(argv: &[String]) -> (PortSet, Option<PortSet>) {
    let (mut named, mut left_out) = (Vec::new(), None);
    let ranges = |list: &str| -> Vec<String> { list.split(',').map(ToOwned::to_owned).collect() };
    for (index, element) in argv.iter().enumerate() {
        let next = argv.get(index + 1).map_or("", String::as_str);
        match element.as_str() {
            "-p" => named.extend(ranges(next)),
            "--exclude-ports" => left_out = Some(ranges(next)),
            _ => {
                let probe = ["-PS", "-PA", "-PU", "-PY"];
                let list = probe.iter().find_map(|probe| element.strip_prefix(probe));
                named.extend(
                    list.filter(|list| !list.is_empty())
                        .map(ranges)
                        .into_iter()
                        .flatten(),
                );
            }
        }
    }
    let set = |ports: Vec<String>| {
        let config = ScopeConfig {
            allowed_ports: ports,
            ..ScopeConfig::default()
        };
        Scope::new(&config).unwrap().ports().clone()
    };
    (set(named), left_out.map(set))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn what_the_broker_renders_the_executor_takes_as_it_is_or_refuses(
        config in config(),
        denied in prop::sample::select(vec![texts(&[]), texts(&["22"]), texts(&["443", "8050"])]),
        plain in any::<bool>(),
        call in any_call(),
    ) {
        let (ours, nmap) = (Scope::new(&config).unwrap(), tool("nmap"));
        let theirs = Scope::new(&tightened(&config, &denied, plain)).unwrap();
        let Ok(run) = vet::vet(nmap, &ours, &call) else { return Ok(()) };
        if run.unresolved().is_some() {
            return Ok(());
        }
        let same = vet::vet_argv(nmap, &ours, run.argv());
        prop_assert_eq!(same.as_ref().map(VettedRun::argv), Ok(run.argv()));
        if let Ok(tighter) = vet::vet_argv(nmap, &theirs, run.argv()) {
            prop_assert_eq!(tighter.argv(), run.argv());
            prop_assert!(theirs.for_tool("nmap").allows_intrusive() || !tighter.intrusive());
        }
        for scope in [&ours, &theirs] {
            if vet::vet_argv(nmap, scope, run.argv()).is_err() {
                continue;
            }
            let allowed = scope.for_tool("nmap").ports();
            let (named, left_out) = ports_of(run.argv());
            prop_assert!(named.is_within(allowed), "{} in {:?}", named, run.argv());
            let chooses = |element: &String| ["-p-", "-F", "--top-ports"].contains(&element.as_str());
            if allowed.is_all() || !run.argv().iter().any(chooses) {
                continue;
            }
            let held_off = left_out.is_some_and(|left_out| allowed.complement().is_within(&left_out));
            prop_assert!(held_off, "{:?}", run.argv());
        }
    }

    #[test]
    fn a_nearest_call_is_accepted_under_any_scope(config in config(), call in any_call()) {
        let scope = Scope::new(&config).unwrap();
        let Err(refusal) = vet::vet(tool("nmap"), &scope, &call) else { return Ok(()) };
        let Some(nearest) = refusal.nearest else { return Ok(()) };
        let mended = vet::Call { arguments: vet::Arguments::Tokens(nearest), ..call };
        prop_assert!(vet::vet(tool("nmap"), &scope, &mended).is_ok());
    }
}
