//! One run as the store and its readers know it.
//!
//! What it is: everything about a run but its outcome, which is kept beside it.
//! What it is not: the run; nothing here changes one.
//!
//! Invariants: a run that is over has an end; one that is not has none.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::outcome::{CallError, ErrorType, Outcome};

/// What has become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It waits for its turn, or is being looked at.
    Queued,
    /// The tool runs.
    Running,
    /// The tool ended by itself, with whatever code.
    Finished,
    /// It was refused, failed, or its time was up.
    Failed,
    /// Whoever asked for it doesn't want it any more.
    Cancelled,
    /// The broker died while it was under way.
    Interrupted,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Finished | Self::Failed | Self::Cancelled | Self::Interrupted => true,
        }
    }

    /// The state that an outcome leaves a run in.
    pub fn of(error: Option<&CallError>) -> Self {
        match error {
            None => Self::Finished,
            Some(error) if error.error_type == ErrorType::Cancelled => Self::Cancelled,
            Some(_) => Self::Failed,
        }
    }
}

/// How far a live run is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct RunProgress {
    /// 0 to 100, never falling.
    pub percent: f64,
    /// What the tool is doing.
    pub message: String,
}

/// A run, without its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunInfo {
    /// Names the run.
    pub run_id: String,
    /// The caller's name for it, or one of ours.
    pub correlation_id: String,
    /// Who asked for it.
    pub caller: String,
    /// Where.
    pub surface: String,
    /// The tool.
    pub tool: String,
    /// The target as asked, made harmless.
    pub target: String,
    /// What runs; empty until that is known.
    pub argv: Vec<String>,
    /// What has become of it.
    pub state: RunState,
    /// When the call came in (RFC 3339, UTC).
    #[schema(value_type = String)]
    pub started_at: Timestamp,
    /// When it was over (RFC 3339, UTC).
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Timestamp>,
    /// The tool's exit code.
    pub returncode: Option<i32>,
    /// How it failed.
    pub error_type: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Bytes of the tool's own standard output that are kept.
    pub stdout_bytes: u64,
    /// How far it is; only while it is under way.
    pub progress: Option<RunProgress>,
}

impl RunInfo {
    /// The same run with what it came to.
    #[must_use]
    pub fn ended(mut self, outcome: &Outcome, at: Timestamp) -> Self {
        let error = outcome.error.as_ref();
        self.tool.clone_from(&outcome.tool);
        self.argv.clone_from(&outcome.argv);
        self.state = RunState::of(error);
        self.ended_at = Some(at);
        self.returncode = outcome.facts.returncode;
        self.error_type = error.map(|error| error.error_type.as_str().to_owned());
        self.error = error.map(|error| error.message.clone());
        self.stdout_bytes = u64::try_from(outcome.facts.raw_stdout.len()).unwrap_or(u64::MAX);
        self.progress = None;
        self
    }
}

/// Which runs a list shows, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of this caller; `None` means of everybody.
    pub caller: Option<String>,
    /// Of this tool.
    pub tool: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
    /// Those older than the one that this id names: the last of the page before.
    pub before: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// A piece of a tool's own standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StdoutPart {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// The bytes, as the tool wrote them.
    pub bytes: Vec<u8>,
    /// Bytes of the whole.
    pub total: u64,
}
