//! Typed parameters lead where arguments lead.

use sandbox_profiles::profile::ParameterKind;
use sandbox_profiles::vet::{self, Arguments, Call, ParamValue};
use sandbox_profiles::{Capability, Refusal, VettedRun};

use crate::bench::{call, flags, intrusive, nmap, scope, tool};

fn text(value: &str) -> ParamValue {
    ParamValue::Text(value.to_owned())
}

fn list(values: &[&str]) -> ParamValue {
    ParamValue::List(values.iter().map(|value| text(value)).collect())
}

fn typed(parameters: &[(&str, ParamValue)], args: &str) -> Call {
    let parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    Call {
        parameters,
        ..call("10.0.0.1", args)
    }
}

fn vet_typed(parameters: &[(&str, ParamValue)]) -> Result<VettedRun, Refusal> {
    vet::vet(tool("nmap"), &scope(), &typed(parameters, ""))
}

#[test]
fn equal_the_arguments_that_say_the_same() {
    let cases: [(&[(&str, ParamValue)], &str); 22] = [
        (&[], ""),
        (&[("ports", text("443,80"))], "-p 80,443"),
        (&[("ports", ParamValue::Integer(80))], "-p 80"),
        (&[("ports", list(&["80", "8000-8100"]))], "-p 80,8000-8100"),
        (&[("ports", text("-"))], "-p-"),
        (&[("scan_type", text("connect"))], "-sT"),
        (&[("scan_type", list(&["syn", "udp"]))], "-sS -sU"),
        (&[("scan_type", text("discovery"))], "-sn"),
        (&[("host_discovery", text("icmp_echo"))], "-PE"),
        (
            &[("host_discovery", list(&["tcp_syn", "tcp_ack"]))],
            "-PS -PA",
        ),
        (&[("timing", ParamValue::Integer(3))], "-T3"),
        (
            &[("scripts", list(&["ssl-cert", "http-title"]))],
            "--script http-title,ssl-cert",
        ),
        (
            &[("scripts", text("ssl-cert,http-title"))],
            "--script http-title,ssl-cert",
        ),
        (&[("service_detection", ParamValue::Flag(true))], "-sV"),
        (&[("service_detection", ParamValue::Flag(false))], ""),
        (&[("verbosity", ParamValue::Integer(2))], "-vv"),
        (&[("verbosity", text("2"))], "-vv"),
        (&[("verbosity", ParamValue::Integer(0))], ""),
        (&[("service_detection", text("true"))], "-sV"),
        (&[("service_detection", text("false"))], ""),
        (
            &[("host_timeout", ParamValue::Integer(300))],
            "--host-timeout 5m",
        ),
        (
            &[
                ("host_timeout", text("5m")),
                ("top_ports", ParamValue::Integer(7)),
            ],
            "--top-ports 7 --host-timeout 300s",
        ),
    ];
    for (parameters, args) in cases {
        let by_parameters = vet_typed(parameters).unwrap();
        let by_arguments = nmap(&scope(), "10.0.0.1", args).unwrap();
        assert_eq!(by_parameters.argv(), by_arguments.argv(), "{args}");
    }
}

#[test]
fn are_refused_where_they_say_nothing_sensible() {
    let cases: [(&[(&str, ParamValue)], &str); 20] = [
        (&[("prots", text("80"))], "unknown"),
        (&[("ports", text(""))], "empty"),
        (&[("ports", text("80 443"))], "white space"),
        (&[("ports", text("80;443"))], "metacharacter"),
        (&[("ports", text("http"))], "name"),
        (&[("ports", ParamValue::Integer(-80))], "negative"),
        (&[("ports", ParamValue::Flag(true))], "no list"),
        (&[("ports", list(&[]))], "empty list"),
        (&[("ports", list(&["80,443"]))], "comma in an item"),
        (&[("ports", text("80")), ("ports", text("80"))], "twice"),
        (
            &[("ports", text("80")), ("top_ports", ParamValue::Integer(5))],
            "two selections",
        ),
        (&[("scan_type", list(&["syn", "connect"]))], "two TCP scans"),
        (&[("scan_type", text("-sS"))], "a flag is no word"),
        (&[("scan_type", list(&["udp"; 9]))], "more items than words"),
        (&[("timing", ParamValue::Integer(6))], "above"),
        (
            &[("timing", list(&["4"]))],
            "a list where one value is meant",
        ),
        (&[("verbosity", ParamValue::Integer(3))], "above"),
        (&[("verbosity", ParamValue::Integer(-1))], "below"),
        (&[("service_detection", text("yes"))], "no boolean"),
        (&[("scripts", list(&["safe", "vuln"]))], "one is intrusive"),
    ];
    for (parameters, why) in cases {
        let refusal = vet_typed(parameters).unwrap_err();
        assert!(!refusal.remedy.is_empty(), "{why}");
    }
    let refusal = vet_typed(&[("prots", text("80"))]).unwrap_err();
    assert!(refusal.remedy.contains("ports"), "{refusal}");
    let refusal = vet_typed(&[("ports", text("http"))]).unwrap_err();
    assert!(
        refusal.message.contains("ports") && &*refusal.rule == "NM2",
        "{refusal}"
    );
}

