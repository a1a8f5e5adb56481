//! What metrics and the event stream get to know of a call.
//!
//! What it is not: the metrics or the events; those are in [`crate::observe`].
//!
//! Invariants: telling never waits and never fails a call; texts that a caller
//! or a tool chose are made harmless first; a label is never a caller's text.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use super::caller::Caller;
use super::{Engine, Observer, RunEvent};
use crate::observe::audit::AuditLog;
use crate::observe::events::{About, Events, What};
use crate::observe::metrics::{ActiveRun, BreakerState, Metrics, RunEnd};
use crate::outcome::{ErrorType, Outcome};
use crate::results::neutralise;

/// Most characters of what a tool is doing.
const MESSAGE_CHARS_MAX: usize = 256;

/// Where calls are told of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Counts and times.
    pub metrics: Metrics,
    /// The life of each run.
    pub events: Events,
    /// Notified when something that health looks at may have changed.
    pub trouble: Arc<Notify>,
}

impl Watch {
    /// Nothing told yet; these tools are known.
    pub fn new<'a>(tools: impl Iterator<Item = &'a str>) -> Self {
        let metrics = Metrics::new(&ErrorType::ALL.map(ErrorType::as_str));
        metrics.know_tools(tools);
        Self {
            metrics,
            events: Events::default(),
            trouble: Arc::default(),
        }
    }

    /// A call that came in. `tool` is its canonical name, where it has one.
    pub(super) fn call(
        &self,
        caller: &Caller,
        outcome: &Outcome,
        tool: &str,
        observer: Arc<dyn Observer>,
    ) -> Watched {
        Watched {
            watch: self.clone(),
            about: Arc::new(About {
                run_id: outcome.run_id.clone(),
                correlation_id: neutralise::asked(&outcome.correlation_id),
                tool: neutralise::asked(tool),
                target: neutralise::asked(&outcome.target),
                caller: shown(caller),
            }),
            observer,
            active: Mutex::default(),
        }
    }
}

impl Engine {
    /// Where calls are told of: metrics and events.
    pub fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// The audit log, if one is kept.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.0.audit.as_ref()
    }

    /// How each tool's breaker stands.
    pub fn breakers(&self) -> Vec<(String, BreakerState)> {
        let policy = self.policy();
        policy
            .breakers
            .states()
            .map(|(tool, state)| (tool.to_owned(), state))
            .collect()
    }

    /// All metrics, with the states of this moment.
    pub fn metrics_text(&self) -> String {
        let metrics = &self.0.watch.metrics;
        for (tool, state) in self.breakers() {
            metrics.set_breaker(&tool, state);
        }
        for (tool, waiting) in self.policy().permits.waiting() {
            metrics.set_queue(tool, waiting);
        }
        metrics.text()
    }
}

/// A caller, as events name it.
pub fn shown(caller: &Caller) -> String {
    neutralise::asked(&caller.to_string())
}

/// One call under way.
pub(super) struct Watched {
    watch: Watch,
    about: Arc<About>,
    observer: Arc<dyn Observer>,
    /// From the tool's start to the end of the call, also of one that is dropped.
    active: Mutex<Option<ActiveRun>>,
}

impl Observer for Watched {
    fn observe(&self, event: RunEvent) {
        let what = match &event {
            RunEvent::Queued => What::Queued,
            RunEvent::Started { .. } => {
                let run = self.watch.metrics.begin_run(&self.about.tool);
                *self.active() = Some(run);
                What::Started
            }
            RunEvent::Progress { percent, message } => What::Progress {
                percent: *percent,
                message: neutralise::line(message, MESSAGE_CHARS_MAX),
            },
        };
        self.watch.events.tell(&self.about, what);
        self.observer.observe(event);
    }
}

impl Watched {
    fn active(&self) -> std::sync::MutexGuard<'_, Option<ActiveRun>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call ended.
    pub(super) fn end(self, outcome: &Outcome) {
        drop(self.active().take());
        let (metrics, tool) = (&self.watch.metrics, &self.about.tool);
        let error = outcome.error.as_ref().map(|error| error.error_type);
        let error_type = error.map(ErrorType::as_str);
        let status = match error_type {
            _ if outcome.ran() => {
                metrics.end_run(tool, &run_end(outcome, error_type));
                error_type.map_or("success", |_| "failure")
            }
            Some(error_type) => {
                metrics.refuse(error_type);
                "refused"
            }
            // Nothing ran and nothing is wrong: no call ends so.
            None => "success",
        };
        match error {
            Some(ErrorType::RateLimited) => metrics.limit_rate(tool),
            Some(ErrorType::ExecutorUnavailable | ErrorType::CircuitBreakerOpen) => {
                self.watch.trouble.notify_one();
            }
            Some(_) | None => {}
        }
        let finished = What::Finished {
            status,
            returncode: outcome.facts.returncode,
            error_type,
            seconds: outcome.execution_time,
        };
        self.watch.events.tell(&self.about, finished);
    }
}

