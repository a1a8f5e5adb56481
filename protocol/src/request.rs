//! What the broker may ask for.
//!
//! What it is not: trust. The executor vets each argv again; these types only
//! say that it is well-formed and bounded.
//!
//! Invariants: a decoded [`Request`] has passed [`Request::check`].

use serde::{Deserialize, Serialize};

use crate::limits::{
    ARG_BYTES_MAX, ARGS_MAX, ARGV_BYTES_MAX, FILES_MIN, MEMORY_BYTES_MIN, NAME_BYTES_MAX,
    OUTPUT_KEPT_BYTES_MAX, TIMEOUT_MS_MAX,
};

/// A message from broker to executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// First on every connection.
    Hello(Hello),
    /// Starts the one run that a connection may have.
    Run(Run),
    /// Ends the run; closing the connection means the same.
    Cancel,
    /// Asks what the executor is and can do.
    Inspect,
}

/// Opens a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The sender's [`crate::VERSION`].
    pub protocol: u16,
}

/// One execution of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Names the run in both processes' logs and in its scratch directory:
    /// 1 to 64 of `[A-Za-z0-9-]`.
    pub run_id: String,
    /// The profile's name.
    pub tool: String,
    /// The vetted argv, program first, in its canonical form.
    #[serde(deserialize_with = "crate::list::bounded")]
    pub argv: Vec<String>,
    /// Milliseconds until the tree is ended, 1 to one hour.
    pub timeout_ms: u32,
    /// Bytes of standard output to pass on; the rest is counted and dropped.
    pub stdout_max: u32,
    /// Bytes of standard error to pass on; the rest is counted and dropped.
    pub stderr_max: u32,
    /// Bytes of memory, where the profile's limit is to be cut: at least
    /// [`MEMORY_BYTES_MIN`]. What is above the profile's changes nothing.
    pub memory_max: Option<u64>,
    /// Open descriptors, likewise: at least [`FILES_MIN`].
    pub files_max: Option<u32>,
}

/// A well-formed message whose content is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Empty, too long, or holding characters other than `[A-Za-z0-9-]`.
    #[error("run id is not 1 to 64 letters, digits or hyphens")]
    RunId,
    /// Empty or too long.
    #[error("tool name is empty or longer than 64 bytes")]
    Tool,
    /// No program, or more elements than [`ARGS_MAX`].
    #[error("argv has {0} elements; 1 to 256 are accepted")]
    ArgCount(usize),
    /// One element is empty, too long or holds NUL.
    #[error("argv element {0} is empty, longer than 4096 bytes or holds NUL")]
    Arg(usize),
    /// All elements together are too long.
    #[error("argv is longer than 65536 bytes")]
    ArgvBytes,
    /// Zero, or more than an hour.
    #[error("timeout of {0} ms is not within 1 to 3600000")]
    Timeout(u32),
    /// More output than a run may keep.
    #[error("output bound of {0} bytes is above 67108864")]
    OutputMax(u32),
    /// Less memory than a tool can start with.
    #[error("memory of {0} bytes is below 16777216")]
    Memory(u64),
    /// Fewer descriptors than a tool can start with.
    #[error("{0} descriptors are fewer than 16")]
    Files(u32),
}

impl Request {
    /// Proves that every part is within bounds.
    ///
    /// # Errors
    ///
    /// Names the first part that is not.
    pub fn check(&self) -> Result<(), RequestError> {
        match self {
            Self::Run(run) => run.check(),
            Self::Hello(_) | Self::Cancel | Self::Inspect => Ok(()),
        }
    }
}