#[test]
fn that_are_refused_teach_the_accepted_value() {
    let cases = [
        // parameter, value, part of the remedy
        ("ports", "all", "give -"),
        ("ports", "22, 80", "give 22,80"),
        ("ports", "22 80", "give 22,80"),
        ("ports", "U:53", "-sU -p 53"),
        ("timing", "T4", "give 4"),
        ("timing", "aggressive", "give 4"),
        ("host_timeout", "30 s", "give 30s"),
        ("scripts", "http-title ssl-cert", "give http-title,ssl-cert"),
        ("scan_type", "SYN", "give syn"),
        ("scan_type", "-sS", "give syn"),
        ("verbosity", "02", "from 0 to 2"),
    ];
    for (name, value, part) in cases {
        let refusal = vet_typed(&[(name, text(value))]).unwrap_err();
        assert!(refusal.remedy.contains(part), "{name} {value}: {refusal}");
    }
}

#[test]
fn combine_with_arguments_and_templates() {
    let profile = tool("nmap");
    let ports = [("ports", text("22"))];
    let run = vet::vet(profile, &scope(), &typed(&ports, "-sV")).unwrap();
    assert_eq!(flags(&run), "-Pn -p 22 -sV -T4 --max-parallelism 10");
    let run = vet::vet(profile, &scope(), &typed(&ports, "-p 22")).unwrap();
    assert_eq!(
        flags(&run),
        "-Pn -p 22 -T4 --max-parallelism 10",
        "the same value twice"
    );
    assert!(
        vet::vet(profile, &scope(), &typed(&ports, "-p 23")).is_err(),
        "two values"
    );
    assert!(
        vet::vet(profile, &scope(), &typed(&ports, "-F")).is_err(),
        "two selections"
    );
    let call = Call {
        template: Some("standard".to_owned()),
        ..typed(&ports, "")
    };
    let run = vet::vet(profile, &scope(), &call).unwrap();
    assert_eq!(flags(&run), "-Pn -p 22 -sV -T4 --max-parallelism 10");
}

#[test]
fn of_ping_equal_its_arguments() {
    let parameters = [
        ("count", ParamValue::Integer(10)),
        ("interval", text("0.5")),
        ("size", ParamValue::Integer(1472)),
        ("path_mtu", text("do")),
        ("wait", ParamValue::Integer(2)),
    ];
    let run = vet::vet(tool("ping"), &scope(), &typed(&parameters, "")).unwrap();
    let args = call("10.0.0.1", "-c 10 -i 0.5 -s 1472 -M do -W 2");
    assert_eq!(
        run.argv(),
        vet::vet(tool("ping"), &scope(), &args).unwrap().argv()
    );
    let large = [("size", ParamValue::Integer(1473))];
    assert!(vet::vet(tool("ping"), &scope(), &typed(&large, "")).is_err());
    assert!(vet::vet(tool("ping"), &intrusive(), &typed(&large, "")).is_ok());
}

#[test]
fn carry_what_a_schema_needs() {
    let nmap = tool("nmap");
    let names: Vec<&str> = nmap
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    for name in [
        "ports",
        "scan_type",
        "host_discovery",
        "timing",
        "scripts",
        "service_detection",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    for parameter in &nmap.parameters {
        assert!(!parameter.description.is_empty(), "{}", parameter.name);
    }
    assert_eq!(
        nmap.parameter("timing").unwrap().kind,
        ParameterKind::Integer {
            min: 0,
            max: 5,
            step: 1
        }
    );
    let needs = &nmap.parameter("scan_type").unwrap().needs;
    assert_eq!(needs.first().unwrap().capability, Capability::NetRaw);
    assert!(nmap.parameter("decoys").unwrap().intrusive);
    // Every example that a schema shows is itself accepted.
    for parameter in nmap.parameters.iter().chain(&tool("ping").parameters) {
        let Some(example) = &parameter.example else {
            continue;
        };
        let value = match &parameter.kind {
            ParameterKind::Integer { .. } => ParamValue::Integer(example.parse().unwrap()),
            ParameterKind::Boolean
            | ParameterKind::Duration { .. }
            | ParameterKind::Ports { .. }
            | ParameterKind::Choice { .. }
            | ParameterKind::Names { .. }
            | ParameterKind::Addresses { .. }
            | ParameterKind::Text { .. }
            | ParameterKind::Texts { .. } => text(example),
        };
        let owner = if nmap.parameter(&parameter.name).is_some() {
            nmap
        } else {
            tool("ping")
        };
        let target = if owner.name == "nmap" {
            "10.0.0.0/24"
        } else {
            "10.0.0.1"
        };
        let call = Call {
            target: target.to_owned(),
            arguments: Arguments::default(),
            template: None,
            parameters: vec![(parameter.name.clone(), value)],
        };
        let verdict = vet::vet(owner, &intrusive(), &call);
        assert!(
            verdict.is_ok(),
            "{}: {}",
            parameter.name,
            verdict.unwrap_err()
        );
    }
}
