//! Reading DER: the encoding in which certificates say what they hold.
//!
//! Just enough to walk to a certificate's names and dates: elements of definite length, object
//! identifiers, strings and times. It checks no signature and knows no certificate.
//!
//! Invariants: total; nothing is read past the element that holds it; what is not exactly of the
//! expected form is `None`.

use jiff::civil::DateTime;

/// Longest length of a length, in bytes: enough for a whole transcript.
const LENGTH_BYTES_MAX: usize = 4;

/// Components of an object identifier that are read; X.509's longest has ten.
const COMPONENTS_MAX: usize = 24;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;

/// A row of elements, read from the front.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    left: &'a [u8],
}

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The elements in those bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// The next element if it has that tag; otherwise it stays where it is.
    pub(super) fn one(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.left;
        match self.next() {
            Some(element) if element.tag == tag => Some(element.value),
            Some(_) | None => {
                self.left = before;
                None
            }
        }
    }

    /// The elements inside the next one, if that has the tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.one(tag).map(Self::new)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.left.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            let count = usize::from(*first & 0x7f);
            let (digits, rest) = rest.split_at_checked(count)?;
            let fits = (1..=LENGTH_BYTES_MAX).contains(&count);
            let length = digits
                .iter()
                .fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit));
            (fits.then_some(length)?, rest)
        };
        let (value, left) = rest.split_at_checked(length)?;
        self.left = left;
        Some(Element { tag: *tag, value })
    }
}

/// An object identifier in dots.
pub(super) fn object_id(value: &[u8]) -> Option<String> {
    let mut components: Vec<u64> = Vec::new();
    let mut number = 0_u64;
    let mut open = false;
    for byte in value {
        number = number
            .checked_mul(128)?
            .checked_add(u64::from(byte & 0x7f))?;
        open = byte & 0x80 != 0;
        if open {
            continue;
        }
        if components.is_empty() {
            let root = number.checked_div(40)?.min(2);
            components.extend([root, number.checked_sub(root.checked_mul(40)?)?]);
        } else {
            components.push(number);
        }
        number = 0;
        if components.len() > COMPONENTS_MAX {
            return None;
        }
    }
    let dotted: Vec<String> = components.iter().map(u64::to_string).collect();
    (!open && !dotted.is_empty()).then(|| dotted.join("."))
}

/// The text of a string of any kind: UTF-8 where it is that, else one character a byte.
pub(super) fn text(element: Element<'_>) -> String {
    if element.tag == BMP_STRING {
        let units = element.value.chunks_exact(2);
        let units = units.filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
        return char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
    }
    match std::str::from_utf8(element.value) {
        Ok(text) => text.to_owned(),
        Err(_) => element.value.iter().copied().map(char::from).collect(),
    }
}

/// A time as RFC 3339, in UTC.
pub(super) fn time(element: Element<'_>) -> Option<String> {
    let text = std::str::from_utf8(element.value).ok()?;
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match element.tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            // RFC 5280: two digits mean 1950 to 2049.
            (year.checked_add(if year < 50 { 2000 } else { 1900 })?, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |at: usize| -> Option<i8> { rest.get(at..at.checked_add(2)?)?.parse().ok() };
    let time = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Some(format!("{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_whole_elements_only() {
        type Case<'a> = (&'a [u8], Option<(u8, usize)>, &'a str);
        let cases: &[Case<'_>] = &[
            (&[0x02, 0x01, 0x07], Some((2, 1)), "short"),
            (&[0x04, 0x81, 0x02, 1, 2], Some((4, 2)), "a long length"),
            (&[0x30, 0x80, 0, 0], None, "no length"),
            (&[0x30, 0x03, 1, 2], None, "cut off"),
            (
                &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1],
                None,
                "far too long",
            ),
            (
                &[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1],
                None,
                "a length of nine bytes",
            ),
            (&[0x30], None, "no length at all"),
            (&[], None, "nothing"),
        ];
        for (bytes, expected, why) in cases {
            let element = Elements::new(bytes).next();
            let told = element.map(|element| (element.tag, element.value.len()));
            assert_eq!(told, *expected, "{why}");
        }
    }

    #[test]
    fn reads_identifiers_and_times() {
        let ids: &[(&[u8], Option<&str>, &str)] = &[
            (&[0x55, 0x04, 0x03], Some("2.5.4.3"), "common name"),
            (
                &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d],
                Some("1.2.840.113549"),
                "long numbers",
            ),
            (&[0x55, 0x84], None, "cut off"),
            (&[0xff; 40], None, "too large a number"),
            (&[], None, "nothing"),
        ];
        for (bytes, expected, why) in ids {
            assert_eq!(object_id(bytes).as_deref(), *expected, "{why}");
        }
        let times: &[(u8, &[u8], Option<&str>, &str)] = &[
            (
                0x17,
                b"261125015840Z",
                Some("2026-11-25T01:58:40Z"),
                "short year",
            ),
            (
                0x17,
                b"991231235959Z",
                Some("1999-12-31T23:59:59Z"),
                "last century",
            ),
            (
                0x18,
                b"20500101000000Z",
                Some("2050-01-01T00:00:00Z"),
                "long year",
            ),
            (0x17, b"261325015840Z", None, "month 13"),
            (0x17, b"2611250158Z", None, "no seconds"),
            (0x17, b"261125015840+0100", None, "not UTC"),
            (0x17, b"2611250158\xc3\xa9Z", None, "no digits"),
            (0x0c, b"261125015840Z", None, "a string"),
        ];
        for (tag, value, expected, why) in times {
            let element = Element { tag: *tag, value };
            assert_eq!(time(element).as_deref(), *expected, "{why}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut seen = 0_usize;
            for element in Elements::new(&bytes) {
                seen = seen.saturating_add(element.value.len());
                object_id(element.value);
                time(element);
                text(element);
            }
            prop_assert!(seen <= bytes.len());
        }
    }
}
