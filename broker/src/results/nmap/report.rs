//! What is known of a scan: the structured result of nmap, as types.
//!
//! Field names are the API's; a field that has nothing to say is absent. Every string in here has
//! been neutralised and bounded by the reader that put it in.
//!
//! Invariants: `up + down + no_answer` is the number of hosts spoken for; a host in `hosts` gave
//! at least one sign of life.

use crate::results::limits::ITEM_BYTES;
use serde::Serialize;

/// The structured result of one run of nmap.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The program that wrote the result, as it says itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scanner: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// When the scan began (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<f64>,
    /// nmap's own verdict: `success` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// nmap's own last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What was scanned for: one entry per protocol.
    pub scans: Vec<Scan>,
    /// Hosts that gave a sign of life, in nmap's order.
    pub hosts: Vec<Host>,
    /// Hosts that were taken for up without asking (`-Pn`) and never answered: the first few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_answer: Vec<Silent>,
    /// Addresses seen up whose scan had not ended when nmap did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<String>,
    /// Hosts by outcome.
    pub totals: Totals,
    /// Numbers about the run.
    pub statistics: Statistics,
    /// Output of scripts that belong to no host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<Script>,
    /// What nmap warned about, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether the output ended before nmap had finished it.
    pub truncated: bool,
    /// What was wrong with the output, when it was not well-formed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_error: Option<String>,
    /// What was seen and not kept, for its size.
    #[serde(skip_serializing_if = "Omitted::is_none")]
    pub omitted: Omitted,
}

/// One kind of scan and how many ports it covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scan {
    /// nmap's name for it: `connect`, `syn`, `udp`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `tcp`, `udp`, `sctp` or `ip`.
    pub protocol: String,
    /// Ports per host.
    pub ports: u64,
}

/// Hosts by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Hosts that gave a sign of life.
    pub up: u64,
    /// Hosts found down.
    pub down: u64,
    /// Hosts taken for up without asking (`-Pn`) that never answered.
    pub no_answer: u64,
    /// All of them.
    pub total: u64,
}

/// Numbers about a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Hosts with at least one open port.
    pub hosts_with_open_ports: u64,
    /// Ports in state `open`.
    pub ports_open: u64,
    /// Ports in state `closed`.
    pub ports_closed: u64,
    /// Ports in state `filtered`, on hosts that answered.
    pub ports_filtered: u64,
    /// Ports in any other state (`open|filtered`, `unfiltered`).
    pub ports_other: u64,
    /// Hosts that nmap itself calls up, `-Pn` taken on trust.
    pub hosts_reported_up: u64,
    /// Hosts that nmap gave up on by `--host-timeout`: it says nothing of their ports.
    pub hosts_timed_out: u64,
}

/// How much was seen and not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// Whole hosts.
    pub hosts: u64,
    /// Ports of hosts that were kept.
    pub ports: u64,
    /// Scripts' outputs.
    pub scripts: u64,
}

impl Omitted {
    /// Whether nothing was left out.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// One host.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Host {
    /// Its IPv4 or IPv6 address.
    pub address: String,
    /// Its name, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `up`, `down`, `unknown` or `skipped`.
    pub state: String,
    /// How nmap knows: `syn-ack`, `arp-response`, `user-set` (it was told so by `-Pn`).
    pub reason: String,
    /// Its hardware address, on the same segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Who made that hardware, by its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// All names, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Guesses at the operating system, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub os_guess: Vec<OsGuess>,
    /// Ports of interest.
    pub ports: Vec<Port>,
    /// Ports that nmap sums up instead of listing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extraports: Vec<Extra>,
    /// Output of scripts that look at the host as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<Script>,
    /// Hops away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<u32>,
    /// Seconds since it started, as guessed from its TCP timestamps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// The way to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<Hop>,
    /// Whether nmap gave up on it by `--host-timeout`.
    #[serde(skip_serializing_if = "is_false")]
    pub timed_out: bool,
    /// Whether the output ended in the middle of this host.
    #[serde(skip_serializing_if = "is_false")]
    pub partial: bool,
}

/// One guess at an operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OsGuess {
    /// Its name.
    pub name: String,
    /// How sure nmap is, in percent.
    pub accuracy: u8,
    /// Its CPE names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpe: Vec<String>,
}

/// One port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// `tcp`, `udp`, `sctp` or `ip`.
    pub protocol: String,
    /// `open`, `closed`, `filtered`, `unfiltered`, `open|filtered` or `closed|filtered`.
    pub state: String,
    /// How nmap knows.
    pub reason: String,
    /// The service's name; a mere guess by the number when `service_method` is `table`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `probed` when the service itself was asked, `table` when its port's usual owner is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_method: Option<String>,
    /// The product that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The product's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What else it told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_info: Option<String>,
    /// `ssl` when the service is inside TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<String>,
    /// The name the service gives its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_hostname: Option<String>,
    /// The operating system that the service tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_type: Option<String>,
    /// The kind of device that the service tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// CPE names of product and system.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpe: Vec<String>,
    /// Outputs of scripts about this port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<Script>,
}

/// What one script found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Script {
    /// The script's name.
    pub id: String,
    /// Its output, as text.
    pub output: String,
}

/// Ports summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Extra {
    /// Their common state.
    pub state: String,
    /// How many.
    pub count: u64,
    /// How nmap knows; the most frequent reason when there are several.
    pub reason: String,
}

/// One hop of a trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hop {
    /// Distance.
    pub ttl: u32,
    /// Address, if the hop showed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Round-trip time, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
}

/// A host that never answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silent {
    /// Its address.
    pub address: String,
    /// Its ports, by state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extraports: Vec<Extra>,
    /// Whether nmap gave up on it by `--host-timeout`, so that it may have answered after all.
    #[serde(skip_serializing_if = "is_false")]
    pub timed_out: bool,
}

impl Host {
    /// Ports in state `open`.
    pub fn open_ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.state == "open")
    }

    /// What the host weighs without its ports, in bytes.
    pub(super) fn weight(&self) -> usize {
        let lists = self.os_guess.len().saturating_add(self.trace.len());
        let scripts = self
            .scripts
            .iter()
            .map(Script::weight)
            .fold(0, usize::saturating_add);
        let lists = lists
            .saturating_add(self.hostnames.len())
            .saturating_mul(ITEM_BYTES);
        ITEM_BYTES.saturating_add(lists).saturating_add(scripts)
    }
}

impl Port {
    /// What the port weighs, in bytes, scripts excepted.
    pub(super) fn weight(&self) -> usize {
        let texts = [
            &self.service,
            &self.product,
            &self.version,
            &self.extra_info,
            &self.service_hostname,
            &self.os_type,
            &self.device_type,
        ];
        let texts = texts
            .into_iter()
            .flatten()
            .chain(&self.cpe)
            .map(String::len);
        texts.fold(ITEM_BYTES, usize::saturating_add)
    }
}

impl Script {
    /// What the script weighs, in bytes.
    pub(super) fn weight(&self) -> usize {
        ITEM_BYTES.saturating_add(self.output.len())
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}
