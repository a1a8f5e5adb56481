//! Arguments of nmap and ping: what they become, and what is refused.
//!
//! A copy of what matters in the reference corpus, with its neighbours.

use sandbox_profiles::RefusalKind;
use sandbox_profiles::vet::{self, Arguments, Call};

use crate::bench::{call, flags, intrusive, intrusive_ipv6, nmap, scope, tool};

const DEFAULTS: &str = "-Pn --top-ports 1000 -T4 --max-parallelism 10";

#[test]
fn accepts_and_renders_canonically() {
    let cases = [
        // arguments, rendered, why
        ("", DEFAULTS, "defaults"),
        (
            "-T4 --max-parallelism 10 -Pn --top-ports 1000",
            DEFAULTS,
            "defaults by hand",
        ),
        ("-n", DEFAULTS, "holds anyway"),
        (
            "\"-sV\" -s\"V\"",
            "-Pn --top-ports 1000 -sV -T4 --max-parallelism 10",
            "quotes",
        ),
        (
            "-p 80",
            "-Pn -p 80 -T4 --max-parallelism 10",
            "no default ports beside ports",
        ),
        (
            "-p=80",
            "-Pn -p 80 -T4 --max-parallelism 10",
            "inline value",
        ),
        (
            "-p 443,80,80",
            "-Pn -p 80,443 -T4 --max-parallelism 10",
            "sorted, once",
        ),
        (
            "-p 80\\,443",
            "-Pn -p 80,443 -T4 --max-parallelism 10",
            "backslash",
        ),
        ("-p-", "-Pn -p- -T4 --max-parallelism 10", "all ports"),
        (
            "-F",
            "-Pn -F -T4 --max-parallelism 10",
            "no default ports beside -F",
        ),
        (
            "--top-ports=65535",
            "-Pn --top-ports 65535 -T4 --max-parallelism 10",
            "greatest",
        ),
        (
            "-sn",
            "-sn -T4 --max-parallelism 10",
            "neither ports nor -Pn",
        ),
        (
            "-sn -PE -PS22,80",
            "-sn -PS22,80 -PE -T4 --max-parallelism 10",
            "discovery probes",
        ),
        (
            "-PA",
            "-PA --top-ports 1000 -T4 --max-parallelism 10",
            "no -Pn beside discovery",
        ),
        (
            "-T1 -T5",
            "-Pn --top-ports 1000 -T5 --max-parallelism 10",
            "the last one holds",
        ),
        (
            "-v -v",
            "-Pn --top-ports 1000 -T4 --max-parallelism 10 -vv",
            "counts",
        ),
        (
            "-vv",
            "-Pn --top-ports 1000 -T4 --max-parallelism 10 -vv",
            "counts",
        ),
        (
            "--max-parallelism 20",
            "-Pn --top-ports 1000 -T4 --max-parallelism 20",
            "own value",
        ),
        (
            "--host-timeout 90",
            "-Pn --top-ports 1000 -T4 --max-parallelism 10 --host-timeout 90s",
            "bare seconds",
        ),
        (
            "--host-timeout 500ms --scan-delay 0 --max-scan-delay 1s",
            "-Pn --top-ports 1000 -T4 --host-timeout 500ms --scan-delay 0s --max-scan-delay 1s",
            "times",
        ),
        (
            "--scan-delay 10ms",
            "-Pn --top-ports 1000 -T4 --scan-delay 10ms",
            "no default that nmap would ignore",
        ),
        (
            "--scan-delay 10ms --max-parallelism 5",
            "-Pn --top-ports 1000 -T4 --max-parallelism 5 --scan-delay 10ms",
            "own value, which nmap says that it ignores",
        ),
        (
            "--script safe,default --script-timeout 30s",
            "-Pn --top-ports 1000 --script (default)@,(safe)@ --script-timeout 30s -T4 \
             --max-parallelism 10",
            "scripts",
        ),
        (
            "-sS -sU -sV -O -T4 -p 1-1000 --reason --open --traceroute",
            "-sS -sU -Pn --traceroute -p 1-1000 -sV -O -T4 --max-parallelism 10 --open --reason",
            "one TCP scan with UDP",
        ),
        (
            "--min-rate 10 --max-rate 10 --max-retries 0 --max-hostgroup 16 --randomize-hosts",
            "-Pn --top-ports 1000 -T4 --min-rate 10 --max-rate 10 --max-retries 0 \
             --max-parallelism 10 --max-hostgroup 16 --randomize-hosts",
            "pace",
        ),
    ];
    for (args, expected, why) in cases {
        let run = nmap(&scope(), "10.0.0.1", args).unwrap();
        assert_eq!(flags(&run), expected, "{args}: {why}");
        assert!(!run.intrusive(), "{args}");
    }
}

