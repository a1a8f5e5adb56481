//! A scan as a table for people: one row a port, aligned, then each host's details.
//!
//! Plain text without escapes; colour and width are the terminal's business. It reads the report
//! only.
//!
//! Invariants: at most the given number of bytes; a row is one line, whatever a banner says.

use super::report::{Extra, Host, Port, Report, Script};
use super::summary::{headline, label, notes};
use crate::results::RunEnd;
use crate::results::neutralise::{cut_bytes, line};
use std::fmt::Write as _;

/// Greatest width of each column, in characters; the last one is not padded.
const WIDTHS: [usize; 5] = [48, 12, 13, 20, 100];

const HEADINGS: [&str; 5] = ["HOST", "PORT", "STATE", "SERVICE", "VERSION"];
/// Of a scan that looked for hosts alone.
const HEADINGS_OF_HOSTS: [&str; 5] = ["HOST", "PORT", "STATE", "REASON", ""];

/// What ends a rendering that was cut.
const CUT_NOTE: &str = "\n… cut at the output's bound\n";

type Row = [String; 5];

/// The scan as text for a person.
pub fn render(report: &Report, end: RunEnd, bytes_max: usize) -> String {
    let mut text = headline(report);
    text.push('\n');
    for note in notes(report, end) {
        writeln!(text, "{note}").unwrap_or_default();
    }
    let only_hosts = report.hosts.iter().all(|host| host.ports.is_empty());
    let rows = report
        .hosts
        .iter()
        .flat_map(|host| host_rows(host, only_hosts));
    let rows: Vec<Row> = rows.collect();
    if !rows.is_empty() {
        text.push('\n');
        let headings = if only_hosts {
            HEADINGS_OF_HOSTS
        } else {
            HEADINGS
        };
        columns(headings, &rows, &mut text, bytes_max);
    }
    for host in &report.hosts {
        if text.len() > bytes_max {
            break;
        }
        details(host, &mut text);
    }
    if !report.scripts.is_empty() {
        text.push_str("\nScripts of the run\n");
        report
            .scripts
            .iter()
            .for_each(|script| script_text("", script, &mut text));
    }
    silent(report, &mut text);
    bounded(text, bytes_max)
}

fn host_rows(host: &Host, only_hosts: bool) -> Vec<Row> {
    if host.ports.is_empty() {
        // Among services it would be taken for one.
        let told = if only_hosts {
            host.reason.clone()
        } else {
            String::new()
        };
        return vec![[
            label(host),
            "-".to_owned(),
            host.state.clone(),
            told,
            String::new(),
        ]];
    }
    let mut name = label(host);
    let ports = host.ports.iter();
    ports
        .map(|port| port_row(std::mem::take(&mut name), port))
        .collect()
}

fn port_row(host: String, port: &Port) -> Row {
    let version: Vec<String> = [&port.product, &port.version]
        .into_iter()
        .flatten()
        .cloned()
        .chain(port.extra_info.as_ref().map(|info| format!("({info})")))
        .collect();
    let service = match (&port.tunnel, &port.service) {
        (Some(tunnel), Some(service)) => format!("{tunnel}/{service}"),
        (None, Some(service)) => service.clone(),
        (Some(_) | None, None) => String::new(),
    };
    let number = format!("{}/{}", port.number, port.protocol);
    [host, number, port.state.clone(), service, version.join(" ")]
}

fn columns(headings: [&str; 5], rows: &[Row], text: &mut String, bytes_max: usize) {
    let headings: Row = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let mut widths = [0_usize; 5];
    for row in all() {
        for ((width, cell), width_max) in widths.iter_mut().zip(row).zip(WIDTHS) {
            *width = cell.chars().count().clamp(*width, width_max.max(*width));
        }
    }
    for row in all() {
        if text.len() > bytes_max {
            return;
        }
        let mut row_text = String::new();
        for ((cell, width), width_max) in row.iter().zip(widths).zip(WIDTHS) {
            write!(row_text, "{:<width$}  ", line(cell, width_max)).unwrap_or_default();
        }
        writeln!(text, "{}", row_text.trim_end()).unwrap_or_default();
    }
}

