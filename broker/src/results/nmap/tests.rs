//! Tests of the nmap parser on documents made for the purpose: bounds, progress, sizes.
//!
//! Real recordings are in `golden`.

use super::super::limits::{
    DEPTH_MAX, HOSTS_MAX, PORTS_PER_HOST_MAX, SCRIPT_CHARS_MAX, SUMMARY_CHARS_MAX,
};
use super::super::{Expect, Format, Parsed, RunEnd, bounded};
use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "<nmaprun scanner='nmap' version='7.93'>\
                    <scaninfo type='connect' protocol='tcp' numservices='1000'/>";

fn parser(argv: &str, addresses: u64) -> NmapParser {
    let argv = argv.split(' ').map(str::to_owned).collect();
    NmapParser::new(&Expect {
        argv,
        addresses: Some(addresses),
        ..Expect::default()
    })
}

fn parse(document: &str) -> Parsed {
    let mut parser = parser("nmap", 256);
    parser.push(document.as_bytes());
    parser.finish(RunEnd::default())
}

fn host(address: &str, ports: &str) -> String {
    format!(
        "<host><status state='up' reason='syn-ack'/><address addr='{address}' addrtype='ipv4'/>\
         <ports>{ports}</ports></host>"
    )
}

fn port(number: u32, inside: &str) -> String {
    format!(
        "<port protocol='tcp' portid='{number}'><state state='open' reason='syn-ack'/>{inside}</port>"
    )
}

const SERVICE: &str = "<service name='http' product='nginx' version='1.22.1' method='probed'>\
                       <cpe>cpe:/a:igor_sysoev:nginx:1.22.1</cpe></service>\
                       <script id='http-title' output='Welcome to a page of the lab'/>";

/// A network of that many hosts, each with that many open ports.
fn network(hosts: u32, ports: u32) -> String {
    let mut document = HEAD.to_owned();
    for number in 0..hosts {
        let ports: Vec<String> = (1..=ports)
            .map(|port_number| port(port_number, SERVICE))
            .collect();
        let address = format!("10.66.{}.{}", number / 256, number % 256);
        document.push_str(&host(&address, &ports.concat()));
    }
    write!(
        document,
        "<runstats><finished elapsed='9.5' exit='success'/>\
         <hosts up='{hosts}' down='0' total='{hosts}'/></runstats></nmaprun>"
    )
    .unwrap();
    document
}

#[test]
fn summaries_of_networks_stay_within_their_bound_and_say_what_is_missing() {
    let cases = [
        (3, 3, "http-title", "a few hosts: everything"),
        (
            40,
            5,
            "the output of 200 scripts",
            "a full network: no scripts",
        ),
        (254, 2, "products and versions", "a fuller one: names only"),
        (254, 30, "hosts with", "more than fits: hosts are counted"),
        (
            1,
            2000,
            "and 1960 more open",
            "one host with everything open",
        ),
    ];
    for (hosts, ports, expected, why) in cases {
        let parsed = parse(&network(hosts, ports));
        let summary = &parsed.summary;
        assert!(
            summary.chars().count() <= SUMMARY_CHARS_MAX,
            "{why}: {}",
            summary.len()
        );
        assert!(summary.contains(expected), "{why}: {summary}");
        let open = format!("{} open ports on {hosts} host", hosts * ports);
        assert!(
            summary.starts_with("nmap 7.93: ") && summary.contains(&open),
            "{why}: {summary}"
        );
    }
}

#[test]
fn readable_text_is_bounded() {
    for bytes_max in [0, 10, 200, 5_000] {
        let expect = Expect {
            readable_bytes_max: bytes_max,
            ..Expect::default()
        };
        let mut parser = NmapParser::new(&expect);
        parser.push(network(254, 5).as_bytes());
        let readable = parser.finish(RunEnd::default()).readable;
        assert!(readable.len() <= bytes_max);
        assert!(
            bytes_max < 100 || readable.ends_with("cut at the output's bound\n"),
            "{readable}"
        );
    }
}

#[test]
fn a_trimmed_result_fits_and_counts_what_went() {
    let cases = [
        // hosts, ports, chars, kept hosts, gone (hosts, ports, scripts), why
        (2, 2, 100_000, 2, None, "fits as it is"),
        (40, 5, 40_000, 40, Some((0, 0, 200)), "scripts first"),
        (40, 5, 27_000, 40, Some((0, 0, 200)), "then details"),
        (254, 2, 6_000, 18, Some((236, 0, 508)), "then hosts"),
        (
            1,
            2000,
            4_000,
            1,
            Some((0, 1971, 2000)),
            "a host alone over the budget",
        ),
    ];
    for (hosts, ports, chars_max, kept, gone, why) in cases {
        let whole = parse(&network(hosts, ports)).structured;
        let trimmed = bounded(whole, chars_max);
        assert!(trimmed.to_string().chars().count() <= chars_max, "{why}");
        assert_eq!(
            trimmed["hosts"].as_array().unwrap().len(),
            kept,
            "{why}: {}",
            trimmed["omitted"]
        );
        let count = |key: &str| trimmed["omitted"][key].as_u64();
        let counted = count("hosts").zip(count("ports")).zip(count("scripts"));
        assert_eq!(counted.map(|((h, p), s)| (h, p, s)), gone, "{why}");
        assert_eq!(trimmed["totals"]["up"], hosts, "{why}: totals stay");
    }
}

