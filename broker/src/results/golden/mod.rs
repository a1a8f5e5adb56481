//! Golden tests: recorded outputs of real runs, and what must become of them.
//!
//! The recordings come from nmap 7.93, ping of iputils 20221126, traceroute 2.1.2, curl 7.88.1 and
//! dig 9.18.49 in a lab of network namespaces (nginx, OpenSSL, BIND, and servers that attack);
//! `cut.xml` is a recording that was shortened and `hostile.xml` is written by hand. With
//! `MANTLET_BLESS=1` in the environment the expectations are written anew instead of compared.
//!
//! Invariants: each recording gives the same result however it is cut into pieces, fits its schema,
//! and holds nothing that acts on a terminal.

mod checks;
mod curl;
mod dig;

use super::{Expect, Format, Parsed, Parser, RunEnd, bounded, schema};
use checks::{fits, strings};
use std::path::PathBuf;
use std::{env, fs};

struct Case {
    name: &'static str,
    argv: &'static str,
    addresses: u64,
    end: RunEnd,
    why: &'static str,
}

const ENDED: RunEnd = RunEnd {
    timed_out: false,
    cancelled: false,
    truncated: false,
};
const TIMED_OUT: RunEnd = RunEnd {
    timed_out: true,
    ..ENDED
};
const CANCELLED: RunEnd = RunEnd {
    cancelled: true,
    ..ENDED
};
const CUT: RunEnd = RunEnd {
    truncated: true,
    ..ENDED
};

const fn case(
    name: &'static str,
    argv: &'static str,
    addresses: u64,
    end: RunEnd,
    why: &'static str,
) -> Case {
    Case {
        name,
        argv,
        addresses,
        end,
        why,
    }
}

/// Paths of four hops, 10.67.1.2 to 10.67.4.2, by routers that do what the `why` says.
#[rustfmt::skip]
const TRACES: &[Case] = &[
    case("trace-ok.txt", "traceroute -n -4 -- 10.67.4.2", 1, ENDED, "all answered"),
    case("trace-six.txt", "traceroute -n -6 -- fd67:0:0:4::2", 1, ENDED, "IPv6"),
    case("trace-silent.txt", "traceroute -n -4 -w 1 -- 10.67.4.2", 1, ENDED, "a hop that doesn't answer"),
    case("trace-split.txt", "traceroute -n -4 -q 5 -- 10.67.4.2", 1, ENDED, "two routers at one hop"),
    case("trace-mixed.txt", "traceroute -n -4 -q 5 -w 1 -- 10.67.4.2", 1, ENDED, "losses beside refusals"),
    case("trace-prohibited.txt", "traceroute -n -4 -q 2 -- 10.67.4.2", 1, ENDED, "!X"),
    case("trace-prohibitedsix.txt", "traceroute -n -6 -q 2 -- fd67:0:0:4::2", 1, ENDED, "!X, IPv6"),
    case("trace-nohost.txt", "traceroute -n -4 -m 8 -- 10.67.4.99", 1, ENDED, "!H"),
    case("trace-nonet.txt", "traceroute -n -4 -m 8 -q 2 -- 10.67.8.1", 1, ENDED, "!H from a router"),
    case("trace-mtu.txt", "traceroute -n -4 --mtu -- 10.67.4.2", 1, ENDED, "a narrow link"),
    case("trace-mtusix.txt", "traceroute -n -6 --mtu -q 2 -- fd67:0:0:4::2", 1, ENDED, "a narrow link, IPv6"),
    case("trace-long.txt", "traceroute -n -4 -F -- 10.67.4.2 1450", 1, ENDED, "!F"),
    case("trace-tcp.txt", "traceroute -n -4 -T -q 5 -w 1 -p 443 -- 10.67.4.2", 1, ENDED, "TCP"),
    case("trace-black.txt", "traceroute -n -4 -T -m 6 -q 1 -w 1 -p 81 -- 10.67.4.2", 1, ENDED, "never reached"),
    case("trace-killed.txt", "traceroute -n -4 -N 1 -w 1 -- 10.67.4.2", 1, TIMED_OUT, "killed at a hop"),
    case("trace-noroute.txt", "traceroute -n -4 -- 192.0.2.1", 1, ENDED, "nothing sent"),
];

