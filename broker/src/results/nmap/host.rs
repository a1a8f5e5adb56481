//! One host while it is being read: details, counts, and whether it ever answered.
//!
//! It decides the one question that nmap leaves open: with `-Pn` every address is reported up, so a
//! host is believed only when something came back from its address. It stores nothing outside the
//! draft.
//!
//! Invariants: a draft without evidence never becomes a host of the report.

use super::report::{Extra, Hop, Host, OsGuess, Port, Script, Silent, Statistics};
use crate::results::limits::{LIST_MAX, OS_GUESSES_MAX, SCRIPT_CHARS_MAX, STRING_CHARS_MAX};
use crate::results::neutralise::{line, text};
use crate::results::xml::Tag;

/// A host under construction.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) host: Host,
    /// Whether anything came back from the address.
    answered: bool,
    /// The greatest count among the reasons of the last extra ports.
    reason_count: u64,
    /// Ports listed one by one, by state.
    listed: Vec<Extra>,
}

/// Reasons that only a packet from the address (or from who guards it) can give, for states that
/// would otherwise mean silence.
const ANSWERS: &[&str] = &[
    "port-unreach",
    "proto-unreach",
    "host-prohibited",
    "net-prohibited",
    "admin-prohibited",
];

impl Draft {
    pub(super) fn open(tag: &Tag<'_>) -> Self {
        let timed_out = tag.get("timedout").as_deref() == Some("true");
        Self {
            host: Host {
                timed_out,
                ..Host::default()
            },
            ..Self::default()
        }
    }

    /// An element that says one thing about the host.
    pub(super) fn detail(&mut self, tag: &Tag<'_>) {
        match tag.name {
            "status" => {
                self.host.state = attribute(tag, "state").unwrap_or_default();
                self.host.reason = attribute(tag, "reason").unwrap_or_default();
                self.answered |= self.host.reason != "user-set";
            }
            "address" if tag.get("addrtype").as_deref() == Some("mac") => {
                self.host.mac = attribute(tag, "addr");
                self.host.vendor = attribute(tag, "vendor");
                self.answered = true;
            }
            "address" if self.host.address.is_empty() => {
                self.host.address = attribute(tag, "addr").unwrap_or_default();
            }
            "distance" => self.host.distance = tag.number("value"),
            "uptime" => self.host.uptime = tag.number("seconds"),
            _ => {}
        }
    }

    pub(super) fn hostname(&mut self, tag: &Tag<'_>) {
        let Some(name) = attribute(tag, "name") else {
            return;
        };
        if self.host.name.is_none() {
            self.host.name = Some(name);
            return;
        }
        // The list is there for hosts with several names, and then holds them all.
        let first = self
            .host
            .name
            .iter()
            .filter(|_| self.host.hostnames.is_empty())
            .cloned();
        let names: Vec<String> = first.chain([name]).collect();
        if self.host.hostnames.len() < LIST_MAX {
            self.host.hostnames.extend(names);
        }
    }

    pub(super) fn extra(&mut self, extra: Extra) {
        self.evidence(&extra.state, "");
        self.reason_count = 0;
        if self.host.extraports.len() < LIST_MAX {
            self.host.extraports.push(extra);
        }
    }

    /// Notes whether a port's state tells that something is there.
    pub(super) fn evidence(&mut self, state: &str, reason: &str) {
        self.answered |= matches!(state, "open" | "closed" | "unfiltered");
        // Reasons of summed-up ports may be in the plural.
        self.answered |= ANSWERS.iter().any(|answer| reason.starts_with(answer));
    }

    /// Counts a port that is listed one by one.
    pub(super) fn count(&mut self, port: &Port) {
        let same = |extra: &&mut Extra| extra.state == port.state && extra.reason == port.reason;
        if let Some(extra) = self.listed.iter_mut().find(same) {
            extra.count = extra.count.saturating_add(1);
        } else if self.listed.len() < LIST_MAX {
            let (state, reason) = (port.state.clone(), port.reason.clone());
            self.listed.push(Extra {
                state,
                count: 1,
                reason,
            });
        }
    }

    /// Whether the host was taken for up without asking, and nothing came back.
    pub(super) fn is_silent(&self) -> bool {
        !self.answered
    }

