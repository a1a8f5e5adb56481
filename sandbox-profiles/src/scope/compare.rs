//! What a scope says, key by key, and how two of them stand to each other.
//!
//! For people who want to see where broker and executor differ. No decision
//! about a call rests on it; that is vetting's, on each side by its own scope.
//!
//! Invariants: two facts of one key are the same only if they mean the same;
//! reading a fact's text gives the fact again.

use sha2::{Digest, Sha256};

use super::{PortSet, Scope};
use crate::net::{Network, is_covered};

/// What one key comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The configuration key; `allowed_ports` stands for both port lists.
    pub key: &'static str,
    /// What it comes to.
    pub value: FactValue,
}

/// The value of a fact, canonical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactValue {
    /// Networks that may be touched.
    Allowed(Vec<Network>),
    /// Networks that may not.
    Denied(Vec<Network>),
    /// Ends of host names.
    Suffixes(Vec<String>),
    /// Ports that may be touched, denied ones taken out.
    Ports(PortSet),
    /// Whether something is allowed.
    Flag(bool),
    /// A bound.
    Bound(u32),
}

/// How one side's value stands to the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Both mean the same.
    Same,
    /// It allows less.
    Tighter,
    /// It allows more.
    Wider,
    /// Each allows what the other doesn't.
    Apart,
}

impl Scope {
    /// What the scope says, in the order to show it.
    pub fn facts(&self) -> Vec<Fact> {
        let fact = |key, value| Fact { key, value };
        vec![
            fact("allowed_networks", FactValue::Allowed(self.allowed.clone())),
            fact("denied_networks", FactValue::Denied(self.denied.clone())),
            fact(
                "allowed_suffixes",
                FactValue::Suffixes(self.suffixes.clone()),
            ),
            fact("allowed_ports", FactValue::Ports(self.ports.clone())),
            fact("allow_intrusive", FactValue::Flag(self.allow_intrusive)),
            fact("max_network_size", FactValue::Bound(self.network_size_max)),
            fact("max_port_ranges", FactValue::Bound(self.port_ranges_max)),
        ]
    }
}

impl Fact {
    /// Reads a fact from its key and text; nothing where either is none.
    pub fn read(key: &str, text: &str) -> Option<Self> {
        let networks = || {
            items(text)
                .map(|item| Network::parse(item).ok())
                .collect::<Option<Vec<_>>>()
        };
        let bound = || text.parse().ok().map(FactValue::Bound);
        let (key, value) = match key {
            "allowed_networks" => ("allowed_networks", FactValue::Allowed(networks()?)),
            "denied_networks" => ("denied_networks", FactValue::Denied(networks()?)),
            "allowed_suffixes" => {
                let suffixes = items(text).map(ToOwned::to_owned).collect();
                ("allowed_suffixes", FactValue::Suffixes(suffixes))
            }
            "allowed_ports" if text == "all" => ("allowed_ports", FactValue::Ports(PortSet::all())),
            "allowed_ports" => (
                "allowed_ports",
                FactValue::Ports(PortSet::parse(items(text)).ok()?),
            ),
            "allow_intrusive" => ("allow_intrusive", FactValue::Flag(text.parse().ok()?)),
            "max_network_size" => ("max_network_size", bound()?),
            "max_port_ranges" => ("max_port_ranges", bound()?),
            _ => return None,
        };
        Some(Self { key, value })
    }

    /// SHA-256 over key and value: the same only for the same fact, also where the
    /// text is too long to be sent whole.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(format!("{} {}", self.key, self.value)).into()
    }

    /// The rule by which a call is refused that goes beyond it.
    pub fn rule(&self) -> &'static str {
        match self.value {
            FactValue::Allowed(_) | FactValue::Suffixes(_) => "TGT2",
            FactValue::Denied(_) => "TGT4",
            FactValue::Ports(_) => "SEC1",
            FactValue::Flag(_) => "ARG6",
            FactValue::Bound(_) if self.key == "max_network_size" => "TGT5",
            FactValue::Bound(_) => "NM2",
        }
    }

    /// How it stands to the same key of another scope; nothing for another key.
    pub fn against(&self, other: &Self) -> Option<Standing> {
        let (within, around) = match (&self.value, &other.value) {
            (FactValue::Allowed(ours), FactValue::Allowed(theirs)) => {
                (covered(ours, theirs), covered(theirs, ours))
            }
            // Denying less is allowing more.
            (FactValue::Denied(ours), FactValue::Denied(theirs)) => {
                (covered(theirs, ours), covered(ours, theirs))
            }
            (FactValue::Suffixes(ours), FactValue::Suffixes(theirs)) => {
                (ending(ours, theirs), ending(theirs, ours))
            }
            (FactValue::Ports(ours), FactValue::Ports(theirs)) => {
                (ours.is_within(theirs), theirs.is_within(ours))
            }
            (FactValue::Flag(ours), FactValue::Flag(theirs)) => (ours <= theirs, theirs <= ours),
            (FactValue::Bound(ours), FactValue::Bound(theirs)) if self.key == other.key => {
                (ours <= theirs, theirs <= ours)
            }
            (_, _) => return None,
        };
        Some(match (within, around) {
            (true, true) => Standing::Same,
            (true, false) => Standing::Tighter,
            (false, true) => Standing::Wider,
            (false, false) => Standing::Apart,
        })
    }
}

