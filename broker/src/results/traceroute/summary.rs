//! traceroute's report in a few lines, for a model.
//!
//! A line per hop; hops in a row that nobody answered for are one line.
//!
//! Invariants: at most [`SUMMARY_CHARS_MAX`] characters.

use std::fmt::Write as _;

use super::report::{Hop, Probe, TracerouteReport};
use crate::results::RunEnd;
use crate::results::limits::SUMMARY_CHARS_MAX;
use crate::results::neutralise;

/// The summary.
pub(super) fn summary(report: &TracerouteReport, end: RunEnd) -> String {
    let mut text = verdict(report);
    for hops in report
        .hops
        .chunk_by(|left, right| is_silent(left) && is_silent(right))
    {
        text.push_str(&lines(hops));
    }
    for annotation in &report.annotations {
        // Writing to a String can't fail, here and below.
        write!(text, "\n{}: {}", annotation.code, annotation.meaning).unwrap_or_default();
    }
    for warning in report.warnings.iter().take(2) {
        write!(text, "\n{}", neutralise::line(warning, 200)).unwrap_or_default();
    }
    if report.truncated {
        let why = match (end.timed_out, end.cancelled) {
            (true, _) => "it timed out",
            (false, true) => "it was cancelled",
            (false, false) => "its output ends before its end",
        };
        write!(
            text,
            "\nStopped early ({why}): these are the hops it had printed."
        )
        .unwrap_or_default();
    }
    neutralise::text(&text, SUMMARY_CHARS_MAX)
}

fn verdict(report: &TracerouteReport) -> String {
    let target = match (report.target.as_str(), report.address.as_str()) {
        (target, address) if target == address || address.is_empty() => target.to_owned(),
        (target, address) => format!("{target} ({address})"),
    };
    let port = report
        .port
        .map_or_else(String::new, |port| format!(" port {port}"));
    let mut text = format!("traceroute {target} ({}{port}): ", report.method);
    let last = report.hops.iter().rfind(|hop| !is_silent(hop));
    let refused = last.and_then(|hop| {
        let probe = hop.probes.iter().find(|probe| probe.annotation.is_some())?;
        Some((
            hop.ttl,
            probe.address.as_deref()?,
            probe.annotation.as_deref()?,
        ))
    });
    let told = match (report.reached, last, refused) {
        (true, Some(hop), None) => write!(text, "reached, {} hops away", hop.ttl),
        (true, Some(hop), Some((.., code))) => {
            write!(
                text,
                "reached, {} hops away, and it answers {code}",
                hop.ttl
            )
        }
        (false, _, Some((ttl, by, code))) => {
            write!(text, "not reached: {by} answers {code} for hop {ttl}")
        }
        (false, Some(hop), None) => {
            write!(
                text,
                "not reached; the last answer came from hop {}",
                hop.ttl
            )
        }
        (_, None, _) => write!(text, "nobody answered"),
    };
    told.unwrap_or_default();
    if let Some(mtu) = report.mtu {
        write!(text, "; packets of {mtu} bytes pass").unwrap_or_default();
    }
    text.push('.');
    text
}

fn is_silent(hop: &Hop) -> bool {
    hop.probes.iter().all(|probe| probe.address.is_none())
}

/// One hop, or silent ones in a row.
fn lines(hops: &[Hop]) -> String {
    match hops {
        [] => String::new(),
        [first, .., last] => format!("\n{}-{}  no answer", first.ttl, last.ttl),
        [hop] if is_silent(hop) => format!("\n{}  no answer", hop.ttl),
        [hop] => line(hop),
    }
}

fn line(hop: &Hop) -> String {
    let mut text = format!("\n{} ", hop.ttl);
    let mut addresses: Vec<&str> = Vec::new();
    for address in hop
        .probes
        .iter()
        .filter_map(|probe| probe.address.as_deref())
    {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    write!(text, " {}", addresses.join(" or ")).unwrap_or_default();
    let times = hop.probes.iter().filter_map(|probe| probe.rtt_ms);
    if let Some(best) = times.reduce(f64::min) {
        write!(text, "  {best} ms").unwrap_or_default();
    }
    let mut marks: Vec<&str> = Vec::new();
    for mark in hop
        .probes
        .iter()
        .filter_map(|probe| probe.annotation.as_deref())
    {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    for mark in marks {
        write!(text, " {mark}").unwrap_or_default();
    }
    if let Some(mtu) = hop.probes.iter().find_map(|probe| probe.mtu) {
        write!(text, "  packets of {mtu} bytes at most").unwrap_or_default();
    }
    let is_lost = |probe: &&Probe| probe.address.is_none();
    let lost = hop.probes.iter().filter(is_lost).count();
    if lost > 0 {
        write!(text, "  {lost} of {} unanswered", hop.probes.len()).unwrap_or_default();
    }
    text
}
