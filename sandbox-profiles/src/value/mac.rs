//! Hardware addresses: `0` for a random one, or six pairs with colons.
//!
//! No vendor names, prefixes or hyphens, which the tool resolves or refuses in
//! its own ways.
//!
//! Invariants: never a group address, which no sender can have; rendered in
//! lower case.

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
        const REMEDY: &str = "give 0 (random) or six pairs with colons, like 02:00:5e:10:00:01";
        if text == "0" {
            return Ok(Self::Random);
        }
        let wrong = |message: &str| {
            let error = ValueError::new(message, text, REMEDY);
            // Hyphens are the other usual spelling.
            let colons = text.replace('-', ":");
            if colons != text && octets(&colons).is_some() {
                error.with_nearest(colons.to_ascii_lowercase())
            } else {
                error
            }
        };
        let octets = octets(text).ok_or_else(|| wrong("not a hardware address"))?;
        if octets.first().is_some_and(|first| first & 1 == 1) {
            return Err(wrong("a group address can't be a sender"));
        }
        Ok(Self::Address(octets))
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

fn octets(text: &str) -> Option<[u8; 6]> {
    let octets = text
        .split(':')
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
            ("01:00:5e:00:00:01", None, "group address"),
            ("ff:ff:ff:ff:ff:ff", None, "broadcast"),
            ("00-11-22-33-44-55", None, "hyphens"),
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
