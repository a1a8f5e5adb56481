//! What a call came to: the one shape that every surface translates.
//!
//! What it is not: a decision. The pipeline decides; the surfaces render.
//!
//! Invariants: a failure always carries its kind, its reason and a remedy; text
//! from a tool has been neutralised before it gets here.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::results::neutralise;

/// Most answers of a name that are named in words.
const ANSWERS_SHOWN_MAX: usize = 8;

/// The kinds of failure that clients may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// The run's time was up.
    Timeout,
    /// No such tool, template, name or program.
    NotFound,
    /// The call breaks a rule.
    ValidationError,
    /// The tool could not be run, or crashed.
    ExecutionError,
    /// Too many calls at once.
    ResourceExhausted,
    /// The tool failed too often lately.
    CircuitBreakerOpen,
    /// The policy or the capabilities held don't allow the call.
    PermissionDenied,
    /// Too many calls in too short a time.
    RateLimited,
    /// The tool is switched off.
    ToolDisabled,
    /// The executor can't be reached, or went away.
    ExecutorUnavailable,
    /// A layer of the sandbox can't be applied, so nothing ran.
    SandboxUnavailable,
    /// The client cancelled.
    Cancelled,
    /// A fault of ours; the log has more.
    Unknown,
}

impl ErrorType {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Timeout,
        Self::NotFound,
        Self::ValidationError,
        Self::ExecutionError,
        Self::ResourceExhausted,
        Self::CircuitBreakerOpen,
        Self::PermissionDenied,
        Self::RateLimited,
        Self::ToolDisabled,
        Self::ExecutorUnavailable,
        Self::SandboxUnavailable,
        Self::Cancelled,
        Self::Unknown,
    ];

    /// The kind of this name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotFound => "not_found",
            Self::ValidationError => "validation_error",
            Self::ExecutionError => "execution_error",
            Self::ResourceExhausted => "resource_exhausted",
            Self::CircuitBreakerOpen => "circuit_breaker_open",
            Self::PermissionDenied => "permission_denied",
            Self::RateLimited => "rate_limited",
            Self::ToolDisabled => "tool_disabled",
            Self::ExecutorUnavailable => "executor_unavailable",
            Self::SandboxUnavailable => "sandbox_unavailable",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// A wait as whole seconds, at least one, rounded up so that whoever waits so
/// long is not too early.
pub fn wait_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

/// A failure, as REST, MCP and the terminal show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallError {
    /// The kind.
    pub error_type: ErrorType,
    /// The reason, for people.
    pub message: String,
    /// What to do next.
    pub recovery_suggestion: String,
    /// When, in UTC.
    pub timestamp: Timestamp,
    /// The tool asked for.
    pub tool_name: String,
    /// The target asked for.
    pub target: String,
    /// Facts for programs: the rule, the offending part, the nearest call, ….
    pub metadata: Map<String, Value>,
}

impl CallError {
    /// An error of this moment without metadata.
    pub fn new(
        error_type: ErrorType,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            error_type,
            message: message.into(),
            recovery_suggestion: remedy.into(),
            timestamp: Timestamp::now(),
            tool_name: String::new(),
            target: String::new(),
            metadata: Map::new(),
        }
    }

    /// The same error, with what was asked for: a caller's own text, so made
    /// harmless for logs, terminals and line-wise readers, and bounded.
    #[must_use]
    pub fn about(mut self, tool: &str, target: &str) -> Self {
        self.tool_name = neutralise::asked(tool);
        self.target = neutralise::asked(target);
        self
    }

    /// A fact that is a text.
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(Value::as_str)
    }

    /// The same error, with one more fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }
}

/// How far a run got before it ended. Absent where nothing ran.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFacts {
    /// The tool's exit code; 124 after a timeout, 128 + n after signal n.
    pub returncode: Option<i32>,
    /// Its time was up.
    pub timed_out: bool,
    /// Readable standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Standard output is not whole.
    pub truncated_stdout: bool,
    /// Standard error is not whole.
    pub truncated_stderr: bool,
    /// The parsed result, or null.
    pub structured: Value,
    /// What matters, in few words, for a model.
    pub summary: String,
    /// The executor's receipt, or null.
    pub sandbox: Value,
    /// Counters: bytes seen, processor time, memory, ….
    pub counters: Map<String, Value>,
    /// Standard output as the tool wrote it: the artefact. Not part of the JSON.
    pub raw_stdout: Vec<u8>,
}

