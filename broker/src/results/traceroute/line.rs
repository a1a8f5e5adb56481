//! One line of traceroute's output, as what it says.
//!
//! Covers what traceroute 2.1.2 prints with `-n`, and what its annotations mean. It keeps no state.
//!
//! Invariants: total; a line that is not exactly of a known shape is `None`; of a line that was cut,
//! nothing is taken that could be half of something else.

use std::net::IpAddr;

use super::report::{Hop, Probe};
use crate::results::limits::PROBES_PER_HOP_MAX;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// The first line: whom it traces, and how far at most.
    Header {
        target: &'a str,
        address: &'a str,
        hops_max: u16,
    },
    Hop(Hop),
}

/// Whether a line is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// The run ended, or its output was cut, in the middle of it.
    Cut,
}

/// Reads a line.
pub(super) fn parse(text: &str, extent: Extent) -> Option<Line<'_>> {
    match text.strip_prefix("traceroute to ") {
        Some(rest) => header(rest),
        None => hop(text, extent).map(Line::Hop),
    }
}

/// `web.lab.internal (10.0.0.1), 30 hops max, 60 byte packets`.
fn header(rest: &str) -> Option<Line<'_>> {
    let (target, rest) = rest.split_once(" (")?;
    let (address, rest) = rest.split_once("), ")?;
    let (hops_max, _) = rest.split_once(" hops max")?;
    Some(Line::Header {
        target,
        address,
        hops_max: hops_max.parse().ok()?,
    })
}

/// `2  10.0.0.1  0.1 ms !X  0.2 ms F=1400 10.0.0.2  0.3 ms *`: an address holds until the next one.
fn hop(text: &str, extent: Extent) -> Option<Hop> {
    let mut words = text.split_ascii_whitespace().peekable();
    let mut hop = Hop {
        ttl: words.next()?.parse().ok().filter(|ttl| *ttl > 0)?,
        probes: Vec::new(),
    };
    let mut address: Option<String> = None;
    // Whether the address was printed and no time yet: some answers have none.
    let mut is_fresh = false;
    while let Some(word) = words.next() {
        let is_last = words.peek().is_none();
        if extent == Extent::Cut && is_last && is_doubtful(word) {
            break;
        }
        if word == "*" {
            hop.probes.push(Probe::default());
        } else if word.starts_with('!') || word.starts_with("F=") {
            if std::mem::take(&mut is_fresh) {
                hop.probes.push(answered(address.as_ref(), None)?);
            }
            remark(hop.probes.last_mut()?, word)?;
        } else if let Ok(found) = word.parse::<IpAddr>() {
            address = Some(found.to_string());
            is_fresh = true;
        } else {
            let rtt_ms = number(word)?;
            match words.next() {
                Some("ms") => {}
                // Half a time, of a line that was cut.
                None if extent == Extent::Cut => break,
                Some(_) | None => return None,
            }
            is_fresh = false;
            hop.probes.push(answered(address.as_ref(), Some(rtt_ms))?);
        }
        if hop.probes.len() > PROBES_PER_HOP_MAX {
            return None;
        }
    }
    Some(hop)
}

fn answered(address: Option<&String>, rtt_ms: Option<f64>) -> Option<Probe> {
    Some(Probe {
        address: Some(address?.clone()),
        rtt_ms,
        ..Probe::default()
    })
}

/// Adds `!X`, or `F=1400`, to the probe before it.
fn remark(probe: &mut Probe, word: &str) -> Option<()> {
    if let Some(length) = word.strip_prefix("F=") {
        probe.mtu = Some(length.parse().ok()?);
        return Some(());
    }
    meaning(word)?;
    probe.annotation = Some(word.to_owned());
    Some(())
}

/// Whether the last word of a cut line could be the beginning of a longer one.
fn is_doubtful(word: &str) -> bool {
    let ends = word == "*" || word == "ms" || word.ends_with('>');
    let plain = word.len() == 2 && word.starts_with('!') && word != "!F" && word != "!<";
    !(ends || plain)
}

/// What an annotation means; nothing for one that traceroute doesn't write.
pub(super) fn meaning(code: &str) -> Option<String> {
    let fixed = match code {
        "!H" => "host unreachable",
        "!N" => "network unreachable",
        "!P" => "protocol unreachable: the host answers, and does not speak it",
        "!S" => "source route failed",
        "!X" => "administratively prohibited: a packet filter refuses it",
        "!V" => "host precedence violation",
        "!C" => "precedence cut-off in effect",
        _ => "",
    };
    if !fixed.is_empty() {
        return Some(fixed.to_owned());
    }
    if let Some(length) = code.strip_prefix("!F-") {
        let bytes: u32 = length.parse().ok()?;
        return Some(format!(
            "fragmentation needed: packets of {bytes} bytes at most pass"
        ));
    }
    let inside = code.strip_prefix("!<")?.strip_suffix('>')?;
    match inside.split_once('-') {
        None => inside
            .parse::<u8>()
            .ok()
            .map(|code| format!("unreachable, ICMP code {code}")),
        Some((kind, code)) => {
            let (kind, code) = (kind.parse::<u8>().ok()?, code.parse::<u8>().ok()?);
            Some(format!("ICMP type {kind}, code {code}"))
        }
    }
}

