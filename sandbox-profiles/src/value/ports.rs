//! Port lists: `80`, `80-443`, `22,80,8000-8100`, and all ports.
//!
//! Numbers only: no names, wildcards, protocol prefixes or open ranges.
//!
//! Invariants: ranges are sorted, don't overlap, lie in 1..=65535 and are the
//! right way round.

use std::fmt;

use super::ValueError;
use super::number::canonical;
use crate::scope::ports;

/// A list of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortList {
    /// All ports: `-`.
    All,
    /// These ranges, both ends included.
    Ranges(Vec<(u16, u16)>),
}

const REMEDY: &str = "give ports like 80, 80-443 or 22,80,8000-8100, each from 1 to 65535";

impl PortList {
    /// Reads a list; `-` alone is not one, it has a spelling of its own.
    pub(super) fn parse(text: &str, items_max: u32, ports_max: u32) -> Result<Self, ValueError> {
        let items: Vec<&str> = text.split(',').collect();
        if u32::try_from(items.len()).unwrap_or(u32::MAX) > items_max {
            return Err(ValueError::new(
                format!(
                    "{} items in the port list, at most {items_max} are accepted",
                    items.len()
                ),
                text,
                "merge neighbouring ports into ranges",
            ));
        }
        let single = items.len() == 1;
        let ranges = items.into_iter().map(|item| {
            parse_item(item).map_err(|mut error| {
                // What is near to one item would lose the others.
                error.nearest = error.nearest.filter(|_| single);
                error
            })
        });
        let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        let list = Self::Ranges(merged(ranges));
        if list.count() > ports_max {
            return Err(ValueError::new(
                format!(
                    "{} ports in the list, at most {ports_max} are accepted",
                    list.count()
                ),
                text,
                "name fewer ports",
            ));
        }
        Ok(list)
    }

    /// How many ports it names.
    pub fn count(&self) -> u32 {
        match self {
            Self::All => u32::from(u16::MAX),
            Self::Ranges(ranges) => ports::count(ranges),
        }
    }
}

impl fmt::Display for PortList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("-"),
            Self::Ranges(ranges) => ports::write_ranges(f, ranges),
        }
    }
}

fn parse_item(item: &str) -> Result<(u16, u16), ValueError> {
    let wrong = |message: String| {
        let part = if item.is_empty() {
            "an empty item"
        } else {
            item
        };
        ValueError::new(message, part, REMEDY)
    };
    let port = |text: &str| -> Result<u16, ValueError> {
        let number = canonical(text).map_err(|why| {
            let why = if text.is_empty() {
                "a port is missing"
            } else {
                why
            };
            let error = wrong(format!("not a port list: {why}"));
            match item.strip_prefix("T:") {
                Some(rest) => error.with_nearest(rest),
                None => error,
            }
        })?;
        u16::try_from(number)
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| wrong("the port is out of range".to_owned()))
    };
    let Some((low, high)) = item.split_once('-') else {
        let single = port(item)?;
        return Ok((single, single));
    };
    if high.is_empty() && !low.is_empty() {
        return Err(wrong("the range has no end".to_owned()).with_nearest(format!("{low}-65535")));
    }
    let (low, high) = (port(low)?, port(high)?);
    if low > high {
        return Err(wrong("the range is the wrong way round".to_owned())
            .with_nearest(format!("{high}-{low}")));
    }
    Ok((low, high))
}

/// Sorts ranges and merges those that overlap; neighbours stay apart.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut out: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match out.last_mut() {
            Some((_, end)) if low <= *end => *end = (*end).max(high),
            Some(_) | None => out.push((low, high)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numeric_lists_only() {
        let cases = [
            ("1", Some("1"), "least"),
            ("65535", Some("65535"), "greatest"),
            ("80-443", Some("80-443"), "range"),
            ("80,443-445,8080", Some("80,443-445,8080"), "mixed"),
            ("443,80", Some("80,443"), "sorted"),
            ("80,80", Some("80"), "named twice"),
            ("1-100,50-200", Some("1-200"), "overlapping"),
            ("80,81", Some("80,81"), "neighbours stay apart"),
            ("5-5", Some("5"), "a range of one"),
            ("0", None, "zero"),
            ("0-10", None, "from zero"),
            ("65536", None, "above"),
            ("1-70000", None, "range above"),
            ("90-80", None, "wrong way round"),
            ("80-", None, "open end"),
            ("-80", None, "open start"),
            ("-", None, "all ports has its own spelling"),
            ("80,,443", None, "empty item"),
            (",80", None, "empty first item"),
            ("80,", None, "empty last item"),
            ("80--90", None, "two hyphens"),
            ("1-2-3", None, "two ranges in one"),
            ("T:80", None, "protocol prefix"),
            ("http", None, "name"),
            ("http*", None, "wildcard"),
            ("*", None, "wildcard"),
            ("[1-60]", None, "brackets"),
            ("+80", None, "sign"),
            ("1e3", None, "exponent"),
            ("80/tcp", None, "protocol suffix"),
            ("0080", None, "leading zeros"),
            ("80 443", None, "white space"),
            ("\u{ff18}\u{ff10}", None, "full-width digits"),
        ];
        for (text, expected, why) in cases {
            let got = PortList::parse(text, 100, 65_535)
                .ok()
                .map(|list| list.to_string());
            assert_eq!(got.as_deref(), expected, "{text}: {why}");
        }
    }

    #[test]
    fn bounds_items_and_ports() {
        let hundred = vec!["7"; 100].join(",");
        assert!(PortList::parse(&hundred, 100, 65_535).is_ok());
        assert!(PortList::parse(&format!("{hundred},8"), 100, 65_535).is_err());
        assert!(PortList::parse("1-16", 16, 16).is_ok());
        assert!(
            PortList::parse("1-17", 16, 16).is_err(),
            "one range, but 17 ports"
        );
        assert_eq!(
            PortList::parse("1-65535", 100, 65_535).unwrap().count(),
            65_535
        );
    }
}
