//! traceroute's text as a result: hops, what answered there, and where the way ends (2.1.2).
//!
//! A line parser that is fed as the run goes on. A hop's line ends when the next one begins, so the
//! last line of a run that was stopped is cut, and taken as far as it is certain.
//!
//! Invariants: at most [`HOPS_MAX`] hops are kept; a line that is not understood changes nothing;
//! each progress is greater than the one before and below 100.

mod summary;

mod line;
pub mod report;

pub use report::{Annotation, Hop, Probe, TracerouteReport};

use super::limits::{HOPS_MAX, LINE_BYTES_MAX, LIST_MAX, STRING_CHARS_MAX};
use super::neutralise::{self, decode};
use super::stderr::Lines;
use super::text::Kept;
use super::{Expect, Parsed, Progress, RunEnd};
use line::{Extent, Line, meaning, parse};
use summary::summary;

/// Reads one run of traceroute.
#[derive(Debug)]
pub struct TracerouteParser {
    report: TracerouteReport,
    told: f64,
    current: Vec<u8>,
    kept: Kept,
    stderr: Lines,
}

impl TracerouteParser {
    /// A parser for a run that is expected to be so.
    pub fn new(expect: &Expect) -> Self {
        // The header names the target as well, but is missing when nothing could be sent.
        let target = expect.argv.last().map_or("", String::as_str);
        let (method, port) = method(&expect.argv);
        Self {
            report: TracerouteReport {
                target: neutralise::line(target, STRING_CHARS_MAX),
                method: method.to_owned(),
                port,
                ..TracerouteReport::default()
            },
            told: 0.0,
            current: Vec::new(),
            kept: Kept::new(expect.readable_bytes_max),
            stderr: Lines::default(),
        }
    }

    /// Takes the next bytes of standard output; answers with the progress if there is some.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Progress> {
        self.kept.push(bytes);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.current.len());
            self.current
                .extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.last() == Some(&b'\n') {
                self.end_line(Extent::Whole);
            }
        }
        self.progress()
    }

    /// Takes the next bytes of standard error.
    pub fn push_stderr(&mut self, bytes: &[u8]) {
        self.stderr.push(bytes);
    }

    /// Ends the run.
    pub fn finish(mut self, end: RunEnd) -> Parsed {
        let readable = self.kept.readable(end);
        // A run that came to its end has ended the line of its last hop.
        let hops = self.report.hops.len();
        if !self.current.is_empty() {
            self.end_line(Extent::Cut);
        }
        let is_cut = self.report.hops.len() > hops;
        self.report.truncated = is_cut || end.timed_out || end.cancelled || end.truncated;
        self.report.annotations = annotations(&self.report.hops);
        let lengths = self.report.hops.iter().flat_map(|hop| &hop.probes);
        self.report.mtu = lengths.filter_map(|probe| probe.mtu).min();
        self.report.warnings = self.stderr.finish();
        Parsed {
            summary: summary(&self.report, end),
            structured: serde_json::to_value(&self.report).unwrap_or_default(),
            readable,
            stderr: None,
        }
    }

    fn end_line(&mut self, extent: Extent) {
        let text = decode(&self.current);
        self.current.clear();
        match parse(text.trim(), extent) {
            Some(Line::Header {
                target,
                address,
                hops_max,
            }) if self.report.address.is_empty() => {
                self.report.target = neutralise::line(target, STRING_CHARS_MAX);
                self.report.address = neutralise::line(address, STRING_CHARS_MAX);
                self.report.hops_max = Some(hops_max);
            }
            Some(Line::Hop(hop)) => self.hop(hop),
            Some(Line::Header { .. }) | None => {}
        }
    }

    fn hop(&mut self, hop: Hop) {
        let is_next = self
            .report
            .hops
            .last()
            .is_none_or(|last| last.ttl < hop.ttl);
        if !is_next || hop.probes.is_empty() || self.report.hops.len() >= HOPS_MAX {
            return;
        }
        let is_target = |probe: &Probe| probe.address.as_deref() == Some(&self.report.address);
        self.report.reached |= hop.probes.iter().any(is_target);
        self.report.hops.push(hop);
    }

    fn progress(&mut self) -> Option<Progress> {
        let max = self.report.hops_max.filter(|max| *max > 0)?;
        let ttl = self.report.hops.last()?.ttl.min(max);
        let done = f64::from(ttl) / f64::from(max) * 100.0;
        let percent = ((done * 10.0).round() / 10.0).min(99.0);
        (percent > self.told).then(|| {
            self.told = percent;
            Progress {
                percent,
                task: Some(format!("hop {ttl} of at most {max}")),
                remaining: None,
            }
        })
    }
}

