//! Refusals teach: rule, offending part, remedy, nearest accepted call.

use sandbox_profiles::vet::vet;
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
        ("-Taggressive", "aggressive", Some("-T4"), "by name"),
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
        ("-v -vv", "-vv", Some("-v -v"), "what is left of the count"),
        ("-v2", "-v2", Some("-vv"), "a level"),
        ("-v 2", "2", Some("-vv"), "a level"),
        ("-p all", "all", Some("-p-"), "all ports"),
        ("-p U:53", "U:53", Some("-sU -p 53"), "UDP ports"),
        (
            "-p T:80,U:53",
            "T:80",
            None,
            "two scans of different ports are two calls",
        ),
        ("-p 80 443", "80 443", Some("-p 80,443"), "a torn list"),
        ("-p 80 44", "80 44", Some("-p 80,44"), "not 8044"),
        ("-p 80, 443", "80, 443", Some("-p 80,443"), "a torn list"),
        (
            "--host-timeout 30 s -sV",
            "30 s",
            Some("--host-timeout 30s -sV"),
            "a torn span",
        ),
        (
            "--scan-delay 10 ms",
            "10 ms",
            Some("--scan-delay 10ms"),
            "a torn span",
        ),
        ("nmap -sV", "nmap", Some("-sV"), "the tool's name"),
        (
            "-sV 10.0.0.2",
            "10.0.0.2",
            Some("-sV"),
            "a second target, as far as the call's own goes",
        ),
        ("-sN", "-sN", None, "no other scan by the case of a letter"),
        ("-c 3", "-c", None, "another tool's flag"),
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
fn say_what_to_do() {
    let cases = [
        // arguments, part of the remedy
        ("-ff", "--mtu 16"),
        ("-W 2", "--host-timeout"),
        ("-c 3", "--max-retries"),
        ("-sX", "-sT"),
        (
            "--script http-enum",
            "http-headers, http-methods, http-title",
        ),
        ("--script ssl-enum", "ssl-cert"),
        ("--script all", "default, discovery, safe, version"),
        ("10.0.0.2", "`target`"),
        ("--nonsense", "`mantlet tools`"),
    ];
    for (args, part) in cases {
        let refusal = nmap(&scope(), "10.0.0.1", args).unwrap_err();
        assert!(refusal.remedy.contains(part), "{args}: {refusal}");
    }
    let refusal = nmap(&intrusive(), "10.0.0.1", "-ff").unwrap_err();
    let nearest = refusal.nearest.unwrap();
    assert_eq!(nearest, ["--mtu", "16"]);
}

#[test]
fn of_ping_say_what_to_do() {
    let cases = [
        // arguments, nearest
        ("-qc 4", Some("-q -c 4")),
        ("-nc4", None),
        ("--count 4", Some("-c 4")),
        ("--deadline 5", Some("-w 5")),
        ("ping -c 4", Some("-c 4")),
        ("-i 0 .5", Some("-i 0.5")),
        ("-c 4 5", Some("-c 4")),
    ];
    for (args, nearest) in cases {
        let call = crate::bench::call("10.0.0.1", args);
        let refusal = vet(crate::bench::tool("ping"), &scope(), &call).unwrap_err();
        let got = refusal.nearest.as_ref().map(|list| list.join(" "));
        assert_eq!(got.as_deref(), nearest, "{args}: {refusal}");
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
