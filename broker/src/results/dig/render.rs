//! A look-up in words: the verdict first, then the records by section.
//!
//! Names and data are the server's own words; each record is one indented line. It reads the
//! report only.
//!
//! Invariants: at most the given number of bytes, or [`SUMMARY_CHARS_MAX`] characters; records that
//! don't fit are counted.

use super::report::{DigReport, Edns, Record};
use crate::results::RunEnd;
use crate::results::limits::SUMMARY_CHARS_MAX;
use crate::results::neutralise::{cut_bytes, line, text};
use std::fmt::Write as _;

/// Widest column of names.
const NAME_CHARS_MAX: usize = 48;

/// Characters kept free for the lines behind the records.
const TAIL_CHARS: usize = 1500;

/// The look-up for a person.
pub(super) fn readable(report: &DigReport, end: RunEnd, bytes_max: usize) -> String {
    let mut page = head(report, end);
    sections(report, bytes_max, usize::MAX, &mut page);
    tail(report, &mut page);
    cut_bytes(&mut page, bytes_max);
    page
}

/// The look-up for a model.
pub(super) fn summary(report: &DigReport, end: RunEnd) -> String {
    let mut page = head(report, end);
    let room = SUMMARY_CHARS_MAX.saturating_sub(TAIL_CHARS);
    sections(report, room, 200, &mut page);
    tail(report, &mut page);
    text(page.trim_end(), SUMMARY_CHARS_MAX)
}

fn head(report: &DigReport, end: RunEnd) -> String {
    let mut page = String::new();
    match &report.query {
        Some(query) => {
            let name = line(&query.name, 300);
            write!(page, "{name} {} {} ", query.class, query.kind).unwrap_or_default();
        }
        None => page.push_str("dig "),
    }
    let server = &report.server;
    write!(page, "@{} port {}", server.address, server.port).unwrap_or_default();
    if let Some(protocol) = &server.protocol {
        write!(page, " ({protocol})").unwrap_or_default();
    }
    match &report.status {
        Some(status) => {
            let answers = report.answers.len();
            let word = if answers == 1 { "answer" } else { "answers" };
            write!(page, ": {status}, {answers} {word}").unwrap_or_default();
        }
        None => page.push_str(": no answer"),
    }
    if report.messages > 1 {
        write!(page, " in {} messages", report.messages).unwrap_or_default();
    }
    if let Some(took) = report.time_ms {
        write!(page, ", {took} ms").unwrap_or_default();
    }
    page.push('\n');
    if report.truncated {
        let why = match (end.timed_out, end.cancelled) {
            (true, _) => "the run timed out",
            (false, true) => "the run was cancelled",
            (false, false) => "the output was cut",
        };
        writeln!(page, "Not finished: {why}. What had come by then is here.").unwrap_or_default();
    }
    for error in &report.errors {
        writeln!(page, "dig: {error}").unwrap_or_default();
    }
    for warning in &report.warnings {
        writeln!(page, "Warning: {}", line(warning, 240)).unwrap_or_default();
    }
    if !report.flags.is_empty() {
        writeln!(page, "Flags: {}", report.flags.join(" ")).unwrap_or_default();
    }
    page
}

fn sections(report: &DigReport, bytes_max: usize, data_chars_max: usize, page: &mut String) {
    let mut untold = report.records_omitted;
    let all = [
        ("Answer", &report.answers),
        ("Authority", &report.authority),
        ("Additional", &report.additional),
    ];
    for (title, records) in all {
        if records.is_empty() {
            continue;
        }
        writeln!(page, "{title}").unwrap_or_default();
        let widths = records.iter().map(|record| record.name.chars().count());
        let width = widths.max().unwrap_or(0).min(NAME_CHARS_MAX);
        for record in records {
            let row = row(record, width, data_chars_max);
            if page.len().saturating_add(row.len()) > bytes_max {
                untold = untold.saturating_add(1);
            } else {
                page.push_str(&row);
            }
        }
    }
    if untold > 0 {
        writeln!(page, "({untold} more records)").unwrap_or_default();
    }
}

fn row(record: &Record, width: usize, data_chars_max: usize) -> String {
    let Record {
        name,
        ttl,
        class,
        kind,
        data,
    } = record;
    let data = line(data, data_chars_max);
    format!("  {name:<width$}  {ttl:>6}  {class}  {kind:<5}  {data}\n")
}

fn tail(report: &DigReport, page: &mut String) {
    let Some(edns) = &report.edns else {
        return;
    };
    let Edns {
        version, udp_bytes, ..
    } = edns;
    write!(page, "EDNS {version}, UDP up to {udp_bytes} bytes").unwrap_or_default();
    if edns.dnssec_ok {
        page.push_str(", DO");
    }
    if let Some(nsid) = &edns.nsid {
        write!(page, ", NSID {}", line(nsid, 100)).unwrap_or_default();
    }
    if let Some(cookie) = &edns.cookie {
        write!(page, ", cookie {cookie}").unwrap_or_default();
    }
    page.push('\n');
    for error in edns.extended_errors.iter().take(8) {
        let text = error.text.as_deref().unwrap_or_default();
        let told = format!("{} {}", error.code, line(text, 200));
        writeln!(page, "Extended error {}", told.trim_end()).unwrap_or_default();
    }
}
