//! Health: what works, what doesn't, and how much that matters.
//!
//! What it is: the shape of a report, the rule that makes one word of its
//! checks, and ([`keeper`]) the task that has them made.
//! What it is not: the checks themselves; who knows the executor, the breakers
//! and the files has them.
//!
//! Invariants: informational checks change no status (a machine that is busy
//! with something else is no reason to restart this service); a check that
//! fails says what to do.

pub mod keeper;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Healthy,
    /// It works less far than it could.
    Degraded,
    /// It doesn't work.
    Unhealthy,
}

impl Status {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The status of `/health`: 200, 207 or 503.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Healthy => 200,
            Self::Degraded => 207,
            Self::Unhealthy => 503,
        }
    }
}

/// How much a check matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Without it nothing works: its status is the service's.
    Critical,
    /// Without it something doesn't work: at worst the service is degraded.
    Important,
    /// For people; it changes nothing.
    Informational,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Its name in the report; the key there.
    #[serde(skip)]
    pub name: String,
    /// How it is.
    pub status: Status,
    /// How much it matters.
    pub priority: Priority,
    /// What was found and, unless healthy, what to do.
    pub message: String,
    /// Seconds that the look took which found it.
    pub duration: f64,
    /// Facts for programs, or null.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

impl Check {
    /// A finding without details; the keeper fills in its duration.
    pub fn new(
        name: impl Into<String>,
        priority: Priority,
        status: Status,
        message: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            status,
            priority,
            message: message.into(),
            duration: 0.0,
            details: Value::Null,
        }
    }

    /// The same, with facts for programs.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// What it makes of the whole.
    fn weighs(&self) -> Status {
        match self.priority {
            Priority::Critical => self.status,
            Priority::Important => self.status.min(Status::Degraded),
            Priority::Informational => Status::Healthy,
        }
    }
}

/// How many checks found what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All.
    pub total_checks: usize,
    /// Those that are healthy.
    pub healthy: usize,
    /// Those that are degraded.
    pub degraded: usize,
    /// Those that are unhealthy.
    pub unhealthy: usize,
}

/// The body of `/health`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The whole, in one word.
    pub status: Status,
    /// When it was made, in UTC.
    pub timestamp: Timestamp,
    /// How the service is reached: `http` or `stdio`.
    pub transport: &'static str,
    /// What was looked at, by name.
    pub checks: BTreeMap<String, Check>,
    /// How many of them found what.
    pub summary: Summary,
}

impl Report {
    /// A report of these checks. Of two of one name, the last counts.
    pub fn new(transport: &'static str, checks: impl IntoIterator<Item = Check>) -> Self {
        let checks: BTreeMap<_, _> = checks
            .into_iter()
            .map(|check| (check.name.clone(), check))
            .collect();
        let found = |status| {
            checks
                .values()
                .filter(|check| check.status == status)
                .count()
        };
        Self {
            status: checks
                .values()
                .map(Check::weighs)
                .max()
                .unwrap_or(Status::Healthy),
            timestamp: Timestamp::now(),
            transport,
            summary: Summary {
                total_checks: checks.len(),
                healthy: found(Status::Healthy),
                degraded: found(Status::Degraded),
                unhealthy: found(Status::Unhealthy),
            },
            checks,
        }
    }

    /// How one check found things.
    #[cfg(test)]
    pub fn status_of(&self, name: &str) -> Option<Status> {
        self.checks.get(name).map(|check| check.status)
    }
}

/// What a look at something comes to: one or more checks.
pub type Findings = Vec<Check>;

/// Longest that one look may take.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_says_what_a_check_makes_of_the_whole() {
        use Priority::{Critical, Important, Informational};
        use Status::{Degraded, Healthy, Unhealthy};
        let cases = [
            // checks                                              whole      HTTP why
            (
                vec![(Critical, Healthy), (Important, Healthy)],
                Healthy,
                200,
                "all is well",
            ),
            (
                vec![(Critical, Unhealthy), (Important, Healthy)],
                Unhealthy,
                503,
                "nothing works without it",
            ),
            (vec![(Critical, Degraded)], Degraded, 207, "it still works"),
            (
                vec![(Critical, Healthy), (Important, Unhealthy)],
                Degraded,
                207,
                "the rest works",
            ),
            (vec![(Important, Degraded)], Degraded, 207, "less works"),
            (
                vec![(Informational, Unhealthy)],
                Healthy,
                200,
                "a busy machine is no fault of ours",
            ),
            (vec![], Healthy, 200, "nothing to complain of"),
        ];
        for (checks, whole, http, why) in cases {
            let checks = checks.iter().enumerate().map(|(at, (priority, status))| {
                Check::new(format!("c{at}"), *priority, *status, "")
            });
            let report = Report::new("http", checks);
            assert_eq!(report.status, whole, "{why}");
            assert_eq!(report.status.http_status(), http, "{why}");
        }
    }

    #[test]
    fn the_body_has_the_promised_shape() {
        let check = |name: &str, status| Check::new(name, Priority::Important, status, "m");
        let details = serde_json::json!({"version": "7.95"});
        let checks = [
            check("tool_nmap", Status::Healthy).with(details),
            check("tool_dig", Status::Unhealthy),
        ];
        let body = serde_json::to_value(Report::new("http", checks)).unwrap();
        assert_eq!(body["status"], "degraded");
        assert_eq!(body["transport"], "http");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
        let expected = serde_json::json!({
            "status": "unhealthy", "priority": "important", "message": "m", "duration": 0.0,
        });
        assert_eq!(body["checks"]["tool_dig"], expected);
        assert_eq!(body["checks"]["tool_nmap"]["details"]["version"], "7.95");
        let expected = serde_json::json!({
            "total_checks": 2, "healthy": 1, "degraded": 0, "unhealthy": 1,
        });
        assert_eq!(body["summary"], expected);
    }
}
