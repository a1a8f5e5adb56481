//! The scope: which networks and names may be touched, and how hard.
//!
//! Made from configuration by both processes and compared by digest. It decides
//! about addresses, networks, names and ports one at a time; it resolves nothing.
//!
//! Invariants: an address of [`NEVER_ALLOWED`] is refused whatever the
//! configuration lists, for every tool; what is denied wins over what is allowed,
//! and what is denied for all is denied for each tool; an empty list allows
//! nothing.

mod compare;
mod config;
mod error;
pub(crate) mod ports;

pub use compare::{Fact, FactValue, Standing};
pub use config::{SCOPE_KEYS, ScopeConfig, ToolScopeConfig};
pub use error::ScopeError;
pub use ports::PortSet;

use std::collections::BTreeMap;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::limits::{
    HOST_BYTES_MAX, NETWORK_SIZE_MAX, PORT_RANGES_MAX, SCOPE_ENTRIES_MAX, SCOPE_TOOLS_MAX,
};
use crate::net::{Network, is_covered, merged};
use crate::target::{ends_in_number, is_label};

/// What no configuration can allow, each with its name for refusals.
pub const NEVER_ALLOWED: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this host on this network"),
    ("169.254.0.0/16", "link-local, with cloud metadata services"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, with the broadcast address"),
    ("::/128", "the unspecified address"),
    ("::ffff:0.0.0.0/96", "an IPv4 address in IPv6 clothing"),
    ("64:ff9b::/96", "an IPv4 address behind NAT64"),
    ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
    ("2001::/32", "an IPv4 address behind Teredo"),
    ("2002::/16", "an IPv4 address behind 6to4"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
    ("fd00:ec2::254/128", "a cloud metadata service"),
    ("fd20:ce::254/128", "a cloud metadata service"),
];

/// What may be touched; made by [`Scope::new`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    allowed: Vec<Network>,
    denied: Vec<Network>,
    suffixes: Vec<String>,
    /// The allowed ports without the denied ones.
    ports: PortSet,
    allow_intrusive: bool,
    network_size_max: u32,
    port_ranges_max: u32,
    never: Vec<(Network, &'static str)>,
    /// The whole scope of each tool that has one of its own.
    tools: BTreeMap<String, Scope>,
}

impl Scope {
    /// Reads a configured scope.
    ///
    /// # Errors
    ///
    /// The first entry that is malformed or out of bounds, with the way to
    /// write it.
    // NOTE: the only constructor; what it lets through is the policy.
    pub fn new(config: &ScopeConfig) -> Result<Self, ScopeError> {
        in_range(
            "max_network_size",
            config.max_network_size,
            NETWORK_SIZE_MAX,
        )?;
        in_range("max_port_ranges", config.max_port_ranges, PORT_RANGES_MAX)?;
        let mut suffixes = config
            .allowed_suffixes
            .iter()
            .map(|entry| parse_suffix(entry))
            .collect::<Result<Vec<_>, _>>()?;
        few_enough("allowed_suffixes", suffixes.len())?;
        suffixes.sort_unstable();
        suffixes.dedup();
        let allowed_ports = parse_ports("allowed_ports", &config.allowed_ports)?;
        let denied_ports = parse_ports("denied_ports", &config.denied_ports)?;
        Ok(Self {
            allowed: parse_networks("allowed_networks", &config.allowed_networks)?,
            denied: parse_networks("denied_networks", &config.denied_networks)?,
            suffixes,
            ports: allowed_ports.without(&denied_ports),
            allow_intrusive: config.allow_intrusive,
            network_size_max: config.max_network_size,
            port_ranges_max: config.max_port_ranges,
            never: NEVER_ALLOWED
                .iter()
                .filter_map(|(text, name)| Some((Network::parse(text).ok()?, *name)))
                .collect(),
            tools: tools(config)?,
        })
    }

    /// The scope of one tool, by its profile's name: the general one, unless the
    /// configuration has a table for it. The scope of a tool is its own.
    pub fn for_tool(&self, name: &str) -> &Self {
        self.tools.get(name).unwrap_or(self)
    }

    /// The tools that have a scope of their own, sorted.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// The allowed networks, sorted, without those that lie in another one.
    pub fn allowed_networks(&self) -> &[Network] {
        &self.allowed
    }

    /// The denied networks, sorted, without those that lie in another one.
    pub fn denied_networks(&self) -> &[Network] {
        &self.denied
    }

    /// The allowed name suffixes, each with its leading dot, sorted.
    pub fn allowed_suffixes(&self) -> &[String] {
        &self.suffixes
    }

    /// The ports that may be touched.
    pub const fn ports(&self) -> &PortSet {
        &self.ports
    }

    /// Whether intrusive flags and values are allowed.
    pub const fn allows_intrusive(&self) -> bool {
        self.allow_intrusive
    }

    /// Most addresses of a target network.
    pub const fn network_size_max(&self) -> u32 {
        self.network_size_max
    }

    /// Most items of a port list.
    pub const fn port_ranges_max(&self) -> u32 {
        self.port_ranges_max
    }

    /// Whether an IPv6 network is listed, which is what opens IPv6 at all.
    pub fn lists_ipv6(&self) -> bool {
        self.allowed.iter().any(Network::is_ipv6)
    }

    /// SHA-256 over the scope's meaning: the same for any order and spelling of
    /// the configuration that means the same.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"mantlet scope 2\n");
        hash.update(self.canonical());
        for (name, scope) in &self.tools {
            let own = scope.canonical();
            // A table that changes nothing means nothing.
            if own != self.canonical() {
                hash.update(format!("tool {name}\n{own}"));
            }
        }
        hash.finalize().into()
    }

    /// What holds where no tool has its own scope, in one spelling.
    fn canonical(&self) -> String {
        let mut text = String::new();
        for (key, networks) in [("allowed", &self.allowed), ("denied", &self.denied)] {
            for network in networks {
                text.push_str(&format!("{key} {network}\n"));
            }
        }
        for suffix in &self.suffixes {
            text.push_str(&format!("suffix {suffix}\n"));
        }
        text.push_str(&format!(
            "ports {}\nintrusive {}\nnetwork_size {}\nport_ranges {}\n",
            self.ports, self.allow_intrusive, self.network_size_max, self.port_ranges_max
        ));
        text
    }

    /// The never-allowed part that the network touches, if it does.
    pub(crate) fn never_part(&self, network: &Network) -> Option<(Network, &'static str)> {
        self.never
            .iter()
            .find(|(never, _)| never.overlaps(network))
            .copied()
    }

    /// Whether every address of the network is allowed, denied ones aside.
    pub(crate) fn is_allowed(&self, network: &Network) -> bool {
        is_covered(network, &self.allowed)
    }

    /// The denied parts of the network.
    pub(crate) fn denied_parts(&self, network: &Network) -> Vec<Network> {
        self.denied
            .iter()
            .filter_map(|denied| denied.intersection(network))
            .collect()
    }

    /// Whether a single address may be touched.
    pub fn admits(&self, address: IpAddr) -> bool {
        let network = Network::single(address);
        self.never_part(&network).is_none()
            && self.is_allowed(&network)
            && self.denied_parts(&network).is_empty()
    }

    /// Whether names of the network's addresses may be asked about: all of it is
    /// allowed, and it is not denied as a whole.
    pub(crate) fn admits_all(&self, network: &Network) -> bool {
        !self.never.iter().any(|(never, _)| never.contains(network))
            && self.is_allowed(network)
            && !is_covered(network, &self.denied)
    }

    /// Whether the canonical name ends in an allowed suffix and has a label before it.
    pub(crate) fn admits_name(&self, name: &str) -> bool {
        self.suffixes.iter().any(|suffix| {
            name.strip_suffix(suffix.as_str())
                .is_some_and(|rest| !rest.is_empty())
        })
    }
}

