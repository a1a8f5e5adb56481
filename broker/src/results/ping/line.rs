//! One line of ping's output, as what it says.
//!
//! Covers what iputils 20221126 prints for IPv4 and IPv6, with `-D`, `-O` and `-n` or without. It
//! keeps no state.
//!
//! Invariants: total; a line that is not exactly of a known shape is `None`.

use super::report::{Message, Reply, Rtt};
use crate::results::limits::STRING_CHARS_MAX;
use crate::results::neutralise::line;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// The first line: whom it asks.
    Header {
        target: &'a str,
        address: &'a str,
    },
    Reply(Reply),
    /// With `-O`: no answer before the next request was due.
    Unanswered {
        seq: u32,
    },
    Message(Message),
    Statistics(Statistics),
    Rtt(Rtt),
}

/// ping's own count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Statistics {
    pub(super) transmitted: u32,
    pub(super) received: u32,
    pub(super) errors: u32,
    pub(super) duplicates: u32,
    pub(super) loss_percent: f64,
    pub(super) time_ms: Option<u64>,
}

/// Reads a line.
pub(super) fn parse(text: &str) -> Option<Line<'_>> {
    let text = without_timestamp(text);
    if let Some(rest) = text.strip_prefix("PING ") {
        return header(rest);
    }
    if let Some(seq) = text.strip_prefix("no answer yet for icmp_seq=") {
        return Some(Line::Unanswered {
            seq: seq.trim().parse().ok()?,
        });
    }
    if let Some(rest) = text.strip_prefix("From ") {
        return message(rest);
    }
    if let Some(rest) = text.strip_prefix("rtt min/avg/max/mdev = ") {
        return rtt(rest);
    }
    match text.split_once(" bytes from ") {
        Some((_, rest)) => reply(rest),
        None => statistics(text),
    }
}

/// Without the `[1795561407.992420] ` of `-D`.
fn without_timestamp(text: &str) -> &str {
    let stamp = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    match stamp {
        Some((stamp, rest)) if stamp.parse::<f64>().is_ok() => rest,
        Some(_) | None => text,
    }
}

/// `10.0.0.1 (10.0.0.1) 56(84) bytes…` or `::1(::1) 56 data bytes` or `name(2001:db8::1) 56…`.
fn header(rest: &str) -> Option<Line<'_>> {
    let (target, rest) = rest.split_once('(')?;
    let (address, _) = rest.split_once(')')?;
    Some(Line::Header {
        target: target.trim(),
        address,
    })
}

/// `10.0.0.1: icmp_seq=1 ttl=64 time=0.061 ms (DUP!)`; a name stands before a bracketed address.
fn reply(rest: &str) -> Option<Line<'static>> {
    let (from, rest) = rest.split_once(": icmp_seq=")?;
    let from = from
        .rsplit_once(" (")
        .map_or(from, |(_, address)| address.trim_end_matches(')'));
    let mut reply = Reply {
        from: line(from, STRING_CHARS_MAX),
        ..Reply::default()
    };
    let (facts, remarks) = rest
        .split_once(" (")
        .map_or((rest, ""), |(facts, more)| (facts, more));
    let mut facts = facts.split_whitespace();
    reply.seq = facts.next()?.parse().ok()?;
    for fact in facts {
        if let Some(ttl) = fact.strip_prefix("ttl=") {
            reply.ttl = ttl.parse().ok();
        } else if let Some(time) = fact.strip_prefix("time=") {
            reply.time_ms = number(time);
        }
    }
    let remarks = remarks
        .trim_end_matches(')')
        .split(") (")
        .take(4)
        .filter(|r| !r.is_empty());
    reply.remarks = remarks.map(|remark| line(remark, 64)).collect();
    Some(Line::Reply(reply))
}

/// `10.0.0.1 icmp_seq=1 Destination Host Unreachable`; a colon may follow the address.
fn message(rest: &str) -> Option<Line<'static>> {
    let (from, rest) = rest.split_once(" icmp_seq=")?;
    let (seq, message) = rest.split_once(' ')?;
    Some(Line::Message(Message {
        seq: seq.parse().ok(),
        from: line(from.trim_end_matches(':'), STRING_CHARS_MAX),
        message: line(message.trim(), STRING_CHARS_MAX),
    }))
}

