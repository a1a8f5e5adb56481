//! What ping measured: its structured result, as types.
//!
//! Field names are the API's; a field that has nothing to say is absent.
//!
//! Invariants: every string was neutralised and bounded by the parser that put it in.

use serde::Serialize;

/// The structured result of one run of ping.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PingReport {
    /// The target as it was given.
    pub target: String,
    /// The address that was asked; absent when nothing could be sent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Requests sent.
    pub transmitted: u32,
    /// Requests answered.
    pub received: u32,
    /// Messages that something on the way sent instead of a reply.
    pub errors: u32,
    /// Replies that came more than once.
    pub duplicates: u32,
    /// Requests without an answer, in percent; absent when none was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<f64>,
    /// How long the run took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Round-trip times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<Rtt>,
    /// The replies, one by one.
    pub replies: Vec<Reply>,
    /// What came instead of replies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// What ping itself said, on standard error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether ping was stopped before it printed its statistics; they are reckoned then.
    pub truncated: bool,
    /// Replies that were seen and not kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub replies_omitted: u32,
}

/// Round-trip times in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rtt {
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub avg: f64,
    /// The longest.
    pub max: f64,
    /// The standard deviation.
    pub mdev: f64,
}

/// One reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Reply {
    /// Number of the request.
    pub seq: u32,
    /// Time to live, as it arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// Round-trip time in milliseconds; a very short packet has no room for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<f64>,
    /// Who replied.
    pub from: String,
    /// What is odd about it: `DUP!`, `BAD CHECKSUM!`, `truncated`, `different address`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A message instead of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Number of the request it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
    /// Who sent it.
    pub from: String,
    /// What it says.
    pub message: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
