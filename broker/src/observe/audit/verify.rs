//! The check of a whole audit log.
//!
//! What it is: one pass over the lines, each held against the one before, and
//! against an anchor that was kept elsewhere.
//! What it is not: a repair, or a judgement of what the records say.
//!
//! Invariants: memory is bounded by one line and a few faults; a log is good
//! only if every byte of it was seen and fits.

use std::io::{self, BufRead, Read as _};

use super::chain::{self, Head, Key, LINE_BYTES_MAX};

/// Most faults that are told.
pub const FAULTS_MAX: usize = 20;

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// The record's number, where there is one.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Lines seen.
    pub lines: u64,
    /// The last record: the new anchor.
    pub head: Head,
    /// Time of the first record.
    pub first: Option<String>,
    /// Time of the last record.
    pub last: Option<String>,
    /// Records that say that something was lost or cut by a crash.
    pub marred: u64,
    /// What is wrong, the first [`FAULTS_MAX`] of it.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn good(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, line: u64, seq: Option<u64>, what: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            let what = what.into();
            self.faults.push(Fault { line, seq, what });
        }
    }

    fn take(&mut self, bytes: &[u8], key: Option<&Key>, anchor: Option<&Head>) {
        let number = self.lines;
        let link = match chain::examine(bytes, key) {
            Ok(link) => link,
            Err((what, link)) => {
                self.fault(number, link.as_ref().map(|link| link.seq), what);
                let Some(link) = link else { return };
                link
            }
        };
        if let Some(what) = chain::misfit(&self.head, &link) {
            self.fault(number, Some(link.seq), what);
        }
        if anchor.is_some_and(|anchor| anchor.seq == link.seq && anchor.hash != link.hash) {
            let what = "not the record that the anchor names: the log was written anew";
            self.fault(number, Some(link.seq), what);
        }
        if link.kind == "recovered" || link.kind == "lost" {
            self.marred = self.marred.saturating_add(1);
        }
        if self.first.is_none() {
            self.first = Some(link.time.clone());
        }
        self.last = Some(link.time);
        self.head = Head {
            seq: link.seq,
            hash: link.hash,
        };
    }
}

/// Reads an anchor, `SEQ:HASH`.
///
/// # Errors
///
/// What it has to look like.
pub fn anchor(text: &str) -> Result<Head, String> {
    let parsed = text.split_once(':').and_then(|(seq, hash)| {
        let seq = seq.parse().ok().filter(|seq| *seq > 0)?;
        let hex = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = hash.to_ascii_lowercase();
        hex.then_some(Head { seq, hash })
    });
    parsed.ok_or_else(|| "an anchor is a number, a colon and 64 hex digits".to_owned())
}

/// Checks a log from its first line to its last.
///
/// # Errors
///
/// Where it can't be read.
pub fn verify(
    mut log: impl BufRead,
    key: Option<&Key>,
    anchor: Option<&Head>,
) -> io::Result<Report> {
    let mut report = Report {
        lines: 0,
        head: Head::none(),
        first: None,
        last: None,
        marred: 0,
        faults: Vec::new(),
    };
    let bound = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    while report.faults.len() < FAULTS_MAX {
        line.clear();
        let mut bounded = (&mut log).take(bound.saturating_add(1));
        if bounded.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        report.lines = report.lines.saturating_add(1);
        let number = report.lines;
        if line.pop_if(|byte| *byte == b'\n').is_some() {
            report.take(&line, key, anchor);
        } else if line.len() > LINE_BYTES_MAX {
            report.fault(
                number,
                None,
                "longer than any record; the rest was not read",
            );
            break;
        } else {
            let what = "cut short: the last line has no newline (mantlet recovers it when it next opens the log)";
            report.fault(number, None, what);
        }
    }
    let (line, last) = (report.lines, report.head.seq);
    match anchor {
        Some(anchor) if last < anchor.seq && report.faults.len() < FAULTS_MAX => {
            let missing = anchor.seq.saturating_sub(last);
            let what = format!(
                "the end is missing: the anchor is record {}, {missing} behind the last",
                anchor.seq
            );
            report.fault(line, Some(last), what);
        }
        None if report.lines == 0 => {
            report.fault(0, None, "empty: a log has at least the record of its start");
        }
        Some(_) | None => {}
    }
    Ok(report)
}
