//! Targets that stand inside other text: a URL with its pin, `@server`.

use std::net::IpAddr;

use sandbox_profiles::vet::{self, Arguments, Call, ParamValue, vet_argv};
use sandbox_profiles::{Scope, VettedRun};

use crate::bench::{call, scope, scope_of, tool};

const FIXED: &str = r"/usr/bin/curl -q -sS -v -g --proto =http,https --noproxy * --max-redirs 0 -o - -w %{stderr}\n%{json}\n";
const BOUNDS: &str = "--max-time 20 --connect-timeout 5 --max-filesize 1048576";

fn curl(scope: &Scope, target: &str, args: &str) -> VettedRun {
    vet::vet(tool("curl"), scope, &call(target, args)).unwrap()
}

fn tail(run: &VettedRun) -> String {
    let argv = run.argv().join(" ");
    let rest = argv.strip_prefix(FIXED).unwrap();
    let family = if argv.contains("fd00::") {
        " -6 "
    } else {
        " -4 "
    };
    rest.strip_prefix(family).unwrap().to_owned()
}

fn elements(text: &str) -> Vec<String> {
    text.split(' ').map(ToOwned::to_owned).collect()
}

#[test]
fn a_pinned_name_goes_with_its_address_and_the_executor_agrees() {
    let both = scope_of(&["10.0.0.0/8", "fd00::/8"], &[]);
    let cases = [
        (
            "10.0.0.9",
            "",
            "--resolve web.lab.internal:80:10.0.0.9 http://web.lab.internal:80/",
        ),
        (
            "10.0.0.9",
            "--port 8443 --path /a --query b=1 --query c",
            "--resolve web.lab.internal:8443:10.0.0.9 https://web.lab.internal:8443/a?b=1&c",
        ),
        (
            "fd00::9",
            "--scheme https",
            "--resolve web.lab.internal:443:[fd00::9] https://web.lab.internal:443/",
        ),
    ];
    for (address, args, expected) in cases {
        let run = curl(&both, "Web.Lab.Internal.", args);
        assert_eq!(run.unresolved(), Some("web.lab.internal"));
        let address: IpAddr = address.parse().unwrap();
        let run = run.pin(tool("curl"), &both, address).unwrap();
        assert_eq!(tail(&run), format!("{BOUNDS} {expected}"));
        let again = vet_argv(tool("curl"), &both, run.argv()).unwrap();
        assert_eq!(again.argv(), run.argv());
        assert_eq!(again.targets(), run.targets(), "name and address both");
    }
    let run = curl(&both, "fd00::9", "--path /x");
    assert_eq!(tail(&run), format!("{BOUNDS} http://[fd00::9]:80/x"));
    assert!(vet_argv(tool("curl"), &both, run.argv()).is_ok());
}

#[test]
fn refuses_a_url_that_leads_elsewhere_than_its_pin() {
    let refused = [
        (
            "http://web.lab.internal:80/",
            "TGT7",
            "a name without a pin",
        ),
        ("http://8.8.8.8:80/", "TGT2", "a public address"),
        ("http://10.0.0.9/", "ARG7", "no port"),
        (
            "http://10.0.0.9:080/",
            "ARG3",
            "another spelling of the port",
        ),
        (
            "http://010.0.0.9:80/",
            "TGT8",
            "another spelling of the address",
        ),
        ("http://0x0a000009:80/", "TGT8", "an address as a name"),
        ("http://10.0.0.9:80", "ARG7", "no path"),
        ("http://10.0.0.9:80/?", "ARG3", "an empty query"),
        ("http://10.0.0.9:80/a?b=1&b=1", "ARG3", "a query item twice"),
        ("http://10.0.0.9:80/#x", "ARG3", "a fragment"),
        ("http://10.0.0.9:80/[1-9]", "ARG3", "a glob"),
        ("http://10.0.0.9:80/../x", "ARG3", "a dot segment"),
        ("http://u@10.0.0.9:80/", "TGT6", "user information"),
        (
            "http://10.0.0.9:80@8.8.8.8:80/",
            "ARG3",
            "the host after an @",
        ),
        (r"http://10.0.0.9\@8.8.8.8:80/", "TGT6", "a backslash"),
        ("http://[10.0.0.9]:80/", "ARG7", "IPv4 in brackets"),
        ("http://[fd00::9]:80/", "TGT9", "IPv6 outside the scope"),
        ("file:///etc/hostname", "ARG7", "a file"),
        ("gopher://10.0.0.9:80/", "ARG3", "another protocol"),
        (
            "http://10.0.0.9:80/ http://10.0.0.9:80/",
            "ARG3",
            "two URLs",
        ),
        (
            "--resolve web.lab.internal:80:8.8.8.8 http://web.lab.internal:80/",
            "TGT2",
            "pinned to a public address",
        ),
        (
            "--resolve web.lab.internal:80:10.0.0.9 http://web.lab.internal:81/",
            "ARG7",
            "another port than the pinned one",
        ),
        (
            "--resolve web.lab.internal:80:10.0.0.9 http://other.lab.internal:80/",
            "ARG7",
            "another name than the pinned one",
        ),
        (
            "--resolve web.lab.internal:80:10.0.0.9 http://web.lab.internal.:80/",
            "ARG7",
            "a trailing dot, which escapes the pin",
        ),
        (
            "--resolve web.example.com:80:10.0.0.9 http://web.example.com:80/",
            "TGT2",
            "a name outside the suffixes",
        ),
        (
            "--resolve 0x08.8.8.7:80:10.0.0.9 http://0x08.8.8.7:80/",
            "TGT8",
            "a name that curl reads as an address, whatever it was pinned to",
        ),
        (
            "--resolve 10.0.0.8:80:10.0.0.9 http://10.0.0.8:80/",
            "ARG7",
            "an address pinned to another",
        ),
        (
            "--resolve web.lab.internal:80:10.0.0.0/24 http://web.lab.internal:80/",
            "ARG7",
            "a name pinned to a network",
        ),
        (
            "--resolve web.lab.internal:80:10.0.0.9,8.8.8.8 http://web.lab.internal:80/",
            "TGT8",
            "pinned to two",
        ),
        (
            "--resolve +web.lab.internal:80:10.0.0.9 http://+web.lab.internal:80/",
            "TGT6",
            "a pin that runs out",
        ),
    ];
    for (target, rule, why) in refused {
        let argv = elements(&format!("{FIXED} -4 {BOUNDS} {target}"));
        let refusal = vet_argv(tool("curl"), &scope(), &argv).expect_err(why);
        assert_eq!(&*refusal.rule, rule, "{why}: {refusal}");
    }
}