#[test]
fn what_is_over_a_bound_is_counted() {
    let scripts = "<script id='x' output='y'/>".repeat(100);
    let endless = format!("<script id='x' output='{}'/>", "A".repeat(1_000_000));
    let all_open: String = (1..=65_535).map(|number| port(number, "")).collect();
    let cases = [
        (
            host("10.0.0.1", &all_open),
            "ports",
            65_535 - PORTS_PER_HOST_MAX,
            "every port open",
        ),
        (
            host("10.0.0.1", &port(1, &scripts)),
            "scripts",
            36,
            "scripts of one port",
        ),
        (
            host("10.0.0.1", &port(1, &endless)),
            "scripts",
            0,
            "an endless output is shortened",
        ),
        (
            host("10.0.0.1", "").repeat(HOSTS_MAX + 5),
            "hosts",
            5,
            "more hosts than addresses",
        ),
    ];
    for (inside, kind, omitted, why) in cases {
        let parsed = parse(&format!("{HEAD}{inside}</nmaprun>"));
        let counted = parsed.structured["omitted"][kind].as_u64().unwrap_or(0);
        assert_eq!(counted, u64::try_from(omitted).unwrap(), "{why}");
        let output = &parsed.structured["hosts"][0]["ports"][0]["scripts"][0]["output"];
        let length = output.as_str().map_or(0, |text| text.chars().count());
        assert!(length <= SCRIPT_CHARS_MAX, "{why}");
        assert!(parsed.summary.chars().count() <= SUMMARY_CHARS_MAX, "{why}");
    }
}

#[test]
fn a_result_weighs_no_more_than_its_budget() {
    let scripts = format!("<script id='x' output='{}'/>", "A".repeat(8_000)).repeat(60);
    let document = format!(
        "{HEAD}{}</nmaprun>",
        host("10.0.0.1", &port(1, &scripts)).repeat(40)
    );
    let parsed = parse(&document);
    let weight = parsed.structured.to_string().len();
    assert!(weight <= super::super::limits::RESULT_BYTES_MAX, "{weight}");
    assert!(parsed.structured["omitted"]["scripts"].as_u64().unwrap() > 300);
    assert!(parsed.readable.len() <= super::super::limits::READABLE_BYTES_MAX);
}

#[test]
fn malformed_documents_are_reported_and_read_on() {
    let good = host("10.0.0.9", &port(80, ""));
    let deep = format!(
        "{}{}",
        "<a>".repeat(DEPTH_MAX * 4),
        "</a>".repeat(DEPTH_MAX * 4)
    );
    let cases = [
        (format!("{HEAD}{deep}{good}</nmaprun>"), "deeper", "depth"),
        (
            format!("{HEAD}</b></host>{good}</nmaprun>"),
            "end tag",
            "end tags of nothing",
        ),
        (
            format!("{HEAD}<x y>{good}</x>{good}</nmaprun>"),
            "tag could not",
            "bad attribute",
        ),
        (
            format!("Warning!{HEAD}{good}</nmaprun>"),
            "outside",
            "text before",
        ),
        (
            format!("{HEAD}{good}</nmaprun><nmaprun/>"),
            "one run",
            "a second document",
        ),
        (
            format!("{HEAD}<host></host>{good}</nmaprun>"),
            "no address",
            "a host without address",
        ),
        (
            format!("{HEAD}<!BOMB>{good}</nmaprun>"),
            "declaration",
            "a stray declaration",
        ),
    ];
    for (document, error, why) in cases {
        let structured = parse(&document).structured;
        let told = structured["parse_error"].as_str().unwrap_or_default();
        assert!(told.contains(error), "{why}: {told}");
        assert_eq!(structured["hosts"][0]["address"], "10.0.0.9", "{why}");
        assert_eq!(structured["truncated"], false, "{why}");
    }
}