/// A name with what it resolved to, for the result to say so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Resolved {
    /// The name asked for, canonical.
    pub name: String,
    /// Every address that it has, each of them checked.
    pub answers: Vec<IpAddr>,
    /// The one that the tool gets.
    pub pinned: IpAddr,
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            answers,
            pinned,
        } = self;
        if answers.len() <= 1 {
            return write!(f, "{name} is {pinned}");
        }
        let count = answers.len();
        let shown: Vec<_> = answers
            .iter()
            .take(ANSWERS_SHOWN_MAX)
            .map(IpAddr::to_string)
            .collect();
        let more = if count > ANSWERS_SHOWN_MAX {
            ", …"
        } else {
            ""
        };
        let shown = shown.join(", ");
        write!(
            f,
            "{name} has {count} addresses ({shown}{more}); {pinned} was taken"
        )
    }
}

/// The end of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Names this run.
    pub run_id: String,
    /// The caller's name for it, or one of ours.
    pub correlation_id: String,
    /// The tool's name.
    pub tool: String,
    /// The target as the caller gave it.
    pub target: String,
    /// The argv that ran or would have run; empty when the call was refused earlier.
    pub argv: Vec<String>,
    /// What it was aimed at, in canonical form; names with the address they were pinned to.
    pub targets: Vec<String>,
    /// What vetting changed or added, for people.
    pub notes: Vec<String>,
    /// What the target's name resolved to, where it is a name and was resolved.
    pub resolved: Option<Resolved>,
    /// When the call came in, in UTC.
    pub started_at: Timestamp,
    /// Seconds from then to the end, waiting included.
    pub execution_time: f64,
    /// What the run did, as far as it got.
    pub facts: RunFacts,
    /// Why it failed, if it did.
    pub error: Option<CallError>,
}

impl Outcome {
    /// The whole as one JSON object: the fields of a result, and after a
    /// failure those of the error too.
    pub fn to_json(&self) -> Value {
        let facts = &self.facts;
        let mut metadata = facts.counters.clone();
        if !self.notes.is_empty() {
            metadata.insert("notes".into(), json!(self.notes));
        }
        if let Some(resolved) = &self.resolved {
            metadata.insert("resolved".into(), json!(resolved));
        }
        let mut object = json!({
            "run_id": self.run_id,
            "correlation_id": self.correlation_id,
            "tool": self.tool,
            "argv": self.argv,
            "targets": self.targets,
            "started_at": self.started_at,
            "execution_time": self.execution_time,
            "returncode": facts.returncode,
            "timed_out": facts.timed_out,
            "stdout": facts.stdout,
            "stderr": facts.stderr,
            "truncated_stdout": facts.truncated_stdout,
            "truncated_stderr": facts.truncated_stderr,
            "structured": facts.structured,
            "sandbox": facts.sandbox,
            "error": null,
            "error_type": null,
        });
        let Some(fields) = object.as_object_mut() else {
            return object;
        };
        if let Some(error) = &self.error {
            metadata.extend(error.metadata.clone());
            fields.insert("error".into(), json!(error.message));
            fields.insert("error_type".into(), json!(error.error_type.as_str()));
            fields.insert("message".into(), json!(error.message));
            fields.insert(
                "recovery_suggestion".into(),
                json!(error.recovery_suggestion),
            );
            fields.insert("timestamp".into(), json!(error.timestamp));
            fields.insert("tool_name".into(), json!(error.tool_name));
            fields.insert("target".into(), json!(error.target));
        }
        fields.insert("metadata".into(), Value::Object(metadata));
        object
    }

