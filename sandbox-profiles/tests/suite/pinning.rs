//! Names: resolved outside, checked and pinned here.

use std::net::IpAddr;

use sandbox_profiles::vet;
use sandbox_profiles::{Scope, Target, VettedRun};

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
