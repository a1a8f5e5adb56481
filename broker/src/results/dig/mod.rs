//! One look-up by dig as a result (dig 9.18, `+yaml`).
//!
//! A line parser that is fed as dig prints. dig prints a message when it has come, so a transfer
//! that was stopped still gives the records that had arrived; there is nothing that could be taken
//! for progress.
//!
//! Invariants: no line is kept longer than [`DIG_LINE_BYTES_MAX`]; a last line without its end does
//! not count, since it may be half a record; every string is neutralised and bounded.

mod reader;
mod render;
pub mod report;

#[cfg(test)]
mod tests;

pub use report::DigReport;

use super::limits::DIG_LINE_BYTES_MAX;
use super::neutralise::{decode, line};
use super::stderr::Lines;
use super::{Expect, Parsed, RunEnd};
use reader::Reader;
use report::Query;

/// Reads one run of dig.
#[derive(Debug)]
pub struct DigParser {
    reader: Reader,
    current: Vec<u8>,
    /// Whether the current line is longer than what is kept of it.
    cut: bool,
    stderr: Lines,
    bytes_max: usize,
}

impl DigParser {
    /// A parser for a run that is expected to be so.
    pub fn new(expect: &Expect) -> Self {
        let mut reader = Reader::default();
        // Whom an answer came from is in the answer; without one, whom it was meant for.
        let server = expect.argv.iter().find_map(|arg| arg.strip_prefix('@'));
        reader.report.server.address = line(server.unwrap_or_default(), 64);
        let mut after = expect.argv.iter().skip_while(|arg| *arg != "-p").skip(1);
        let port = after.next().and_then(|port| port.parse().ok());
        reader.report.server.port = port.unwrap_or(53);
        reader.asked = asked(&expect.argv);
        Self {
            reader,
            current: Vec::new(),
            cut: false,
            stderr: Lines::default(),
            bytes_max: expect.readable_bytes_max,
        }
    }

    /// Takes the next bytes of standard output.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                Some(_) | None => (piece, false),
            };
            let room = DIG_LINE_BYTES_MAX.saturating_sub(self.current.len());
            self.cut |= piece.len() > room;
            self.current
                .extend_from_slice(piece.get(..room).unwrap_or(piece));
            if ended {
                self.reader.line(&decode(&self.current), self.cut);
                self.current.clear();
                self.cut = false;
            }
        }
    }

    /// Takes the next bytes of standard error, whose lines become warnings.
    pub fn push_stderr(&mut self, bytes: &[u8]) {
        self.stderr.push(bytes);
    }

    /// Ends the run.
    pub fn finish(self, end: RunEnd) -> Parsed {
        let Reader {
            mut report,
            asked,
            unread,
            ..
        } = self.reader;
        report.query = report.query.or(asked);
        let stopped = end.timed_out || end.cancelled || end.truncated;
        report.truncated = stopped || !self.current.is_empty();
        report.warnings = self.stderr.finish();
        let nothing = report.messages == 0 && report.errors.is_empty();
        if nothing && report.warnings.is_empty() && !report.truncated {
            let what = "an answer came that is no well-formed DNS message; dig does not show it";
            report.errors.push(what.to_owned());
        }
        if unread > 0 {
            let what = format!("{unread} lines of dig's output were not of a known form");
            report.warnings.push(what);
        }
        Parsed {
            readable: render::readable(&report, end, self.bytes_max),
            summary: render::summary(&report, end),
            structured: serde_json::to_value(&report).unwrap_or_default(),
            stderr: None,
        }
    }
}

/// What the arguments ask: a transfer's messages, and those that never come, have no question.
fn asked(argv: &[String]) -> Option<Query> {
    let value = |flag: &str| {
        let mut after = argv.iter().skip_while(|arg| *arg != flag).skip(1);
        after.next().map(String::as_str)
    };
    let reverse = value("-x").map(|address| (address, "PTR"));
    let forward = value("-q").map(|name| (name, value("-t").unwrap_or("A")));
    let (name, kind) = forward.or(reverse)?;
    Some(Query {
        name: line(name, 300),
        class: "IN".to_owned(),
        kind: line(kind, 32),
    })
}
