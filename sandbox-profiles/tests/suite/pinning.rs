//! Names: resolved outside, checked and pinned here.

use std::net::IpAddr;

use sandbox_profiles::vet;
use sandbox_profiles::{Detail, Refusal, Scope, Target, VettedRun};

use crate::bench::{call, nmap, scope, scope_of, tool};

fn named(scope: &Scope, args: &str) -> VettedRun {
    nmap(scope, "web.lab.internal", args).unwrap()
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_tool_gets_the_address_and_the_result_names_both() {
    let run = named(&scope(), "-sV");
    assert_eq!(run.unresolved(), Some("web.lab.internal"));
    assert_eq!(run.argv().last().unwrap(), "web.lab.internal");
    let run = run
        .pin(tool("nmap"), &scope(), "10.0.0.9".parse().unwrap())
        .unwrap();
    assert_eq!(run.unresolved(), None);
    assert_eq!(run.argv().last().unwrap(), "10.0.0.9");
    assert!(!run.argv().iter().any(|element| element.contains("web")));
    let expected = Target::Name {
        name: "web.lab.internal".to_owned(),
        pinned: Some("10.0.0.9".parse().unwrap()),
    };
    assert_eq!(run.targets(), [expected]);
    assert_eq!(run.targets()[0].to_string(), "web.lab.internal (10.0.0.9)");
    let again = vet::vet_argv(tool("nmap"), &scope(), run.argv()).unwrap();
    assert_eq!(again.argv(), run.argv(), "the executor agrees");
    let direct = nmap(&scope(), "10.0.0.9", "-sV").unwrap();
    assert_eq!(
        direct.argv(),
        run.argv(),
        "as if the address had been asked for"
    );
}

#[test]
fn every_check_is_made_again_on_the_address() {
    let denied = scope_of(&["10.0.0.0/8"], &["10.0.0.0/24"]);
    let cases = [
        (&scope(), "8.8.8.8", "TGT2", "public"),
        (&scope(), "127.0.0.1", "TGT2", "loopback"),
        (&scope(), "169.254.169.254", "TGT3", "metadata service"),
        (&scope(), "fd00::1", "TGT9", "IPv6"),
        (&denied, "10.0.0.9", "TGT4", "denied"),
    ];
    for (scope, address, rule, why) in cases {
        let refusal = named(scope, "").pin(tool("nmap"), scope, address.parse().unwrap());
        assert_eq!(&*refusal.unwrap_err().rule, rule, "{why}");
    }
}

#[test]
fn mixed_answers_are_refused() {
    let cases: [(&[&str], Result<&str, &str>, &str); 6] = [
        (&["10.0.0.9"], Ok("10.0.0.9"), "one"),
        (
            &["10.0.0.9", "192.168.1.1"],
            Ok("10.0.0.9"),
            "all allowed: the first",
        ),
        (&["10.0.0.9", "8.8.8.8"], Err("TGT7"), "one forbidden"),
        (
            &["10.0.0.9", "fd00::1"],
            Err("TGT7"),
            "one of a family that is not enabled",
        ),
        (&["8.8.8.8"], Err("TGT7"), "all forbidden"),
        (&[], Err("TGT7"), "none"),
    ];
    for (answers, expected, why) in cases {
        let pinned = named(&scope(), "").pin_answers(tool("nmap"), &scope(), &addresses(answers));
        match (pinned, expected) {
            (Ok(run), Ok(address)) => assert_eq!(run.argv().last().unwrap(), address, "{why}"),
            (Err(refusal), Err(rule)) => assert_eq!(&*refusal.rule, rule, "{why}"),
            (Ok(run), Err(_)) => panic!("{why}: {:?}", run.argv()),
            (Err(refusal), Ok(_)) => panic!("{why}: {refusal}"),
        }
    }
    let many = vec!["10.0.0.9".parse().unwrap(); 65];
    assert!(
        named(&scope(), "")
            .pin_answers(tool("nmap"), &scope(), &many)
            .is_err(),
        "too many"
    );
}

#[test]
fn a_refusal_gives_each_answer_its_reason_and_an_allowed_one() {
    let detail = |refusal: &Refusal, key: &str| {
        let found = refusal.detail.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.clone())
    };
    let refuse = |args: &str, answers: &[&str]| {
        let run = named(&scope(), args);
        let pinned = run.pin_answers(tool("nmap"), &scope(), &addresses(answers));
        pinned.unwrap_err()
    };
    let texts = |list: &[&str]| Detail::List(list.iter().map(|&text| text.to_owned()).collect());
    let answers = [
        "169.254.169.254",
        "10.0.0.9",
        "8.8.8.8",
        "127.0.0.1",
        "fd00::1",
    ];
    let refusal = refuse("", &answers);
    assert_eq!(detail(&refusal, "answers"), Some(texts(&answers)));
    let forbidden = ["169.254.169.254", "8.8.8.8", "127.0.0.1", "fd00::1"];
    assert_eq!(detail(&refusal, "forbidden"), Some(texts(&forbidden)));
    let Some(Detail::Map(reasons)) = detail(&refusal, "reasons") else {
        panic!("a map: {refusal}")
    };
    let rules: Vec<_> = reasons.iter().map(|(_, why)| &why[..4]).collect();
    assert_eq!(rules, ["TGT3", "TGT2", "TGT2", "TGT9"]);
    assert!(refusal.message.contains("and 1 more"), "{refusal}");
    let instead = detail(&refusal, "nearest_target");
    assert_eq!(instead, Some(Detail::Text("10.0.0.9".to_owned())));
    assert!(refusal.remedy.contains("10.0.0.9"), "{refusal}");
    let none = refuse("", &["8.8.8.8"]);
    assert_eq!(detail(&none, "nearest_target"), None, "{none}");
    assert!(none.remedy.contains("10.0.0.0/8"), "{none}");
    let six = refuse("", &["10.0.0.9", "fd00::9"]);
    assert!(six.message.contains("TGT9, IPv6 is not enabled"), "{six}");
}

