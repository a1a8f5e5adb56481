//! What curl found out about a URL: its structured result, as types.
//!
//! Field names are the API's; a field that has nothing to say is absent.
//!
//! Invariants: every string was neutralised and bounded by whoever put it in.

use super::certificate::Certificate;
use serde::Serialize;

/// The structured result of one request.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CurlReport {
    /// The URL asked for.
    pub url: String,
    /// `GET`, `HEAD`, ….
    pub method: String,
    /// The address connected to, or last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_address: Option<String>,
    /// `1.0`, `1.1`, `2`; this and the next are absent when there was no response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_version: Option<String>,
    /// The status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The server's words for it; HTTP/2 has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Status codes of interim responses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interim: Vec<u16>,
    /// The response's header fields, in order.
    pub headers: Vec<Header>,
    /// Header fields that are not in this result.
    #[serde(skip_serializing_if = "is_zero")]
    pub headers_omitted: u64,
    /// Where the response redirects to. It was not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_url: Option<String>,
    /// The body, if one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Sizes on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    /// When each step was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_ms: Option<Times>,
    /// How long each step took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases_ms: Option<Phases>,
    /// The TLS session, for https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The server's certificates, its own first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Certificates that are not in this result.
    #[serde(skip_serializing_if = "is_zero")]
    pub certificates_omitted: u64,
    /// Why there is no whole response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// What a reader has to know besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether curl was stopped before it could tell about the transfer.
    pub truncated: bool,
}

/// One header field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Its name, as the server wrote it.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Body {
    /// Bytes of it that came here, its content encoding undone where that was asked for.
    pub bytes: u64,
    /// Whether that is all of it.
    pub complete: bool,
    /// What the server says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its beginning; absent when it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the text is only a beginning.
    pub text_cut: bool,
}

/// Sizes in bytes, as sent and received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// The request.
    pub request_bytes: u64,
    /// The heads of all responses.
    pub headers_bytes: u64,
    /// The body as transferred.
    pub body_bytes: u64,
}

/// Milliseconds from the start until each step was done; absent for what did not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Times {
    /// The connection stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<f64>,
    /// The TLS handshake was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<f64>,
    /// The first byte of the response was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<f64>,
    /// The end.
    pub total: f64,
}

/// Milliseconds that each step took; absent for what did not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Phases {
    /// Looking the name up; it is pinned, so next to nothing.
    pub name_lookup: f64,
    /// Connecting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<f64>,
    /// The TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<f64>,
    /// Waiting for the first byte, once the request was ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<f64>,
    /// From the first byte to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<f64>,
}

/// The TLS session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// `TLSv1.3`; absent when the handshake was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The cipher suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    /// The protocol chosen inside TLS, as `h2`; absent when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// Whether the chain leads to a trusted authority and is in date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<bool>,
    /// Whether the certificate is for the host asked for; absent when that was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_matches: Option<bool>,
    /// OpenSSL's code for what is wrong with the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_code: Option<i64>,
    /// That in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_reason: Option<String>,
}

/// Why there is no whole response.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// curl's exit code.
    pub code: i64,
    /// Its kind, for programs: `no_connection`, `too_slow`, `not_trusted`, ….
    pub kind: String,
    /// What it means.
    pub meaning: String,
    /// curl's own words.
    pub message: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
