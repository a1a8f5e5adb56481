//! What a name server answered: dig's structured result, as types.
//!
//! Field names are the API's; a field that has nothing to say is absent. Names and data stand as
//! dig writes them, with `\DDD` for what is no plain character.
//!
//! Invariants: every string was neutralised and bounded by the reader that put it in.

use serde::Serialize;

/// The structured result of one look-up.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DigReport {
    /// Who was asked.
    pub server: Server,
    /// What was asked: as it came back, or else as it was to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// `NOERROR`, `NXDOMAIN`, …; absent when nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The header's flags, as `qr`, `aa`, `tc`, `rd`, `ra`, `ad`.
    pub flags: Vec<String>,
    /// Records that answer the question.
    pub answers: Vec<Record>,
    /// Records about who is responsible.
    pub authority: Vec<Record>,
    /// Records that come besides.
    pub additional: Vec<Record>,
    /// Records that were seen and not kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub records_omitted: u64,
    /// Messages received: more than one for a zone transfer.
    pub messages: u64,
    /// Milliseconds from the question to the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<i64>,
    /// Size of all messages, in bytes.
    pub size_bytes: u64,
    /// What the server said in EDNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edns: Option<Edns>,
    /// What went wrong, in dig's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What dig said on standard error, and what could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether dig was stopped, or its output cut, before it was done.
    pub truncated: bool,
}

/// The server asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Its address.
    pub address: String,
    /// The port.
    pub port: u16,
    /// `UDP` or `TCP`, as the answer came; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// The question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Query {
    /// The name asked about.
    pub name: String,
    /// `IN`.
    pub class: String,
    /// The type of records asked for.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its owner.
    pub name: String,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// `IN`, or another class.
    pub class: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its data, as in a zone file.
    pub data: String,
}

/// The extensions' pseudo record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Edns {
    /// The version.
    pub version: u8,
    /// Whether the server understood that signatures were asked for (DO).
    pub dnssec_ok: bool,
    /// Largest message that the server takes over UDP, in bytes.
    pub udp_bytes: u16,
    /// Which server it is (NSID), in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<String>,
    /// `good` or `bad`; absent when none came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// Extended errors (RFC 8914).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended_errors: Vec<ExtendedError>,
    /// Other options, as dig shows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// One extended error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExtendedError {
    /// Its code, with its meaning in brackets where dig knows it.
    pub code: String,
    /// The server's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
