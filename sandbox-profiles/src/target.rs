//! Targets: from a caller's text to an address, a network or a name.
//!
//! Strict: one canonical spelling each, no ranges, lists, ports, zones, URLs or
//! white space. This file reads; [`crate::scope`] holds what is allowed and
//! [`crate::vet`] decides.
//!
//! Invariants: a parsed name is lower case, has no root dot and only valid
//! labels; a parsed network has no host bits and more than one address.

use std::fmt;
use std::net::IpAddr;

use crate::limits::{HOST_BYTES_MAX, LABEL_BYTES_MAX, TARGET_BYTES_MAX};
use crate::net::{Network, NetworkError};
use crate::refusal::Refusal;

/// What a run is aimed at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// One address.
    Address(IpAddr),
    /// A network of more than one address.
    Network(Network),
    /// A host name, and the address it was pinned to once that is known.
    Name {
        /// Lower case, without a root dot.
        name: String,
        /// The address that the tool gets.
        pinned: Option<IpAddr>,
    },
}

impl Target {
    /// The text that stands in the argument vector: the pinned address of a
    /// name, or the name itself while it is unresolved.
    pub fn argument(&self) -> String {
        match self {
            Self::Address(address)
            | Self::Name {
                pinned: Some(address),
                ..
            } => address.to_string(),
            Self::Network(network) => network.to_string(),
            Self::Name { name, pinned: None } => name.clone(),
        }
    }

    /// The network that the target covers; nothing for an unresolved name.
    pub fn network(&self) -> Option<Network> {
        match self {
            Self::Address(address)
            | Self::Name {
                pinned: Some(address),
                ..
            } => Some(Network::single(*address)),
            Self::Network(network) => Some(*network),
            Self::Name { pinned: None, .. } => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Network(network) => write!(f, "{network}"),
            Self::Name { name, pinned: None } => f.write_str(name),
            Self::Name {
                name,
                pinned: Some(address),
            } => write!(f, "{name} ({address})"),
        }
    }
}

/// What a target may be, for refusals.
pub(crate) const ACCEPTED: &str = "give one IPv4 address (10.0.0.7), one network in CIDR form \
     (10.0.0.0/24), or a host name under an allowed suffix (web.lab.internal)";

/// A parsed target and whether its spelling had to be corrected.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) target: Target,
    /// What was changed, for the result to say so.
    pub(crate) notes: Vec<String>,
}

/// Reads a target.
pub(crate) fn parse(text: &str) -> Result<Parsed, Refusal> {
    let refuse =
        |rule: &str, message: &str| Err(Refusal::new(rule, message, text, ACCEPTED.to_owned()));
    if text.is_empty() {
        return refuse("TGT1", "the target is empty");
    }
    if text.len() > TARGET_BYTES_MAX {
        return refuse("TGT6", "the target is longer than any host name");
    }
    if let Some(what) = forbidden_character(text) {
        return refuse("TGT8", what);
    }
    if text.contains('/') {
        return parse_network(text);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let mut notes = Vec::new();
        if address.to_string() != text {
            notes.push(format!(
                "address written canonically: {text} became {address}"
            ));
        }
        return Ok(Parsed {
            target: Target::Address(address),
            notes,
        });
    }
    parse_name(text)
}

/// What no target may hold, by name.
fn forbidden_character(text: &str) -> Option<&'static str> {
    text.chars().find_map(|ch| match ch {
        ' ' | '\t' => Some("white space in the target"),
        _ if ch.is_ascii_control() => Some("a control character in the target"),
        _ if !ch.is_ascii() => Some("a character outside ASCII in the target"),
        _ => None,
    })
}

fn parse_network(text: &str) -> Result<Parsed, Refusal> {
    let (network, host_bits) = Network::parse_counting_host_bits(text).map_err(|why| {
        let rule = match why {
            NetworkError::Address => "TGT1",
            NetworkError::Prefix | NetworkError::PrefixTooLong { .. } => "TGT8",
        };
        Refusal::new(
            rule,
            format!("no network in CIDR form: {why}"),
            text,
            ACCEPTED,
        )
    })?;
    let mut notes = Vec::new();
    if host_bits {
        notes.push(format!("host bits masked: {text} became {network}"));
    }
    if network.is_single() {
        let address = network.base();
        notes.push(format!("a network of one address: {text} became {address}"));
        return Ok(Parsed {
            target: Target::Address(address),
            notes,
        });
    }
    Ok(Parsed {
        target: Target::Network(network),
        notes,
    })
}

fn parse_name(text: &str) -> Result<Parsed, Refusal> {
    let refuse =
        |rule: &str, message: &str| Err(Refusal::new(rule, message, text, ACCEPTED.to_owned()));
    // Whatever looks like an address in another spelling would be read by the
    // tool's own resolver as one: say so instead of talking about suffixes.
    if text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b',' | b'*' | b':'))
    {
        let message = if text.bytes().any(|byte| matches!(byte, b'-' | b',' | b'*')) {
            "address ranges, lists and wildcards are not accepted"
        } else {
            "no address in canonical form (four decimal octets without leading zeros)"
        };
        return refuse("TGT8", message);
    }
    let folded = text.to_ascii_lowercase();
    let name = folded.strip_suffix('.').unwrap_or(&folded);
    if name.len() > HOST_BYTES_MAX {
        return refuse("TGT6", "the host name is longer than 253 characters");
    }
    if text.starts_with('-') {
        return refuse("TGT6", "a target never begins with a hyphen");
    }
    if !name.split('.').all(is_label) {
        return refuse("TGT6", "neither an address nor a valid host name");
    }
    if ends_in_number(name) {
        let message = "a name that ends in a number, which tools read as an address";
        return refuse("TGT8", message);
    }
    let mut notes = Vec::new();
    if name != text {
        notes.push(format!("name written canonically: {text} became {name}"));
    }
    Ok(Parsed {
        target: Target::Name {
            name: name.to_owned(),
            pinned: None,
        },
        notes,
    })
}

/// Whether the last label is a number, decimal or hexadecimal: resolvers and URL
/// readers take such a name for an address (URL Standard, "ends in a number"), and
/// would not look at what it was pinned to.
pub(crate) fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the text is one label of a host name: letters, digits and inner hyphens.
pub(crate) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LABEL_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
