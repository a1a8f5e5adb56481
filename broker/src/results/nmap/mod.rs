//! nmap's XML output as a report, a table and a summary (NM7), and its progress (NM8).
//!
//! The parser is fed as the scan runs and keeps what is finished, so a killed scan still tells of the
//! hosts it had ended. It never writes XML, and never returns nmap's command line.
//!
//! Invariants: no input makes it fail; a fault in the document is named in the report, which keeps
//! what was read before and after it.

mod host;
mod ledger;
mod progress;
mod reader;
pub mod report;
pub mod summary;
pub mod table;

#[cfg(test)]
mod tests;

pub use report::Report;

use super::stderr::Lines;
use super::xml::{Fault, Splitter};
use super::{Expect, Parsed, Progress, RunEnd};
use progress::Tracker;
use reader::Reader;

/// Reads one scan.
#[derive(Debug)]
pub struct NmapParser {
    splitter: Splitter,
    reader: Reader,
    tracker: Tracker,
    stderr: Lines,
    bytes_max: usize,
}

impl NmapParser {
    /// A parser for a run that is expected to be so.
    pub fn new(expect: &Expect) -> Self {
        let assumed_up = expect.argv.iter().any(|arg| arg == "-Pn");
        Self {
            splitter: Splitter::default(),
            reader: Reader::new(assumed_up),
            tracker: Tracker::new(expect),
            stderr: Lines::default(),
            bytes_max: expect.readable_bytes_max,
        }
    }

    /// Takes the next bytes of standard output; answers with the progress if there is some.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Progress> {
        let Self {
            splitter,
            reader,
            tracker,
            ..
        } = self;
        splitter.push(bytes, &mut |token| reader.token(token, tracker));
        tracker.take()
    }

    /// Takes the next bytes of standard error, which become warnings.
    pub fn push_stderr(&mut self, bytes: &[u8]) {
        self.stderr.push(bytes);
    }

    /// The report itself.
    pub fn report(self, end: RunEnd) -> Report {
        let Self {
            mut splitter,
            mut reader,
            mut tracker,
            stderr,
            ..
        } = self;
        let mut unfinished = false;
        splitter.finish(&mut |token| {
            unfinished |= token == super::xml::Token::Malformed(Fault::Unfinished);
            reader.token(token, &mut tracker);
        });
        let mut report = reader.finish();
        report.truncated |= end.truncated || unfinished;
        report.warnings.extend(stderr.finish());
        report
    }

    /// Ends the run.
    pub fn finish(self, end: RunEnd) -> Parsed {
        let bytes_max = self.bytes_max;
        let report = self.report(end);
        Parsed {
            readable: table::render(&report, end, bytes_max),
            summary: summary::render(&report, end),
            structured: serde_json::to_value(report).unwrap_or_default(),
            stderr: None,
        }
    }
}
