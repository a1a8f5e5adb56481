//! ping's text as a result: replies, losses, round-trip times (iputils 20221126).
//!
//! A line parser that is fed as the run goes on. A killed ping prints no statistics, so they are then
//! reckoned from the lines that came, and the result says that it is truncated.
//!
//! Invariants: at most [`REPLIES_MAX`] replies are kept and the rest is counted; a line that is not
//! understood changes nothing; each progress is greater than the one before and below 100.

mod line;
pub mod report;

pub use report::{Message, PingReport, Reply, Rtt};

use super::limits::{LINE_BYTES_MAX, LIST_MAX, REPLIES_MAX, STRING_CHARS_MAX};
use super::neutralise::{self, decode};
use super::stderr::Lines;
use super::text::Kept;
use super::{Expect, Parsed, Progress, RunEnd};
use line::{Line, Statistics, parse};
use std::fmt::Write as _;

/// Reads one run of ping.
#[derive(Debug)]
pub struct PingParser {
    report: PingReport,
    statistics: Option<Statistics>,
    /// The times of replies that are no duplicates.
    times: Times,
    seq_max: u32,
    expected: Option<u32>,
    told: f64,
    current: Vec<u8>,
    kept: Kept,
    stderr: Lines,
}

/// Round-trip times, summed up.
#[derive(Debug, Default)]
struct Times {
    count: u32,
    rtt: Rtt,
    sum: f64,
    squares: f64,
}

impl Times {
    fn add(&mut self, time_ms: f64) {
        let first = self.count == 0;
        self.count = self.count.saturating_add(1);
        self.rtt.min = if first {
            time_ms
        } else {
            self.rtt.min.min(time_ms)
        };
        self.rtt.max = self.rtt.max.max(time_ms);
        self.sum += time_ms;
        self.squares += time_ms * time_ms;
    }

    fn rtt(&self) -> Option<Rtt> {
        let count = f64::from(self.count);
        let avg = self.sum / count;
        let mdev = (self.squares / count - avg * avg).max(0.0).sqrt();
        (self.count > 0).then_some(Rtt {
            avg: round(avg),
            mdev: round(mdev),
            ..self.rtt
        })
    }
}