fn run_end(outcome: &Outcome, error_type: Option<&'static str>) -> RunEnd {
    let facts = &outcome.facts;
    let count = |value: Option<&Value>| value.and_then(Value::as_u64);
    let setup = count(facts.sandbox.get("setup_us")).map(Duration::from_micros);
    RunEnd {
        error_type,
        took: Duration::try_from_secs_f64(outcome.execution_time).unwrap_or_default(),
        setup,
        stdout_bytes: count(facts.counters.get("stdout_bytes_seen")).unwrap_or(0),
        stderr_bytes: count(facts.counters.get("stderr_bytes_seen")).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::Unobserved;
    use super::super::caller::Surface;
    use super::*;
    use crate::observe::events::Received;
    use crate::outcome::{CallError, RunFacts};

    fn outcome(target: &str, error: Option<ErrorType>, facts: RunFacts) -> Outcome {
        Outcome {
            run_id: "r".into(),
            correlation_id: "c\u{1b}[2J".into(),
            tool: "nmap".into(),
            target: target.into(),
            argv: Vec::new(),
            targets: Vec::new(),
            notes: Vec::new(),
            resolved: None,
            started_at: Timestamp::UNIX_EPOCH,
            execution_time: 0.5,
            facts,
            error: error.map(|error_type| CallError::new(error_type, "", "")),
        }
    }

    fn ran() -> RunFacts {
        let counters = serde_json::json!({"stdout_bytes_seen": 9, "stderr_bytes_seen": 1});
        RunFacts {
            returncode: Some(0),
            sandbox: serde_json::json!({"setup_us": 700}),
            counters: counters.as_object().cloned().unwrap(),
            ..RunFacts::default()
        }
    }

    #[tokio::test]
    async fn a_run_is_counted_and_told_of_with_harmless_texts() {
        let watch = Watch::new(["nmap"].into_iter());
        let mut news = watch.events.subscribe("a").unwrap();
        let outcome = outcome("10.0.0.1\nforged", None, ran());
        let caller = Caller::local(Surface::Stdio);
        let watched = watch.call(&caller, &outcome, "nmap", Arc::new(Unobserved));
        watched.observe(RunEvent::Queued);
        let run_id = "r".to_owned();
        watched.observe(RunEvent::Started { run_id, pid: 1 });
        assert_eq!(watch.metrics.summary()["active_executions"], 1);
        let message = "\u{202e}evil".to_owned();
        watched.observe(RunEvent::Progress {
            percent: 5.0,
            message,
        });
        watched.end(&outcome);
        assert_eq!(watch.metrics.summary()["active_executions"], 0);
        let mut told = Vec::new();
        for _ in 0..4 {
            let Some(Received::News(news)) = news.next().await else {
                panic!("four events");
            };
            told.push(serde_json::to_value(news.as_ref()).unwrap());
        }
        let events: Vec<_> = told.iter().map(|news| news["event"].as_str()).collect();
        let expected = ["queued", "started", "progress", "finished"].map(Some);
        assert_eq!(events, expected);
        assert_eq!(told[0]["target"], "10.0.0.1\\x0aforged");
        assert_eq!(told[0]["correlation_id"], "c\\x1b[2J");
        assert_eq!(told[2]["message"], "\\u{202e}evil");
        assert_eq!(told[3]["status"], "success");
        let text = watch.metrics.text();
        for line in [
            "mcp_tool_execution_total{tool=\"nmap\",status=\"success\"} 1",
            "mantlet_output_bytes_total{tool=\"nmap\",stream=\"stdout\"} 9",
            "mantlet_sandbox_setup_seconds_bucket{le=\"0.001\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn refused_calls_count_by_reason_and_grow_nothing() {
        let watch = Watch::new(["nmap"].into_iter());
        let caller = Caller::local(Surface::Stdio);
        let refuse = |number: usize| {
            let target = format!("10.0.{number}.0\",x=\"");
            let outcome = outcome(&target, Some(ErrorType::NotFound), RunFacts::default());
            let tool = format!("tool{number}");
            let watched = watch.call(&caller, &outcome, &tool, Arc::new(Unobserved));
            watched.end(&outcome);
        };
        refuse(0);
        let lines = watch.metrics.text().lines().count();
        (1..10_000).for_each(refuse);
        let text = watch.metrics.text();
        assert_eq!(text.lines().count(), lines);
        let line = "mantlet_refusals_total{error_type=\"not_found\"} 10000";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_call_that_is_dropped_is_no_longer_under_way() {
        let watch = Watch::new(["nmap"].into_iter());
        let outcome = outcome("10.0.0.1", None, ran());
        let caller = Caller::local(Surface::Stdio);
        let watched = watch.call(&caller, &outcome, "nmap", Arc::new(Unobserved));
        let run_id = "r".to_owned();
        watched.observe(RunEvent::Started { run_id, pid: 1 });
        drop(watched);
        assert_eq!(watch.metrics.summary()["active_executions"], 0);
    }
}
