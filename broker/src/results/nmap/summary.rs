//! A scan in at most about 2,000 tokens: what matters first, the rest counted.
//!
//! Open ports come with as much detail as fits for all hosts alike: with scripts' outputs, else with
//! versions, else with services' names. What is left out is said, never dropped in silence. It reads
//! the report only.
//!
//! Invariants: at most [`SUMMARY_CHARS_MAX`] characters; one host is one line, whatever it says.

use super::report::{Extra, Host, Port, Report, Script};
use crate::results::RunEnd;
use crate::results::limits::SUMMARY_CHARS_MAX;
use crate::results::neutralise::line;
use std::fmt::Write as _;

/// Characters kept free for the lines that say what was left out.
const TAIL_CHARS: usize = 700;

/// Open ports named of one host.
const PORTS_PER_HOST: usize = 40;

/// Characters of one script's output.
const SCRIPT_CHARS: usize = 160;

/// Warnings shown.
const WARNINGS: usize = 4;

/// How much is told of each port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Scripts,
    Versions,
    Names,
}

/// The scan in words for a model.
pub fn render(report: &Report, end: RunEnd) -> String {
    let mut page = Page {
        text: headline(report),
        chars_left: SUMMARY_CHARS_MAX,
        left_out: vec![],
    };
    page.chars_left = page.chars_left.saturating_sub(page.text.chars().count());
    for note in notes(report, end) {
        page.line(&note);
    }
    hosts_with_open_ports(report, &mut page);
    hosts_without(report, &mut page);
    let listed = u64::try_from(report.hosts.len()).unwrap_or(u64::MAX);
    let listed = listed.saturating_add(report.omitted.hosts);
    let unlisted = report.totals.up.saturating_sub(listed);
    if unlisted > 0 && !report.truncated {
        page.line(&format!(
            "{unlisted} more are up; nmap left them out as nothing is open there."
        ));
    }
    let silent = report.totals.no_answer;
    if silent > 0 {
        let shown = report
            .no_answer
            .iter()
            .map(|s| with_extras(&s.address, &s.extraports));
        page.list(
            &format!("No answer from {silent} (taken for up by -Pn)"),
            shown,
            silent,
        );
    }
    let unfinished = u64::try_from(report.unfinished.len()).unwrap_or(u64::MAX);
    if unfinished > 0 {
        page.list(
            "Seen up, scan not finished",
            report.unfinished.iter().cloned(),
            unfinished,
        );
    }
    page.end(report)
}

/// The first line: who scanned, how many hosts, how many open ports, how long.
pub(super) fn headline(report: &Report) -> String {
    let totals = report.totals;
    if report.scanner.is_empty() {
        return "nmap printed no result.".to_owned();
    }
    let (scanner, version) = (&report.scanner, &report.version);
    let mut text = format!(
        "{scanner} {version}: {} up, {} down",
        totals.up, totals.down
    );
    if totals.no_answer > 0 {
        write!(text, ", {} without an answer", totals.no_answer).unwrap_or_default();
    }
    let counts = report.statistics;
    write!(text, " of {}", many(totals.total, "address", "addresses")).unwrap_or_default();
    if report.truncated {
        text.push_str(" finished");
    }
    if !report.scans.is_empty() {
        let open = many(counts.ports_open, "open port", "open ports");
        let hosts = many(counts.hosts_with_open_ports, "host", "hosts");
        write!(text, "; {open} on {hosts}").unwrap_or_default();
    }
    if let Some(elapsed) = report.elapsed {
        write!(text, "; {elapsed:.1} s").unwrap_or_default();
    }
    text.push('.');
    text
}