    /// The outcome that [`Outcome::to_json`] made this object of, without the
    /// tool's own output; `None` where it is no such object.
    pub fn from_json(object: &Value, target: String, summary: String) -> Option<Self> {
        let text = |name: &str| object.get(name)?.as_str().map(str::to_owned);
        let texts = |name: &str| serde_json::from_value(object.get(name)?.clone()).ok();
        let flag = |name: &str| object.get(name).and_then(Value::as_bool).unwrap_or(false);
        let returncode = object.get("returncode").and_then(Value::as_i64);
        let mut metadata = object.get("metadata")?.as_object()?.clone();
        let error = text("error_type").and_then(|kind| {
            Some(CallError {
                error_type: ErrorType::from_name(&kind)?,
                message: text("message")?,
                recovery_suggestion: text("recovery_suggestion")?,
                timestamp: text("timestamp")?.parse().ok()?,
                tool_name: text("tool_name")?,
                target: text("target")?,
                // Counters and facts stand in one object; they stay together.
                metadata: metadata.clone(),
            })
        });
        let notes = metadata.remove("notes");
        let resolved = metadata.remove("resolved");
        Some(Self {
            run_id: text("run_id")?,
            correlation_id: text("correlation_id")?,
            tool: text("tool")?,
            target,
            argv: texts("argv")?,
            targets: texts("targets")?,
            notes: notes
                .and_then(|notes| serde_json::from_value(notes).ok())
                .unwrap_or_default(),
            resolved: resolved.and_then(|resolved| serde_json::from_value(resolved).ok()),
            started_at: text("started_at")?.parse().ok()?,
            execution_time: object.get("execution_time")?.as_f64()?,
            facts: RunFacts {
                returncode: returncode.and_then(|code| i32::try_from(code).ok()),
                timed_out: flag("timed_out"),
                stdout: text("stdout")?,
                stderr: text("stderr")?,
                truncated_stdout: flag("truncated_stdout"),
                truncated_stderr: flag("truncated_stderr"),
                structured: object.get("structured")?.clone(),
                summary,
                sandbox: object.get("sandbox")?.clone(),
                counters: metadata,
                raw_stdout: Vec::new(),
            },
            error,
        })
    }

    /// Whether a tool was started at all.
    pub fn ran(&self) -> bool {
        !self.facts.sandbox.is_null()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_as_json_is_read_again() {
        let error = |kind| {
            let error = CallError::new(kind, "because", "do this").about("nmap", "10.0.0.1");
            error
                .with("rule", "ARG3")
                .with("resolved", json!({"name": "n"}))
        };
        let errors = ErrorType::ALL.map(|kind| Some(error(kind)));
        for error in errors.into_iter().chain([None]) {
            let outcome = Outcome {
                run_id: "r".into(),
                correlation_id: "c".into(),
                tool: "nmap".into(),
                target: "10.0.0.1".into(),
                argv: vec!["/usr/bin/nmap".into()],
                targets: vec!["10.0.0.1".into()],
                notes: vec!["-T4 was added".into()],
                resolved: None,
                started_at: Timestamp::now(),
                execution_time: 0.25,
                facts: RunFacts {
                    returncode: Some(-1),
                    timed_out: true,
                    stdout: "out".into(),
                    stderr: "err".into(),
                    truncated_stdout: true,
                    structured: json!({ "hosts": [] }),
                    summary: "few words".into(),
                    sandbox: json!({ "uid": 1 }),
                    counters: Map::from_iter([("stdout_bytes".into(), json!(3))]),
                    ..RunFacts::default()
                },
                error,
            };
            let object = outcome.to_json();
            let read = Outcome::from_json(&object, "10.0.0.1".into(), "few words".into()).unwrap();
            assert_eq!(read.to_json(), object);
            assert_eq!(read.facts.summary, outcome.facts.summary);
            assert_eq!(read.notes, outcome.notes);
        }
        assert!(Outcome::from_json(&json!({}), String::new(), String::new()).is_none());
    }

    #[test]
    fn says_in_a_line_what_was_found_and_taken() {
        let of = |answers: &[&str]| {
            let answers: Vec<IpAddr> = answers.iter().map(|text| text.parse().unwrap()).collect();
            let pinned = answers[0];
            let name = "web.lab".to_owned();
            Resolved {
                name,
                answers,
                pinned,
            }
            .to_string()
        };
        assert_eq!(of(&["10.0.0.1"]), "web.lab is 10.0.0.1");
        assert_eq!(
            of(&["10.0.0.1", "10.0.0.2"]),
            "web.lab has 2 addresses (10.0.0.1, 10.0.0.2); 10.0.0.1 was taken"
        );
        let many: Vec<String> = (1..=64).map(|last| format!("10.0.0.{last}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let line = of(&many);
        assert!(
            line.contains("64 addresses") && line.contains("…"),
            "{line}"
        );
        assert!(line.len() < 200, "{line}");
    }
}
