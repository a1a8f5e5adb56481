//! Addresses and scopes, read a second time.
//!
//! What it is: a reader of every address that a text holds, wherever it stands,
//! and a scope made of plain ranges. It shares no code with the vetting that it
//! judges: it knows texts, numbers and the configuration, no `Network` and no
//! `Scope`.
//! What it is not: strict. It reads more as an address than any tool would.
//!
//! Invariants: a [`Span`] is the right way round; the spans of a [`Ground`] are
//! sorted and don't touch each other.

use std::net::{Ipv4Addr, Ipv6Addr};

use sandbox_profiles::scope::{NEVER_ALLOWED, ScopeConfig};

/// A range of addresses of one family, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) ipv6: bool,
    pub(crate) low: u128,
    pub(crate) high: u128,
}

impl Span {
    /// The addresses that share the first `prefix` bits with `base`.
    fn of_prefix(ipv6: bool, base: u128, prefix: u32) -> Option<Self> {
        let width = if ipv6 { 128_u32 } else { 32 };
        let host = width.checked_sub(prefix)?;
        let mask = 1_u128
            .checked_shl(host)
            .map_or(u128::MAX, |bit| bit.wrapping_sub(1));
        let (low, high) = (base & !mask, base | mask);
        Some(Self { ipv6, low, high })
    }

    pub(crate) const fn is_single(&self) -> bool {
        self.low == self.high
    }

    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.ipv6 == other.ipv6 && self.low <= other.low && other.high <= self.high
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.ipv6 == other.ipv6 && self.low <= other.high && other.low <= self.high
    }

    fn shared(&self, other: &Self) -> Option<Self> {
        self.overlaps(other).then(|| Self {
            ipv6: self.ipv6,
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        })
    }
}

/// What a scope's configuration means.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    allowed: Vec<Span>,
    denied: Vec<Span>,
    never: Vec<Span>,
    suffixes: Vec<String>,
    pub(crate) intrusive: bool,
}

impl Ground {
    /// The ground that a configuration describes.
    pub(crate) fn new(config: &ScopeConfig) -> Self {
        let never: Vec<String> = NEVER_ALLOWED
            .iter()
            .map(|(network, _)| (*network).to_owned())
            .collect();
        Self {
            allowed: joined(&config.allowed_networks),
            denied: joined(&config.denied_networks),
            never: joined(&never),
            suffixes: config.allowed_suffixes.clone(),
            intrusive: config.allow_intrusive,
        }
    }

    /// Whether all of the span may be touched, denied parts aside.
    pub(crate) fn allows(&self, span: &Span) -> bool {
        covered(span, &self.allowed) && !self.never.iter().any(|never| never.overlaps(span))
    }

    /// Whether all of the span may be touched.
    pub(crate) fn admits(&self, span: &Span) -> bool {
        self.allows(span) && !self.denied.iter().any(|denied| denied.overlaps(span))
    }

    /// Whether each denied part of the span is among those left out.
    pub(crate) fn leaves_out_denied(&self, span: &Span, left_out: &[Span]) -> bool {
        let left_out = sorted(left_out.to_vec());
        let mut parts = self.denied.iter().filter_map(|denied| denied.shared(span));
        parts.all(|part| covered(&part, &left_out))
    }

    /// Whether a name server may be asked about the name: one under an allowed end,
    /// the end itself, or the reverse name of what may be touched in part.
    pub(crate) fn admits_question(&self, name: &str) -> bool {
        let is_end = |suffix: &String| suffix.strip_prefix('.') == Some(name);
        self.admits_name(name)
            || self.suffixes.iter().any(is_end)
            || reversed(name).is_some_and(|span| {
                covered(&span, &self.allowed)
                    && !covered(&span, &self.denied)
                    && !covered(&span, &self.never)
            })
    }

    /// Whether the name has an allowed end and something before it.
    pub(crate) fn admits_name(&self, name: &str) -> bool {
        let mut suffixes = self.suffixes.iter();
        suffixes.any(|suffix| name.len() > suffix.len() && name.ends_with(suffix.as_str()))
    }
}