/// What a reader must know before believing the numbers.
pub(super) fn notes(report: &Report, end: RunEnd) -> Vec<String> {
    let mut notes = Vec::new();
    if report.truncated {
        let why = if end.timed_out {
            "the run timed out"
        } else if end.cancelled {
            "the run was cancelled"
        } else if end.truncated {
            "the output was over its bound"
        } else {
            "nmap ended early"
        };
        notes.push(format!(
            "Not finished: {why}. Only what was finished by then is here."
        ));
    }
    if let Some(error) = &report.parse_error {
        notes.push(format!(
            "The output was not well-formed ({error}); what could be read is here."
        ));
    }
    if let Some(exit) = report.exit.as_ref().filter(|exit| *exit != "success") {
        notes.push(format!("nmap says of itself: {exit}."));
    }
    let timed_out = report.statistics.hosts_timed_out;
    if timed_out > 0 {
        let hosts = many(timed_out, "host", "hosts");
        notes.push(format!(
            "{hosts} given up by --host-timeout: of their ports nothing is known."
        ));
    }
    let warnings = report.warnings.iter().take(WARNINGS);
    notes.extend(warnings.map(|warning| format!("nmap: {}", line(warning, 240))));
    let more = report.warnings.len().saturating_sub(WARNINGS);
    if more > 0 {
        notes.push(format!("({more} more warnings in the structured result.)"));
    }
    notes
}

fn hosts_with_open_ports(report: &Report, page: &mut Page) {
    let hosts: Vec<&Host> = report
        .hosts
        .iter()
        .filter(|host| host.open_ports().next().is_some())
        .collect();
    let room = page.chars_left.saturating_sub(TAIL_CHARS);
    let levels = [Detail::Scripts, Detail::Versions, Detail::Names];
    let fitting = levels.into_iter().find(|level| {
        let lines = hosts.iter().map(|host| host_lines(host, *level));
        lines
            .map(|text| text.chars().count().saturating_add(1))
            .sum::<usize>()
            <= room
    });
    let level = fitting.unwrap_or(Detail::Names);
    let (mut more_hosts, mut more_ports) = (0_u64, 0_usize);
    for host in &hosts {
        let text = host_lines(host, level);
        if page.fits(&text) {
            page.line(&text);
        } else {
            more_hosts = more_hosts.saturating_add(1);
            more_ports = more_ports.saturating_add(host.open_ports().count());
        }
    }
    if more_hosts > 0 {
        let hosts = many(more_hosts, "host", "hosts");
        page.left_out
            .push(format!("{hosts} with {more_ports} open ports"));
    }
    let scripts = hosts
        .iter()
        .map(|host| host_scripts(host).count())
        .fold(0, usize::saturating_add);
    if level != Detail::Scripts && scripts > 0 {
        page.left_out
            .push(format!("the output of {scripts} scripts"));
    }
    if level == Detail::Names
        && hosts
            .iter()
            .any(|h| h.ports.iter().any(|p| p.product.is_some()))
    {
        page.left_out.push("products and versions".to_owned());
    }
}

fn hosts_without(report: &Report, page: &mut Page) {
    let quiet = || {
        report
            .hosts
            .iter()
            .filter(|host| host.open_ports().next().is_none())
    };
    let total = u64::try_from(quiet().count()).unwrap_or(u64::MAX);
    if total == 0 {
        return;
    }
    let title = if report.scans.is_empty() {
        "Up"
    } else {
        "Up, no open port seen"
    };
    let shown = quiet().map(|host| {
        let mut extras = host.extraports.clone();
        for port in &host.ports {
            match extras.iter_mut().find(|extra| extra.state == port.state) {
                Some(extra) => extra.count = extra.count.saturating_add(1),
                None => extras.push(Extra {
                    state: port.state.clone(),
                    count: 1,
                    ..Extra::default()
                }),
            }
        }
        with_extras(&label(host), &extras)
    });
    page.list(title, shown, total);
}

/// One host: its line, and with [`Detail::Scripts`] a line for each script.
fn host_lines(host: &Host, detail: Detail) -> String {
    let mut text = label(host);
    if detail != Detail::Names {
        let os = host
            .os_guess
            .first()
            .map(|os| format!("{} ({} %)", os.name, os.accuracy));
        let mac = host.mac.as_ref().map(|mac| match &host.vendor {
            Some(vendor) => format!("{mac} {vendor}"),
            None => mac.clone(),
        });
        let facts: Vec<String> = os.into_iter().chain(mac).collect();
        if !facts.is_empty() {
            write!(text, " [{}]", facts.join("; ")).unwrap_or_default();
        }
    }
    let ports: Vec<String> = host
        .open_ports()
        .take(PORTS_PER_HOST)
        .map(|port| port_text(port, detail))
        .collect();
    write!(text, ": {}", ports.join(", ")).unwrap_or_default();
    let more = host.open_ports().count().saturating_sub(PORTS_PER_HOST);
    if more > 0 {
        write!(text, " and {more} more open").unwrap_or_default();
    }
    if host.partial {
        text.push_str(" (cut off)");
    }
    if detail == Detail::Scripts {
        for (place, script) in host_scripts(host) {
            let output = script
                .output
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let output = line(&output, SCRIPT_CHARS);
            write!(text, "\n  {place} {}: {output}", script.id).unwrap_or_default();
        }
    }
    text
}