impl Run {
    fn check(&self) -> Result<(), RequestError> {
        let id_char = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.run_id.is_empty()
            || self.run_id.len() > NAME_BYTES_MAX
            || !self.run_id.chars().all(id_char)
        {
            return Err(RequestError::RunId);
        }
        if self.tool.is_empty() || self.tool.len() > NAME_BYTES_MAX {
            return Err(RequestError::Tool);
        }
        if self.argv.is_empty() || self.argv.len() > ARGS_MAX {
            return Err(RequestError::ArgCount(self.argv.len()));
        }
        let mut bytes = 0_usize;
        for (index, arg) in self.argv.iter().enumerate() {
            if arg.is_empty() || arg.len() > ARG_BYTES_MAX || arg.contains('\0') {
                return Err(RequestError::Arg(index));
            }
            bytes = bytes.saturating_add(arg.len());
        }
        if bytes > ARGV_BYTES_MAX {
            return Err(RequestError::ArgvBytes);
        }
        if self.timeout_ms == 0 || self.timeout_ms > TIMEOUT_MS_MAX {
            return Err(RequestError::Timeout(self.timeout_ms));
        }
        for max in [self.stdout_max, self.stderr_max] {
            if max > OUTPUT_KEPT_BYTES_MAX {
                return Err(RequestError::OutputMax(max));
            }
        }
        // Refused and not raised to the floor: a run is never given more than
        // was asked for. There is no ceiling, since the profile is one.
        if let Some(bytes) = self.memory_max.filter(|max| *max < MEMORY_BYTES_MIN) {
            return Err(RequestError::Memory(bytes));
        }
        if let Some(files) = self.files_max.filter(|max| *max < FILES_MIN) {
            return Err(RequestError::Files(files));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            run_id: "0190-a".into(),
            tool: "nmap".into(),
            argv: vec!["/usr/bin/nmap".into(), "10.0.0.1".into()],
            timeout_ms: 1000,
            stdout_max: 1,
            stderr_max: 1,
            memory_max: None,
            files_max: None,
        }
    }

    #[test]
    fn accepts_a_run_within_bounds() {
        assert_eq!(Request::Run(run()).check(), Ok(()));
        for (memory_max, files_max, why) in [
            (Some(MEMORY_BYTES_MIN), Some(FILES_MIN), "the floors"),
            (Some(u64::MAX), Some(u32::MAX), "the profile is the ceiling"),
        ] {
            let bounded = Run {
                memory_max,
                files_max,
                ..run()
            };
            assert_eq!(Request::Run(bounded).check(), Ok(()), "{why}");
        }
    }

    #[test]
    fn refuses_a_run_out_of_bounds() {
        type Change = fn(&mut Run);
        let cases: [(Change, RequestError, &str); 14] = [
            (|r| r.run_id.clear(), RequestError::RunId, "no id"),
            (
                |r| r.run_id = "../x".into(),
                RequestError::RunId,
                "an id becomes a directory name",
            ),
            (
                |r| r.run_id = "a".repeat(65),
                RequestError::RunId,
                "too long",
            ),
            (|r| r.tool.clear(), RequestError::Tool, "no tool"),
            (|r| r.argv.clear(), RequestError::ArgCount(0), "no program"),
            (
                |r| r.argv = vec!["a".into(); 257],
                RequestError::ArgCount(257),
                "too many",
            ),
            (
                |r| r.argv.push("a\0b".into()),
                RequestError::Arg(2),
                "NUL would cut the argument",
            ),
            (
                |r| r.argv.push("a".repeat(4097)),
                RequestError::Arg(2),
                "too long",
            ),
            (
                |r| r.argv = vec!["a".repeat(4096); 17],
                RequestError::ArgvBytes,
                "too long together",
            ),
            (
                |r| r.timeout_ms = 0,
                RequestError::Timeout(0),
                "would never start",
            ),
            (
                |r| r.stdout_max = u32::MAX,
                RequestError::OutputMax(u32::MAX),
                "unbounded memory",
            ),
            (
                |r| r.memory_max = Some(MEMORY_BYTES_MIN - 1),
                RequestError::Memory(MEMORY_BYTES_MIN - 1),
                "a byte below the floor",
            ),
            (
                |r| r.memory_max = Some(0),
                RequestError::Memory(0),
                "nothing starts, and it doesn't mean without limit",
            ),
            (
                |r| r.files_max = Some(FILES_MIN - 1),
                RequestError::Files(FILES_MIN - 1),
                "one below the floor",
            ),
        ];
        for (change, expected, why) in cases {
            let mut bad = run();
            change(&mut bad);
            assert_eq!(Request::Run(bad).check(), Err(expected), "{why}");
        }
    }
}
