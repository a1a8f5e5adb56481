//! Permits: the right to one run of a tool, and to one call at all.
//!
//! What it is: per tool, a bound on runs at once and a bounded queue before it.
//! What it is not: a rate limit.
//!
//! Invariants: a permit is freed by being dropped, and in no other way; a call
//! that finds the queue full is refused at once; waiting ends at the deadline;
//! other bounds never let more run at once than they say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox_profiles::Profile;
use tokio::time::{Instant, timeout_at};

use super::slots::{Slot, Slots};
use crate::outcome::{CallError, ErrorType};

/// The right to run one tool once.
#[derive(Debug)]
pub struct Permit {
    _run: Slot,
}

/// One tool's runs and queue.
#[derive(Debug)]
struct Gate {
    runs: Slots,
    waiting: AtomicU32,
    queue_max: AtomicU32,
}

/// All gates.
#[derive(Debug)]
pub struct Permits {
    gates: HashMap<String, Arc<Gate>>,
    calls: Slots,
}

impl Permits {
    /// Gates for these profiles, and for `calls_max` calls altogether.
    pub fn new<'a>(
        profiles: impl Iterator<Item = &'a Profile>,
        calls_max: usize,
        concurrency: Option<u32>,
    ) -> Self {
        let none = Self {
            gates: HashMap::new(),
            calls: Slots::new(calls_max),
        };
        none.renewed(profiles, calls_max, concurrency)
    }

    /// Gates for other profiles and bounds. A tool that stays keeps its gate, with
    /// what runs and waits there, and so do its calls under the former bounds.
    #[must_use]
    pub fn renewed<'a>(
        &self,
        profiles: impl Iterator<Item = &'a Profile>,
        calls_max: usize,
        concurrency: Option<u32>,
    ) -> Self {
        let gate = |profile: &Profile| {
            let runs_max = runs_max(profile, concurrency);
            let gate = match self.gates.get(&profile.name) {
                Some(gate) => {
                    gate.runs.resize(runs_max);
                    gate.queue_max.store(profile.run.queue, Ordering::SeqCst);
                    Arc::clone(gate)
                }
                None => Arc::new(Gate {
                    runs: Slots::new(runs_max),
                    waiting: AtomicU32::new(0),
                    queue_max: AtomicU32::new(profile.run.queue),
                }),
            };
            (profile.name.clone(), gate)
        };
        self.calls.resize(calls_max);
        Self {
            gates: profiles.map(gate).collect(),
            calls: self.calls.clone(),
        }
    }

    /// The right to be a call under way, or a refusal at once.
    ///
    /// # Errors
    ///
    /// `resource_exhausted` when as many as allowed are under way.
    pub fn call(&self) -> Result<Slot, CallError> {
        self.calls.try_take().ok_or_else(|| {
            CallError::new(
                ErrorType::ResourceExhausted,
                "too many calls are under way",
                "wait for some to end and call again; server.max_calls sets the bound",
            )
            .with("retry_after_sec", Self::RETRY_HINT.as_secs())
        })
    }

    /// The right to run `tool`: at once, or after a wait until `deadline` at the
    /// longest, whose beginning `on_wait` is told.
    ///
    /// # Errors
    ///
    /// `resource_exhausted` when the queue is full or the wait too long.
    pub async fn run(
        &self,
        tool: &str,
        deadline: Instant,
        on_wait: impl FnOnce(),
    ) -> Result<Permit, CallError> {
        let Some(gate) = self.gates.get(tool) else {
            return Err(exhausted(tool, "has no gate"));
        };
        if let Some(run) = gate.runs.try_take() {
            return Ok(Permit { _run: run });
        }
        let place = Place::take(gate).ok_or_else(|| exhausted(tool, "has a full queue"))?;
        on_wait();
        let run = timeout_at(deadline, gate.runs.take()).await;
        drop(place);
        match run {
            Ok(Some(run)) => Ok(Permit { _run: run }),
            Ok(None) | Err(_) => Err(exhausted(
                tool,
                "was busy for longer than the call's timeout",
            )),
        }
    }

    /// How many calls wait for each tool.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, u32)> {
        self.gates
            .iter()
            .map(|(tool, gate)| (tool.as_str(), gate.waiting.load(Ordering::SeqCst)))
    }

    /// How long a queue may be expected to move: for hints, not promises.
    pub const RETRY_HINT: Duration = Duration::from_secs(5);
}

/// How many runs of a tool there may be at once.
pub fn runs_max(profile: &Profile, concurrency: Option<u32>) -> usize {
    let runs = concurrency.unwrap_or(profile.run.concurrency);
    let runs = runs.min(profile.run.concurrency_max);
    usize::try_from(runs).unwrap_or(1).max(1)
}