#[test]
fn refuses_another_frame_around_the_url() {
    let url = "http://10.0.0.9:80/";
    let good = format!("{FIXED} -4 {BOUNDS} {url}");
    assert!(vet_argv(tool("curl"), &scope(), &elements(&good)).is_ok());
    let bad = [
        (good.replace("-q -sS", "-sS -q"), "-q not first"),
        (good.replace("-o -", "-o /tmp/x"), "a file for the body"),
        (
            good.replace("--max-redirs 0", "--max-redirs 5"),
            "redirects",
        ),
        (good.replace("--noproxy *", "--noproxy x"), "a proxy"),
        (
            good.replace("=http,https", "=http,https,file"),
            "another protocol",
        ),
        (good.replace(BOUNDS, &format!("{BOUNDS} -L")), "redirects"),
        (
            good.replace(BOUNDS, &format!("{BOUNDS} --port 80")),
            "a part as a flag",
        ),
        (good.replace(BOUNDS, ""), "no bounds"),
        (format!("{good} -L"), "a flag after the URL"),
        (
            format!("{FIXED} {url} {BOUNDS}"),
            "the URL before the flags",
        ),
    ];
    for (argv, why) in bad {
        let argv: Vec<String> = argv.split_whitespace().map(ToOwned::to_owned).collect();
        assert!(vet_argv(tool("curl"), &scope(), &argv).is_err(), "{why}");
    }
}

#[test]
fn a_name_server_stands_once_and_in_scope() {
    let good =
        "/usr/bin/dig -r +yaml @10.0.0.53 -4 -p 53 -t A -q web.lab.internal +time=3 +tries=1";
    let dig = |argv: &str| vet_argv(tool("dig"), &scope(), &elements(argv));
    assert_eq!(dig(good).unwrap().argv(), elements(good));
    let bad = [
        (good.replace("@10.0.0.53", "@8.8.8.8"), "TGT2", "public"),
        (
            good.replace("@10.0.0.53", "@ns.lab.internal"),
            "TGT7",
            "a name",
        ),
        (
            good.replace("@10.0.0.53", "@0x0a000035"),
            "TGT8",
            "another spelling",
        ),
        (
            good.replace("@10.0.0.53 ", ""),
            "ARG7",
            "none: resolv.conf's",
        ),
        (format!("{good} @8.8.8.8"), "ARG5", "a second one"),
        (
            format!("{good} -q www.example.com"),
            "TGT2",
            "a second question",
        ),
        (
            good.replace("-q web.lab.internal", "web.lab.internal"),
            "ARG3",
            "a bare name",
        ),
        (good.replace("-r ", ""), "ARG7", "a configuration file"),
        (good.replace("-4 ", ""), "ARG7", "no address family"),
        (good.replace("-4 ", "-6 "), "TGT9", "another address family"),
        (good.replace("-t A", "-t AXFR"), "ARG6", "a whole zone"),
        (
            good.replace("web.lab.internal", "www.example.com"),
            "TGT2",
            "a public name",
        ),
        (
            good.replace("-t A -q web.lab.internal ", ""),
            "ARG1",
            "no question",
        ),
    ];
    for (argv, rule, why) in bad {
        let refusal = dig(&argv).expect_err(why);
        assert_eq!(&*refusal.rule, rule, "{why}: {refusal}");
    }
}

#[test]
fn parts_and_lists_say_the_same_as_arguments() {
    let list = |items: &[&str]| {
        ParamValue::List(
            items
                .iter()
                .map(|&item| ParamValue::Text(item.to_owned()))
                .collect(),
        )
    };
    let text = |text: &str| ParamValue::Text(text.to_owned());
    let call = Call {
        target: "10.0.0.9".to_owned(),
        arguments: Arguments::default(),
        template: None,
        parameters: vec![
            ("scheme".to_owned(), text("https")),
            ("port".to_owned(), ParamValue::Integer(8443)),
            ("path".to_owned(), text("/a")),
            ("query".to_owned(), list(&["b=1", "c"])),
            (
                "headers".to_owned(),
                list(&["X-Request-Id: 7", "accept:text/html"]),
            ),
            ("method".to_owned(), text("HEAD")),
            ("insecure".to_owned(), ParamValue::Flag(true)),
        ],
    };
    let typed = vet::vet(tool("curl"), &scope(), &call).unwrap();
    let args =
        "-H X-Request-Id:7 -H Accept:text/html -k -I --port 8443 --path /a --query b=1 --query c";
    assert_eq!(typed.argv(), curl(&scope(), "10.0.0.9", args).argv());
    assert_eq!(
        tail(&typed),
        format!(
            "-I -H Accept:text/html -H X-Request-Id:7 -k {BOUNDS} https://10.0.0.9:8443/a?b=1&c"
        )
    );
}
