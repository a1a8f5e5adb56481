//! Neutralising: tool output is untrusted, so it is made harmless before a person's terminal or a
//! model sees it.
//!
//! A character that acts instead of showing (a terminal escape, a bidi control, a zero-width or tag
//! character, a lone carriage return) and a byte that is not UTF-8 become visible text: `\x1b` for
//! what is one byte, `\u{202e}` for the rest. Newlines and tabs stay, and CR LF becomes LF.
//! It does not judge meaning: words that try to persuade a model pass, as text.
//!
//! Invariants: the result holds no character for which [`acts`] is true; neutralising twice is the
//! same as once; the result is never longer than its bound.

use std::fmt::Write as _;

/// What ends a string that was cut at its bound.
pub const CUT_MARK: char = '…';

/// Text made harmless, with newlines and tabs kept, at most `chars_max` characters.
///
/// A text that is longer ends with [`CUT_MARK`], which counts.
pub fn text(raw: &str, chars_max: usize) -> String {
    bound(&neutral(raw, Breaks::Kept), chars_max)
}

/// One line made harmless: newlines and tabs become visible too, so that a banner cannot forge a
/// row of a table. At most `chars_max` characters, as in [`text()`].
pub fn line(raw: &str, chars_max: usize) -> String {
    bound(&neutral(raw, Breaks::Shown), chars_max)
}

/// Most characters of what a caller wrote.
const ASKED_CHARS_MAX: usize = 256;

/// What a caller wrote (a target, a name), for records, logs and answers.
pub fn asked(raw: &str) -> String {
    line(raw, ASKED_CHARS_MAX)
}

/// Bytes of a tool made harmless: as [`text()`], with each byte that is not UTF-8 shown as `\xNN`,
/// at most `bytes_max` bytes long. The flag says whether something was left out.
pub fn output(raw: &[u8], bytes_max: usize) -> (String, bool) {
    // Neutralising never shortens by more than CR LF to LF, so twice the bound is enough to read.
    let wanted = bytes_max.saturating_mul(2).min(raw.len());
    let seen = raw.get(..wanted).unwrap_or(raw);
    let mut clean = neutral(&decode(seen), Breaks::Kept);
    let fits = clean.len() <= bytes_max && seen.len() == raw.len();
    cut_bytes(&mut clean, bytes_max);
    (clean, !fits)
}

/// Bytes as text: UTF-8 as it is, every other byte as `\xNN`.
pub fn decode(raw: &[u8]) -> String {
    let mut decoded = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        decoded.push_str(chunk.valid());
        for byte in chunk.invalid() {
            show_byte(&mut decoded, u32::from(*byte));
        }
    }
    decoded
}

/// Shortens a text to `bytes_max` bytes, at a character's boundary.
pub fn cut_bytes(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Kept,
    Shown,
}

fn neutral(raw: &str, breaks: Breaks) -> String {
    let mut clean = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\t' if breaks == Breaks::Kept => clean.push(char),
            '\n' | '\t' => show(&mut clean, char),
            _ if acts(char) => show(&mut clean, char),
            _ => clean.push(char),
        }
    }
    clean
}

fn bound(clean: &str, chars_max: usize) -> String {
    let Some((last, _)) = clean.char_indices().nth(chars_max) else {
        return clean.to_owned();
    };
    let kept = clean.get(..last).unwrap_or_default();
    let mut cut: String = kept.chars().take(chars_max.saturating_sub(1)).collect();
    if chars_max > 0 {
        cut.push(CUT_MARK);
    }
    cut
}

fn show(clean: &mut String, char: char) {
    let code = u32::from(char);
    if code < 0x80 {
        show_byte(clean, code);
    } else {
        // Writing to a string cannot fail; the result is there for the trait's sake.
        write!(clean, "\\u{{{code:x}}}").unwrap_or_default();
    }
}

fn show_byte(clean: &mut String, byte: u32) {
    write!(clean, "\\x{byte:02x}").unwrap_or_default();
}