impl PingParser {
    /// A parser for a run that is expected to be so.
    pub fn new(expect: &Expect) -> Self {
        // The header names the target as well, but is missing when nothing could be sent.
        let target = expect.argv.last().map_or("", String::as_str);
        let target = neutralise::line(target, STRING_CHARS_MAX);
        Self {
            report: PingReport {
                target,
                ..PingReport::default()
            },
            statistics: None,
            times: Times::default(),
            seq_max: 0,
            expected: requests(&expect.argv),
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
                self.end_line();
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
        // A last line without its end may be half a number, so it doesn't count.
        let readable = self.kept.readable(end);
        self.reckon();
        self.report.warnings = self.stderr.finish();
        Parsed {
            summary: summary(&self.report, end),
            structured: serde_json::to_value(&self.report).unwrap_or_default(),
            readable,
            stderr: None,
        }
    }

    fn end_line(&mut self) {
        let text = decode(&self.current);
        self.current.clear();
        match parse(text.trim()) {
            Some(Line::Header { target, address }) if self.report.address.is_empty() => {
                self.report.target = neutralise::line(target, STRING_CHARS_MAX);
                self.report.address = neutralise::line(address, STRING_CHARS_MAX);
            }
            Some(Line::Reply(reply)) => self.reply(reply),
            Some(Line::Unanswered { seq }) => self.seq_max = self.seq_max.max(seq),
            Some(Line::Message(message)) => {
                self.seq_max = self.seq_max.max(message.seq.unwrap_or(0));
                self.report.errors = self.report.errors.saturating_add(1);
                if self.report.messages.len() < LIST_MAX {
                    self.report.messages.push(message);
                }
            }
            Some(Line::Statistics(statistics)) => self.statistics = Some(statistics),
            Some(Line::Rtt(rtt)) => self.report.rtt_ms = Some(rtt),
            Some(Line::Header { .. }) | None => {}
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.seq_max = self.seq_max.max(reply.seq);
        if reply.remarks.iter().any(|remark| remark == "DUP!") {
            self.report.duplicates = self.report.duplicates.saturating_add(1);
        } else {
            self.report.received = self.report.received.saturating_add(1);
            if let Some(time_ms) = reply.time_ms {
                self.times.add(time_ms);
            }
        }
        if self.report.replies.len() < REPLIES_MAX {
            self.report.replies.push(reply);
        } else {
            self.report.replies_omitted = self.report.replies_omitted.saturating_add(1);
        }
    }

    fn progress(&mut self) -> Option<Progress> {
        let expected = self.expected?;
        let done = f64::from(self.seq_max.min(expected)) / f64::from(expected) * 100.0;
        let percent = ((done * 10.0).round() / 10.0).min(99.0);
        (percent > self.told).then(|| {
            self.told = percent;
            let task = Some(format!(
                "{} of {expected} requests",
                self.seq_max.min(expected)
            ));
            Progress {
                percent,
                task,
                remaining: None,
            }
        })
    }

    /// Takes ping's own statistics, or makes them when it was stopped before it could.
    fn reckon(&mut self) {
        let report = &mut self.report;
        if let Some(told) = self.statistics {
            report.transmitted = told.transmitted;
            report.received = told.received;
            report.errors = told.errors;
            report.duplicates = told.duplicates;
            report.loss_percent = Some(told.loss_percent);
            report.time_ms = told.time_ms;
        } else {
            report.truncated = true;
            report.transmitted = self.seq_max.max(report.received);
            let sent = f64::from(report.transmitted);
            let lost = sent - f64::from(report.received);
            report.loss_percent = (sent > 0.0).then(|| round(lost / sent * 100.0));
            report.rtt_ms = self.times.rtt();
        }
    }
}

/// The number of requests that the arguments ask for.
fn requests(argv: &[String]) -> Option<u32> {
    let at = argv.iter().position(|arg| arg.starts_with("-c"))?;
    let attached = argv
        .get(at)?
        .strip_prefix("-c")
        .filter(|value| !value.is_empty());
    let value = attached.or_else(|| argv.get(at.checked_add(1)?).map(String::as_str))?;
    value.parse().ok().filter(|count| *count > 0)
}

/// To the microsecond, as ping prints it.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn summary(report: &PingReport, end: RunEnd) -> String {
    let target = match (report.target.as_str(), report.address.as_str()) {
        (target, address) if target == address || address.is_empty() => target.to_owned(),
        (target, address) => format!("{target} ({address})"),
    };
    let (received, transmitted) = (report.received, report.transmitted);
    let mut text = match report.loss_percent {
        Some(lost) => {
            format!("ping {target}: {received} of {transmitted} requests answered ({lost} % lost)")
        }
        None => format!("ping {target}: no request was sent"),
    };
    if let Some(Rtt {
        min,
        avg,
        max,
        mdev,
    }) = report.rtt_ms
    {
        write!(
            text,
            "; round trip {min}/{avg}/{max} ms (min/avg/max, deviation {mdev})"
        )
        .unwrap_or_default();
    }
    if report.duplicates > 0 {
        write!(text, "; {} duplicates", report.duplicates).unwrap_or_default();
    }
    if report.errors > 0 {
        write!(text, "; {} errors", report.errors).unwrap_or_default();
    }
    text.push('.');
    if let Some(Message { from, message, .. }) = report.messages.first() {
        write!(text, "\nFrom {from}: {message}").unwrap_or_default();
    }
    for warning in report.warnings.iter().take(2) {
        write!(text, "\n{}", neutralise::line(warning, 200)).unwrap_or_default();
    }
    if report.truncated && transmitted > 0 {
        let why = match (end.timed_out, end.cancelled) {
            (true, _) => "it timed out",
            (false, true) => "it was cancelled",
            (false, false) => "it printed no statistics",
        };
        write!(
            text,
            "\nStopped early ({why}): counted from the lines it had printed."
        )
        .unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parser(argv: &[&str]) -> PingParser {
        let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
        PingParser::new(&Expect {
            argv,
            ..Expect::default()
        })
    }

    #[test]
    fn tells_progress_that_only_grows() {
        let mut parser = parser(&["ping", "-n", "-c", "4", "10.0.0.1"]);
        let cases: &[(&str, Option<f64>, &str)] = &[
            (
                "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n",
                None,
                "nothing yet",
            ),
            (
                "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=1 ms\n",
                Some(25.0),
                "a reply",
            ),
            (
                "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=2 ms (DUP!)\n",
                None,
                "a duplicate",
            ),
            (
                "no answer yet for icmp_seq=2\n",
                Some(50.0),
                "a loss is progress too",
            ),
            (
                "64 bytes from 10.0.0.1: icmp_seq=9 ttl=64 time=1 ms\n",
                Some(99.0),
                "never the end",
            ),
        ];
        for (text, percent, why) in cases {
            assert_eq!(
                parser.push(text.as_bytes()).map(|p| p.percent),
                *percent,
                "{why}"
            );
        }
        let parsed = parser.finish(RunEnd {
            timed_out: true,
            ..RunEnd::default()
        });
        assert_eq!(parsed.structured["duplicates"], 1);
        assert!(parsed.summary.contains("timed out"), "{}", parsed.summary);
    }

    #[test]
    fn finds_the_number_of_requests() {
        let cases: &[(&[&str], Option<u32>, &str)] = &[
            (&["ping", "-c", "4", "h"], Some(4), "apart"),
            (&["ping", "-c7", "h"], Some(7), "attached"),
            (&["ping", "h"], None, "absent"),
            (&["ping", "-c", "0"], None, "none"),
            (&["ping", "-c"], None, "value missing"),
        ];
        for (argv, expected, why) in cases {
            assert_eq!(parser(argv).expected, *expected, "{why}");
        }
    }

    #[test]
    fn stays_small_whatever_comes() {
        let mut parser = parser(&["ping", "h"]);
        for _ in 0..5_000 {
            parser.push(b"64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=1 ms\n");
            parser.push(b"From 10.0.0.1 icmp_seq=1 Destination Host Unreachable\n");
        }
        for _ in 0..1_000 {
            parser.push(&[b'x'; 4096]);
        }
        assert!(parser.current.capacity() <= 2 * LINE_BYTES_MAX);
        let structured = parser.finish(RunEnd::default()).structured;
        assert_eq!(structured["replies"].as_array().unwrap().len(), REPLIES_MAX);
        assert_eq!(structured["replies_omitted"], 4_000);
        assert_eq!(structured["messages"].as_array().unwrap().len(), LIST_MAX);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut parser = parser(&["ping", "-c", "3", "h"]);
            parser.push(&bytes);
            parser.finish(RunEnd::default());
        }
    }
}