fn joined(texts: &[String]) -> Vec<Span> {
    sorted(texts.iter().flat_map(|text| literals(text)).collect())
}

/// Spans in order, neighbours and overlaps joined into one.
fn sorted(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut out: Vec<Span> = Vec::new();
    for span in spans {
        match out.last_mut() {
            Some(last)
                if last.ipv6 == span.ipv6
                    && last.high.checked_add(1).is_none_or(|next| span.low <= next) =>
            {
                last.high = last.high.max(span.high);
            }
            Some(_) | None => out.push(span),
        }
    }
    out
}

/// Whether one of the spans, which don't touch each other, holds all of it.
fn covered(span: &Span, spans: &[Span]) -> bool {
    spans.iter().any(|whole| whole.holds(span))
}

/// The addresses whose names lie at or below a reverse name.
fn reversed(name: &str) -> Option<Span> {
    let (labels, ipv6) = match name.strip_suffix(".in-addr.arpa") {
        Some(labels) => (labels, false),
        None => (name.strip_suffix(".ip6.arpa")?, true),
    };
    let (radix, bits, width) = if ipv6 {
        (16, 4_u32, 128_u32)
    } else {
        (10, 8, 32)
    };
    let mut base = 0_u128;
    let mut prefix = 0_u32;
    for label in labels.rsplit('.') {
        let part = u8::from_str_radix(label, radix).ok()?;
        prefix = prefix.checked_add(bits).filter(|prefix| *prefix <= width)?;
        base |= u128::from(part).checked_shl(width.checked_sub(prefix)?)?;
    }
    Span::of_prefix(ipv6, base, prefix)
}

/// Every address and network that the text holds, wherever it stands in it.
pub(crate) fn literals(text: &str) -> Vec<Span> {
    let is_part = |ch: char| ch.is_ascii_hexdigit() || ch == '.' || ch == ':';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (_, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|ch| !is_part(ch)).unwrap_or(run.len()));
        found.extend(ipv6_literals(run, after));
        found.extend(ipv4_literals(run, after));
        rest = after;
    }
    found
}

/// The number after a slash at the beginning of the text; the width if there is none.
fn prefix_of(after: &str, width: u32) -> u32 {
    let digits: String = after
        .strip_prefix('/')
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(width)
}

/// The longest IPv6 addresses between colons of the run.
fn ipv6_literals(run: &str, after: &str) -> Option<Span> {
    if run.matches(':').count() < 2 {
        return None;
    }
    let read = |part: &str, after: &str| {
        let address: Ipv6Addr = part.parse().ok()?;
        Span::of_prefix(true, address.into(), prefix_of(after, 128))
    };
    if let Some(whole) = read(run, after) {
        return Some(whole);
    }
    let colons: Vec<usize> = run.match_indices(':').map(|(at, _)| at).collect();
    let starts = colons.iter().map(|at| at.saturating_add(1));
    let starts = std::iter::once(0)
        .chain(starts)
        .chain(colons.iter().copied());
    let ends: Vec<usize> = std::iter::once(run.len())
        .chain(colons.iter().copied())
        .collect();
    let parts = starts.flat_map(|start| ends.iter().filter_map(move |end| run.get(start..*end)));
    let longest = parts.filter(|part| read(part, "").is_some());
    longest
        .max_by_key(|part| part.len())
        .and_then(|part| read(part, if run.ends_with(part) { after } else { "" }))
}

