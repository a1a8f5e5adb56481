//! What the executor says to whoever runs it: one line per event on standard
//! error, `key=value`, no time (journald and the broker stamp what they read).
//!
//! What it is not: a place for what a tool printed or a broker sent in full.
//! Values are cut, and control characters, quotes and line ends escaped, so one
//! event is one line whatever a peer sends.
//!
//! Invariants: writing never blocks: a reader that stopped reading loses lines,
//! and the next line that gets through says how many.

use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::sys;

/// Longest value, in characters.
const VALUE_CHARS_MAX: usize = 512;
/// Longest line, in bytes: what a pipe that polls writable takes at once.
const LINE_BYTES_MAX: usize = 4096;
/// Lowest number for the log's own descriptor, clear of a tool's 0, 1 and 2.
const DESCRIPTOR_MIN: i32 = 10;

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The ordinary course of things.
    Info,
    /// A refusal, or something that works less well than it could.
    Warn,
    /// Something that should not happen.
    Error,
}

/// A copy of standard error, so that sessions can give 2 to their tool.
#[derive(Debug)]
pub(crate) struct Log {
    out: OwnedFd,
    lost: Cell<u32>,
}

impl Log {
    /// Copies standard error.
    ///
    /// # Errors
    ///
    /// `EBADF` when there is none.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            out: sys::duplicate_above(io::stderr().as_fd(), DESCRIPTOR_MIN)?,
            lost: Cell::new(0),
        })
    }

    /// Writes one event.
    pub(crate) fn event(&self, level: Level, event: &str, fields: &[(&str, &dyn Display)]) {
        let level = match level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let mut line = format!("level={level} event={event}");
        if self.lost.get() > 0 {
            append(&mut line, "lines_lost", &self.lost.get());
        }
        for (key, value) in fields {
            append(&mut line, key, value);
        }
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX.saturating_sub(1)));
        line.push('\n');
        if self.accepts() && write(&self.out, line.as_bytes()).is_ok() {
            self.lost.set(0);
        } else {
            self.lost.set(self.lost.get().saturating_add(1));
        }
    }

    fn accepts(&self) -> bool {
        let mut fds = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(ready) if ready > 0)
    }
}

fn append(line: &mut String, key: &str, value: &dyn Display) {
    let value = value.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/+@-".contains(c);
    line.push(' ');
    line.push_str(key);
    line.push('=');
    if !value.is_empty() && value.len() <= VALUE_CHARS_MAX && value.chars().all(plain) {
        line.push_str(&value);
        return;
    }
    line.push('"');
    for c in value.chars().take(VALUE_CHARS_MAX) {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            c if c.is_control() || is_invisible(c) => {
                // Writing to a String can't fail.
                write!(line, "\\u{{{:x}}}", u32::from(c)).unwrap_or_default();
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// Characters that change how others are shown: bidirectional controls, zero
/// widths, tags.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_one_line_whatever_the_value() {
        let cases = [
            ("nmap", "k=nmap", "plain"),
            ("", "k=\"\"", "empty is visible"),
            ("a b", "k=\"a b\"", "a space would end the value"),
            (
                "a\nlevel=error",
                "k=\"a\\u{a}level=error\"",
                "a forged line",
            ),
            ("\u{1b}[31m", "k=\"\\u{1b}[31m\"", "a terminal escape"),
            ("\"\\", "k=\"\\\"\\\\\"", "quotes"),
            ("a\u{202e}b", "k=\"a\\u{202e}b\"", "text direction"),
        ];
        for (value, expected, why) in cases {
            let mut line = String::new();
            append(&mut line, "k", &value);
            assert_eq!(line.trim_start(), expected, "{why}");
        }
    }
}
