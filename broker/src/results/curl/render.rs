//! A request in words: what a person looks for first, then the headers, then the body's beginning.
//!
//! What the server says is indented, so that it can't pass for a line of ours. It reads the report
//! only.
//!
//! Invariants: at most the given number of bytes, or [`SUMMARY_CHARS_MAX`] characters; a header is
//! one line.

use super::certificate::Certificate;
use super::report::{Body, CurlReport, Tls};
use crate::results::RunEnd;
use crate::results::limits::SUMMARY_CHARS_MAX;
use crate::results::neutralise::{cut_bytes, line, text};
use std::fmt::Write as _;

/// Headers that a summary shows; the others are counted.
const HEADERS_TOLD: &[&str] = &[
    "server",
    "date",
    "location",
    "content-type",
    "content-length",
    "content-encoding",
    "www-authenticate",
    "strict-transport-security",
    "set-cookie",
    "retry-after",
    "allow",
    "via",
    "x-powered-by",
    "last-modified",
];

/// Characters of the body in a summary.
const SUMMARY_BODY_CHARS: usize = 2000;

/// What ends a rendering that was cut.
const CUT_NOTE: &str = "\n… cut at the output's bound\n";

/// The request for a person.
pub(super) fn readable(report: &CurlReport, end: RunEnd, bytes_max: usize) -> String {
    let mut page = head(report, end);
    if !report.headers.is_empty() {
        page.push_str("\nHeaders\n");
    }
    for header in &report.headers {
        writeln!(page, "  {}: {}", header.name, header.value).unwrap_or_default();
    }
    if report.headers_omitted > 0 {
        writeln!(page, "  (and {} more)", report.headers_omitted).unwrap_or_default();
    }
    body(report, usize::MAX, &mut page);
    if page.len() > bytes_max {
        cut_bytes(&mut page, bytes_max.saturating_sub(CUT_NOTE.len()));
        page.push_str(CUT_NOTE);
        cut_bytes(&mut page, bytes_max);
    }
    page
}

/// The request for a model.
pub(super) fn summary(report: &CurlReport, end: RunEnd) -> String {
    let mut page = head(report, end);
    let mut untold = report.headers_omitted;
    for header in &report.headers {
        let known = HEADERS_TOLD
            .iter()
            .any(|name| header.name.eq_ignore_ascii_case(name));
        if known && page.len() < SUMMARY_CHARS_MAX / 2 {
            let value = line(&header.value, 200);
            writeln!(page, "  {}: {value}", header.name).unwrap_or_default();
        } else {
            untold = untold.saturating_add(1);
        }
    }
    if untold > 0 {
        let what = "more header fields, in the structured result";
        writeln!(page, "  ({untold} {what})").unwrap_or_default();
    }
    body(report, SUMMARY_BODY_CHARS, &mut page);
    text(page.trim_end(), SUMMARY_CHARS_MAX)
}

/// What a reader looks for first.
fn head(report: &CurlReport, end: RunEnd) -> String {
    let method = match report.method.as_str() {
        "" => "curl",
        method => method,
    };
    let mut page = format!("{method} {}", report.url);
    if let (Some(address), Some(port)) = (&report.address, report.port) {
        write!(page, " ({address} port {port})").unwrap_or_default();
    }
    page.push('\n');
    if let (Some(version), Some(status)) = (&report.http_version, report.status) {
        let reason = report.reason.as_deref().unwrap_or_default();
        let status = format!("HTTP/{version} {status} {}", line(reason, 100));
        writeln!(page, "{}", status.trim_end()).unwrap_or_default();
    }
    if let Some(error) = &report.error {
        let what = match report.status {
            Some(_) => "Not whole",
            None => "No response",
        };
        let (meaning, code) = (&error.meaning, error.code);
        writeln!(page, "{what}: {meaning} (curl's code {code})").unwrap_or_default();
        if !error.message.is_empty() {
            writeln!(page, "  {}", error.message).unwrap_or_default();
        }
    }
    if report.truncated {
        let why = match (end.timed_out, end.cancelled) {
            (true, _) => "the run timed out",
            (false, true) => "the run was cancelled",
            (false, false) => "curl wrote no account of it",
        };
        writeln!(page, "Not finished: {why}. No times are known.").unwrap_or_default();
    }
    for warning in &report.warnings {
        writeln!(page, "{warning}").unwrap_or_default();
    }
    if let Some(location) = &report.redirect_url {
        writeln!(page, "Redirects to {location} (not followed)").unwrap_or_default();
    }
    if let Some(session) = &report.tls {
        tls(session, &mut page);
    }
    if let Some(certificate) = report.certificates.first() {
        certificate_lines(certificate, &mut page);
    }
    if report.certificates.len() > 1 {
        let issuers = report.certificates.iter().skip(1);
        let chain: Vec<&str> = issuers.map(|one| one.subject.as_str()).collect();
        let chain = line(&chain.join(" < "), 400);
        writeln!(page, "  signed by {chain}").unwrap_or_default();
    }
    times(report, &mut page);
    page
}

