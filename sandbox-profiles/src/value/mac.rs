//! Hardware addresses: `0` for a random one, or six pairs with colons or hyphens.
//!
//! No vendor names and no prefixes, which the tool completes in its own ways. A
//! group address is one as well: whoever may forge a sender may forge that.
//!
//! Invariants: rendered in lower case, with colons.

use std::fmt;

use super::ValueError;

/// A hardware address to send from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mac {
    /// `0`: the tool picks one at random.
    Random,
    /// This one.
    Address([u8; 6]),
}

impl Mac {
    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "0" {
            return Ok(Self::Random);
        }
        let octets = octets(text, ':').or_else(|| octets(text, '-'));
        octets.map(Self::Address).ok_or_else(|| {
            ValueError::new(
                "not a hardware address",
                text,
                "give 0 (random) or six pairs with colons, like 02:00:5e:10:00:01",
            )
        })
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("0"),
            Self::Address(octets) => {
                let pairs: Vec<String> =
                    octets.iter().map(|octet| format!("{octet:02x}")).collect();
                f.write_str(&pairs.join(":"))
            }
        }
    }
}

fn octets(text: &str, between: char) -> Option<[u8; 6]> {
    let octets = text
        .split(between)
        .map(|pair| {
            let hex = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        })
        .collect::<Option<Vec<u8>>>()?;
    octets.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hardware_addresses() {
        let cases = [
            ("0", Some("0"), "random"),
            ("00:11:22:33:44:55", Some("00:11:22:33:44:55"), "plain"),
            ("AA:bb:CC:dd:EE:ff", Some("aa:bb:cc:dd:ee:ff"), "lower case"),
            (
                "01:23:45:67:89:AB",
                Some("01:23:45:67:89:ab"),
                "group address",
            ),
            ("ff:ff:ff:ff:ff:ff", Some("ff:ff:ff:ff:ff:ff"), "broadcast"),
            ("00-11-22-33-44-55", Some("00:11:22:33:44:55"), "hyphens"),
            ("00-11:22-33:44-55", None, "both"),
            ("00:11:22:33:44", None, "five pairs"),
            ("00:11:22:33:44:55:66", None, "seven pairs"),
            ("00:11:22:33:44:55zz", None, "something after it"),
            ("0:1:2:3:4:5", None, "single digits"),
            ("+1:11:22:33:44:55", None, "a sign is no digit"),
            ("Apple", None, "vendor name"),
            ("0x", None, "prefix"),
            ("10", None, "number"),
        ];
        for (text, expected, why) in cases {
            let got = Mac::parse(text).ok().map(|mac| mac.to_string());
            assert_eq!(got.as_deref(), expected, "{text}: {why}");
        }
    }
}