#[test]
fn accepts_intrusive_settings_under_an_intrusive_policy_only() {
    let cases = [
        ("-A", "-A", "everything at once"),
        (
            "-A -sV -sC -O --traceroute",
            "-A",
            "what -A includes is dropped",
        ),
        ("-f", "-f", "fragments"),
        ("--mtu 24", "--mtu 24", "fragments of a size"),
        ("-D ME", "-D ME", "own address only"),
        (
            "-D 192.168.1.5,ME,10.0.0.9",
            "-D 192.168.1.5,ME,10.0.0.9",
            "order is kept",
        ),
        ("-g 53", "--source-port 53", "short spelling"),
        ("--source-port=65535", "--source-port 65535", "greatest"),
        ("--data-length 0", "--data-length 0", "least"),
        ("--ttl 255", "--ttl 255", "greatest"),
        (
            "--spoof-mac 00:11:22:AA:bb:55",
            "--spoof-mac 00:11:22:aa:bb:55",
            "lower case",
        ),
        (
            "--spoof-mac 01-23-45-67-89-ab",
            "--spoof-mac 01:23:45:67:89:ab",
            "hyphens, and a group address",
        ),
        (
            "--script vuln",
            "--script (vuln)and(not((broadcast)or(external)",
            "category",
        ),
        (
            "--script 'http-vuln-*'",
            "--script http-vuln-*",
            "listed pattern",
        ),
        (
            "--script smb-vuln-ms17-010,safe",
            "or(http-fetch)or(fcrdns)or(ftp-bounce)or(dns-recursion))),smb-vuln-ms17-010",
            "fits a pattern",
        ),
        (
            "--script dns-brute",
            "--script dns-brute",
            "brute force by another name",
        ),
        (
            "--script oracle-sid-brute",
            "--script oracle-sid-brute",
            "the same",
        ),
    ];
    for (args, expected, why) in cases {
        let run = nmap(&intrusive(), "10.0.0.1", args).unwrap();
        assert!(
            flags(&run).contains(expected),
            "{args}: {why}: {}",
            flags(&run)
        );
        assert!(run.intrusive(), "{args}");
        let refusal = nmap(&scope(), "10.0.0.1", args).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Intrusive, "{args}: {refusal}");
    }
}

