//! Whole numbers: plain decimal digits within bounds.
//!
//! No signs, leading zeros, exponents, separators or digits outside ASCII.
//!
//! Invariants: what is accepted is exactly what `u64`'s own formatting prints.

use super::ValueError;

pub(super) fn parse(text: &str, min: u64, max: u64, step: u64) -> Result<u64, ValueError> {
    let remedy = format!("give {}", described(min, max, step));
    let number = canonical(text).map_err(|message| {
        let error = ValueError::new(message, text, remedy.clone());
        let trimmed = text.trim_start_matches('0');
        // A number with leading zeros was meant as that number.
        match canonical(trimmed) {
            Ok(meant) if fits(meant, min, max, step) => error.with_nearest(meant.to_string()),
            Ok(_) | Err(_) => error,
        }
    })?;
    if fits(number, min, max, step) {
        return Ok(number);
    }
    let message = if (min..=max).contains(&number) {
        format!("not a multiple of {step}")
    } else {
        "out of range".to_owned()
    };
    let clamped = number.clamp(min, max);
    let nearest = clamped.saturating_sub(clamped.checked_rem(step).unwrap_or(0));
    let error = ValueError::new(message, text, remedy);
    if fits(nearest, min, max, step) {
        Err(error.with_nearest(nearest.to_string()))
    } else {
        Err(error)
    }
}

pub(super) fn described(min: u64, max: u64, step: u64) -> String {
    if step > 1 {
        format!("a multiple of {step} from {min} to {max}")
    } else {
        format!("a whole number from {min} to {max}")
    }
}

/// Reads plain decimal digits without leading zeros.
pub(super) fn canonical(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a whole number in plain decimal digits");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("a number with leading zeros");
    }
    text.parse().map_err(|_| "out of range")
}

fn fits(number: u64, min: u64, max: u64, step: u64) -> bool {
    (min..=max).contains(&number) && number.checked_rem(step).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_numbers_within_bounds() {
        let cases = [
            ("1", Some(1), "least"),
            ("100", Some(100), "greatest"),
            ("0", None, "below"),
            ("101", None, "above"),
            ("007", None, "leading zeros"),
            ("+5", None, "sign"),
            ("-5", None, "negative"),
            ("5.0", None, "fraction"),
            ("1e1", None, "exponent"),
            ("0x10", None, "hexadecimal"),
            ("\u{ff15}", None, "full-width digit"),
            ("99999999999999999999", None, "beyond 64 bits"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(parse(text, 1, 100, 1).ok(), expected, "{why}");
        }
        assert_eq!(parse("24", 8, 1496, 8).ok(), Some(24));
        assert_eq!(parse("7", 8, 1496, 8).ok(), None, "not a multiple");
    }

    #[test]
    fn suggests_the_number_that_was_meant() {
        let cases = [
            ("007", "7", "without the zeros"),
            ("5000", "96", "the greatest multiple"),
            ("0", "8", "the least"),
            ("13", "8", "the multiple below"),
        ];
        for (text, expected, why) in cases {
            let step = if text == "007" { 1 } else { 8 };
            let min = if text == "007" { 1 } else { 8 };
            let error = parse(text, min, 100, step).unwrap_err();
            assert_eq!(error.nearest.as_deref(), Some(expected), "{why}");
        }
    }
}