/// What a table has no column for.
fn details(host: &Host, text: &mut String) {
    let mut block = String::new();
    if let Some(mac) = &host.mac {
        let vendor = host
            .vendor
            .as_ref()
            .map(|vendor| format!(" ({vendor})"))
            .unwrap_or_default();
        writeln!(block, "  MAC {mac}{vendor}").unwrap_or_default();
    }
    if !host.os_guess.is_empty() {
        let guesses = host.os_guess.iter().take(3);
        let guesses: Vec<String> = guesses
            .map(|os| format!("{} ({} %)", os.name, os.accuracy))
            .collect();
        writeln!(block, "  System, guessed: {}", guesses.join(", ")).unwrap_or_default();
    }
    if !host.extraports.is_empty() {
        writeln!(block, "  Not listed: {}", extras(&host.extraports)).unwrap_or_default();
    }
    if host.timed_out {
        block.push_str("  Given up: the host took longer than its timeout\n");
    }
    if host.partial {
        block.push_str("  Cut off: the output ended in the middle of this host\n");
    }
    for hop in &host.trace {
        let address = hop.address.as_deref().unwrap_or("*");
        let rtt = hop
            .rtt_ms
            .map(|ms| format!("  {ms} ms"))
            .unwrap_or_default();
        writeln!(block, "  Hop {}  {address}{rtt}", hop.ttl).unwrap_or_default();
    }
    for port in &host.ports {
        let place = format!("{}/{} ", port.number, port.protocol);
        port.scripts
            .iter()
            .for_each(|script| script_text(&place, script, &mut block));
    }
    host.scripts
        .iter()
        .for_each(|script| script_text("", script, &mut block));
    if !block.is_empty() {
        write!(text, "\n{}\n{block}", label(host)).unwrap_or_default();
    }
}

fn script_text(place: &str, script: &Script, text: &mut String) {
    let mut lines = script.output.lines().filter(|line| !line.trim().is_empty());
    match (lines.next(), lines.next()) {
        (Some(only), None) => {
            writeln!(text, "  {place}{}: {}", script.id, only.trim()).unwrap_or_default();
        }
        (first, second) => {
            writeln!(text, "  {place}{}:", script.id).unwrap_or_default();
            // Indented, so that an output cannot pass for a row or a heading of ours.
            for line in first.into_iter().chain(second).chain(lines) {
                writeln!(text, "    {line}").unwrap_or_default();
            }
        }
    }
}

fn silent(report: &Report, text: &mut String) {
    let count = report.totals.no_answer;
    if count > 0 {
        write!(text, "\nNo answer from {count} (taken for up by -Pn):\n").unwrap_or_default();
        for host in &report.no_answer {
            writeln!(text, "  {}  {}", host.address, extras(&host.extraports)).unwrap_or_default();
        }
        let shown = u64::try_from(report.no_answer.len()).unwrap_or(u64::MAX);
        if count > shown {
            writeln!(text, "  and {} more", count.saturating_sub(shown)).unwrap_or_default();
        }
    }
    if !report.unfinished.is_empty() {
        write!(
            text,
            "\nSeen up, scan not finished: {}\n",
            report.unfinished.join(", ")
        )
        .unwrap_or_default();
    }
}

fn extras(extras: &[Extra]) -> String {
    let told: Vec<String> = extras
        .iter()
        .map(|extra| format!("{} {} ({})", extra.count, extra.state, extra.reason))
        .collect();
    told.join(", ")
}

fn bounded(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        cut_bytes(&mut text, bytes_max.saturating_sub(CUT_NOTE.len()));
        text.push_str(CUT_NOTE);
        cut_bytes(&mut text, bytes_max);
    }
    text
}