#[test]
fn ipv6_asked_for_is_answered_with_what_is_missing() {
    let off = nmap(&scope(), "web.lab.internal", "-6").unwrap_err();
    assert_eq!(&*off.rule, "TGT9", "before the name is resolved: {off}");
    assert!(off.message.contains("no IPv6 network is allowed"), "{off}");
    assert!(off.remedy.contains("allowed_networks"), "{off}");
    let scope = scope_of(&["10.0.0.0/8", "fd00::/64"], &[]);
    let cases = [
        (
            "nmap",
            "-6",
            "10.0.0.9",
            "-6 asks for IPv6, and web.lab.internal has IPv4 addresses only",
        ),
        (
            "ping",
            "-4",
            "fd00::9",
            "-4 asks for IPv4, and web.lab.internal has IPv6 addresses only",
        ),
    ];
    for (name, args, answer, said) in cases {
        let run = vet::vet(tool(name), &scope, &call("web.lab.internal", args)).unwrap();
        let refused = run.pin_answers(tool(name), &scope, &addresses(&[answer]));
        let refusal = refused.unwrap_err();
        assert_eq!(
            (&*refusal.rule, &*refusal.offending),
            ("TGT9", args),
            "{refusal}"
        );
        assert_eq!(&*refusal.message, said);
        assert!(refusal.remedy.contains("leave it out"), "{refusal}");
    }
}

#[test]
fn the_family_asked_for_is_chosen() {
    let scope = scope_of(&["10.0.0.0/8", "fd00::/64"], &[]);
    let answers = addresses(&["fd00::9", "10.0.0.9"]);
    for (args, expected) in [("", "10.0.0.9"), ("-6", "fd00::9")] {
        let run = named(&scope, args)
            .pin_answers(tool("nmap"), &scope, &answers)
            .unwrap();
        assert_eq!(run.argv().last().unwrap(), expected, "{args:?}");
        assert_eq!(run.argv().contains(&"-6".to_owned()), args == "-6");
    }
    let only_v4 = addresses(&["10.0.0.9"]);
    assert!(
        named(&scope, "-6")
            .pin_answers(tool("nmap"), &scope, &only_v4)
            .is_err()
    );
    let both = vet::vet(tool("ping"), &scope, &call("web.lab.internal", "-4 -6"));
    assert!(both.is_err(), "a name can't have two families");
}

#[test]
fn exclusions_need_a_network() {
    assert!(nmap(&scope(), "web.lab.internal", "--exclude 10.0.0.1").is_err());
}

#[test]
fn a_run_for_an_address_stays_as_it_is() {
    let run = nmap(&scope(), "10.0.0.1", "").unwrap();
    let same = run
        .clone()
        .pin(tool("nmap"), &scope(), "8.8.8.8".parse().unwrap())
        .unwrap();
    assert_eq!(same, run);
}
