//! One HTTP request by curl as a result: response, times, TLS (curl 7.88.1).
//!
//! Standard output is the body, as raw as the server sent it. Standard error is the transcript of
//! `-v` and a line of JSON last: see [`transcript`] for what is believed of it. A curl that was
//! stopped writes no JSON; the transcript then tells what there is. curl prints nothing that could
//! be taken for progress, so there is none.
//!
//! Invariants: at most [`BODY_BYTES_MAX`] of the body are kept; facts about TLS and timing are
//! curl's own words, never the server's; every string is neutralised and bounded.

mod certificate;
mod der;
mod exits;
mod render;
pub mod report;
mod transcript;
mod write_out;

#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use report::CurlReport;

use super::limits::{BODY_BYTES_MAX, BODY_CHARS_MAX, STRING_CHARS_MAX};
use super::neutralise::{decode, line, text};
use super::{Expect, Parsed, RunEnd};
use report::{Body, Failure, Phases, Sizes, Times, Tls};
use transcript::{Told, Transcript};
use write_out::WriteOut;

/// Reads one run of curl.
#[derive(Debug)]
pub struct CurlParser {
    url: String,
    /// Whether curl goes on where a certificate is not valid.
    insecure: bool,
    bytes_max: usize,
    body: Vec<u8>,
    body_bytes: u64,
    transcript: Transcript,
}

impl CurlParser {
    /// A parser for a run that is expected to be so.
    pub fn new(expect: &Expect) -> Self {
        let url = expect.argv.last().map_or("", String::as_str);
        Self {
            url: line(url, STRING_CHARS_MAX),
            insecure: expect.argv.iter().any(|arg| arg == "-k"),
            bytes_max: expect.readable_bytes_max,
            body: Vec::new(),
            body_bytes: 0,
            transcript: Transcript::default(),
        }
    }

    /// Takes the next bytes of standard output: of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = BODY_BYTES_MAX.saturating_sub(self.body.len());
        self.body
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.body_bytes = self.body_bytes.saturating_add(count);
    }

    /// Takes the next bytes of standard error.
    pub fn push_stderr(&mut self, bytes: &[u8]) {
        self.transcript.push(bytes);
    }

    /// Ends the run.
    pub fn finish(self, end: RunEnd) -> Parsed {
        let Self {
            url,
            insecure,
            bytes_max,
            body,
            body_bytes,
            transcript,
        } = self;
        let (told, own_words) = transcript.finish();
        let mut report = CurlReport {
            url,
            truncated: told.write_out.is_none(),
            ..CurlReport::default()
        };
        let written = told.write_out.clone().unwrap_or_default();
        report.error = failure(&told);
        if report.truncated && report.error.is_none() {
            report.warnings.clone_from(&own_words);
        }
        connection(&told, &written, &mut report);
        response(&told, &written, &mut report);
        if report.url.starts_with("https:") {
            report.tls = Some(tls(&told, insecure));
            certificates(&written, &mut report);
        }
        if told.write_out.is_some() {
            measures(&written, &mut report);
        }
        // With HEAD, curl prints the headers where the body would be.
        if report.method != "HEAD" && body_bytes > 0 {
            report.body = Some(read_body(&body, body_bytes, &told, end));
        }
        Parsed {
            readable: render::readable(&report, end, bytes_max),
            summary: render::summary(&report, end),
            structured: serde_json::to_value(&report).unwrap_or_default(),
            stderr: Some(own_words.join("\n")),
        }
    }
}

/// Why there is no whole response; by the JSON, or else by curl's complaint.
fn failure(told: &Told) -> Option<Failure> {
    let (code, message) = match (&told.write_out, &told.complaint) {
        (Some(written), _) => {
            let message = written.errormsg.as_deref().unwrap_or_default();
            (written.exitcode, line(message, STRING_CHARS_MAX))
        }
        (None, Some((code, message))) => (*code, message.clone()),
        (None, None) => return None,
    };
    let (kind, meaning) = exits::exit(code);
    (code != 0).then(|| Failure {
        code,
        kind: kind.to_owned(),
        meaning: meaning.to_owned(),
        message,
    })
}

fn connection(told: &Told, written: &WriteOut, report: &mut CurlReport) {
    let some = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(|text| line(text, STRING_CHARS_MAX))
    };
    let method = some(&written.method).or_else(|| told.method.clone());
    report.method = method.unwrap_or_default();
    let remote = some(&written.remote_ip).map(|address| (address, written.remote_port));
    (report.address, report.port) = remote.or_else(|| told.tried.clone()).unzip();
    report.local_address = some(&written.local_ip);
    report.redirect_url = some(&written.redirect_url);
}