/// The IPv4 addresses that begin where a number of the run begins.
fn ipv4_literals(run: &str, after: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, ch) in run.char_indices() {
        let begins = ch.is_ascii_digit() && !before.is_ascii_hexdigit();
        before = ch;
        let Some(text) = run.get(at..).filter(|_| begins) else {
            continue;
        };
        let octets: Vec<&str> = text.splitn(5, '.').collect();
        let [first, second, third, fourth, ..] = octets.as_slice() else {
            continue;
        };
        let digits = fourth.find(|ch: char| !ch.is_ascii_digit());
        let (fourth, rest) = fourth.split_at(digits.unwrap_or(fourth.len()));
        let number = [first, second, third, fourth]
            .into_iter()
            .try_fold(0_u32, |number, octet| {
                // A leading zero is read as decimal here and as octal by some tools.
                let octet: u8 = octet
                    .trim_start_matches('0')
                    .parse()
                    .ok()
                    .or_else(|| octet.bytes().all(|byte| byte == b'0').then_some(0))?;
                Some(number << 8 | u32::from(octet))
            });
        let ends = rest.is_empty() && octets.len() == 4;
        if let Some(number) = number {
            let address = Ipv4Addr::from(number);
            let prefix = prefix_of(if ends { after } else { "" }, 32);
            found.extend(Span::of_prefix(
                false,
                u128::from(u32::from(address)),
                prefix,
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn finds_every_address_wherever_it_stands() {
        let cases = [
            // text, addresses and networks found in it, why
            ("10.0.0.1", "10.0.0.1/32", "alone"),
            ("10.0.0.0/24", "10.0.0.0/24", "a network"),
            (
                "a=10.0.0.1,ME,10.0.0.2/31",
                "10.0.0.1/32 10.0.0.2/31",
                "a list",
            ),
            ("@8.8.8.8", "8.8.8.8/32", "a name server"),
            ("http://8.8.8.8:80/x", "8.8.8.8/32", "a URL"),
            ("x.lab:80:8.8.8.8", "8.8.8.8/32", "a pin"),
            ("010.0.0.1", "10.0.0.1/32", "leading zeros"),
            ("1.10.0.0.1", "1.10.0.0/32 10.0.0.1/32", "overlapping"),
            ("10.0.0.1x", "10.0.0.1/32", "with an end of its own"),
            ("fd00::1/64", "fd00::1/64", "IPv6"),
            ("http://[fd00::1]:80/", "fd00::1/128", "in brackets"),
            ("::ffff:8.8.8.8", "::ffff:8.8.8.8/128 8.8.8.8/32", "both"),
            ("02:00:5e:10:00:01", "", "a hardware address"),
            ("80,443,8000-8100", "", "ports"),
            ("0.5", "", "a number"),
            ("300.1.1.1", "", "no octet"),
        ];
        for (text, expected, why) in cases {
            let mut spans = Vec::new();
            for network in expected.split_whitespace() {
                let (address, prefix) = network.split_once('/').unwrap();
                let prefix = prefix.parse().unwrap();
                let span = match address.parse().unwrap() {
                    IpAddr::V4(v4) => Span::of_prefix(false, u32::from(v4).into(), prefix),
                    IpAddr::V6(v6) => Span::of_prefix(true, v6.into(), prefix),
                };
                spans.extend(span);
            }
            assert_eq!(literals(text), spans, "{text}: {why}");
        }
    }

    #[test]
    fn knows_what_a_scope_means() {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let ground = Ground::new(&ScopeConfig {
            allowed_networks: texts(&["10.0.0.0/25", "10.0.0.128/25", "0.0.0.0/7", "fd00::/64"]),
            denied_networks: texts(&["10.0.0.64/26"]),
            ..ScopeConfig::default()
        });
        let cases = [
            ("10.0.0.1", true, "allowed"),
            ("10.0.0.65", false, "denied"),
            ("10.0.0.128/25", true, "a whole network"),
            ("10.0.0.0/24", false, "with a denied part"),
            ("10.0.1.0", false, "not listed"),
            ("0.0.0.1", false, "never allowed"),
            ("1.0.0.1", true, "beside what is never allowed"),
            ("fd00::1", true, "IPv6"),
            ("fd00:0:0:1::1", false, "the next network"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(ground.admits(&literals(text)[0]), expected, "{text}: {why}");
        }
        let whole = literals("10.0.0.0/24")[0];
        assert!(ground.allows(&whole));
        assert!(ground.leaves_out_denied(&whole, &literals("10.0.0.64/27,10.0.0.96/27")));
        assert!(!ground.leaves_out_denied(&whole, &literals("10.0.0.64/27")));
        assert!(ground.admits_name("x.lab.internal"));
        assert!(!ground.admits_name(".lab.internal") && !ground.admits_name("lab.internal"));
    }
}
