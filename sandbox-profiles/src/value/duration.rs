//! Spans of time, in the two spellings that tools use.
//!
//! Whole milliseconds inside; no signs, leading zeros or exponents.
//!
//! Invariants: the canonical text of a span is the shortest one of its style
//! and is read back as the same span.

use super::ValueError;
use super::number::canonical;

/// How a tool spells a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DurationStyle {
    /// A whole number with `ms`, `s`, `m` or `h`; a bare number is seconds.
    Suffixed,
    /// Seconds, with up to three decimals.
    Seconds,
}

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl DurationStyle {
    pub(super) fn parse(self, text: &str, min_ms: u64, max_ms: u64) -> Result<u64, ValueError> {
        let remedy = format!("give {}", self.described(min_ms, max_ms));
        let ms = match self {
            Self::Suffixed => read_suffixed(text),
            Self::Seconds => read_seconds(text),
        }
        .ok_or_else(|| ValueError::new("not a span of time", text, remedy.clone()))?;
        if (min_ms..=max_ms).contains(&ms) {
            return Ok(ms);
        }
        // No span is suggested: a shorter delay would be a faster run than asked
        // for, and zero mostly stands for "no limit".
        Err(ValueError::new(
            "the span of time is out of range",
            text,
            remedy,
        ))
    }

    /// The canonical text of a span.
    pub(super) fn text(self, ms: u64) -> String {
        match self {
            Self::Suffixed => {
                let (unit, size) = UNITS
                    .into_iter()
                    .find(|(_, size)| ms != 0 && ms.checked_rem(*size) == Some(0))
                    .unwrap_or(("s", 1000));
                format!("{}{unit}", ms.checked_div(size).unwrap_or(0))
            }
            Self::Seconds => {
                let (whole, rest) = (ms.div_euclid(1000), ms.rem_euclid(1000));
                let text = format!("{whole}.{rest:03}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }

    pub(super) fn described(self, min_ms: u64, max_ms: u64) -> String {
        let (min, max) = (self.text(min_ms), self.text(max_ms));
        match self {
            Self::Suffixed => format!(
                "a time from {min} to {max}, as a whole number with ms, s, m or h (no unit: seconds)"
            ),
            Self::Seconds => format!("seconds from {min} to {max}, with up to three decimals"),
        }
    }
}

fn read_suffixed(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|ch: char| ch.is_ascii_lowercase());
    let unit = text.strip_prefix(digits)?;
    let size = if unit.is_empty() {
        1000
    } else {
        UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, size)| size)?
    };
    canonical(digits).ok()?.checked_mul(size)
}

fn read_seconds(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let plain = !decimals.is_empty()
        && decimals.len() <= 3
        && decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return None;
    }
    let thousandths: u64 = format!("{decimals:0<3}").parse().ok()?;
    canonical(whole)
        .ok()?
        .checked_mul(1000)?
        .checked_add(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_suffixed_spans() {
        let cases = [
            ("30s", Some("30s"), "seconds"),
            ("30", Some("30s"), "bare seconds"),
            ("300s", Some("5m"), "the shortest text"),
            ("60m", Some("1h"), "the greatest"),
            ("1h", Some("1h"), "hours"),
            ("500ms", Some("500ms"), "milliseconds"),
            ("1000ms", Some("1s"), "milliseconds that are seconds"),
            ("0", None, "below: many tools read it as endless"),
            ("0s", None, "the same with a unit"),
            ("2h", None, "above"),
            ("999999999h", None, "far above"),
            ("99999999999999999999h", None, "beyond 64 bits"),
            ("5x", None, "unknown unit"),
            ("s", None, "no number"),
            ("-1s", None, "negative"),
            ("1.5s", None, "fraction"),
            ("030s", None, "leading zero"),
            ("30S", None, "upper case"),
            ("1h30m", None, "two units"),
            ("\u{ff13}s", None, "full-width digit"),
        ];
        for (text, expected, why) in cases {
            let style = DurationStyle::Suffixed;
            let got = style
                .parse(text, 1, 3_600_000)
                .ok()
                .map(|ms| style.text(ms));
            assert_eq!(got.as_deref(), expected, "{text}: {why}");
        }
        assert_eq!(DurationStyle::Suffixed.text(0), "0s");
        assert_eq!(
            DurationStyle::Suffixed.parse("0", 0, 5000),
            Ok(0),
            "where zero is in range"
        );
    }

    #[test]
    fn reads_decimal_seconds() {
        let cases = [
            ("0.2", Some("0.2"), "least"),
            ("1", Some("1"), "whole"),
            ("1.0", Some("1"), "trailing zero"),
            ("1.500", Some("1.5"), "trailing zeros"),
            ("10", Some("10"), "the zero of a ten stays"),
            ("0.199", None, "below"),
            ("10.001", None, "above"),
            (".5", None, "no whole part"),
            ("1.", None, "no decimals"),
            ("1.0001", None, "four decimals"),
            ("01", None, "leading zero"),
            ("1e0", None, "exponent"),
            ("1,5", None, "comma"),
            ("0.002", None, "flooding"),
        ];
        for (text, expected, why) in cases {
            let style = DurationStyle::Seconds;
            let got = style.parse(text, 200, 10_000).ok().map(|ms| style.text(ms));
            assert_eq!(got.as_deref(), expected, "{text}: {why}");
        }
    }
}