/// What the arguments say is sent, and to which port.
fn method(argv: &[String]) -> (&'static str, Option<u16>) {
    let options = argv.split(|arg| arg == "--").next().unwrap_or_default();
    let has = |flag: &str| options.iter().any(|arg| arg == flag);
    let given = options.iter().skip_while(|arg| *arg != "-p").nth(1);
    let given = given.and_then(|port| port.parse().ok());
    // The defaults are traceroute's own.
    if has("-I") {
        ("icmp", None)
    } else if has("-T") {
        ("tcp", given.or(Some(80)))
    } else if has("-U") {
        ("udp-port", given.or(Some(53)))
    } else {
        ("udp", given.or(Some(33434)))
    }
}

/// What the annotations of the hops mean, each once, in the order of their appearance.
fn annotations(hops: &[Hop]) -> Vec<Annotation> {
    let mut all: Vec<Annotation> = Vec::new();
    let probes = hops.iter().flat_map(|hop| &hop.probes);
    for code in probes.filter_map(|probe| probe.annotation.as_ref()) {
        if all.len() < LIST_MAX && !all.iter().any(|known| known.code == *code) {
            all.push(Annotation {
                code: code.clone(),
                meaning: meaning(code).unwrap_or_default(),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parser(argv: &[&str]) -> TracerouteParser {
        let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
        TracerouteParser::new(&Expect {
            argv,
            ..Expect::default()
        })
    }

    #[test]
    fn tells_progress_that_only_grows() {
        let mut parser = parser(&["traceroute", "-n", "--", "10.0.0.9"]);
        let cases: &[(&str, Option<f64>, &str)] = &[
            (
                "traceroute to 10.0.0.9 (10.0.0.9), 4 hops max, 60 byte packets",
                None,
                "nothing yet",
            ),
            ("\n 1  10.0.0.1  1 ms", None, "a hop that goes on"),
            ("\n 2  *", Some(25.0), "the first one is finished"),
            ("\n 2  * * *", Some(50.0), "nobody is progress too"),
            ("\n 1  10.0.0.1  1 ms\n", None, "never back"),
            (" 7  10.0.0.9  1 ms\n", Some(99.0), "never the end"),
        ];
        for (text, percent, why) in cases {
            let progress = parser.push(text.as_bytes());
            assert_eq!(progress.map(|p| p.percent), *percent, "{why}");
        }
        let parsed = parser.finish(RunEnd::default());
        assert_eq!(parsed.structured["reached"], true);
        assert_eq!(parsed.structured["truncated"], false);
    }

    #[test]
    fn finds_the_method_in_the_arguments() {
        let cases: &[(&[&str], &str, Option<u16>, &str)] = &[
            (&["t", "-n", "--", "h"], "udp", Some(33434), "the default"),
            (
                &["t", "-p", "7", "--", "h"],
                "udp",
                Some(7),
                "counted up from",
            ),
            (&["t", "-I", "--", "h"], "icmp", None, "no port"),
            (&["t", "-T", "--", "h"], "tcp", Some(80), "its default"),
            (
                &["t", "-T", "-p", "443", "--", "h"],
                "tcp",
                Some(443),
                "given",
            ),
            (&["t", "-U", "--", "h"], "udp-port", Some(53), "its default"),
            (&["t", "--", "-I"], "udp", Some(33434), "no option after --"),
        ];
        for (argv, name, port, why) in cases {
            let argv: Vec<String> = argv.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(method(&argv), (*name, *port), "{why}");
        }
    }

    #[test]
    fn stays_small_whatever_comes() {
        let mut parser = parser(&["traceroute", "--", "h"]);
        for ttl in 1..2_000 {
            parser.push(format!("{ttl}  10.0.0.1  1 ms !<{}>\n", ttl % 256).as_bytes());
        }
        for _ in 0..1_000 {
            parser.push(&[b'x'; 4096]);
        }
        assert!(parser.current.capacity() <= 2 * LINE_BYTES_MAX);
        let parsed = parser.finish(RunEnd::default());
        assert_eq!(
            parsed.structured["hops"].as_array().unwrap().len(),
            HOPS_MAX
        );
        let annotations = parsed.structured["annotations"].as_array().unwrap();
        assert_eq!(annotations.len(), LIST_MAX);
        assert!(parsed.summary.chars().count() <= super::super::limits::SUMMARY_CHARS_MAX);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut parser = parser(&["traceroute", "--", "h"]);
            parser.push(b"traceroute to h (10.0.0.1), 3 hops max, 60 byte packets\n");
            parser.push(&bytes);
            parser.finish(RunEnd::default());
        }

        #[test]
        fn survives_any_words(words in proptest::collection::vec(
            prop::sample::select(&["1", "2", "*", "10.0.0.1", "fd00::1", "0.1", "ms", "!X", "!F-9", "F=1", "\n"]), 0..40
        )) {
            let mut parser = parser(&["traceroute", "--", "h"]);
            parser.push(b"traceroute to h (10.0.0.1), 3 hops max, 60 byte packets\n");
            parser.push(words.join(" ").as_bytes());
            let parsed = parser.finish(RunEnd::default());
            prop_assert_eq!(
                crate::results::golden::faults(&parsed.structured, crate::results::Format::TracerouteText),
                Vec::<String>::new()
            );
        }
    }
}