/// A place in a queue, given up on drop, also when the wait is abandoned.
struct Place<'a>(&'a Gate);

impl<'a> Place<'a> {
    fn take(gate: &'a Gate) -> Option<Self> {
        let taken = gate
            .waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |waiting| {
                let queue_max = gate.queue_max.load(Ordering::SeqCst);
                (waiting < queue_max).then(|| waiting.saturating_add(1))
            });
        taken.is_ok().then(|| Self(gate))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

fn exhausted(tool: &str, what: &str) -> CallError {
    let remedy = "call again later, or with a longer timeout_sec";
    let hint = Permits::RETRY_HINT.as_secs();
    CallError::new(
        ErrorType::ResourceExhausted,
        format!("{tool} {what}"),
        remedy,
    )
    .with("retry_after_sec", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(concurrency: u32, calls_max: usize) -> Permits {
        let profiles = sandbox_profiles::load::built_in().unwrap();
        Permits::new(profiles.iter(), calls_max, Some(concurrency))
    }

    fn soon(ms: u64) -> Instant {
        Instant::now()
            .checked_add(Duration::from_millis(ms))
            .unwrap()
    }

    #[tokio::test]
    async fn a_run_waits_for_the_one_before_it_and_no_longer_than_its_deadline() {
        let permits = permits(1, 8);
        let first = permits.run("nmap", soon(1000), || {}).await.unwrap();
        let late = permits.run("nmap", soon(20), || {}).await.unwrap_err();
        assert_eq!(late.error_type, ErrorType::ResourceExhausted);
        let (second, ()) = tokio::join!(permits.run("nmap", soon(5000), || {}), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert!(
            second.is_ok(),
            "a freed permit goes to the next in the queue"
        );
        assert!(
            permits.run("ping", soon(20), || {}).await.is_ok(),
            "each tool has a gate of its own"
        );
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_abandoned_places_are_given_back() {
        let permits = Arc::new(permits(1, 8));
        let queue_max = permits.gates["nmap"].queue_max.load(Ordering::SeqCst);
        let running = permits.run("nmap", soon(60_000), || {}).await.unwrap();
        let waiting: Vec<_> = (0..queue_max)
            .map(|_| {
                let permits = permits.clone();
                tokio::spawn(async move { permits.run("nmap", soon(60_000), || {}).await })
            })
            .collect();
        while permits.gates["nmap"].waiting.load(Ordering::SeqCst) < queue_max {
            tokio::task::yield_now().await;
        }
        let refused = permits.run("nmap", soon(60_000), || {}).await.unwrap_err();
        assert!(
            refused.message.contains("full queue"),
            "{}",
            refused.message
        );
        for waiter in &waiting {
            waiter.abort();
        }
        for waiter in waiting {
            assert!(waiter.await.is_err(), "aborted");
        }
        assert_eq!(permits.gates["nmap"].waiting.load(Ordering::SeqCst), 0);
        drop(running);
        assert!(permits.run("nmap", soon(20), || {}).await.is_ok());
    }

    #[tokio::test]
    async fn calls_over_the_bound_are_refused_until_one_ends() {
        let permits = permits(1, 2);
        let (first, _second) = (permits.call().unwrap(), permits.call().unwrap());
        assert_eq!(
            permits.call().unwrap_err().error_type,
            ErrorType::ResourceExhausted
        );
        drop(first);
        assert!(permits.call().is_ok());
    }

    #[tokio::test]
    async fn other_bounds_hold_at_once_and_what_runs_still_counts() {
        let profiles = sandbox_profiles::load::built_in().unwrap();
        let before = permits(2, 8);
        let first = before.run("nmap", soon(20), || {}).await.unwrap();
        let second = before.run("nmap", soon(20), || {}).await.unwrap();
        let without_ping = profiles.iter().filter(|profile| profile.name != "ping");
        let after = before.renewed(without_ping, 1, Some(1));
        drop(first);
        assert!(
            after.run("nmap", soon(20), || {}).await.is_err(),
            "one may run, and one does"
        );
        drop(second);
        let third = after.run("nmap", soon(20), || {}).await.unwrap();
        assert!(
            before.run("nmap", soon(20), || {}).await.is_err(),
            "also for a call that began under the former bounds"
        );
        assert!(after.run("ping", soon(20), || {}).await.is_err(), "gone");
        let again = after.renewed(profiles.iter(), 8, Some(1));
        assert!(again.run("ping", soon(20), || {}).await.is_ok(), "new");
        assert!(again.run("nmap", soon(20), || {}).await.is_err());
        drop(third);
        assert!(again.run("nmap", soon(20), || {}).await.is_ok());
    }
}