const SCANS: &[Case] = &[
    case(
        "services.xml",
        "nmap -n -sV -sC -Pn -p 21-23",
        3,
        ENDED,
        "services and scripts",
    ),
    case(
        "discovery.xml",
        "nmap -n -sn 10.66.0.0/24",
        256,
        ENDED,
        "a network, hosts only",
    ),
    case(
        "network.xml",
        "nmap -n --top-ports 30 10.66.0.0/24",
        256,
        ENDED,
        "a network",
    ),
    case(
        "udp.xml",
        "nmap -n -sU -sS",
        2,
        ENDED,
        "two protocols, open|filtered",
    ),
    case(
        "os.xml",
        "nmap -n -O --traceroute -v",
        2,
        ENDED,
        "systems, hops, hardware",
    ),
    case(
        "assumed.xml",
        "nmap -n -Pn -p 22,80 10.66.0.8/29",
        8,
        ENDED,
        "-Pn on mostly empty space",
    ),
    case(
        "killed.xml",
        "nmap -n -sV -Pn --max-hostgroup 2",
        6,
        TIMED_OUT,
        "killed between groups",
    ),
    case(
        "cut.xml",
        "nmap -n -sV -sC -Pn",
        3,
        CUT,
        "cut inside a host",
    ),
    case(
        "noname.xml",
        "nmap -n -p 80 nosuch.invalid",
        1,
        ENDED,
        "nothing to scan, exit 0",
    ),
    case(
        "refused.xml",
        "nmap -n -sS 10.66.0.10",
        1,
        ENDED,
        "no output at all",
    ),
    case(
        "banner.xml",
        "nmap -n -Pn -sV --script banner",
        1,
        ENDED,
        "banners that attack",
    ),
    case(
        "hostile.xml",
        "nmap -n 10.66.0.0/24",
        256,
        ENDED,
        "bombs, depth, forgeries",
    ),
    case(
        "ping-ok.txt",
        "ping -n -D -O -c 4 10.66.0.10",
        1,
        ENDED,
        "all answered",
    ),
    case(
        "ping-dead.txt",
        "ping -n -O -c 3 10.66.0.99",
        1,
        ENDED,
        "none answered",
    ),
    case(
        "ping-killed.txt",
        "ping -n -O -c 20 10.66.0.10",
        1,
        CANCELLED,
        "SIGTERM: no statistics",
    ),
    case(
        "ping-int.txt",
        "ping -n -O -c 20 10.66.0.10",
        1,
        CANCELLED,
        "SIGINT: statistics",
    ),
    case(
        "ping-unreachable.txt",
        "ping -n -O -c 4 10.66.0.99",
        1,
        ENDED,
        "messages from the way",
    ),
    case(
        "ping-noroute.txt",
        "ping -n -c 2 192.0.2.1",
        1,
        ENDED,
        "standard error only",
    ),
    case(
        "ping-big.txt",
        "ping -n -c 2 -s 1473 10.66.0.10",
        1,
        ENDED,
        "too long for the way",
    ),
    case("ping-six.txt", "ping -n -c 2 ::1", 1, ENDED, "IPv6"),
];

/// All recordings.
fn cases() -> impl Iterator<Item = &'static Case> {
    let others = [TRACES, curl::CASES, dig::CASES];
    SCANS.iter().chain(others.into_iter().flatten())
}

impl Case {
    fn format(&self) -> Format {
        if self.name.starts_with("ping") {
            Format::PingText
        } else if self.name.starts_with("curl") {
            Format::CurlJson
        } else if self.name.starts_with("dig") {
            Format::DigYaml
        } else if self.name.starts_with("trace") {
            Format::TracerouteText
        } else {
            Format::NmapXml
        }
    }

    fn read(&self, extension: &str) -> Vec<u8> {
        let path = directory().join(self.name).with_extension(extension);
        fs::read(&path).unwrap_or_default()
    }

    fn raw(&self) -> Vec<u8> {
        fs::read(directory().join(self.name)).unwrap()
    }

