//! The line of JSON that curl writes about a transfer when it has ended (`%{json}`).
//!
//! Numbers in it are curl's own; strings may be the server's. It is one line, and curl escapes line
//! ends, so nothing that a server says can begin another.
//!
//! Invariants: total; a line that is not this JSON is `None`.

use serde::Deserialize;

/// How the line begins: its first member is that of the name that sorts first.
pub(super) const START: &[u8] = b"{\"certs\":";

/// What is read of it. A field that curl leaves out is empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct WriteOut {
    pub(super) certs: String,
    pub(super) errormsg: Option<String>,
    pub(super) exitcode: i64,
    pub(super) http_code: u16,
    pub(super) method: Option<String>,
    pub(super) num_certs: u64,
    pub(super) redirect_url: Option<String>,
    pub(super) remote_ip: Option<String>,
    pub(super) remote_port: u16,
    pub(super) local_ip: Option<String>,
    pub(super) size_download: u64,
    pub(super) size_header: u64,
    pub(super) size_request: u64,
    pub(super) ssl_verify_result: i64,
    pub(super) time_namelookup: f64,
    pub(super) time_connect: f64,
    pub(super) time_appconnect: f64,
    pub(super) time_pretransfer: f64,
    pub(super) time_starttransfer: f64,
    pub(super) time_total: f64,
    pub(super) url_effective: Option<String>,
}

/// Reads the line.
pub(super) fn parse(line: &[u8]) -> Option<WriteOut> {
    serde_json::from_str(&decoded(line)).ok()
}

/// The line as text. curl passes bytes on that are no UTF-8; they stand in strings, where a
/// backslash has to be doubled to be shown.
fn decoded(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_lines_only() {
        let cases: &[(&[u8], Option<&str>, &str)] = &[
            (
                b"{\"certs\":\"\",\"errormsg\":\"x\",\"new\":[1]}",
                Some("x"),
                "unknown members",
            ),
            (
                b"{\"certs\":\"\",\"errormsg\":\"\xff\"}",
                Some("\\xff"),
                "no UTF-8",
            ),
            (b"{\"certs\":\"\",\"errormsg\":\"x", None, "cut off"),
            (
                b"{\"certs\":\"\",\"exitcode\":\"0\"}",
                None,
                "a string for a number",
            ),
            (b"{\"certs\":\"\"} {}", None, "more behind it"),
        ];
        for (line, expected, why) in cases {
            let read = parse(line).map(|told| told.errormsg.unwrap_or_default());
            assert_eq!(read.as_deref(), *expected, "{why}");
        }
    }
}