/// Whether a character acts on a terminal or hides from a reader instead of showing.
///
/// Newline and tab act too, and are dealt with by the callers.
pub fn acts(char: char) -> bool {
    matches!(char,
        // C0, DEL and C1: escape sequences begin and end here (CSI, OSC, DCS, ST).
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Bidi marks, embeddings, overrides and isolates.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Zero width: space, joiners, word joiner, invisible operators, byte order mark.
        | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}'
        // Soft hyphen, grapheme joiner, fillers and vowels that take no room.
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{3164}' | '\u{ffa0}' | '\u{180b}'..='\u{180f}'
        // Line and paragraph separators: a newline that `\n` does not know.
        | '\u{2028}' | '\u{2029}'
        // Variation selectors, which can carry hidden bytes.
        | '\u{fe00}'..='\u{fe0f}'
        // Interlinear annotation and other format controls.
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // Tags, more variation selectors, and the rest of that plane.
        | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_would_act() {
        let cases: &[(&[u8], &str, &str)] = &[
            (
                b"plain \xc3\xa9 text\n\tmore",
                "plain é text\n\tmore",
                "text, newline and tab stay",
            ),
            (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m", "CSI"),
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07", "OSC with BEL"),
            (b"\x1bPq\x1b\\", "\\x1bPq\\x1b\\", "DCS with ST"),
            (b"\xc2\x9b31m", "\\u{9b}31m", "C1 CSI as UTF-8"),
            (b"\x9b31m", "\\x9b31m", "C1 CSI as a raw byte"),
            (
                b"user\rroot",
                "user\\x0droot",
                "a lone CR overwrites a line",
            ),
            (b"a\r\nb", "a\nb", "CR LF is a newline"),
            (b"a\r\r\nb", "a\\x0d\nb", "only the CR before LF goes"),
            (
                "\u{202e}txt.exe".as_bytes(),
                "\\u{202e}txt.exe",
                "bidi override",
            ),
            (
                "\u{2066}a\u{2069}".as_bytes(),
                "\\u{2066}a\\u{2069}",
                "bidi isolates",
            ),
            (
                "ad\u{200b}min\u{feff}".as_bytes(),
                "ad\\u{200b}min\\u{feff}",
                "zero width, BOM",
            ),
            (
                "\u{e0049}\u{e007f}".as_bytes(),
                "\\u{e0049}\\u{e007f}",
                "tag characters",
            ),
            (
                "x\u{fe0f}\u{e0101}".as_bytes(),
                "x\\u{fe0f}\\u{e0101}",
                "variation selectors",
            ),
            ("a\u{2028}b".as_bytes(), "a\\u{2028}b", "line separator"),
            (b"\xff\xfe", "\\xff\\xfe", "not UTF-8"),
            (b"\xe2\x82", "\\xe2\\x82", "a character cut off"),
            (
                b"a\0b\x08c\x7f",
                "a\\x00b\\x08c\\x7f",
                "NUL, backspace, DEL",
            ),
            (b"\\x1b", "\\x1b", "text that looks neutralised stays"),
        ];
        for (raw, expected, why) in cases {
            assert_eq!(output(raw, 1000).0, *expected, "{why}");
        }
    }

    #[test]
    fn keeps_a_line_on_one_line() {
        let cases = [
            (
                "OpenSSH\n10.0.0.1 22/tcp open",
                "OpenSSH\\x0a10.0.0.1 22/tcp open",
                "forged row",
            ),
            ("a\tb", "a\\x09b", "forged column"),
            ("a\r\nb", "a\\x0ab", "CR LF"),
        ];
        for (raw, expected, why) in cases {
            assert_eq!(line(raw, 100), expected, "{why}");
        }
    }

    #[test]
    fn cuts_at_the_bound_and_says_so() {
        let cases = [
            ("abcdef", 6, "abcdef", "fits"),
            ("abcdefg", 6, "abcde…", "one over"),
            ("ééééé", 3, "éé…", "characters, not bytes"),
            ("\u{202e}\u{202e}", 9, "\\u{202e}…", "the shown form counts"),
            ("abc", 0, "", "nothing fits"),
        ];
        for (raw, max, expected, why) in cases {
            assert_eq!(text(raw, max), expected, "{why}");
        }
        assert_eq!(
            output("ab€".as_bytes(), 4),
            ("ab".to_owned(), true),
            "no half characters"
        );
        assert_eq!(
            output(b"abcd", 4),
            ("abcd".to_owned(), false),
            "exactly full"
        );
        assert_eq!(
            output(b"\r\n\r\n\r\n", 3),
            ("\n\n\n".to_owned(), false),
            "shortened to fit"
        );
    }

    proptest! {
        #[test]
        fn leaves_nothing_that_acts(raw in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (clean, _) = output(&raw, 300);
            prop_assert!(!clean.chars().any(acts));
            prop_assert!(clean.len() <= 300);
        }

        #[test]
        fn is_idempotent(raw in any::<String>(), max in 0_usize..80) {
            let once = text(&raw, max);
            prop_assert!(once.chars().count() <= max);
            prop_assert_eq!(text(&once, max), once.clone());
            let row = line(&raw, max);
            prop_assert_eq!(line(&row, max), row.clone());
            let (full, _) = output(raw.as_bytes(), 10_000);
            prop_assert_eq!(output(full.as_bytes(), 10_000).0, full.clone());
        }

        #[test]
        fn keeps_harmless_text(raw in "[ -~äöüß\n\t€漢字]{0,200}") {
            prop_assert_eq!(text(&raw, 1000), raw.clone());
        }
    }
}
