//! The executor's entry: byte for byte what vetting renders, or nothing.

use sandbox_profiles::vet::vet_argv;

use crate::bench::{intrusive, nmap, scope, scope_of, tool};

fn argv(text: &str) -> Vec<String> {
    text.split(' ').map(ToOwned::to_owned).collect()
}

const GOOD: &str =
    "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.1";

#[test]
fn accepts_the_canonical_vector() {
    assert_eq!(
        vet_argv(tool("nmap"), &scope(), &argv(GOOD))
            .unwrap()
            .argv(),
        argv(GOOD)
    );
}

#[test]
fn refuses_argv_outside_profile() {
    let cases = [
        ("", "empty"),
        ("/usr/bin/nmap", "nothing but the program"),
        ("/bin/sh -c id", "another program"),
        (
            "nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.1",
            "no path",
        ),
        (
            "/usr/bin/nmap -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.1",
            "no fixed arguments",
        ),
        (
            "/usr/bin/nmap -oX /tmp/x --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.1",
            "a file",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 10.0.0.1",
            "no separator",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.2 10.0.0.1",
            "two targets",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- 8.8.8.8",
            "public",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- web.lab.internal",
            "a name",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.7/24",
            "host bits",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.1/32",
            "a network of one",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -p 80 -Pn -T4 --max-parallelism 10 -- 10.0.0.1",
            "another order",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p=80 -T4 --max-parallelism 10 -- 10.0.0.1",
            "another spelling",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 080 -T4 --max-parallelism 10 -- 10.0.0.1",
            "another number",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80,80 -T4 --max-parallelism 10 -- 10.0.0.1",
            "twice",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -n -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.1",
            "tolerated, not canonical",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 --max-parallelism 10 -- 10.0.0.1",
            "a default is missing",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -6 -Pn -p 80 -T4 --max-parallelism 10 -- 10.0.0.1",
            "family",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -A -T4 --max-parallelism 10 -- 10.0.0.1",
            "intrusive",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 --script vuln -T4 --max-parallelism 10 -- 10.0.0.1",
            "intrusive",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -iL /etc/passwd -T4 --max-parallelism 10 -- 10.0.0.1",
            "a file",
        ),
        (
            "/usr/bin/nmap -oX - --stats-every 2s -n -Pn -p 80 -T4  --max-parallelism 10 -- 10.0.0.1",
            "an empty element",
        ),
    ];
    for (text, why) in cases {
        assert!(
            vet_argv(tool("nmap"), &scope(), &argv(text)).is_err(),
            "{why}: {text}"
        );
    }
    let mut odd = argv(GOOD);
    odd[8] = "80\n".to_owned();
    assert!(
        vet_argv(tool("nmap"), &scope(), &odd).is_err(),
        "a control character"
    );
    let long = vec!["x".to_owned(); 300];
    assert!(
        vet_argv(tool("nmap"), &scope(), &long).is_err(),
        "too many elements"
    );
}

#[test]
fn holds_its_own_scope_and_policy() {
    let run = nmap(&intrusive(), "10.0.0.1", "-p 80 --ttl 5").unwrap();
    assert!(
        vet_argv(tool("nmap"), &intrusive(), run.argv())
            .unwrap()
            .intrusive()
    );
    assert_eq!(
        &*vet_argv(tool("nmap"), &scope(), run.argv())
            .unwrap_err()
            .rule,
        "ARG6"
    );
    let wide = nmap(&scope(), "10.0.0.0/24", "").unwrap();
    let narrow = scope_of(&["10.0.0.0/8"], &["10.0.0.7/32"]);
    let refusal = vet_argv(tool("nmap"), &narrow, wide.argv()).unwrap_err();
    assert_eq!(
        &*refusal.rule, "ARG7",
        "the denied part is not left out: {refusal}"
    );
    let left_out = nmap(&narrow, "10.0.0.0/24", "").unwrap();
    assert!(vet_argv(tool("nmap"), &narrow, left_out.argv()).is_ok());
}

#[test]
fn a_vector_for_one_tool_is_none_for_another() {
    assert!(vet_argv(tool("ping"), &scope(), &argv(GOOD)).is_err());
}