    fn parser(&self) -> Parser {
        let argv = self.argv.split(' ').map(str::to_owned).collect();
        let expect = Expect {
            argv,
            addresses: Some(self.addresses),
            ..Expect::default()
        };
        Parser::new(self.format(), &expect)
    }

    /// The recording, parsed in pieces of that size; progress must grow all the way.
    fn parse(&self, piece: usize) -> Parsed {
        let mut parser = self.parser();
        let mut told = 0.0;
        for bytes in self.raw().chunks(piece) {
            if let Some(progress) = parser.push(bytes) {
                assert!(
                    progress.percent > told,
                    "{}: {progress:?} after {told}",
                    self.name
                );
                assert!(progress.percent < 100.0, "{}: {progress:?}", self.name);
                told = progress.percent;
            }
        }
        for bytes in self.read("err").chunks(piece) {
            parser.push_stderr(bytes);
        }
        parser.finish(self.end)
    }
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/results/golden")
}

fn compare(name: &str, kind: &str, actual: &str) {
    let path = directory().join("expected").join(format!("{name}.{kind}"));
    if env::var_os("MANTLET_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        actual,
        expected,
        "{name}: differs from {}; bless it if right",
        path.display()
    );
}

/// Why a structured result does not fit its format's schema; nothing when it does.
pub(super) fn faults(structured: &serde_json::Value, format: Format) -> Vec<String> {
    fits(structured, &schema(format), format.as_str())
}

#[test]
fn recordings_give_what_is_expected() {
    for case in cases() {
        let parsed = case.parse(usize::MAX);
        let mut structured = serde_json::to_string_pretty(&parsed.structured).unwrap();
        structured.push('\n');
        compare(case.name, "json", &structured);
        let words = format!(
            "{}\n======== summary\n{}\n",
            parsed.readable, parsed.summary
        );
        compare(case.name, "words", &words);
    }
}

#[test]
fn pieces_do_not_matter() {
    for case in cases() {
        let whole = case.parse(usize::MAX);
        for piece in [1, 7, 1000] {
            assert_eq!(
                case.parse(piece),
                whole,
                "{}, {} bytes at a time",
                case.why,
                piece
            );
        }
    }
}

#[test]
fn recordings_fit_their_schema() {
    for case in cases() {
        let schema = schema(case.format());
        let structured = case.parse(usize::MAX).structured;
        assert_eq!(fits(&structured, &schema, case.name), Vec::<String>::new());
        for chars_max in [10_000, 2_000, 1_000, 500] {
            let trimmed = bounded(structured.clone(), chars_max);
            assert_eq!(
                fits(&trimmed, &schema, case.name),
                Vec::<String>::new(),
                "{chars_max}"
            );
        }
    }
}

#[test]
fn nothing_acts_on_a_terminal() {
    for case in cases() {
        let parsed = case.parse(usize::MAX);
        let mut all = strings(&parsed.structured);
        all.extend([parsed.readable, parsed.summary]);
        for text in all {
            assert!(
                !text.chars().any(super::neutralise::acts),
                "{}: {text:?}",
                case.why
            );
        }
    }
}

#[test]
fn a_run_cut_anywhere_keeps_what_was_finished() {
    for case in cases().filter(|case| case.format() == Format::NmapXml) {
        let raw = case.raw();
        let mut finished_before = 0;
        // Not every byte: a step that is no divisor of anything meets all kinds of places.
        for end in (0..raw.len()).step_by(17) {
            let mut parser = case.parser();
            parser.push(&raw[..end]);
            let structured = parser.finish(case.end).structured;
            let hosts = structured["hosts"].as_array().unwrap();
            let finished = hosts
                .iter()
                .filter(|host| host.get("partial").is_none())
                .count();
            assert!(finished >= finished_before, "{}, cut at {end}", case.why);
            finished_before = finished;
        }
    }
}

#[test]
fn the_command_line_is_not_given_away() {
    for case in cases().filter(|case| case.format() == Format::NmapXml) {
        let text = case.parse(usize::MAX).structured.to_string();
        assert!(
            !text.contains("stats-every") && !text.contains("datadir"),
            "{}",
            case.why
        );
    }
}