#[test]
fn only_hosts_that_answered_are_listed() {
    let assumed = |ports: &str| {
        format!(
            "<host><status state='up' reason='user-set'/><address addr='10.0.0.1'/>{ports}</host>"
        )
    };
    let state = |state: &str, reason: &str| {
        assumed(&format!(
            "<ports><port protocol='tcp' portid='1'><state state='{state}' reason='{reason}'/>\
             </port></ports>"
        ))
    };
    let extra = |state: &str, reason: &str| {
        assumed(&format!(
            "<ports><extraports state='{state}' count='9'><extrareasons reason='{reason}' \
             count='9'/></extraports></ports>"
        ))
    };
    let cases = [
        (state("open", "syn-ack"), 1, "an open port"),
        (state("closed", "conn-refused"), 1, "a closed port"),
        (state("filtered", "no-response"), 0, "silence"),
        (
            state("filtered", "host-unreach"),
            0,
            "our own kernel found nobody",
        ),
        (
            state("filtered", "admin-prohibited"),
            1,
            "a firewall that answers",
        ),
        (state("open|filtered", "no-response"), 0, "silence of UDP"),
        (extra("closed", "reset"), 1, "closed ports, summed up"),
        (extra("filtered", "no-responses"), 0, "silence, summed up"),
        (
            extra("filtered", "port-unreaches"),
            1,
            "unreachable ports, summed up",
        ),
        (assumed(""), 0, "nothing asked"),
        (
            assumed("<address addr='02:00:00:00:00:01' addrtype='mac'/>"),
            1,
            "a hardware address",
        ),
        (
            assumed("<os><osmatch name='x' accuracy='90'/></os>"),
            1,
            "a system was recognised",
        ),
    ];
    for (document, up, why) in cases {
        let mut parser = parser("nmap -Pn", 1);
        parser.push(format!("{HEAD}{document}</nmaprun>").as_bytes());
        let structured = parser.finish(RunEnd::default()).structured;
        assert_eq!(structured["hosts"].as_array().unwrap().len(), up, "{why}");
        assert_eq!(structured["totals"]["up"], up, "{why}");
        assert_eq!(structured["totals"]["no_answer"], 1 - up, "{why}");
    }
}

#[test]
fn hosts_that_nmap_gave_up_on_are_not_called_silent_without_a_word() {
    let given_up = "<host timedout='true'><status state='up' reason='user-set'/>\
                    <address addr='10.0.0.7'/></host>";
    let mut parser = parser("nmap -Pn --host-timeout 30s", 1);
    parser.push(format!("{HEAD}{given_up}</nmaprun>").as_bytes());
    let parsed = parser.finish(RunEnd::default());
    assert_eq!(parsed.structured["statistics"]["hosts_timed_out"], 1);
    assert_eq!(parsed.structured["no_answer"][0]["timed_out"], true);
    for text in [&parsed.summary, &parsed.readable] {
        assert!(text.contains("1 host given up by --host-timeout"), "{text}");
    }
}

#[test]
fn hosts_that_were_left_out_by_open_are_still_counted() {
    let stats = "<runstats><hosts up='256' down='0' total='256'/></runstats></nmaprun>";
    let document = format!("{HEAD}{}{stats}", host("10.0.0.1", &port(1, "")));
    let cases = [
        ("nmap -Pn --open", 1, 255, "not asked"),
        ("nmap --open", 256, 0, "asked"),
    ];
    for (argv, up, no_answer, why) in cases {
        let mut parser = parser(argv, 256);
        parser.push(document.as_bytes());
        let parsed = parser.finish(RunEnd::default());
        assert_eq!(parsed.structured["totals"]["up"], up, "{why}");
        assert_eq!(parsed.structured["totals"]["no_answer"], no_answer, "{why}");
        assert_eq!(
            parsed.summary.contains("255 more are up"),
            no_answer == 0,
            "{why}"
        );
    }
}

#[test]
fn a_killed_scan_names_the_hosts_that_it_had_seen() {
    let hint =
        "<hosthint><status state='up'/><address addr='10.0.0.2' addrtype='ipv4'/></hosthint>";
    let document = format!("{HEAD}{hint}{}", hint.replace("0.2", "0.1"));
    let document = format!("{document}{}", host("10.0.0.1", ""));
    let mut parser = parser("nmap", 256);
    parser.push(document.as_bytes());
    let parsed = parser.finish(RunEnd {
        timed_out: true,
        ..RunEnd::default()
    });
    assert_eq!(
        parsed.structured["unfinished"],
        serde_json::json!(["10.0.0.2"])
    );
    assert!(
        parsed.summary.contains("scan not finished: 10.0.0.2."),
        "{}",
        parsed.summary
    );
    assert!(parsed.summary.contains("timed out"), "{}", parsed.summary);
}

proptest! {
    #[test]
    fn survives_any_document(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("<host>"), Just("</host>"), Just("<ports>"), Just("</ports>"), Just("<os>"),
                Just("<port portid='1'>"), Just("</port>"), Just("<state state='open'/>"),
                Just("<service name='a'>"), Just("</service>"), Just("<cpe>"), Just("x"),
                Just("</cpe>"), Just("<script id='a' output='&#27;'/>"), Just("<address addr='1'/>"),
                Just("<osmatch name='a'>"), Just("<osclass>"), Just("</nmaprun>"), Just("<nmaprun>"),
                Just("<taskprogress task='NSE' percent='5'/>"), Just("<hosthint>"), Just("<trace>"),
                Just("<extraports count='2'>"), Just("<extrareasons reason='b'/>"), Just("<!--"),
                Just("<runstats>"), Just("<hosts up='9'/>"), Just("<hop ttl='1'/>"), Just("<"),
            ],
            0..60,
        ),
    ) {
        let parsed = parse(&parts.concat());
        prop_assert!(parsed.structured.is_object());
        let faults = crate::results::golden::faults(&parsed.structured, Format::NmapXml);
        prop_assert_eq!(faults, Vec::<String>::new());
        prop_assert!(parsed.structured["totals"].get("up").and_then(Value::as_u64).is_some());
    }
}
