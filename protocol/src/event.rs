//! What the executor may answer.
//!
//! What it is not: the broker's result. The broker parses tool output and
//! words errors for clients; these are the facts it works from.
//!
//! Invariants: a decoded [`Event`] has passed [`Event::check`]; every text is
//! the executor's own or a quotation of a vetted or refused argument.

use serde::{Deserialize, Serialize};

use crate::limits::{NAME_BYTES_MAX, OUTPUT_CHUNK_BYTES, ROWS_MAX, TEXT_BYTES_MAX};

/// A message from executor to broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Answers `Hello`.
    Welcome(Welcome),
    /// The request is not done, and why. Ends the connection.
    Refused(Refused),
    /// The tool runs, confined.
    Started(Started),
    /// A piece of what the tool printed.
    Output(Output),
    /// The tool and all its descendants are gone. Last on a connection.
    Finished(Finished),
    /// Answers `Inspect`.
    Inventory(Inventory),
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The executor's [`crate::VERSION`].
    pub protocol: u16,
    /// The executor's release.
    pub version: String,
    /// SHA-256 over all its profiles; the broker compares it with its own.
    pub profiles_digest: [u8; 32],
    /// SHA-256 over the scope it enforces.
    pub scope_digest: [u8; 32],
}

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// The frame could not be decoded, or is out of bounds.
    Malformed,
    /// The frame is not allowed at this point of the connection.
    OutOfTurn,
    /// The peer's uid and groups are not on the list.
    PeerNotAllowed,
    /// Another protocol version.
    ProtocolMismatch,
    /// As many runs as allowed are under way.
    Busy,
    /// No profile of that name.
    UnknownTool,
    /// The argv breaks the profile or the scope.
    NotVetted,
    /// The call needs a capability that the executor doesn't hold.
    CapabilityNotHeld,
    /// The tool's program is not installed.
    ToolMissing,
    /// The tool's program is there and can't be used: not owned by root, changed
    /// since start-up, or the executor lacks what it needs to start it.
    ToolUnavailable,
    /// A layer of the sandbox could not be applied; nothing ran.
    SandboxUnavailable,
    /// The tool could not be started.
    SpawnFailed,
    /// The executor is shutting down.
    Draining,
}

/// A "no", its reason, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The kind, for programs.
    pub kind: RefusalKind,
    /// Id of the rule broken (`TGT2`, `ARG3`, …), or empty.
    pub rule: String,
    /// The reason, for people.
    pub message: String,
    /// The part that broke the rule, or empty.
    pub offending: String,
    /// What would be accepted, or what to change.
    pub remedy: String,
}

/// What a run is confined to, from the values that were applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// User id that the tool runs under.
    pub uid: u32,
    /// Group id that the tool runs under.
    pub gid: u32,
    /// Capabilities that the tool holds, by name.
    #[serde(deserialize_with = "crate::list::bounded")]
    pub capabilities: Vec<String>,
    /// Landlock ABI of the kernel.
    pub landlock_abi: u32,
    /// SHA-256 over the Landlock rules applied.
    pub landlock_digest: [u8; 32],
    /// SHA-256 over the system call filters applied.
    pub seccomp_digest: [u8; 32],
    /// Resource limits by name (`RLIMIT_…` without the prefix, lower case).
    #[serde(deserialize_with = "crate::list::bounded")]
    pub rlimits: Vec<(String, u64)>,
    /// Egress mode: `argv` means that addresses are confined by vetting alone.
    pub egress: String,
    /// Absolute path of the tool's program.
    pub tool_path: String,
    /// The version it reported at start-up, or empty.
    pub tool_version: String,
    /// Microseconds from the request to the tool's exec.
    pub setup_us: u32,
}

/// The tool's program was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The tool's process id, in the executor's PID namespace.
    pub pid: u32,
    /// What it is confined to.
    pub receipt: Receipt,
}

/// One of the tool's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Which stream.
    pub stream: Stream,
    /// The bytes as the tool wrote them, at most [`OUTPUT_CHUNK_BYTES`].
    #[serde(with = "raw_bytes")]
    pub bytes: Vec<u8>,
}

/// How the tool's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
    /// It made a system call that its profile doesn't list, and was killed.
    Violation {
        /// The call's name, or `#number` where the number has no name.
        call: String,
    },
}

/// Counts per stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCount {
    /// Bytes the tool wrote, as far as they were read.
    pub bytes_seen: u64,
    /// Bytes passed on.
    pub bytes_kept: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// How the tool ended.
    pub exit: Exit,
    /// It was ended because its time was up.
    pub timed_out: bool,
    /// It was ended because the broker said so or went away.
    pub cancelled: bool,
    /// It was ended because it printed more than the second bound.
    pub killed_for_output: bool,
    /// Standard output.
    pub stdout: StreamCount,
    /// Standard error.
    pub stderr: StreamCount,
    /// Processor time of the whole tree, in milliseconds.
    pub cpu_ms: u64,
    /// Largest resident size of any process of the tree, in bytes.
    pub max_rss_bytes: u64,
    /// From start to end, in milliseconds.
    pub wall_ms: u64,
}

/// One tool, as the executor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolState {
    /// The profile's name.
    pub name: String,
    /// Absolute path of the program.
    pub path: String,
    /// The version it reported at start-up, or empty.
    pub version: String,
    /// Why it can't run, or empty.
    pub problem: String,
    /// SHA-256 of its profile.
    pub profile_digest: [u8; 32],
}