    /// What the kept ports and their scripts weigh.
    pub(super) fn ports_weight(&self) -> usize {
        let scripts = self
            .host
            .ports
            .iter()
            .flat_map(|port| &port.scripts)
            .map(Script::weight);
        let ports = self.host.ports.iter().map(Port::weight);
        ports.chain(scripts).fold(0, usize::saturating_add)
    }

    /// What is told of a host that never answered.
    pub(super) fn into_silent(self) -> Silent {
        let mut extraports = self.host.extraports;
        extraports.extend(self.listed);
        let (address, timed_out) = (self.host.address, self.host.timed_out);
        Silent {
            address,
            extraports,
            timed_out,
        }
    }

    /// Adds the host's ports to the run's numbers.
    pub(super) fn add_to(&self, statistics: &mut Statistics) {
        let mut open_here = 0_u64;
        for extra in self.host.extraports.iter().chain(&self.listed) {
            let sum = match extra.state.as_str() {
                "open" => {
                    open_here = open_here.saturating_add(extra.count);
                    &mut statistics.ports_open
                }
                "closed" => &mut statistics.ports_closed,
                "filtered" => &mut statistics.ports_filtered,
                _ => &mut statistics.ports_other,
            };
            *sum = sum.saturating_add(extra.count);
        }
        let has_open = u64::from(open_here > 0);
        statistics.hosts_with_open_ports =
            statistics.hosts_with_open_ports.saturating_add(has_open);
    }
}

/// One reason of the extra ports that were opened last.
pub(super) fn extra_reason(draft: &mut Draft, tag: &Tag<'_>) {
    let (Some(reason), count) = (attribute(tag, "reason"), tag.number("count").unwrap_or(0)) else {
        return;
    };
    draft.evidence("", &reason);
    if let Some(extra) = draft.host.extraports.last_mut()
        && (extra.reason.is_empty() || count > draft.reason_count)
    {
        extra.reason = reason;
        draft.reason_count = count;
    }
}

/// What nmap knows of the service on a port.
pub(super) fn read_service(port: &mut Port, tag: &Tag<'_>) {
    port.service = attribute(tag, "name");
    port.service_method = attribute(tag, "method");
    port.product = attribute(tag, "product");
    port.version = attribute(tag, "version");
    port.extra_info = attribute(tag, "extrainfo");
    port.tunnel = attribute(tag, "tunnel");
    port.service_hostname = attribute(tag, "hostname");
    port.os_type = attribute(tag, "ostype");
    port.device_type = attribute(tag, "devicetype");
}

/// A script's name and output.
pub(super) fn script(tag: &Tag<'_>) -> Script {
    let output = tag.get("output").unwrap_or_default();
    // nmap begins long outputs with a newline, for its own layout.
    let output = text(output.trim_matches(['\n', '\r']), SCRIPT_CHARS_MAX);
    Script {
        id: attribute(tag, "id").unwrap_or_default(),
        output,
    }
}

/// One more guess at the operating system, if there is room; nmap lists the best first.
pub(super) fn os_guess(draft: &mut Draft, tag: &Tag<'_>) -> bool {
    draft.answered = true;
    let Some(name) = attribute(tag, "name") else {
        return false;
    };
    let room = draft.host.os_guess.len() < OS_GUESSES_MAX;
    if room {
        let accuracy = tag.number("accuracy").unwrap_or_default();
        draft.host.os_guess.push(OsGuess {
            name,
            accuracy,
            cpe: Vec::new(),
        });
    }
    room
}

/// One hop of the way to a host.
pub(super) fn hop(tag: &Tag<'_>) -> Option<Hop> {
    Some(Hop {
        ttl: tag.number("ttl")?,
        address: attribute(tag, "ipaddr"),
        name: attribute(tag, "host"),
        rtt_ms: tag.number("rtt").filter(|rtt: &f64| rtt.is_finite()),
    })
}

/// An attribute as one harmless line.
pub(super) fn attribute(tag: &Tag<'_>, name: &str) -> Option<String> {
    Some(line(&tag.get(name)?, STRING_CHARS_MAX))
}
