//! The output of a tool that has no parser of its own: its text, made harmless.
//!
//! Nothing is taken out of it, so there is no structured result.
//!
//! Invariants: at most the run's bound is kept while it arrives; what is over it is counted.

use super::limits::SUMMARY_CHARS_MAX;
use super::neutralise::{output, text};
use super::stderr::Lines;
use super::{Expect, Parsed, RunEnd};

/// Collects a tool's text.
#[derive(Debug)]
pub struct TextParser {
    kept: Kept,
    stderr: Lines,
}

/// The beginning of a stream of bytes, and how much came after it.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    bytes_max: usize,
    dropped: u64,
}

impl Kept {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            bytes_max,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.bytes.len());
        let (kept, over) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.bytes.extend_from_slice(kept);
        let over = u64::try_from(over.len()).unwrap_or(u64::MAX);
        self.dropped = self.dropped.saturating_add(over);
    }

    /// The text, harmless and within the bound; says so when something is missing.
    pub(super) fn readable(&self, end: RunEnd) -> String {
        let (mut clean, cut) = output(&self.bytes, self.bytes_max);
        if cut || self.dropped > 0 || end.truncated {
            clean.push_str("\n… cut at the output's bound\n");
        }
        clean
    }
}

impl TextParser {
    /// A parser for a run that is expected to be so.
    pub fn new(expect: &Expect) -> Self {
        Self {
            kept: Kept::new(expect.readable_bytes_max),
            stderr: Lines::default(),
        }
    }

    /// Takes the next bytes of standard output.
    pub fn push(&mut self, bytes: &[u8]) {
        self.kept.push(bytes);
    }

    /// Takes the next bytes of standard error.
    pub fn push_stderr(&mut self, bytes: &[u8]) {
        self.stderr.push(bytes);
    }

    /// Ends the run.
    pub fn finish(self, end: RunEnd) -> Parsed {
        let readable = self.kept.readable(end);
        let mut all = readable.clone();
        for line in self.stderr.finish() {
            all.push_str("\nstderr: ");
            all.push_str(&line);
        }
        Parsed {
            structured: serde_json::Value::Null,
            summary: text(all.trim(), SUMMARY_CHARS_MAX),
            readable,
            stderr: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes_max: usize, pieces: &[&[u8]]) -> Parsed {
        let mut parser = TextParser::new(&Expect {
            readable_bytes_max: bytes_max,
            ..Expect::default()
        });
        for piece in pieces {
            parser.push(piece);
        }
        parser.push_stderr(b"oops\x07\n");
        parser.finish(RunEnd::default())
    }

    #[test]
    fn gives_harmless_bounded_text() {
        let cases: &[(usize, &[&[u8]], &str, &str)] = &[
            (
                100,
                &[b"one\n", b"two\x1b[0m\n"],
                "one\ntwo\\x1b[0m\n",
                "neutralised",
            ),
            (
                5,
                &[b"abc", b"def"],
                "abcde\n… cut at the output's bound\n",
                "cut, and says so",
            ),
            (100, &[b"\xc3", b"\xa9"], "é", "a character in two pieces"),
            (100, &[], "", "nothing"),
        ];
        for (bytes_max, pieces, readable, why) in cases {
            let parsed = parse(*bytes_max, pieces);
            assert_eq!(parsed.readable, *readable, "{why}");
            assert!(parsed.structured.is_null(), "{why}");
            assert!(parsed.summary.ends_with("stderr: oops\\x07"), "{why}");
        }
    }

    #[test]
    fn stays_small_whatever_comes() {
        let mut parser = TextParser::new(&Expect {
            readable_bytes_max: 1000,
            ..Expect::default()
        });
        for _ in 0..10_000 {
            parser.push(&[b'\r'; 4096]);
        }
        assert!(parser.kept.bytes.capacity() <= 4096);
        let parsed = parser.finish(RunEnd::default());
        assert!(parsed.readable.len() < 1100);
        assert!(parsed.summary.chars().count() <= SUMMARY_CHARS_MAX);
    }
}