/// One key of the scope that the executor enforces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeRow {
    /// The tool that it holds for in place of the general one; empty: every other.
    pub tool: String,
    /// The configuration key.
    pub key: String,
    /// What it comes to, in one canonical spelling; a long one is cut.
    pub value: String,
    /// SHA-256 over key and whole value.
    pub digest: [u8; 32],
}

/// What the executor is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// `system` or `embedded`.
    pub mode: String,
    /// User id that tools run under.
    pub uid: u32,
    /// Capabilities that the executor holds, by name.
    #[serde(deserialize_with = "crate::list::bounded")]
    pub capabilities: Vec<String>,
    /// Landlock ABI of the kernel.
    pub landlock_abi: u32,
    /// Kernel release.
    pub kernel: String,
    /// Egress mode.
    pub egress: String,
    /// Runs under way, and the most allowed.
    pub runs: (u32, u32),
    /// Whether ICMP datagram sockets are open to it.
    pub icmp_sockets: bool,
    /// Its tools, as many as fit.
    #[serde(deserialize_with = "crate::list::bounded")]
    pub tools: Vec<ToolState>,
    /// The scope that it enforces, as many rows as fit.
    #[serde(deserialize_with = "crate::list::bounded")]
    pub scope: Vec<ScopeRow>,
    /// Rows of tools and scope that didn't fit.
    pub rows_left_out: u32,
}

/// A well-formed message whose content is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// A text is longer than its bound.
    #[error("a text of an event is longer than its bound")]
    Text,
    /// A list has more rows than [`ROWS_MAX`].
    #[error("a list of an event has more than 256 rows")]
    Rows,
    /// A piece of output is larger than [`OUTPUT_CHUNK_BYTES`].
    #[error("a piece of output is larger than 65536 bytes")]
    Chunk,
}

impl ToolState {
    /// Most bytes that it takes in a frame.
    #[must_use]
    pub fn bytes(&self) -> usize {
        [&self.name, &self.path, &self.version, &self.problem]
            .iter()
            .fold(48, |sum, text| sum.saturating_add(text.len()))
    }
}

impl ScopeRow {
    /// Most bytes that it takes in a frame.
    #[must_use]
    pub fn bytes(&self) -> usize {
        [&self.tool, &self.key, &self.value]
            .iter()
            .fold(48, |sum, text| sum.saturating_add(text.len()))
    }
}

impl Event {
    /// Proves that every part is within bounds.
    ///
    /// # Errors
    ///
    /// Says which kind of part is not.
    pub fn check(&self) -> Result<(), EventError> {
        match self {
            Self::Welcome(welcome) => text(&welcome.version, NAME_BYTES_MAX),
            Self::Refused(refused) => {
                text(&refused.rule, NAME_BYTES_MAX)?;
                text(&refused.message, TEXT_BYTES_MAX)?;
                text(&refused.offending, TEXT_BYTES_MAX)?;
                text(&refused.remedy, TEXT_BYTES_MAX)
            }
            Self::Started(started) => started.receipt.check(),
            Self::Output(output) if output.bytes.len() > OUTPUT_CHUNK_BYTES => {
                Err(EventError::Chunk)
            }
            Self::Output(_) => Ok(()),
            Self::Finished(finished) => match &finished.exit {
                Exit::Violation { call } => text(call, NAME_BYTES_MAX),
                Exit::Code(_) | Exit::Signal(_) => Ok(()),
            },
            Self::Inventory(inventory) => inventory.check(),
        }
    }
}

impl Receipt {
    fn check(&self) -> Result<(), EventError> {
        rows(self.capabilities.len())?;
        rows(self.rlimits.len())?;
        for (name, _) in &self.rlimits {
            text(name, NAME_BYTES_MAX)?;
        }
        for name in &self.capabilities {
            text(name, NAME_BYTES_MAX)?;
        }
        text(&self.egress, NAME_BYTES_MAX)?;
        text(&self.tool_path, TEXT_BYTES_MAX)?;
        text(&self.tool_version, TEXT_BYTES_MAX)
    }
}

impl Inventory {
    fn check(&self) -> Result<(), EventError> {
        rows(self.capabilities.len())?;
        rows(self.tools.len())?;
        for name in &self.capabilities {
            text(name, NAME_BYTES_MAX)?;
        }
        for tool in &self.tools {
            text(&tool.name, NAME_BYTES_MAX)?;
            text(&tool.path, TEXT_BYTES_MAX)?;
            text(&tool.version, TEXT_BYTES_MAX)?;
            text(&tool.problem, TEXT_BYTES_MAX)?;
        }
        rows(self.scope.len())?;
        for row in &self.scope {
            text(&row.tool, NAME_BYTES_MAX)?;
            text(&row.key, NAME_BYTES_MAX)?;
            text(&row.value, TEXT_BYTES_MAX)?;
        }
        text(&self.mode, NAME_BYTES_MAX)?;
        text(&self.kernel, TEXT_BYTES_MAX)?;
        text(&self.egress, NAME_BYTES_MAX)
    }
}

fn text(value: &str, bytes_max: usize) -> Result<(), EventError> {
    if value.len() > bytes_max {
        Err(EventError::Text)
    } else {
        Ok(())
    }
}

fn rows(count: usize) -> Result<(), EventError> {
    if count > ROWS_MAX {
        Err(EventError::Rows)
    } else {
        Ok(())
    }
}

/// Bytes as one block. Serde's own way for `Vec<u8>` goes element by element.
mod raw_bytes {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Block;
        impl Visitor<'_> for Block {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block of bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(Block)
    }
}
