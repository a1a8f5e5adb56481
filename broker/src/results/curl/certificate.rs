//! The server's certificates, out of what curl writes of them.
//!
//! curl writes each certificate as lines of text and as PEM, all in one string. A server can put
//! lines of its own into its certificate's text, so only the PEM is read, and only if there are
//! exactly as many as curl counted. Nothing is verified here: curl did that, or was told not to.
//!
//! Invariants: at most [`CERTIFICATES_MAX`] certificates with bounded, neutralised strings.

use super::der::{self, Element, Elements};
use crate::hex::hex;
use crate::results::limits::{CERTIFICATE_NAMES_MAX, CERTIFICATES_MAX, STRING_CHARS_MAX};
use crate::results::neutralise::line;
use serde::Serialize;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whom it names, as `CN=…, O=…`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// First moment of its validity (RFC 3339, UTC).
    pub valid_from: String,
    /// Last moment of its validity.
    pub valid_until: String,
    /// Names it is for (subject alternative names).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Names that are not in this result.
    #[serde(skip_serializing_if = "is_zero")]
    pub names_omitted: u64,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// The kind of its key, with its size where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Attributes of a name by their identifier, as RFC 4514 and custom write them.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Kinds of keys, and curves, by their identifier.
const KEYS: &[(&str, &str)] = &[
    ("1.2.840.10045.2.1", "EC"),
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.2.840.113549.1.1.10", "RSA-PSS"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
];

const RSA: &str = "1.2.840.113549.1.1.1";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";

/// The chain in curl's text, the server's own certificate first, and how many more there are.
///
/// `None` if it can't be told which certificates are the real ones.
pub(super) fn chain(text: &str, counted: u64) -> Option<(Vec<Certificate>, u64)> {
    let mut blocks = Vec::new();
    for rest in text.split(BEGIN).skip(1) {
        blocks.push(rest.split_once(END)?.0);
    }
    if u64::try_from(blocks.len()).ok()? != counted {
        return None;
    }
    let kept = blocks.iter().take(CERTIFICATES_MAX);
    let kept: Option<Vec<Certificate>> = kept.map(|pem| certificate(&base64(pem)?)).collect();
    let more = blocks.len().saturating_sub(CERTIFICATES_MAX);
    Some((kept?, u64::try_from(more).unwrap_or(u64::MAX)))
}

/// Bytes of a base64 text with line breaks.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut group, mut digits) = (0_u32, 0_u32);
    let body = text.trim().trim_end_matches('=');
    for char in body.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let digit = match char {
            b'A'..=b'Z' => char.checked_sub(b'A')?,
            b'a'..=b'z' => char.checked_sub(b'a')?.checked_add(26)?,
            b'0'..=b'9' => char.checked_sub(b'0')?.checked_add(52)?,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        group = (group << 6) | u32::from(digit);
        digits = digits.checked_add(1)?;
        if digits == 4 {
            bytes.extend(group.to_be_bytes().get(1..)?);
            (group, digits) = (0, 0);
        }
    }
    let [_, first, second, _] = match digits {
        0 => return Some(bytes),
        2 => (group << 12).to_be_bytes(),
        3 => (group << 6).to_be_bytes(),
        _ => return None,
    };
    bytes.push(first);
    bytes.extend((digits == 3).then_some(second));
    Some(bytes)
}

/// One certificate, from its DER.
fn certificate(bytes: &[u8]) -> Option<Certificate> {
    let mut body = Elements::new(bytes)
        .enter(der::SEQUENCE)?
        .enter(der::SEQUENCE)?;
    // The version, which old certificates leave out.
    body.one(0xa0);
    let serial = body.one(der::INTEGER)?;
    body.one(der::SEQUENCE)?;
    let issuer = name(body.enter(der::SEQUENCE)?);
    let mut validity = body.enter(der::SEQUENCE)?;
    let valid_from = der::time(validity.next()?)?;
    let valid_until = der::time(validity.next()?)?;
    let subject = name(body.enter(der::SEQUENCE)?);
    let key = key(body.enter(der::SEQUENCE)?);
    let mut certificate = Certificate {
        subject,
        issuer,
        valid_from,
        valid_until,
        serial: hexadecimal(serial),
        key,
        ..Certificate::default()
    };
    // 0xa3 holds the extensions; two optional fields may stand before it.
    if let Some(extensions) = body.find(|element| element.tag == 0xa3) {
        let extensions = Elements::new(extensions.value).enter(der::SEQUENCE)?;
        for extension in extensions.filter(|element| element.tag == der::SEQUENCE) {
            alternative_names(Elements::new(extension.value), &mut certificate);
        }
    }
    Some(certificate)
}

/// Without the zeros that only keep a number from being negative.
fn hexadecimal(bytes: &[u8]) -> String {
    let begin = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(begin..).unwrap_or_default();
    hex(digits.get(..32).unwrap_or(digits))
}