fn in_range(key: &'static str, value: u32, max: u32) -> Result<(), ScopeError> {
    if (1..=max).contains(&value) {
        Ok(())
    } else {
        Err(ScopeError::Range { key, value, max })
    }
}

fn few_enough(key: &'static str, count: usize) -> Result<(), ScopeError> {
    if count <= SCOPE_ENTRIES_MAX {
        return Ok(());
    }
    Err(ScopeError::TooMany {
        key,
        count,
        max: SCOPE_ENTRIES_MAX,
        remedy: "merge neighbouring ones",
    })
}

/// The whole scope of each tool that has a table.
fn tools(config: &ScopeConfig) -> Result<BTreeMap<String, Scope>, ScopeError> {
    let count = config.tools.len();
    if count > SCOPE_TOOLS_MAX {
        return Err(ScopeError::TooMany {
            key: "tools",
            count,
            max: SCOPE_TOOLS_MAX,
            remedy: "say what most tools share in the general keys",
        });
    }
    let scope = |(tool, own): (&String, &ToolScopeConfig)| {
        let whole = Scope::new(&config.for_tool(own)).map_err(|fault| ScopeError::Tool {
            tool: tool.clone(),
            fault: Box::new(fault),
        })?;
        Ok((tool.clone(), whole))
    };
    config.tools.iter().map(scope).collect()
}

fn parse_networks(key: &'static str, entries: &[String]) -> Result<Vec<Network>, ScopeError> {
    few_enough(key, entries.len())?;
    let mut networks = Vec::with_capacity(entries.len());
    for entry in entries {
        let (network, host_bits) =
            Network::parse_counting_host_bits(entry).map_err(|why| ScopeError::Network {
                key,
                entry: entry.clone(),
                why,
            })?;
        if host_bits {
            return Err(ScopeError::HostBits {
                key,
                entry: entry.clone(),
                network,
            });
        }
        networks.push(network);
    }
    Ok(merged(networks))
}

fn parse_ports(key: &'static str, entries: &[String]) -> Result<PortSet, ScopeError> {
    few_enough(key, entries.len())?;
    PortSet::parse(entries.iter().map(String::as_str)).map_err(|entry| ScopeError::Port {
        key,
        entry: entry.to_owned(),
    })
}

fn parse_suffix(entry: &str) -> Result<String, ScopeError> {
    let wrong = || ScopeError::Suffix {
        entry: entry.to_owned(),
    };
    let labels = entry.strip_prefix('.').ok_or_else(wrong)?;
    let good = entry.len() < HOST_BYTES_MAX
        && labels
            .split('.')
            .all(|label| is_label(label) && label == label.to_ascii_lowercase())
        && !ends_in_number(labels);
    if good {
        Ok(entry.to_owned())
    } else {
        Err(wrong())
    }
}