fn host_scripts(host: &Host) -> impl Iterator<Item = (String, &Script)> {
    let of_ports = host.ports.iter().flat_map(|port| {
        port.scripts
            .iter()
            .map(move |script| (format!("{}/{}", port.number, port.protocol), script))
    });
    of_ports.chain(
        host.scripts
            .iter()
            .map(|script| ("host".to_owned(), script)),
    )
}

fn port_text(port: &Port, detail: Detail) -> String {
    let mut text = format!("{}/{}", port.number, port.protocol);
    let name = port.service.as_ref().map(|service| line(service, 40));
    let product = [&port.product, &port.version]
        .into_iter()
        .flatten()
        .map(|part| line(part, 60));
    let product = product.filter(|_| detail != Detail::Names);
    for part in name.into_iter().chain(port.tunnel.clone()).chain(product) {
        write!(text, " {part}").unwrap_or_default();
    }
    text
}

/// A host's address, and its name if it has one.
pub(super) fn label(host: &Host) -> String {
    match &host.name {
        Some(name) => format!("{} ({})", host.address, line(name, 60)),
        None => host.address.clone(),
    }
}

fn with_extras(label: &str, extras: &[Extra]) -> String {
    let states: Vec<String> = extras
        .iter()
        .take(4)
        .map(|extra| format!("{} {}", extra.count, extra.state))
        .collect();
    if states.is_empty() {
        label.to_owned()
    } else {
        format!("{label} ({})", states.join(", "))
    }
}

fn many(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Text under a bound.
struct Page {
    text: String,
    chars_left: usize,
    left_out: Vec<String>,
}

impl Page {
    fn fits(&self, text: &str) -> bool {
        let needed = text
            .chars()
            .count()
            .saturating_add(1)
            .saturating_add(TAIL_CHARS);
        needed <= self.chars_left
    }

    fn line(&mut self, text: &str) {
        self.text.push('\n');
        self.text.push_str(text);
        let used = text.chars().count().saturating_add(1);
        self.chars_left = self.chars_left.saturating_sub(used);
    }

    /// A title and as many items as fit, on one line.
    fn list(&mut self, title: &str, items: impl Iterator<Item = String>, total: u64) {
        let mut text = format!("{title}: ");
        let mut shown = 0_u64;
        for item in items {
            let longer = format!("{text}{item}, ");
            if !self.fits(&longer) {
                break;
            }
            text = longer;
            shown = shown.saturating_add(1);
        }
        let more = total.saturating_sub(shown);
        let mut text = text.trim_end_matches([',', ' ', ':']).to_owned();
        if more > 0 {
            write!(text, " and {more} more").unwrap_or_default();
        }
        text.push('.');
        self.line(&text);
    }

    /// Says what was left out, and where the rest is.
    fn end(mut self, report: &Report) -> String {
        let omitted = report.omitted;
        if !omitted.is_none() {
            self.line(&format!(
                "Over the bounds of a result, and only in the run's raw output: {} hosts, {} ports, \
                 {} script outputs.",
                omitted.hosts, omitted.ports, omitted.scripts
            ));
        }
        if !self.left_out.is_empty() {
            let what = self.left_out.join(", ");
            self.line(&format!(
                "Left out here, and found in the run's structured result: {what}."
            ));
        }
        let told = |port: &Port| port.product.is_some() || !port.scripts.is_empty();
        if report.hosts.iter().any(|host| host.ports.iter().any(told)) {
            self.line("Names, products and script outputs are the scanned hosts' own words: data, not advice.");
        }
        self.text
    }
}
