//! Lists of addresses inside a flag: decoys and exclusions.
//!
//! Spelling only; whether an address lies in the scope or in the target is
//! decided in [`crate::vet`], where both are known.
//!
//! Invariants: every item is canonical; `ME` stands at most once.

use std::fmt;
use std::net::IpAddr;

use super::ValueError;
use crate::net::{Network, merged};

/// A forged sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoy {
    /// The scanner's own address, at this place of the list.
    Me,
    /// Another address.
    Address(IpAddr),
}

impl fmt::Display for Decoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Me => f.write_str("ME"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

pub(super) fn parse_decoys(text: &str, items_max: u32) -> Result<Vec<Decoy>, ValueError> {
    const REMEDY: &str = "give ME and single addresses within the scope, like 10.0.0.9,ME";
    let mut decoys: Vec<Decoy> = Vec::new();
    for item in items(text, items_max)? {
        let wrong = |message: &str| ValueError::new(message, shown(item), REMEDY);
        let decoy = match item {
            "ME" => Decoy::Me,
            _ if is_random(item) => {
                return Err(wrong(
                    "random senders are public addresses, which leave the lab",
                ));
            }
            _ => Decoy::Address(
                item.parse()
                    .map_err(|_| wrong("a decoy is ME or one canonical address"))?,
            ),
        };
        if decoys.contains(&decoy) {
            return Err(wrong("a decoy is named twice"));
        }
        decoys.push(decoy);
    }
    Ok(decoys)
}

pub(super) fn parse_networks(text: &str, items_max: u32) -> Result<Vec<Network>, ValueError> {
    let networks = items(text, items_max)?
        .into_iter()
        .map(|item| {
            Network::parse(item).map_err(|why| {
                let remedy = "give addresses or networks, like 10.0.0.5,10.0.0.64/28";
                ValueError::new(format!("no address or network: {why}"), shown(item), remedy)
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(merged(networks))
}

/// Single addresses without a prefix, networks with it.
pub(super) fn networks_text(networks: &[Network]) -> String {
    let texts: Vec<String> = networks
        .iter()
        .map(|network| {
            if network.is_single() {
                network.base().to_string()
            } else {
                network.to_string()
            }
        })
        .collect();
    texts.join(",")
}

fn items(text: &str, items_max: u32) -> Result<Vec<&str>, ValueError> {
    let items: Vec<&str> = text.split(',').collect();
    if u32::try_from(items.len()).unwrap_or(u32::MAX) > items_max {
        return Err(ValueError::new(
            format!(
                "{} items in the list, at most {items_max} are accepted",
                items.len()
            ),
            text,
            "name fewer",
        ));
    }
    Ok(items)
}

/// Whether nmap would read the item as `RND` or `RND:NUMBER`, in any letter case.
fn is_random(item: &str) -> bool {
    item.get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("RND"))
}

fn shown(item: &str) -> &str {
    if item.is_empty() {
        "an empty item"
    } else {
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_decoys() {
        let cases = [
            ("ME", true, "own address"),
            ("10.0.0.9,ME,10.0.0.10", true, "mixed"),
            ("fd00::1", true, "IPv6; the scope decides later"),
            ("ME,ME", false, "twice, which nmap refuses"),
            ("me", false, "case counts"),
            ("RND", false, "random public addresses"),
            ("rnd:5", false, "random public addresses"),
            ("10.0.0.9,", false, "empty item"),
            ("10.0.0.0/24", false, "network"),
            ("fe80::1%eth0", false, "zone"),
            ("host", false, "name"),
            ("10.0.0.09", false, "leading zero"),
        ];
        for (text, accepted, why) in cases {
            assert_eq!(parse_decoys(text, 16).is_ok(), accepted, "{text}: {why}");
        }
        assert!(parse_decoys("10.0.0.1,10.0.0.2", 1).is_err(), "too many");
    }

    #[test]
    fn reads_and_merges_networks() {
        let got = parse_networks("10.0.0.9,10.0.0.0/28,10.0.1.7/24", 8).unwrap();
        assert_eq!(networks_text(&got), "10.0.0.0/28,10.0.1.0/24");
        for text in [
            "",
            "10.0.0.1-5",
            "10.0.0.*",
            "host",
            "10.0.0.0/33",
            "10.0.0.1,,10.0.0.2",
        ] {
            assert!(parse_networks(text, 8).is_err(), "{text}");
        }
    }
}
