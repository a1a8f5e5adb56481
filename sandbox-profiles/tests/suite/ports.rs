//! Ports and the scope: what is refused, what is added, and what stays as it is.

use sandbox_profiles::vet::{self, Call};
use sandbox_profiles::{Detail, Scope, ScopeConfig, load};

use crate::bench::{call, flags, nmap, scope, tool};

fn ports(allowed: &[&str], denied: &[&str]) -> Scope {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    Scope::new(&ScopeConfig {
        allowed_ports: texts(allowed),
        denied_ports: texts(denied),
        allow_intrusive: true,
        ..ScopeConfig::default()
    })
    .unwrap()
}

#[test]
fn a_tool_that_chooses_ports_is_told_which_to_leave_alone() {
    const ALL_BUT_22: &str = "--exclude-ports 1-21,23-65535";
    let cases = [
        ("", "-Pn --top-ports 1000 @", "the default choice"),
        ("-F", "-Pn -F @", "the fast one"),
        ("-p-", "-Pn -p- @", "all of them"),
        ("-p 22", "-Pn -p 22", "not where every port is named"),
        ("-sU --top-ports 5", "-sU -Pn --top-ports 5 @", "UDP"),
        ("-sn -PE", "-sn -PE", "nor where there is none"),
        ("-PS22 -p 22", "-PS22 -p 22", "discovery by an allowed port"),
        (
            "-sV --script banner,ssl-cert",
            "-Pn --top-ports 1000 @ -sV --script banner,ssl-cert",
            "scripts that ask the port that they were started for",
        ),
        (
            "-p 22 --traceroute",
            "-Pn --traceroute -p 22",
            "the path is asked for with the ports of the scan",
        ),
        (
            "-p 22 -g 53",
            "-Pn -p 22 --source-port 53",
            "a port of ours is none of the target's",
        ),
    ];
    let only_22 = ports(&["22"], &[]);
    for (args, expected, why) in cases {
        let run = nmap(&only_22, "10.0.0.1", args).unwrap();
        let got = flags(&run).replace(ALL_BUT_22, "@");
        let got = got.replacen(" -T4 --max-parallelism 10", "", 1);
        assert_eq!(got, expected, "{args}: {why}");
        let again = vet::vet_argv(tool("nmap"), &only_22, run.argv()).unwrap();
        assert_eq!(again.argv(), run.argv(), "{args}: a fixpoint");
    }
}

#[test]
fn refuses_what_would_touch_another_port_and_says_what_would_not() {
    let cases = [
        ("10.0.0.1", "-p 80", None, "another port"),
        ("10.0.0.1", "-p 22,80", Some("-p 22"), "one of two"),
        ("10.0.0.1", "-p 1-65535", Some("-p 22"), "a range around it"),
        ("10.0.0.1", "-p 22 -PS80", None, "discovery by another port"),
        (
            "10.0.0.1",
            "-p 22 -PS22,80",
            Some("-PS22 -p 22"),
            "by one of two",
        ),
        (
            "10.0.0.1",
            "-p 22 -PS",
            Some("-p 22 -PS22"),
            "by 80, unsaid",
        ),
        (
            "10.0.0.1",
            "-p 22 -PA",
            Some("-p 22 -PA22"),
            "by 80, unsaid",
        ),
        (
            "10.0.0.1",
            "-p 22 -PU",
            Some("-p 22 -PU22"),
            "by 40125, unsaid",
        ),
        (
            "10.0.0.1",
            "-p 22 -PY",
            Some("-p 22 -PY22"),
            "by 80, unsaid",
        ),
        (
            "10.0.0.0/24",
            "-p 22",
            Some("-p 22 -PS22"),
            "discovery of a network, unsaid",
        ),
        (
            "10.0.0.1",
            "-sn",
            Some("-sn -PS22"),
            "discovery alone, unsaid",
        ),
        ("10.0.0.1", "-O -p 22", Some("-p 22"), "random high ports"),
        (
            "10.0.0.1",
            "-sC -p 22",
            Some("-p 22"),
            "a category of scripts",
        ),
        ("10.0.0.1", "-A -p 22", Some("-p 22"), "everything at once"),
        (
            "10.0.0.1",
            "--script ms-sql-info,banner -p 22",
            Some("-p 22 --script banner"),
            "a script that asks a port of its own",
        ),
    ];
    let only_22 = ports(&["22"], &[]);
    for (target, args, nearest, why) in cases {
        let refusal = nmap(&only_22, target, args).unwrap_err();
        assert_eq!(&*refusal.rule, "SEC1", "{args}: {why}: {refusal}");
        let got = refusal.nearest.as_ref().map(|words| words.join(" "));
        assert_eq!(got.as_deref(), nearest, "{args}: {why}");
        assert!(
            nmap(&ports(&["1-65535"], &[]), target, args).is_ok(),
            "{args}: else allowed"
        );
        let allowed = ("allowed_ports", Detail::List(vec!["22".to_owned()]));
        assert!(
            refusal.detail.contains(&allowed),
            "{args}: {:?}",
            refusal.detail
        );
        assert!(refusal.to_string().contains("allowed_ports"), "{refusal}");
    }
}