impl std::fmt::Display for FactValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Allowed(networks) | Self::Denied(networks) => {
                let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
                f.write_str(&listed(&texts))
            }
            Self::Suffixes(suffixes) => f.write_str(&listed(suffixes)),
            Self::Ports(ports) if ports.is_all() => f.write_str("all"),
            Self::Ports(ports) if ports.is_empty() => f.write_str("none"),
            Self::Ports(ports) => f.write_str(&ports.to_string().replace(',', ", ")),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Bound(bound) => write!(f, "{bound}"),
        }
    }
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(", ")
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    let text = if text == "none" { "" } else { text };
    text.split(", ").filter(|item| !item.is_empty())
}

fn covered(inner: &[Network], outer: &[Network]) -> bool {
    inner.iter().all(|network| is_covered(network, outer))
}

fn ending(inner: &[String], outer: &[String]) -> bool {
    let is_within = |suffix: &String| outer.iter().any(|end| suffix.ends_with(end.as_str()));
    inner.iter().all(is_within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_can_be_read_back() {
        let config = super::super::ScopeConfig {
            denied_networks: vec!["10.0.0.0/30".into(), "192.168.1.1".into()],
            denied_ports: vec!["25".into()],
            allowed_suffixes: Vec::new(),
            ..super::super::ScopeConfig::default()
        };
        for scope in [&config, &super::super::ScopeConfig::default()] {
            let facts = Scope::new(scope).unwrap().facts();
            assert_eq!(facts.len(), 7);
            for fact in facts {
                let text = fact.value.to_string();
                assert_eq!(Fact::read(fact.key, &text), Some(fact), "{text}");
            }
        }
        for (key, text) in [
            ("allowed_ports", "ssh"),
            ("allowed_networks", "10.0.0.0/99"),
            ("allow_intrusive", "yes"),
            ("mode", "system"),
        ] {
            assert_eq!(Fact::read(key, text), None, "{key} {text}");
        }
    }

    #[test]
    fn says_who_is_tighter() {
        use Standing::{Apart, Same, Tighter, Wider};
        let cases = [
            (
                "allowed_networks",
                "10.0.0.0/8",
                "10.0.0.0/8",
                Same,
                "equal",
            ),
            (
                "allowed_networks",
                "10.66.0.0/24",
                "10.0.0.0/8",
                Tighter,
                "inside",
            ),
            (
                "allowed_networks",
                "10.0.0.0/8",
                "none",
                Wider,
                "none allows nothing",
            ),
            (
                "allowed_networks",
                "10.0.0.0/8",
                "192.168.0.0/16",
                Apart,
                "side by side",
            ),
            (
                "denied_networks",
                "10.0.0.0/8",
                "none",
                Tighter,
                "denies more",
            ),
            (
                "denied_networks",
                "none",
                "10.0.0.0/8",
                Wider,
                "denies less",
            ),
            (
                "allowed_suffixes",
                ".a.lab.internal",
                ".lab.internal",
                Tighter,
                "below it",
            ),
            ("allowed_ports", "22, 80", "all", Tighter, "some of all"),
            ("allowed_ports", "22, 80", "80, 443", Apart, "one in common"),
            ("allow_intrusive", "true", "false", Wider, "allowed"),
            ("max_network_size", "256", "1024", Tighter, "a lower bound"),
        ];
        for (key, ours, theirs, expected, why) in cases {
            let (ours, theirs) = (Fact::read(key, ours), Fact::read(key, theirs));
            let got = ours.unwrap().against(&theirs.unwrap());
            assert_eq!(got, Some(expected), "{key}: {why}");
        }
    }
}