fn number(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it stands beside None in the tables"
    )]
    fn told(ttl: u16, probes: &[(&str, f64, &str)]) -> Option<Line<'static>> {
        let probe = |(address, rtt_ms, mark): &(&str, f64, &str)| Probe {
            address: (!address.is_empty()).then(|| (*address).to_owned()),
            rtt_ms: (*rtt_ms > 0.0).then_some(*rtt_ms),
            annotation: mark.starts_with('!').then(|| (*mark).to_owned()),
            mtu: mark
                .strip_prefix("F=")
                .map(|length| length.parse().unwrap()),
        };
        let probes = probes.iter().map(probe).collect();
        Some(Line::Hop(Hop { ttl, probes }))
    }

    #[test]
    fn reads_what_traceroute_prints() {
        let (a, b) = ("10.0.0.1", "10.0.0.2");
        let cases = [
            (
                "traceroute to web.lab.internal (10.0.0.1), 30 hops max, 60 byte packets",
                Some(Line::Header {
                    target: "web.lab.internal",
                    address: a,
                    hops_max: 30,
                }),
                "header",
            ),
            (
                " 1  10.0.0.1  0.070 ms  0.008 ms",
                told(1, &[(a, 0.07, ""), (a, 0.008, "")]),
                "one address",
            ),
            (
                "12  10.0.0.1  1.5 ms 10.0.0.2  2 ms *",
                told(12, &[(a, 1.5, ""), (b, 2.0, ""), ("", 0.0, "")]),
                "two addresses, and nobody",
            ),
            (
                " 4  * 10.0.0.2  1 ms  2 ms",
                told(4, &[("", 0.0, ""), (b, 1.0, ""), (b, 2.0, "")]),
                "nobody first",
            ),
            (
                " 3  fd00::1  1 ms !X  2 ms !<13>",
                told(3, &[("fd00::1", 1.0, "!X"), ("fd00::1", 2.0, "!<13>")]),
                "annotations",
            ),
            (
                " 3  10.0.0.1  1 ms F=1400 * 10.0.0.2  1 ms !F-1280",
                told(3, &[(a, 1.0, "F=1400"), ("", 0.0, ""), (b, 1.0, "!F-1280")]),
                "lengths",
            ),
            (
                " 3  10.0.0.1 !H",
                told(3, &[(a, 0.0, "!H")]),
                "an answer without a time",
            ),
            (" 3 ", told(3, &[]), "nothing yet"),
            (" 3  0.1 ms", None, "a time of nobody"),
            (" 3  10.0.0.1  0.1", None, "half a time"),
            (" 3  10.0.0.1  NaN ms", None, "no number"),
            (" 3  10.0.0.1  -1 ms", None, "before it was sent"),
            (" 3  10.0.0.1  1 ms !Z9", None, "no annotation"),
            (" 3  evil  1 ms", None, "no address"),
            (" 0  * * *", None, "no hop"),
            ("connect: Network is unreachable", None, "a complaint"),
            ("", None, "nothing"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(parse(text, Extent::Whole), expected, "{why}: {text}");
        }
    }

    #[test]
    fn takes_nothing_by_halves_from_a_line_that_was_cut() {
        let a = "10.0.0.1";
        let cases = [
            (" 4  * *", told(4, &[("", 0.0, ""), ("", 0.0, "")]), "whole"),
            (" 4  10.0.0.1", told(4, &[]), "10.0.0.12, perhaps"),
            (" 4  10.0.0.1  0.0", told(4, &[]), "0.07, perhaps"),
            (" 4  10.0.0.1  0.07 m", None, "no shape at all"),
            (" 4  10.0.0.1  1 ms", told(4, &[(a, 1.0, "")]), "whole"),
            (" 4  10.0.0.1  1 ms !X", told(4, &[(a, 1.0, "!X")]), "whole"),
            (
                " 4  10.0.0.1  1 ms !",
                told(4, &[(a, 1.0, "")]),
                "!H, perhaps",
            ),
            (
                " 4  10.0.0.1  1 ms !F-14",
                told(4, &[(a, 1.0, "")]),
                "!F-1400",
            ),
            (
                " 4  10.0.0.1  1 ms !<13>",
                told(4, &[(a, 1.0, "!<13>")]),
                "whole",
            ),
            (
                " 4  10.0.0.1  1 ms F=14",
                told(4, &[(a, 1.0, "")]),
                "F=1400",
            ),
        ];
        for (text, expected, why) in cases {
            assert_eq!(parse(text, Extent::Cut), expected, "{why}: {text}");
        }
    }
}
