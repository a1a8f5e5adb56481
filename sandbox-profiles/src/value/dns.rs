//! Names and addresses to ask a name server about.
//!
//! Not targets: nothing is sent to them. They are held against the scope all
//! the same, since a name server that forwards is a way out of the lab.
//!
//! Invariants: an accepted name lies under an allowed suffix, is the suffix
//! itself, or is the reverse name of an address or network that is wholly
//! allowed; it is lower case and has no root dot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ValueError;
use crate::limits::{HOST_BYTES_MAX, LABEL_BYTES_MAX};
use crate::net::Network;
use crate::scope::Scope;

/// Reads a name to ask about.
pub(super) fn parse_name(text: &str, scope: &Scope) -> Result<String, ValueError> {
    let folded = text.to_ascii_lowercase();
    let name = folded.strip_suffix('.').unwrap_or(&folded);
    if text.parse::<IpAddr>().is_ok() {
        let remedy = "ask for the name of an address by -x (parameter reverse)";
        return Err(ValueError::new("an address, not a name", text, remedy));
    }
    if name.len() > HOST_BYTES_MAX || !name.split('.').all(is_label) {
        let remedy = "give a name like web.lab.internal: letters, digits, hyphens, underscores";
        return Err(ValueError::new("not a name of the DNS", text, remedy));
    }
    if admits(name, scope) {
        return Ok(name.to_owned());
    }
    let suffixes: Vec<String> = scope
        .allowed_suffixes()
        .iter()
        .map(|suffix| format!("NAME{suffix}"))
        .collect();
    let names = if suffixes.is_empty() {
        String::new()
    } else {
        format!(
            "a name under an allowed suffix ({}), or ",
            suffixes.join(", ")
        )
    };
    let remedy = format!("ask for {names}the reverse name of an allowed address");
    Err(ValueError::new("the name is not in scope", text, remedy).breaking("TGT2"))
}

/// Reads an address to ask about.
pub(super) fn parse_address(text: &str, scope: &Scope) -> Result<IpAddr, ValueError> {
    let address: IpAddr = text.parse().map_err(|_| {
        let remedy = "give one address in canonical form, like 10.0.0.7";
        ValueError::new("not an address", text, remedy)
    })?;
    if scope.admits(address) {
        return Ok(address);
    }
    let remedy = "give an address in the allowed networks";
    Err(ValueError::new("the address is not in scope", text, remedy).breaking("TGT2"))
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LABEL_BYTES_MAX
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn admits(name: &str, scope: &Scope) -> bool {
    let is_apex = scope
        .allowed_suffixes()
        .iter()
        .any(|suffix| suffix.strip_prefix('.') == Some(name));
    is_apex || scope.admits_name(name) || reversed(name).is_some_and(|net| scope.admits_all(&net))
}

/// The network that a reverse name stands for: `0.10.in-addr.arpa` is 10.0.0.0/16.
fn reversed(name: &str) -> Option<Network> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut count: u8 = 0;
        for (octet, label) in octets.iter_mut().zip(checked_rev(labels, 4)?) {
            *octet = u8::try_from(super::number::canonical(label).ok()?).ok()?;
            count = count.checked_add(8)?;
        }
        return Network::new(IpAddr::V4(Ipv4Addr::from(octets)), count);
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let mut bits: u128 = 0;
    let mut count: u8 = 0;
    for label in checked_rev(labels, 32)? {
        let nibble = (label.len() == 1).then(|| u128::from_str_radix(label, 16).ok())??;
        count = count.checked_add(4)?;
        bits |= nibble.checked_shl(u32::from(128_u8.checked_sub(count)?))?;
    }
    Network::new(IpAddr::V6(Ipv6Addr::from_bits(bits)), count)
}

/// The labels from the last to the first, if there are not too many.
fn checked_rev(labels: &str, max: usize) -> Option<impl Iterator<Item = &str>> {
    (labels.split('.').count() <= max).then(|| labels.rsplit('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::ScopeConfig;

    #[test]
    fn admits_names_of_the_scope_and_their_reverse_names() {
        let scope = Scope::new(&ScopeConfig {
            allowed_networks: vec!["10.0.0.0/8".into(), "fd00::/8".into()],
            denied_networks: vec!["10.9.0.0/16".into()],
            ..ScopeConfig::default()
        })
        .unwrap();
        let cases = [
            ("web.lab.internal", true, "under the suffix"),
            ("WEB.Lab.Internal.", true, "case and root dot"),
            ("lab.internal", true, "the zone itself, for SOA and NS"),
            ("_ldap._tcp.lab.internal", true, "a service"),
            ("internal", false, "above the suffix"),
            ("evillab.internal", false, "no dot boundary"),
            ("www.example.com", false, "elsewhere"),
            (
                "lab.internal.example.com",
                false,
                "the suffix in the middle",
            ),
            ("7.0.0.10.in-addr.arpa", true, "an allowed address"),
            ("10.in-addr.arpa", true, "an allowed network"),
            ("5.9.10.in-addr.arpa", false, "a denied network"),
            ("9.10.in-addr.arpa", false, "the whole denied network"),
            ("8.8.8.8.in-addr.arpa", false, "a public address"),
            ("in-addr.arpa", false, "every address"),
            ("07.0.0.10.in-addr.arpa", false, "a leading zero"),
            ("0/25.0.0.10.in-addr.arpa", false, "a classless delegation"),
            ("1.7.0.0.10.in-addr.arpa", false, "five octets"),
            ("d.f.ip6.arpa", true, "an allowed IPv6 network"),
            ("1.0.0.2.ip6.arpa", false, "a public IPv6 network"),
            ("10.0.0.7", false, "an address"),
            ("@10.0.0.1", false, "another server"),
            ("+trace", false, "an option"),
            ("-x", false, "a flag"),
            ("a..lab.internal", false, "an empty label"),
            (".", false, "the root"),
        ];
        for (name, accepted, why) in cases {
            assert_eq!(parse_name(name, &scope).is_ok(), accepted, "{name}: {why}");
        }
        assert_eq!(
            parse_name("WEB.Lab.Internal.", &scope).unwrap(),
            "web.lab.internal"
        );
    }
}