#[test]
fn refuses_by_rule() {
    let cases = [
        // rule, arguments, why
        (
            "ARG1",
            "-v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v \
          -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v -v \
          -v -v -v -v -v -v -v",
            "too many arguments",
        ),
        ("ARG2", "-sV`id", "metacharacter"),
        ("ARG2", "-p '80\r443'", "quoted line end"),
        ("ARG2", "-sV \"", "open quote"),
        ("ARG3", "-sV \u{e9}id", "outside ASCII"),
        ("ARG3", "-sV #x", "comment"),
        ("ARG3", "-sV foo", "neither flag nor value"),
        ("ARG3", "-sV --", "end of options"),
        ("ARG3", "-", "lone hyphen"),
        ("ARG3", "--=x", "no name"),
        ("ARG3", "-sV=1", "value for a switch"),
        ("ARG3", "--open=1", "value for a switch"),
        ("ARG3", "-Pn=x", "value for a switch"),
        ("ARG3", "-Pnn", "bundle"),
        ("ARG3", "-SV", "case counts"),
        ("ARG3", "-pn", "neither -Pn nor a port"),
        ("ARG3", "--script-", "beginning of several"),
        ("ARG3", "--version-int 5", "abbreviated"),
        ("ARG3", "-T6", "no such template"),
        ("ARG3", "-T", "no template"),
        ("ARG3", "-T4x", "more than a template"),
        ("ARG3", "-T=4", "equals before an attached value"),
        ("ARG3", "-vvv", "more than twice"),
        ("ARG3", "-v3", "level as a number"),
        ("ARG3", "-sL", "not listed"),
        ("ARG3", "-sA", "not listed"),
        ("ARG3", "-d", "not listed"),
        ("ARG3", "-P", "not listed"),
        ("ARG3", "-PR", "not listed"),
        ("ARG3", "--version-intensity 10", "above"),
        ("ARG3", "--max-rate 1e3", "exponent"),
        ("ARG3", "--max-rate 0", "below"),
        ("ARG3", "--max-retries 4294967296", "above"),
        ("ARG3", "--max-parallelism 1000000", "above"),
        ("ARG3", "--host-timeout 5x", "no unit"),
        ("ARG3", "--host-timeout \"30 s\"", "white space"),
        ("ARG3", "--max-retries 3 --max-retries 3", "given twice"),
        ("ARG3", "--min-rate 20 --max-rate 10", "the wrong way round"),
        (
            "ARG3",
            "--scan-delay 2s --max-scan-delay 1s",
            "the wrong way round",
        ),
        ("ARG3", "--stats-every 1s", "Mantlet's own"),
        ("ARG5", "-oX", "output"),
        ("ARG5", "-v -oG -v", "output"),
        ("ARG5", "-sI=10.0.0.9", "third host"),
        ("ARG5", "--script-args=x", "script arguments"),
        ("ARG5", "-S 10.0.0.9", "forged sender"),
        ("NM1", "-sS -sT", "two TCP scans"),
        ("NM1", "-sn -sU", "discovery only, and a scan"),
        ("NM1", "-sn -sV", "discovery only, and services"),
        ("NM1", "-sn -O", "discovery only, and systems"),
        ("NM1", "-sn --top-ports 10", "discovery only, and ports"),
        ("NM1", "-sn -Pn", "discovery, and none"),
        ("NM1", "-Pn -PE", "discovery, and none"),
        ("NM1", "-p 80 -F", "two port selections"),
        ("NM2", "-p 80 -p 443", "two port lists"),
        ("NM2", "-p", "no list"),
        ("NM2", "-p -sV", "no list"),
        ("NM2", "-p 70000", "above"),
        ("NM2", "-p=1-2-3", "malformed"),
        ("NM2", "-p 0080", "leading zeros"),
        ("NM2", "--top-ports -1", "negative"),
        ("NM2", "--top-ports=", "empty"),
        ("NM3", "--script=", "empty"),
        ("NM3", "--script safe --script safe", "given twice"),
        ("NM3", "--script safe,vuln", "one of two"),
        ("NM3", "--script external", "category that is not listed"),
        ("NM3", "--script SAFE", "case counts"),
        ("NM3", "--script +safe", "forced"),
        ("NM3", "--script x.nse", "file"),
        ("TGT4", "--exclude 10.0.0.2", "not in the target"),
        ("TGT4", "--exclude 8.8.8.8", "not in the target"),
        ("TGT4", "--exclude 10.0.0.1", "nothing left"),
        ("TGT9", "-6", "the target is IPv4"),
    ];
    for (rule, args, why) in cases {
        let refusal = nmap(&scope(), "10.0.0.1", args).unwrap_err();
        assert_eq!(&*refusal.rule, rule, "{args:?}: {why}: {refusal}");
    }
}