/// `CN=web.lab.internal, O=Lab`, with what could pass for structure escaped.
fn name(parts: Elements<'_>) -> String {
    let mut text = String::new();
    let sets = parts.filter(|element| element.tag == der::SET);
    let pairs = sets.flat_map(|set| Elements::new(set.value));
    for pair in pairs.filter(|element| element.tag == der::SEQUENCE) {
        let mut pair = Elements::new(pair.value);
        let id = pair.one(der::OBJECT_ID).and_then(der::object_id);
        let (Some(id), Some(value)) = (id, pair.next()) else {
            continue;
        };
        if text.len() > STRING_CHARS_MAX {
            break;
        }
        let known = ATTRIBUTES.iter().find(|(known, _)| *known == id);
        let attribute = known.map_or(id.as_str(), |(_, short)| short);
        let separator = if text.is_empty() { "" } else { ", " };
        write!(text, "{separator}{attribute}=").unwrap_or_default();
        for char in der::text(value).chars().take(STRING_CHARS_MAX) {
            if matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=') {
                text.push('\\');
            }
            text.push(char);
        }
    }
    line(&text, STRING_CHARS_MAX)
}

/// `RSA 2048`, `EC P-256`, or the identifier.
fn key(mut info: Elements<'_>) -> Option<String> {
    let mut algorithm = info.enter(der::SEQUENCE)?;
    let id = der::object_id(algorithm.one(der::OBJECT_ID)?)?;
    let word = |id: &str| {
        let known = KEYS.iter().find(|(known, _)| *known == id);
        known.map_or_else(|| id.to_owned(), |(_, word)| (*word).to_owned())
    };
    if id == RSA {
        let (_, bits) = info.one(der::BIT_STRING)?.split_first()?;
        let modulus = Elements::new(bits)
            .enter(der::SEQUENCE)?
            .one(der::INTEGER)?;
        let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
        return Some(format!("RSA {}", bytes.saturating_mul(8)));
    }
    let curve = algorithm.one(der::OBJECT_ID).and_then(der::object_id);
    Some(match curve {
        Some(curve) => format!("{} {}", word(&id), word(&curve)),
        None => word(&id),
    })
}

/// Adds the names of a subjectAltName extension; passes over every other.
fn alternative_names(mut extension: Elements<'_>, certificate: &mut Certificate) {
    let id = extension.one(der::OBJECT_ID).and_then(der::object_id);
    if id.as_deref() != Some(SUBJECT_ALT_NAME) {
        return;
    }
    // Whether it is critical, if that is said.
    extension.one(0x01);
    let value = extension.one(der::OCTET_STRING).map(Elements::new);
    let Some(names) = value.and_then(|mut value| value.enter(der::SEQUENCE)) else {
        return;
    };
    for name in names {
        if certificate.names.len() < CERTIFICATE_NAMES_MAX {
            certificate.names.push(alternative_name(name));
        } else {
            certificate.names_omitted = certificate.names_omitted.saturating_add(1);
        }
    }
}

fn alternative_name(name: Element<'_>) -> String {
    let text = match name.tag {
        0x81 => format!("email:{}", der::text(name)),
        0x82 => der::text(name),
        0x86 => format!("uri:{}", der::text(name)),
        0x87 => match (
            <[u8; 4]>::try_from(name.value),
            <[u8; 16]>::try_from(name.value),
        ) {
            (Ok(four), _) => Ipv4Addr::from(four).to_string(),
            (_, Ok(sixteen)) => Ipv6Addr::from(sixteen).to_string(),
            (Err(_), Err(_)) => "(no address)".to_owned(),
        },
        _ => "(another kind of name)".to_owned(),
    };
    line(&text, 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_base64_strictly() {
        let cases: &[(&str, Option<&[u8]>, &str)] = &[
            ("TWFu\nTWE=\n", Some(b"ManMa"), "lines, one pad"),
            ("TQ==", Some(b"M"), "two pads"),
            ("", Some(b""), "nothing"),
            ("T", None, "half a byte"),
            ("TW*u", None, "no digit"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(base64(text).as_deref(), *expected, "{why}");
        }
    }

    #[test]
    fn a_chain_is_whole_or_nothing() {
        let forged = format!("Subject:x\n{BEGIN}\nAAAA\n{END}\n");
        let cases = [
            ("", 0, true, "no certificate"),
            ("", 1, false, "fewer than counted"),
            (forged.as_str(), 0, false, "more than counted"),
            (forged.as_str(), 1, false, "no certificate in it"),
            (BEGIN, 1, false, "no end"),
        ];
        for (text, counted, readable, why) in cases {
            assert_eq!(chain(text, counted).is_some(), readable, "{why}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in any::<String>()) {
            certificate(&bytes);
            chain(&format!("{BEGIN}{text}{END}"), 1);
        }
    }
}