fn tls(session: &Tls, page: &mut String) {
    let Some(version) = &session.version else {
        page.push_str("TLS: no session");
        if let Some(reason) = &session.verify_reason {
            write!(page, "; {reason}").unwrap_or_default();
        }
        page.push('\n');
        return;
    };
    let cipher = session.cipher.as_deref().unwrap_or("unknown cipher");
    write!(page, "{version}, {cipher}").unwrap_or_default();
    if let Some(alpn) = &session.alpn {
        write!(page, ", ALPN {alpn}").unwrap_or_default();
    }
    let verdict = match (session.trusted, session.name_matches) {
        (_, Some(false)) => "certificate is for another name",
        (Some(true), Some(true)) => "certificate valid",
        (Some(true), None) => "chain trusted, name not checked (-k)",
        (Some(false), _) => "certificate NOT trusted",
        (None, _) => "certificate not judged",
    };
    write!(page, "; {verdict}").unwrap_or_default();
    if let (Some(reason), Some(code)) = (&session.verify_reason, session.verify_code) {
        write!(page, ": {reason} ({code})").unwrap_or_default();
    }
    page.push('\n');
}

fn certificate_lines(certificate: &Certificate, page: &mut String) {
    let Certificate {
        subject,
        issuer,
        valid_from,
        valid_until,
        names,
        ..
    } = certificate;
    let key = certificate.key.as_deref().unwrap_or("unknown key");
    writeln!(page, "  subject {subject}; {key}").unwrap_or_default();
    writeln!(page, "  issuer {issuer}").unwrap_or_default();
    writeln!(page, "  valid {valid_from} to {valid_until}").unwrap_or_default();
    if !names.is_empty() {
        let more = certificate.names_omitted;
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        writeln!(page, "  names {}{more}", line(&names.join(", "), 400)).unwrap_or_default();
    }
}

fn times(report: &CurlReport, page: &mut String) {
    let (Some(times), Some(phases)) = (report.times_ms, report.phases_ms) else {
        return;
    };
    let steps = [
        ("connect", phases.connect),
        ("TLS", phases.tls),
        ("wait", phases.wait),
        ("transfer", phases.transfer),
    ];
    let steps: Vec<String> = steps
        .into_iter()
        .filter_map(|(step, took)| Some(format!("{step} {:.1}", took?)))
        .collect();
    write!(page, "Time {:.1} ms", times.total).unwrap_or_default();
    if !steps.is_empty() {
        write!(page, ": {}", steps.join(", ")).unwrap_or_default();
    }
    page.push('\n');
}

fn body(report: &CurlReport, chars_max: usize, page: &mut String) {
    let Some(body) = &report.body else {
        return;
    };
    let Body {
        bytes, complete, ..
    } = body;
    let kind = body.content_type.as_deref().unwrap_or("no content type");
    let kind = line(kind, 100);
    let part = if *complete { "" } else { ", not all of it" };
    writeln!(page, "\nBody: {bytes} bytes{part}, {kind}").unwrap_or_default();
    let Some(all) = &body.text else {
        page.push_str("  (not text)\n");
        return;
    };
    let shown = text(all, chars_max);
    for line in shown.lines() {
        writeln!(page, "  {line}").unwrap_or_default();
    }
    if body.text_cut || shown.len() < all.len() {
        page.push_str("  (only its beginning)\n");
    }
}
