//! IP networks: strict parsing, containment and counting.
//!
//! Only the spelling `ADDRESS/PREFIX` with a canonical address and a decimal
//! prefix is read; no netmasks, ranges, wildcards or zones. Nothing here knows
//! what is allowed.
//!
//! Invariants: the base address of a [`Network`] has no host bits; its prefix
//! is at most 32 (IPv4) or 128 (IPv6).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network, or a single address as the network that holds only it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// How a text failed to be a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before the slash is no canonical address.
    #[error("not an IP address in canonical form")]
    Address,
    /// The part after the slash is no decimal number.
    #[error("the prefix length is not a plain decimal number")]
    Prefix,
    /// The prefix is longer than the address.
    #[error("the prefix length is larger than {max}")]
    PrefixTooLong {
        /// The longest prefix of that address family.
        max: u8,
    },
}

impl Network {
    /// The network of that prefix which holds the address; host bits are masked.
    ///
    /// Gives nothing if the prefix is too long for the address family.
    // NOTE: with `parse` the only way to make one; both mask.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let width = width_of(address);
        if prefix > width {
            return None;
        }
        let mask = !host_mask(width, prefix);
        Some(Self {
            base: from_bits(bits_of(address) & mask, width),
            prefix,
        })
    }

    /// The network that holds one address only.
    pub fn single(address: IpAddr) -> Self {
        Self {
            base: address,
            prefix: width_of(address),
        }
    }

    /// Reads `ADDRESS/PREFIX`, or a bare address as a network of one.
    ///
    /// Host bits are masked; [`Network::parse_counting_host_bits`] tells whether there were any.
    ///
    /// # Errors
    ///
    /// Says which part is malformed. Leading zeros, signs, netmasks and
    /// non-ASCII digits are.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        Self::parse_counting_host_bits(text).map(|(network, _)| network)
    }

    /// As [`Network::parse`], and whether host bits had to be masked.
    ///
    /// # Errors
    ///
    /// As [`Network::parse`].
    pub fn parse_counting_host_bits(text: &str) -> Result<(Self, bool), NetworkError> {
        let Some((address, prefix)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| NetworkError::Address)?;
            return Ok((Self::single(address), false));
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let prefix = parse_prefix(prefix)?;
        let max = width_of(address);
        let network = Self::new(address, prefix).ok_or(NetworkError::PrefixTooLong { max })?;
        Ok((network, network.base != address))
    }

    /// The first address.
    pub const fn base(&self) -> IpAddr {
        self.base
    }

    /// The prefix length in bits.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether this is a network of IPv6 addresses.
    pub const fn is_ipv6(&self) -> bool {
        self.base.is_ipv6()
    }

    /// How many addresses it has; the whole IPv6 space counts as [`u128::MAX`].
    pub fn size(&self) -> u128 {
        host_mask(width_of(self.base), self.prefix).saturating_add(1)
    }

    /// Whether it holds exactly one address.
    pub fn is_single(&self) -> bool {
        self.prefix == width_of(self.base)
    }

    /// Whether the address lies in it. Addresses of the other family never do.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.contains(&Self::single(address))
    }

    /// Whether every address of the other network lies in it.
    pub fn contains(&self, other: &Self) -> bool {
        let width = width_of(self.base);
        width == width_of(other.base)
            && self.prefix <= other.prefix
            && bits_of(other.base) & !host_mask(width, self.prefix) == bits_of(self.base)
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// The part that both share: networks nest, so it is the smaller one.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.contains(other) {
            Some(*other)
        } else if other.contains(self) {
            Some(*self)
        } else {
            None
        }
    }

    /// The two halves, lower first; nothing for a single address.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let width = width_of(self.base);
        let prefix = self
            .prefix
            .checked_add(1)
            .filter(|prefix| *prefix <= width)?;
        let step = host_mask(width, prefix).checked_add(1)?;
        let upper = from_bits(bits_of(self.base) | step, width);
        Some((
            Self {
                base: self.base,
                prefix,
            },
            Self {
                base: upper,
                prefix,
            },
        ))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// Whether every address of `network` lies in one or another of `covers`.
///
/// Splits only what is partly covered, so the work is bounded by the number of
/// covers times the address width.
pub(crate) fn is_covered(network: &Network, covers: &[Network]) -> bool {
    let relevant: Vec<Network> = covers
        .iter()
        .filter(|cover| cover.overlaps(network))
        .copied()
        .collect();
    if relevant.iter().any(|cover| cover.contains(network)) {
        return true;
    }
    if relevant.is_empty() {
        return false;
    }
    network
        .halves()
        .is_some_and(|(low, high)| is_covered(&low, &relevant) && is_covered(&high, &relevant))
}

