//! Refusals teach: rule, offending part, remedy, nearest accepted call.

use sandbox_profiles::{Detail, RefusalKind};

use crate::bench::{intrusive, nmap, scope};

#[test]
fn name_the_nearest_accepted_arguments() {
    let cases = [
        // arguments, offending, nearest, why
        ("-p80", "-p80", Some("-p 80"), "glued"),
        (
            "-sV -p80,443 -O",
            "-p80,443",
            Some("-sV -p 80,443 -O"),
            "in the middle",
        ),
        ("-sSV", "-sSV", Some("-sS -sV"), "bundle"),
        ("-nPn", "-nPn", Some("-n -Pn"), "bundle"),
        (
            "--ports 80",
            "--ports",
            Some("-p 80"),
            "by the parameter's name",
        ),
        (
            "--ports=80",
            "--ports=80",
            Some("-p=80"),
            "by the parameter's name",
        ),
        ("-T 4", "-T", Some("-T4"), "apart"),
        ("-T6", "6", Some("-T5"), "nearest number"),
        ("-Taggressive", "-Taggressive", Some("-T4"), "by name"),
        ("-PS 80", "80", Some("-PS80"), "apart: a second target"),
        ("-p -", "-", Some("-p-"), "all ports"),
        ("-p T:80", "T:80", Some("-p 80"), "protocol prefix"),
        ("-p 90-80", "90-80", Some("-p 80-90"), "wrong way round"),
        ("--rand", "--rand", Some("--randomize-hosts"), "abbreviated"),
        (
            "-script=safe",
            "-script=safe",
            None,
            "abbreviation of two flags is not guessed",
        ),
        ("--Open", "--Open", Some("--open"), "case"),
        ("-sP", "-sP", Some("-sn"), "outdated"),
        ("-vvv", "-vvv", Some("-vv"), "counts to two"),
        (
            "-oN /tmp/x -sV",
            "-oN",
            Some("-sV"),
            "left out with its value",
        ),
        (
            "--max-retries 99",
            "99",
            Some("--max-retries 10"),
            "nearest in range",
        ),
        (
            "--host-timeout 9h",
            "9h",
            None,
            "no other span is the one that was asked for",
        ),
        ("--host-timeout 0", "0", None, "nothing is near to endless"),
        (
            "--script safe,vuln",
            "vuln",
            Some("--script safe"),
            "the allowed part",
        ),
        (
            "-A",
            "-A",
            Some("--script default -sV -O"),
            "its unintrusive parts",
        ),
        (
            "-A -p 80 -g 53",
            "-A --source-port 53",
            Some("-p 80 --script default -sV -O"),
            "both named",
        ),
        ("-sn -p 80", "-sn -p", Some("-sn"), "one of the two"),
        ("-sL", "-sL", None, "a scan of another kind is no neighbour"),
        ("-p 22,http", "http", None, "other ports would be scanned"),
        (
            "--exclude web",
            "web",
            None,
            "it would be scanned after all",
        ),
        (
            "--scan-delay 10s",
            "10s",
            None,
            "a shorter delay is a faster scan",
        ),
        (
            "--min-parallelism 10",
            "--min-parallelism",
            None,
            "its opposite is no neighbour",
        ),
        ("-sV; id", "-sV;", None, "no guess after a metacharacter"),
        (
            "--ports 80 -T 3 -sSV",
            "--ports",
            Some("-p 80 -T3 -sS -sV"),
            "several mistakes",
        ),
    ];
    for (args, offending, nearest, why) in cases {
        let refusal = nmap(&scope(), "10.0.0.1", args).unwrap_err();
        assert_eq!(&*refusal.offending, offending, "{args}: {why}: {refusal}");
        let got = refusal.nearest.as_ref().map(|list| list.join(" "));
        assert_eq!(got.as_deref(), nearest, "{args}: {why}: {refusal}");
        assert!(
            !refusal.message.is_empty() && !refusal.remedy.is_empty(),
            "{args}"
        );
    }
}

#[test]
fn name_every_refused_script() {
    let refusal = nmap(&scope(), "10.0.0.1", "--script safe,vuln,evil,dns-brute").unwrap_err();
    assert_eq!(&*refusal.offending, "evil, vuln, dns-brute");
}

#[test]
fn of_a_missing_capability_name_the_reason_and_the_nearest_call() {
    let cases = [
        ("-sS -sV -p 80", "-sS", "-sT -p 80 -sV"),
        ("-sn -PE -PA", "-PA -PE", "-sn -PS"),
        ("-PS80 -PA", "-PA", "-PS80"),
        ("-PA80", "-PA", "-PS80"),
        ("-O -p 80", "-O", "-p 80"),
        ("-sS -sU -p 80", "-sS -sU", "-sT -p 80"),
    ];
    for (args, offending, nearest) in cases {
        let run = nmap(&scope(), "10.0.0.1", args).unwrap();
        let refusal = run.refuse_without(crate::bench::tool("nmap"), run.needs()[0]);
        assert_eq!(refusal.kind, RefusalKind::Capability);
        assert_eq!((&*refusal.rule, &*refusal.offending), ("NM9", offending));
        let arguments = refusal.nearest.unwrap().join(" ");
        assert_eq!(arguments, nearest, "{args}");
        let run = nmap(&scope(), "10.0.0.1", &arguments).unwrap();
        assert!(
            run.needs().is_empty(),
            "{args}: the nearest call needs nothing"
        );
    }
    let run = nmap(&intrusive(), "10.0.0.1", "-A").unwrap();
    let refusal = run.refuse_without(crate::bench::tool("nmap"), run.needs()[0]);
    assert!(refusal.remedy.contains("--traceroute"), "{refusal}");
    assert!(refusal.detail.iter().any(|(name, value)| {
        *name == "needs" && *value == Detail::List(vec!["CAP_NET_RAW".to_owned()])
    }));
}

#[test]
fn show_a_callers_bytes_escaped() {
    let refusal = nmap(&scope(), "10.0.0.1\u{1b}[2J\u{202e}", "").unwrap_err();
    let shown = refusal.to_string();
    assert!(
        shown
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic()),
        "{shown}"
    );
}
