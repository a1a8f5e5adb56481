//! Sets of ports: what a scope allows, and the arithmetic that vetting needs.
//!
//! It knows no protocol: a port number means the same port for TCP, UDP and
//! SCTP. It is no value of a flag; that is [`crate::value::PortList`], which
//! keeps what a caller wrote apart.
//!
//! Invariants: ranges are sorted, neither overlap nor touch, lie in 1..=65535
//! and are the right way round, so two equal sets are written alike.

use std::fmt;

/// The greatest port.
const PORT_MAX: u16 = u16::MAX;

/// A set of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}

impl PortSet {
    /// Every port.
    pub fn all() -> Self {
        Self {
            ranges: vec![(1, PORT_MAX)],
        }
    }

    /// The set of these ranges, both ends included, in any order. Port 0 and
    /// ranges that are the wrong way round hold nothing.
    pub(crate) fn of(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut ranges: Vec<(u16, u16)> = ranges
            .into_iter()
            .map(|(low, high)| (low.max(1), high))
            .filter(|(low, high)| low <= high)
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                // Neighbours join too: that is what makes a set canonical.
                Some((_, end)) if low <= end.saturating_add(1) => *end = (*end).max(high),
                Some(_) | None => merged.push((low, high)),
            }
        }
        Self { ranges: merged }
    }

    /// Reads items like `22` or `8000-8100`.
    ///
    /// # Errors
    ///
    /// The first item that is neither a port nor a range of ports.
    pub(crate) fn parse<'t>(items: impl IntoIterator<Item = &'t str>) -> Result<Self, &'t str> {
        let ranges: Result<Vec<_>, _> = items
            .into_iter()
            .map(|item| range(item).ok_or(item))
            .collect();
        ranges.map(Self::of)
    }

    /// The ranges, sorted, both ends included.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// Whether it holds every port.
    pub fn is_all(&self) -> bool {
        self.ranges == [(1, PORT_MAX)]
    }

    /// Whether it holds no port.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The least port, if there is one.
    pub fn first(&self) -> Option<u16> {
        self.ranges.first().map(|(low, _)| *low)
    }

    /// How many ports it holds.
    pub fn count(&self) -> u32 {
        count(&self.ranges)
    }

    /// Whether every port of it is one of the other set.
    pub fn is_within(&self, other: &Self) -> bool {
        self.ranges.iter().all(|(low, high)| {
            let mut holders = other.ranges.iter();
            holders.any(|(from, to)| from <= low && high <= to)
        })
    }

    /// Every port that it doesn't hold.
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len().saturating_add(1));
        let mut next = Some(1_u16);
        for (low, high) in &self.ranges {
            if let (Some(from), Some(to)) = (next, low.checked_sub(1)) {
                ranges.push((from, to));
            }
            next = high.checked_add(1);
        }
        ranges.extend(next.map(|from| (from, PORT_MAX)));
        Self::of(ranges)
    }

    /// The ports of both.
    pub fn intersection(&self, other: &Self) -> Self {
        // Two merged lists meet in at most as many ranges as both have.
        let mut ranges = Vec::new();
        let (mut left, mut right) = (self.ranges.iter(), other.ranges.iter());
        let (mut one, mut two) = (left.next(), right.next());
        while let (Some((from, to)), Some((low, high))) = (one, two) {
            ranges.push(((*from).max(*low), (*to).min(*high)));
            if to < high {
                one = left.next();
            } else {
                two = right.next();
            }
        }
        Self::of(ranges.into_iter().filter(|(low, high)| low <= high))
    }

    /// The ports of this set that the other one doesn't hold.
    pub fn without(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// The ports of either.
    pub fn union(&self, other: &Self) -> Self {
        Self::of(self.ranges.iter().chain(&other.ranges).copied())
    }
}

/// As a port list is written: `22,8000-8100`; nothing for the empty set.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ranges(f, &self.ranges)
    }
}

/// How many ports ranges hold that don't overlap.
pub(crate) fn count(ranges: &[(u16, u16)]) -> u32 {
    ranges
        .iter()
        .map(|(low, high)| u32::from(high.saturating_sub(*low)).saturating_add(1))
        .fold(0, u32::saturating_add)
}

/// Writes ranges as a port list has them.
pub(crate) fn write_ranges(f: &mut fmt::Formatter<'_>, ranges: &[(u16, u16)]) -> fmt::Result {
    for (index, (low, high)) in ranges.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        if low == high {
            write!(f, "{comma}{low}")?;
        } else {
            write!(f, "{comma}{low}-{high}")?;
        }
    }
    Ok(())
}

fn range(item: &str) -> Option<(u16, u16)> {
    let (low, high) = item.split_once('-').unwrap_or((item, item));
    let (low, high) = (port(low)?, port(high)?);
    (low <= high).then_some((low, high))
}

/// A port in plain decimal digits, without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> PortSet {
        PortSet::parse(text.split(',').filter(|item| !item.is_empty())).unwrap()
    }

    #[test]
    fn reads_ports_and_ranges_only() {
        let cases = [
            ("22", Some("22"), "one"),
            ("1-65535", Some("1-65535"), "all"),
            ("23,22,80-90,85-100", Some("22-23,80-100"), "sorted, joined"),
            ("0", None, "no port"),
            ("0-9", None, "from no port"),
            ("65536", None, "above"),
            ("9-8", None, "the wrong way round"),
            ("022", None, "leading zero"),
            ("+22", None, "sign"),
            ("22-", None, "no end"),
            ("-22", None, "no start"),
            ("ssh", None, "a name"),
            (" 22", None, "white space"),
            ("1-2-3", None, "two ranges in one"),
        ];
        for (text, expected, why) in cases {
            let got = PortSet::parse(text.split(',')).ok();
            let got = got.map(|set| set.to_string());
            assert_eq!(got.as_deref(), expected, "{text}: {why}");
        }
    }

    #[test]
    fn sets_behave_as_sets() {
        let cases = [
            ("", "1-65535"),
            ("1-65535", ""),
            ("22", "1-21,23-65535"),
            ("1", "2-65535"),
            ("65535", "1-65534"),
            ("1-10,20-65535", "11-19"),
        ];
        for (text, complement) in cases {
            assert_eq!(set(text).complement().to_string(), complement, "{text}");
            assert_eq!(set(text).complement().complement(), set(text), "{text}");
        }
        let (web, low) = (set("80,443,8000-8100"), set("1-1024,8050"));
        assert_eq!(web.intersection(&low).to_string(), "80,443,8050");
        assert_eq!(low.intersection(&web), web.intersection(&low));
        assert_eq!(web.without(&low).to_string(), "8000-8049,8051-8100");
        assert_eq!(web.union(&low).to_string(), "1-1024,8000-8100");
        assert!(set("80,8000-8001").is_within(&web));
        assert!(!set("80-81").is_within(&web), "81 is not");
        assert!(set("").is_within(&web) && !web.is_within(&set("")));
        assert!(PortSet::all().is_all() && set("1-9,10-65535").is_all());
        assert_eq!((web.count(), set("").count()), (103, 0));
        assert_eq!((web.first(), set("").first()), (Some(80), None));
    }
}
