//! What traceroute saw: its structured result, as types.
//!
//! Field names are the API's; a field that has nothing to say is absent.
//!
//! Invariants: every string was neutralised and bounded by the parser that put it in.

use serde::Serialize;

/// The structured result of one run of traceroute.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TracerouteReport {
    /// The target as it was given.
    pub target: String,
    /// The address that was traced; absent when nothing could be sent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// What was sent: `udp` (ports counted up), `udp-port`, `icmp` or `tcp`.
    pub method: String,
    /// The port, or the first of those counted up; absent for ICMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether an answer came from the address itself.
    pub reached: bool,
    /// Most hops that were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops_max: Option<u16>,
    /// The hops, in order.
    pub hops: Vec<Hop>,
    /// The longest packet that passed all the way that was seen, in bytes; only `--mtu` finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// What the annotations mean, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
    /// What traceroute itself said, on standard error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether traceroute was stopped before its end.
    pub truncated: bool,
}

/// One hop.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Hop {
    /// Its distance.
    pub ttl: u16,
    /// What became of each packet, in the order of sending.
    pub probes: Vec<Probe>,
}

/// What became of one packet.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Probe {
    /// Who answered; absent when nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Round-trip time in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// What is odd about the answer, as traceroute writes it: `!H`, `!X`, `!F-1400`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    /// The length in bytes that packets had to be shortened to, to get here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// An annotation and what it means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Annotation {
    /// As traceroute writes it.
    pub code: String,
    /// In words.
    pub meaning: String,
}