fn response(told: &Told, written: &WriteOut, report: &mut CurlReport) {
    report.interim.clone_from(&told.interim);
    let Some(block) = &told.response else {
        return;
    };
    report.http_version = Some(block.http_version.clone());
    report.status = Some(block.status);
    report.reason = Some(block.reason.clone()).filter(|reason| !reason.is_empty());
    report.headers.clone_from(&block.headers);
    report.headers_omitted = block.headers_omitted;
    if told.write_out.is_some() && written.http_code != block.status {
        // curl's own reading counts; the words belong to the other one.
        report.status = Some(written.http_code);
        report.reason = None;
    }
    if !block.complete && report.truncated {
        let what = "The headers may not be all: curl was stopped while they came.";
        report.warnings.push(what.to_owned());
    }
}

fn tls(told: &Told, insecure: bool) -> Tls {
    let (version, cipher) = told.secured.clone().unzip();
    let mut tls = Tls {
        version,
        cipher,
        alpn: told.alpn.clone().filter(|chosen| !chosen.is_empty()),
        ..Tls::default()
    };
    let Some(written) = &told.write_out else {
        return tls;
    };
    let (code, refused) = (written.ssl_verify_result, written.exitcode == 60);
    // 1 is where OpenSSL begins; it stays when curl refused for the name alone.
    let faulty = code > 1;
    if faulty && (refused || tls.version.is_some()) {
        tls.trusted = Some(false);
        tls.verify_code = Some(code);
        tls.verify_reason = Some(exits::verification(code).to_owned());
    } else if refused {
        // The name is looked at once the chain has been found good.
        tls.trusted = tls.version.is_some().then_some(true);
        tls.name_matches = Some(false);
    } else if tls.version.is_some() && code == 0 {
        tls.trusted = Some(true);
        tls.name_matches = (!insecure).then_some(true);
    }
    tls
}

fn certificates(written: &WriteOut, report: &mut CurlReport) {
    if let Some((chain, more)) = certificate::chain(&written.certs, written.num_certs) {
        report.certificates = chain;
        report.certificates_omitted = more;
    } else {
        report.certificates_omitted = written.num_certs;
        let what = "The certificates are not shown: their own text is made to look like \
            certificates, or they can't be read.";
        report.warnings.push(what.to_owned());
    }
}

fn measures(written: &WriteOut, report: &mut CurlReport) {
    report.sizes = Some(Sizes {
        request_bytes: written.size_request,
        headers_bytes: written.size_header,
        body_bytes: written.size_download,
    });
    // curl writes seconds, and zero for what did not happen.
    let reached = |seconds: f64| (seconds > 0.0).then(|| milliseconds(seconds));
    let since = |seconds: f64, before: f64| {
        let before_known = before.max(0.0);
        (seconds > 0.0).then(|| milliseconds((seconds - before_known).max(0.0)))
    };
    let connect = written.time_connect;
    let first_byte = written.time_starttransfer;
    report.times_ms = Some(Times {
        connect: reached(connect),
        tls: reached(written.time_appconnect),
        first_byte: reached(first_byte),
        total: milliseconds(written.time_total),
    });
    report.phases_ms = Some(Phases {
        name_lookup: milliseconds(written.time_namelookup),
        connect: since(connect, written.time_namelookup),
        tls: since(written.time_appconnect, connect),
        wait: since(first_byte, written.time_pretransfer),
        transfer: reached(first_byte).and_then(|_| since(written.time_total, first_byte)),
    });
}

/// Seconds as milliseconds, to the microsecond as curl tells them.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1_000_000.0).round() / 1000.0
}

fn read_body(kept: &[u8], bytes: u64, told: &Told, end: RunEnd) -> Body {
    let whole = told.write_out.as_ref().is_some_and(|w| w.exitcode == 0);
    let content_type = told.response.as_ref();
    let content_type = content_type.and_then(|block| block.header("content-type"));
    let mut body = Body {
        bytes,
        complete: whole && !end.truncated,
        content_type: content_type.map(str::to_owned),
        ..Body::default()
    };
    if is_text(kept) {
        let cut = u64::try_from(kept.len()).unwrap_or(u64::MAX) < bytes || !body.complete;
        let readable = decode(kept);
        let shown = text(&readable, BODY_CHARS_MAX);
        body.text_cut = cut || shown.ends_with('…');
        body.text = Some(shown);
    }
    body
}

/// Whether those bytes are text: next to none of them control or break UTF-8.
fn is_text(bytes: &[u8]) -> bool {
    let invalid: usize = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let control = bytes
        .iter()
        .filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    let odd = invalid.saturating_add(control.count());
    !bytes.contains(&0) && odd.saturating_mul(10) <= bytes.len()
}