#[test]
fn refuses_under_an_intrusive_policy_too() {
    let cases = [
        ("-f -f", "twice is another size"),
        ("-f --mtu 8", "two sizes"),
        ("--mtu 7", "not a multiple of 8"),
        ("--mtu 0", "below"),
        ("--mtu 1500", "not a multiple of 8"),
        ("--ttl 0", "below"),
        ("--ttl 064", "leading zero"),
        ("-g 0", "below"),
        ("-g 53 --source-port 53", "given twice"),
        ("--data-length 1401", "above"),
        ("-D 8.8.8.8", "public"),
        ("-D 10.0.0.9,8.8.8.8,ME", "one public"),
        ("-D 0.0.0.0", "never allowed"),
        ("-D RND", "random"),
        ("-D fd00::1", "another family"),
        ("-D 10.0.0.9,", "empty item"),
        ("-D 10.0.0.0/24", "network"),
        ("-D \"fe80::1%z 134744072\"", "smuggled target"),
        ("--spoof-mac 00:11:22:33:44:55x", "something after it"),
        ("--spoof-mac \"00:11:22:33:44:55 -sV\"", "smuggled flag"),
        ("-sT -g 53", "a connect scan ignores it"),
        ("-sT --ttl 9", "a connect scan ignores it"),
        ("-sn -A", "discovery only, and everything"),
        ("--script http-vuln-", "bare prefix"),
        ("--script http-*", "pattern of the caller's own"),
        ("--script all", "every script"),
        ("-p=\"80 --script=/tmp/x.nse\"", "smuggled script"),
    ];
    for (args, why) in cases {
        assert!(
            nmap(&intrusive(), "10.0.0.1", args).is_err(),
            "{args}: {why}"
        );
    }
    assert!(
        nmap(&intrusive(), "10.0.0.1", "-sT -sU -g 53").is_ok(),
        "honoured for UDP"
    );
}

#[test]
fn decoys_outside_the_scope_are_not_a_matter_of_policy() {
    for scope in [scope(), intrusive()] {
        let refusal = nmap(&scope, "10.0.0.1", "-D 8.8.8.8").unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Validation, "{refusal}");
        assert_eq!(&*refusal.offending, "8.8.8.8");
    }
}

#[test]
fn needs_are_the_union_of_what_flags_need() {
    let raw = ["CAP_NET_RAW"];
    let cases: [(&str, &[&str], &str); 9] = [
        ("", &[], "connect scan"),
        ("-sT -sV -sC -PS", &[], "connecting is enough"),
        ("-sn", &[], "discovery by connecting"),
        ("-sS", &raw, "writes segments"),
        ("-sU", &raw, "reads ICMP"),
        ("-PA", &raw, "without it another probe would be sent"),
        ("-PE", &raw, "sends ICMP"),
        ("-O -sS -PU", &raw, "once, however many ask"),
        ("--traceroute", &raw, "reads ICMP"),
    ];
    for (args, needs, why) in cases {
        let run = nmap(&scope(), "10.0.0.1", args).unwrap();
        let needed: Vec<String> = run.needs().iter().map(ToString::to_string).collect();
        assert_eq!(needed, needs, "{args}: {why}");
    }
}

#[test]
fn separate_arguments_are_vetted_like_a_text() {
    let tokens = |list: &[&str]| Call {
        target: "10.0.0.1".to_owned(),
        arguments: Arguments::Tokens(list.iter().map(|&text| text.to_owned()).collect()),
        ..Call::default()
    };
    let profile = tool("nmap");
    let by_text = nmap(&scope(), "10.0.0.1", "-sV -p 80,443").unwrap();
    let by_tokens = vet::vet(profile, &scope(), &tokens(&["-sV", "-p", "80,443"])).unwrap();
    assert_eq!(by_text, by_tokens);
    let refused: [(&[&str], &str); 5] = [
        (&["-sV -O"], "white space is not split again"),
        (&["-sV;id"], "metacharacter"),
        (&[""], "empty"),
        (&["-p", "\"80\""], "quotes are not removed again"),
        (&["-p", "80\u{0}"], "NUL"),
    ];
    for (list, why) in refused {
        assert!(vet::vet(profile, &scope(), &tokens(list)).is_err(), "{why}");
    }
}