/// Sorts networks and drops those that lie in another one of the list.
pub(crate) fn merged(mut networks: Vec<Network>) -> Vec<Network> {
    networks.sort_unstable();
    let mut out: Vec<Network> = Vec::with_capacity(networks.len());
    for network in networks {
        // Sorted by base, then by prefix: whatever holds `network` came before it.
        if !out.iter().any(|kept| kept.contains(&network)) {
            out.push(network);
        }
    }
    out
}

fn parse_prefix(text: &str) -> Result<u8, NetworkError> {
    let plain = !text.is_empty()
        && text.len() <= 3
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if !plain {
        return Err(NetworkError::Prefix);
    }
    text.parse()
        .map_err(|_| NetworkError::PrefixTooLong { max: 128 })
}

const fn width_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn from_bits(bits: u128, width: u8) -> IpAddr {
    if width == 32 {
        // The caller's bits fit: they came from an IPv4 address and a mask.
        IpAddr::V4(Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX)))
    } else {
        IpAddr::V6(Ipv6Addr::from(bits))
    }
}

/// Ones where the host part is, for a prefix that fits the width.
fn host_mask(width: u8, prefix: u8) -> u128 {
    let host = u32::from(width.saturating_sub(prefix));
    u128::MAX
        .checked_shr(128_u32.saturating_sub(host))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn reads_canonical_networks_only() {
        let cases = [
            ("10.0.0.0/8", Some("10.0.0.0/8"), "plain"),
            ("10.0.0.7/24", Some("10.0.0.0/24"), "host bits are masked"),
            (
                "10.0.0.7",
                Some("10.0.0.7/32"),
                "a bare address is a network of one",
            ),
            ("0.0.0.0/0", Some("0.0.0.0/0"), "everything"),
            ("fd00::5/64", Some("fd00::/64"), "IPv6"),
            ("::/0", Some("::/0"), "all of IPv6"),
            ("10.0.0.0/33", None, "prefix beyond the address"),
            ("10.0.0.0/024", None, "leading zero"),
            ("10.0.0.0/+24", None, "sign"),
            ("10.0.0.0/", None, "no prefix"),
            ("10.0.0.0/255.255.255.0", None, "netmask"),
            ("10.0.0.01/24", None, "leading zero in an octet"),
            ("10.0.0/24", None, "three octets"),
            ("10.0.0.0/2\u{ff14}", None, "full-width digit"),
            ("fe80::1%eth0/64", None, "zone"),
            ("10.0.0.0//24", None, "two slashes"),
        ];
        for (text, expected, why) in cases {
            let got = Network::parse(text).ok().map(|network| network.to_string());
            assert_eq!(got.as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn counts_and_nests() {
        assert_eq!(net("10.0.0.0/22").size(), 1024);
        assert_eq!(net("0.0.0.0/0").size(), 1 << 32);
        assert_eq!(net("::/0").size(), u128::MAX, "saturates by one");
        assert!(net("10.0.0.0/8").contains(&net("10.255.0.0/16")));
        assert!(!net("10.0.0.0/8").contains(&net("11.0.0.0/16")));
        assert!(
            !net("0.0.0.0/0").contains(&net("::/0")),
            "families don't mix"
        );
        assert_eq!(
            net("10.0.0.0/8").intersection(&net("10.1.0.0/16")),
            Some(net("10.1.0.0/16"))
        );
        assert_eq!(net("10.0.0.1").halves(), None);
        assert_eq!(
            net("::/0").halves(),
            Some((net("::/1"), net("8000::/1"))),
            "no overflow at the top"
        );
    }

    #[test]
    fn is_covered_by_a_union() {
        let union = [
            net("10.0.0.0/25"),
            net("10.0.0.128/26"),
            net("10.0.0.192/26"),
        ];
        assert!(is_covered(&net("10.0.0.0/24"), &union));
        assert!(!is_covered(&net("10.0.0.0/23"), &union));
        assert!(!is_covered(&net("fd00::/64"), &union));
        assert!(!is_covered(&net("10.0.0.0/24"), &[]));
    }

    #[test]
    fn merges_what_nests() {
        let merged = merged(vec![net("10.0.0.9"), net("10.0.0.0/24"), net("10.0.0.9")]);
        assert_eq!(merged, [net("10.0.0.0/24")]);
    }
}