#[test]
fn a_template_is_held_to_the_ports_too() {
    let template = |name: &str| Call {
        template: Some(name.to_owned()),
        ..call("10.0.0.1", "")
    };
    let only_22 = ports(&["22"], &[]);
    let verdict = |name: &str| vet::vet(tool("nmap"), &only_22, &template(name));
    for name in ["quick", "standard", "version"] {
        assert!(flags(&verdict(name).unwrap()).contains("--exclude-ports 1-21,23-65535"));
    }
    for name in ["thorough", "script", "discovery"] {
        assert_eq!(&*verdict(name).unwrap_err().rule, "SEC1", "{name}");
    }
}

#[test]
fn what_is_denied_wins_over_what_is_allowed() {
    let scope = ports(&["1-1024"], &["25", "135-139"]);
    assert_eq!(scope.ports().to_string(), "1-24,26-134,140-1024");
    let run = nmap(&scope, "10.0.0.1", "-F").unwrap();
    assert!(flags(&run).contains("--exclude-ports 25,135-139,1025-65535"));
    let refusal = nmap(&scope, "10.0.0.1", "-p 20-30").unwrap_err();
    assert_eq!(refusal.nearest.unwrap().join(" "), "-p 20-24,26-30");
    // 443 alone is left of what nmap asks by itself, and nmap is held off 80.
    let without_80 = ports(&["1-1024"], &["80"]);
    assert!(nmap(&without_80, "10.0.0.0/24", "-p 22").is_ok());
}

#[test]
fn no_port_at_all_still_leaves_discovery_without_ports() {
    let none = ports(&[], &[]);
    for args in ["", "-F", "-p-", "-p 80", "-PS", "-PS80"] {
        let refusal = nmap(&none, "10.0.0.1", args).unwrap_err();
        assert_eq!(&*refusal.rule, "SEC1", "{args}: {refusal}");
        assert_eq!(refusal.nearest, None, "{args}");
    }
    let run = nmap(&none, "10.0.0.1", "-sn -PE").unwrap();
    assert!(
        !flags(&run).contains("--exclude-ports"),
        "nothing to leave out"
    );
    assert!(
        vet::vet(tool("ping"), &none, &call("10.0.0.1", "")).is_ok(),
        "it knows no port"
    );
}

#[test]
fn a_caller_may_leave_out_ports_itself() {
    let cases = [
        (
            "-p 20-30 --exclude-ports 25",
            Some("-Pn -p 20-30 --exclude-ports 25"),
            "as nmap has it",
        ),
        (
            "-F --exclude-ports 80,81",
            Some("-Pn -F --exclude-ports 80,81"),
            "as written",
        ),
        ("-p 22 --exclude-ports 22", None, "nothing is left"),
        ("-p 22,23 --exclude-ports 1-100", None, "nothing is left"),
    ];
    for (args, expected, why) in cases {
        match (nmap(&scope(), "10.0.0.1", args), expected) {
            (Ok(run), Some(expected)) => assert!(flags(&run).starts_with(expected), "{why}"),
            (Err(refusal), None) => assert_eq!(&*refusal.rule, "NM2", "{why}"),
            (other, _) => panic!("{args}: {why}: {other:?}"),
        }
    }
    let both = nmap(&ports(&["20-30"], &[]), "10.0.0.1", "-F --exclude-ports 25").unwrap();
    assert!(
        flags(&both).contains("--exclude-ports 1-19,25,31-65535"),
        "both lists"
    );
}

#[test]
fn a_bound_on_lists_does_not_bound_what_is_left_out() {
    let odd: Vec<String> = (0..200).map(|index| format!("{}", index * 2 + 1)).collect();
    let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
    let mut config = ScopeConfig {
        allowed_ports: odd.iter().map(|&text| text.to_owned()).collect(),
        max_port_ranges: 1,
        ..ScopeConfig::default()
    };
    let scope = Scope::new(&config).unwrap();
    let run = nmap(&scope, "10.0.0.1", "-F").unwrap();
    assert_eq!(
        vet::vet_argv(tool("nmap"), &scope, run.argv())
            .unwrap()
            .argv(),
        run.argv()
    );
    // What one flag can't say is refused, not left unsaid.
    config.allowed_ports = (0..256).map(|index| format!("{}", index * 2 + 2)).collect();
    let refusal = nmap(&Scope::new(&config).unwrap(), "10.0.0.1", "-F").unwrap_err();
    assert_eq!(&*refusal.rule, "SEC1");
    assert!(refusal.message.contains("257 ranges"), "{refusal}");
}