#[test]
fn ping_always_ends_and_takes_one_host() {
    let profile = tool("ping");
    let cases = [
        ("", Some("-4 -c 4"), "a count is always there"),
        (
            "-c 100 -i 0.2 -W 10 -w 300 -s 1472 -t 255 -M dont -q",
            Some("-4 -c 100 -i 0.2 -W 10 -w 300 -s 1472 -t 255 -M dont -q"),
            "everything",
        ),
        (
            "-c 1 -i 1.50 -n -O",
            Some("-4 -c 1 -i 1.5"),
            "canonical seconds",
        ),
        ("-c1 -c999999", None, "glued, twice, endless"),
        ("-c 101", None, "above"),
        ("-i 0.19", None, "too fast"),
        ("-w 0", None, "no end"),
        ("-f", None, "flood"),
        ("-nc 1", None, "bundle"),
        ("10.0.0.8", None, "source route"),
        ("-I eth0", None, "interface"),
    ];
    for (args, expected, why) in cases {
        let got = vet::vet(profile, &scope(), &call("10.0.0.1", args)).ok();
        let got = got.map(|run| {
            let argv = run.argv();
            assert_eq!(&argv[..4], ["/usr/bin/ping", "-n", "-D", "-O"]);
            assert_eq!(&argv[argv.len() - 2..], ["--", "10.0.0.1"]);
            argv[4..argv.len() - 2].join(" ")
        });
        assert_eq!(got.as_deref(), expected, "{args}: {why}");
    }
}

#[test]
fn script_categories_leave_out_what_the_policy_forbids() {
    let cases = [
        ("--script safe", "(safe)@", "one category"),
        ("-sC", "(default)@", "the default ones"),
        (
            "-sC --script http-title,safe",
            "(default)@,http-title,(safe)@",
            "merged",
        ),
        (
            "--script version,discovery",
            "(discovery)@,(version)@",
            "every category",
        ),
        ("--script ssl-cert", "ssl-cert", "a name"),
    ];
    for (args, expected, why) in cases {
        let run = nmap(&scope(), "10.0.0.1", args).unwrap();
        let rendered = format!(" --script {expected} ");
        assert!(
            flags(&run).contains(&rendered),
            "{args}: {why}: {}",
            flags(&run)
        );
        let again = vet::vet_argv(tool("nmap"), &scope(), run.argv()).unwrap();
        assert_eq!(again.argv(), run.argv(), "{args}: {why}");
        assert_eq!(run.notes().is_empty(), args.ends_with("ssl-cert"), "{args}");
    }
    let run = nmap(&intrusive(), "10.0.0.1", "-A --script vuln").unwrap();
    let wide = "and(not((broadcast)or(external)or(url-snarf)or(targets-*)or(http-fetch)or(fcrdns)or(ftp-bounce)or(dns-recursion)))";
    let rendered = format!("--script (default){wide},(vuln){wide} -A ");
    assert!(flags(&run).contains(&rendered), "{}", flags(&run));
    assert!(vet::vet_argv(tool("nmap"), &scope(), run.argv()).is_err());
    for args in [
        "--script (safe)",
        "--script safe)and(not(vuln)",
        "--script 'safe and default'",
    ] {
        let own = Arguments::Tokens(vec!["--script".to_owned(), args[9..].to_owned()]);
        let call = Call {
            arguments: own,
            ..call("10.0.0.1", "")
        };
        assert!(vet::vet(tool("nmap"), &scope(), &call).is_err(), "{args}");
    }
}

#[test]
fn fragments_only_what_nmap_would() {
    for args in ["-sU -f", "-sU --mtu 8", "-sT -sU -f", "-sT -f"] {
        let refusal = nmap(&intrusive(), "10.0.0.1", args).unwrap_err();
        assert_eq!(&*refusal.rule, "NM1", "{args}: {refusal}");
    }
    let ipv6 = intrusive_ipv6();
    for args in ["-f", "-sS -f", "-sS -sU --mtu 8"] {
        assert!(nmap(&intrusive(), "10.0.0.1", args).is_ok(), "{args}");
        let refusal = nmap(&ipv6, "fd00::1", args).unwrap_err();
        assert_eq!(&*refusal.rule, "TGT9", "{args}: {refusal}");
        let run = nmap(&ipv6, "web.lab.internal", args).unwrap();
        let pinned = run.pin(tool("nmap"), &ipv6, "fd00::1".parse().unwrap());
        assert_eq!(&*pinned.unwrap_err().rule, "TGT9", "{args}");
    }
    assert!(nmap(&intrusive(), "10.0.0.1", "-sT -sU --ttl 5").is_ok());
}