/// `5 packets transmitted, 5 received, +2 errors, 0% packet loss, time 1265ms`.
fn statistics(text: &str) -> Option<Line<'static>> {
    let (transmitted, rest) = text.split_once(" packets transmitted, ")?;
    let mut told = Statistics {
        transmitted: transmitted.parse().ok()?,
        ..Statistics::default()
    };
    for part in rest.split(", ") {
        if let Some(count) = part.strip_suffix(" received") {
            told.received = count.parse().ok()?;
        } else if let Some(count) = part.strip_suffix(" errors") {
            told.errors = count.trim_start_matches('+').parse().ok()?;
        } else if let Some(count) = part.strip_suffix(" duplicates") {
            told.duplicates = count.trim_start_matches('+').parse().ok()?;
        } else if let Some(percent) = part.strip_suffix("% packet loss") {
            told.loss_percent = number(percent)?;
        } else if let Some(time) = part.strip_prefix("time ") {
            told.time_ms = time.trim_end_matches("ms").parse().ok();
        }
    }
    Some(Line::Statistics(told))
}

/// `0.057/0.065/0.074/0.006 ms`, perhaps with `, pipe 4` behind.
fn rtt(rest: &str) -> Option<Line<'static>> {
    let mut parts = rest.split([' ', ',']).next()?.split('/').map(number);
    let mut next = || parts.next().flatten();
    Some(Line::Rtt(Rtt {
        min: next()?,
        avg: next()?,
        max: next()?,
        mdev: next()?,
    }))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(seq: u32, time_ms: Option<f64>, from: &str, remarks: &[&str]) -> Line<'static> {
        let remarks = remarks.iter().map(|remark| (*remark).to_owned()).collect();
        Line::Reply(Reply {
            seq,
            ttl: Some(64),
            time_ms,
            from: from.to_owned(),
            remarks,
        })
    }

    fn told(counts: [u32; 4], loss_percent: f64, time_ms: u64) -> Line<'static> {
        let [transmitted, received, errors, duplicates] = counts;
        let time_ms = Some(time_ms);
        Line::Statistics(Statistics {
            transmitted,
            received,
            errors,
            duplicates,
            loss_percent,
            time_ms,
        })
    }

    #[test]
    fn reads_what_ping_prints() {
        let unreachable = Line::Message(Message {
            seq: Some(3),
            from: "10.0.0.9".to_owned(),
            message: "Destination Host Unreachable".to_owned(),
        });
        let cases = [
            (
                "PING web.lab.internal (10.0.0.1) 56(84) bytes of data.",
                Some(Line::Header {
                    target: "web.lab.internal",
                    address: "10.0.0.1",
                }),
                "IPv4 header",
            ),
            (
                "PING ::1(::1) 56 data bytes",
                Some(Line::Header {
                    target: "::1",
                    address: "::1",
                }),
                "IPv6 header",
            ),
            (
                "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.061 ms",
                Some(reply(1, Some(0.061), "10.0.0.1", &[])),
                "a reply",
            ),
            (
                "[1795561407.992420] 64 bytes from fe80::1%eth0: icmp_seq=2 ttl=64 time=12 ms",
                Some(reply(2, Some(12.0), "fe80::1%eth0", &[])),
                "with -D, IPv6",
            ),
            (
                "64 bytes from web (10.0.0.1): icmp_seq=1 ttl=64 time=1 ms (DUP!)",
                Some(reply(1, Some(1.0), "10.0.0.1", &["DUP!"])),
                "with a name, a duplicate",
            ),
            (
                "8 bytes from 10.0.0.1: icmp_seq=1 ttl=64 (BAD CHECKSUM!) (DUP!)",
                Some(reply(1, None, "10.0.0.1", &["BAD CHECKSUM!", "DUP!"])),
                "too short for a time",
            ),
            (
                "no answer yet for icmp_seq=7",
                Some(Line::Unanswered { seq: 7 }),
                "with -O",
            ),
            (
                "From 10.0.0.9 icmp_seq=3 Destination Host Unreachable",
                Some(unreachable),
                "a message",
            ),
            (
                "5 packets transmitted, 4 received, +2 errors, 20% packet loss, time 1265ms",
                Some(told([5, 4, 2, 0], 20.0, 1265)),
                "errors",
            ),
            (
                "3 packets transmitted, 3 received, +1 duplicates, 0% packet loss, time 9ms",
                Some(told([3, 3, 0, 1], 0.0, 9)),
                "duplicates",
            ),
            (
                "rtt min/avg/max/mdev = 0.057/0.065/0.074/0.006 ms, pipe 4",
                Some(Line::Rtt(Rtt {
                    min: 0.057,
                    avg: 0.065,
                    max: 0.074,
                    mdev: 0.006,
                })),
                "times",
            ),
            ("--- 10.0.0.1 ping statistics ---", None, "a heading"),
            ("rtt min/avg/max/mdev = 0.057/0.065", None, "cut off"),
            ("64 bytes from x: icmp_seq=NaN ttl=1", None, "no number"),
            ("", None, "nothing"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(parse(text), expected, "{why}: {text}");
        }
    }
}
