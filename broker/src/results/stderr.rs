//! The lines of a tool's standard error, few and short.
//!
//! nmap warns there of what it could not do while it exits with success, and ping of what the
//! network said. It doesn't interpret them.
//!
//! Invariants: at most [`STDERR_LINES_MAX`] lines are kept, each neutralised and bounded.

use super::limits::{LINE_BYTES_MAX, STDERR_LINES_MAX, STRING_CHARS_MAX};
use super::neutralise::{decode, line};

/// Collects lines as bytes arrive.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Vec<String>,
    current: Vec<u8>,
    dropped: u64,
}

impl Lines {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.current.len());
            self.current
                .extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.last() == Some(&b'\n') {
                self.end_line();
            }
        }
    }

    /// The lines, and a last one that says how many more there were.
    pub fn finish(mut self) -> Vec<String> {
        self.end_line();
        if self.dropped > 0 {
            self.kept
                .push(format!("({} more lines of standard error)", self.dropped));
        }
        self.kept
    }

    fn end_line(&mut self) {
        let text = decode(&self.current);
        self.current.clear();
        let text = text.trim();
        if text.is_empty() || self.kept.last().is_some_and(|last| last == text) {
            return;
        }
        if self.kept.len() < STDERR_LINES_MAX {
            self.kept.push(line(text, STRING_CHARS_MAX));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_few_short_harmless_lines() {
        type Case<'a> = (&'a [&'a [u8]], &'a [&'a str], &'a str);
        let cases: &[Case<'_>] = &[
            (&[b"a\nb"], &["a", "b"], "the last line needs no newline"),
            (
                &[b"Fail", b"ed\n", b"\n\nto\r\n"],
                &["Failed", "to"],
                "pieces, blanks, CR LF",
            ),
            (&[b"x\nx\nx\ny\n"], &["x", "y"], "repeats are told once"),
            (&[b"\x1b[2Jgone\n"], &["\\x1b[2Jgone"], "escapes are shown"),
            (&[], &[], "nothing"),
        ];
        for (pieces, expected, why) in cases {
            let mut lines = Lines::default();
            for piece in *pieces {
                lines.push(piece);
            }
            assert_eq!(lines.finish(), *expected, "{why}");
        }
    }

    #[test]
    fn stays_small_whatever_comes() {
        let mut lines = Lines::default();
        for number in 0..10_000 {
            lines.push(format!("line {number}\n").as_bytes());
        }
        for _ in 0..1000 {
            lines.push(&[b'x'; 4096]);
        }
        assert!(lines.current.capacity() <= 2 * LINE_BYTES_MAX);
        let kept = lines.finish();
        assert_eq!(kept.len(), STDERR_LINES_MAX + 1);
        assert_eq!(kept.last().unwrap(), "(9969 more lines of standard error)");
    }
}