#[test]
fn curl_and_dig_are_held_to_ports_too() {
    let cases = [
        ("curl", &["80"][..], "", None, "http by itself"),
        (
            "curl",
            &["8080"],
            "",
            Some(Some("--port 8080")),
            "80, unsaid",
        ),
        (
            "curl",
            &["80"],
            "--scheme https",
            Some(Some("--scheme https --port 80")),
            "443, unsaid",
        ),
        ("curl", &["80"], "--port 81", Some(None), "named"),
        ("curl", &["8443"], "--port 8443", None, "named and allowed"),
        ("dig", &["53"], "-q web.lab.internal", None, "53, unsaid"),
        (
            "dig",
            &["5353"],
            "-q web.lab.internal",
            Some(Some("-p 5353 -q web.lab.internal")),
            "53, unsaid",
        ),
        (
            "dig",
            &["53"],
            "-p 54 -q web.lab.internal",
            Some(None),
            "named",
        ),
    ];
    for (name, allowed, args, refused, why) in cases {
        let got = vet::vet(tool(name), &ports(allowed, &[]), &call("10.0.0.1", args));
        let got = got.err().map(|refusal| {
            assert_eq!(&*refusal.rule, "SEC1", "{name} {args}: {why}: {refusal}");
            refusal.nearest.map(|words| words.join(" "))
        });
        let refused = refused.map(|nearest: Option<&str>| nearest.map(ToOwned::to_owned));
        assert_eq!(got, refused, "{name} {allowed:?} {args}: {why}");
    }
}

/// A tool with one port, as a profile of an administrator describes it.
const KNOCK: &str = r#"
[[flags]]
flag = "--port"
summary = "port"
type = "integer"
min = 1
max = 65535
port = true

[[implied_ports]]
unless = ["--port"]
ports = ["80"]
instead = ["--port", "{port}"]
reason = "it asks port 80 unless told otherwise"
"#;

fn knock(more: &str) -> String {
    let ping = include_str!("../../tools/ping.toml");
    let (head, _) = ping.split_once("[[flags]]").unwrap();
    let (_, confinement) = ping.split_once("[sandbox]").unwrap();
    let (confinement, _) = confinement.split_once("[[examples.accept]]").unwrap();
    // How long a call can take is said by ping's own flags.
    let (run, rest) = confinement.split_once("[run.lasts]").unwrap();
    let (_, output) = rest.split_once("[output]").unwrap();
    let head = head.replace("name = \"ping\"", "name = \"knock\"");
    format!("{head}\n{more}\n[sandbox]{run}[output]{output}")
}

#[test]
fn an_integer_can_be_a_port_and_a_default_port_can_be_said() {
    let profile = load::parse("knock.toml", &knock(KNOCK)).unwrap();
    let cases = [
        (&["22"][..], "--port 22", None, "allowed"),
        (
            &["22"],
            "--port 80",
            Some(None),
            "not allowed, and no list to narrow",
        ),
        (&["22"], "", Some(Some("--port 22")), "80, unsaid"),
        (&["80"], "", None, "80 is allowed"),
        (&[], "", Some(None), "nothing is allowed"),
    ];
    for (allowed, args, refused, why) in cases {
        let got = vet::vet(&profile, &ports(allowed, &[]), &call("10.0.0.1", args));
        let got = got.err().map(|refusal| {
            assert_eq!(&*refusal.rule, "SEC1", "{why}");
            refusal.nearest.map(|words| words.join(" "))
        });
        let refused = refused.map(|nearest| nearest.map(ToOwned::to_owned));
        assert_eq!(got, refused, "{allowed:?} {args}: {why}");
    }
}

#[test]
fn a_profile_that_misstates_ports_is_not_loaded() {
    let cases = [
        (
            "port = true",
            "port = true\nexcluded = true",
            "unknown key",
            "no list of ports",
        ),
        (
            "max = 65535",
            "max = 70000",
            "the value is no port",
            "beyond the last",
        ),
        ("\"80\"", "\"http\"", "no port: http", "a name"),
        ("[\"80\"]", "[]", "no ports", "none"),
        (
            "{port}\"]",
            "{port}\", \"x\"]",
            "implied_ports.instead",
            "no arguments",
        ),
        (
            "unless = [\"--port\"]",
            "unless = [\"--prot\"]",
            "did you mean --port?",
            "a typo",
        ),
        (
            "unless = ",
            "bare = true\nunless = ",
            "no flag for bare",
            "without a flag",
        ),
    ];
    for (old, new, expected, why) in cases {
        let text = knock(&KNOCK.replace(old, new));
        let errors = load::parse("knock.toml", &text).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            errors.iter().any(|error| error.contains(expected)),
            "{why}: {errors:?}"
        );
    }
}
