//! Breakers: a tool that fails again and again is left alone for a while (RES1).
//!
//! What it is: per tool, a count of faults in a row; at the threshold the
//! breaker opens and calls are refused at once; after the recovery time one
//! call is let through as a probe, and its end closes or opens the breaker.
//! What it is not: a judge of what a fault is; [`super::run`] tells.
//!
//! Invariants: only [`Word::Fault`] opens a breaker; while it is half-open
//! exactly one call is under way; the end of a call let through before the
//! last change of state changes nothing; a call that is dropped gives no word,
//! and a probe that gives none makes way for the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandbox_profiles::Profile;
use tokio::time::Instant;

use crate::config::BreakerBounds;
use crate::observe::metrics::BreakerState;
use crate::outcome::{CallError, ErrorType, wait_seconds};

/// When a call that finds a probe under way may try again, at the longest.
const PROBE_HINT: Duration = Duration::from_secs(5);

/// What the end of a run says of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The tool did its work, whatever came of it.
    Works,
    /// The tool or its sandbox failed.
    Fault,
    /// Nothing: it did not get to run, or was not let run to its end.
    Nothing,
}

/// All breakers.
#[derive(Debug)]
pub struct Breakers(HashMap<String, Arc<Breaker>>);

impl Breakers {
    /// A closed breaker for each of these profiles.
    pub fn new<'a>(profiles: impl Iterator<Item = &'a Profile>, set: BreakerBounds) -> Self {
        Self(HashMap::new()).renewed(profiles, set)
    }

    /// Breakers for other profiles and bounds. A tool that stays keeps its breaker,
    /// in whatever state it is.
    #[must_use]
    pub fn renewed<'a>(
        &self,
        profiles: impl Iterator<Item = &'a Profile>,
        set: BreakerBounds,
    ) -> Self {
        let breaker = |profile: &Profile| {
            let failures = set.failures.unwrap_or(profile.run.breaker_failures);
            let recovery = set.recovery.unwrap_or(profile.run.breaker_recovery);
            let breaker = match self.0.get(&profile.name) {
                Some(breaker) => {
                    breaker.change(failures, recovery);
                    Arc::clone(breaker)
                }
                None => Arc::new(Breaker::new(&profile.name, failures, recovery)),
            };
            (profile.name.clone(), breaker)
        };
        Self(profiles.map(breaker).collect())
    }

    /// Lets a call through, or refuses it at once.
    ///
    /// # Errors
    ///
    /// `circuit_breaker_open`, with the whole seconds until the next probe.
    pub fn admit(&self, tool: &str, now: Instant) -> Result<Admission<'_>, CallError> {
        let breaker = self.0.get(tool).ok_or_else(|| {
            let what = format!("{tool} has no breaker");
            CallError::new(ErrorType::Unknown, what, "report this")
        })?;
        breaker.admit(now)
    }

    /// How each tool's breaker stands. One whose time is up is open until a call comes.
    pub fn states(&self) -> impl Iterator<Item = (&str, BreakerState)> {
        self.0.values().map(|breaker| {
            let state = match breaker.lock().position {
                Position::Closed { .. } => BreakerState::Closed,
                Position::Open { .. } => BreakerState::Open,
                Position::HalfOpen => BreakerState::HalfOpen,
            };
            (breaker.tool.as_str(), state)
        })
    }
}

#[derive(Debug)]
struct Breaker {
    tool: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures_max: u32,
    recovery: Duration,
    position: Position,
    /// Counts the changes of position, so that late words are told from others.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// A probe is under way.
    HalfOpen,
}

impl State {
    fn change(&mut self, position: Position) {
        self.position = position;
        self.generation = self.generation.wrapping_add(1);
    }
}

impl Breaker {
    fn new(tool: &str, failures_max: u32, recovery: Duration) -> Self {
        let position = Position::Closed { failures: 0 };
        Self {
            tool: tool.to_owned(),
            state: Mutex::new(State {
                failures_max,
                recovery,
                position,
                generation: 0,
            }),
        }
    }

    /// Other bounds, from the next fault on.
    fn change(&self, failures_max: u32, recovery: Duration) {
        let mut state = self.lock();
        state.failures_max = failures_max;
        state.recovery = recovery;
    }

    fn admit(&self, now: Instant) -> Result<Admission<'_>, CallError> {
        let mut state = self.lock();
        match state.position {
            Position::Closed { .. } => {}
            Position::Open { until } if now < until => {
                return Err(self.refusal(until.saturating_duration_since(now)));
            }
            Position::Open { .. } => {
                state.change(Position::HalfOpen);
                tracing::info!(
                    tool = self.tool,
                    "breaker half-open: one call tries the tool"
                );
            }
            Position::HalfOpen => return Err(self.refusal(state.recovery.min(PROBE_HINT))),
        }
        Ok(Admission {
            breaker: self,
            generation: state.generation,
            settled: false,
        })
    }

    fn settle(&self, generation: u64, word: Word, now: Instant) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let next = match (state.position, word) {
            (Position::Closed { .. }, Word::Works) => {
                state.position = Position::Closed { failures: 0 };
                return;
            }
            (Position::Closed { failures }, Word::Fault) => {
                let failures = failures.saturating_add(1);
                if failures < state.failures_max {
                    state.position = Position::Closed { failures };
                    return;
                }
                self.open(now, state.recovery)
            }
            (Position::HalfOpen, Word::Works) => {
                tracing::info!(tool = self.tool, "breaker closed: the tool works again");
                Position::Closed { failures: 0 }
            }
            (Position::HalfOpen, Word::Fault) => self.open(now, state.recovery),
            // The next call may probe at once.
            (Position::HalfOpen, Word::Nothing) => Position::Open { until: now },
            (Position::Closed { .. }, Word::Nothing) | (Position::Open { .. }, _) => return,
        };
        state.change(next);
    }

    fn open(&self, now: Instant, recovery: Duration) -> Position {
        let recovery_sec = recovery.as_secs();
        tracing::warn!(
            tool = self.tool,
            recovery_sec,
            "breaker open: the tool keeps failing"
        );
        let until = now.checked_add(recovery).unwrap_or(now);
        Position::Open { until }
    }

    fn refusal(&self, wait: Duration) -> CallError {
        let tool = &self.tool;
        let seconds = wait_seconds(wait);
        let what = format!("{tool} failed too often lately and is left alone for now");
        let remedy = format!(
            "call again in {seconds} s; the errors before this one and `mantlet doctor` say what is wrong"
        );
        CallError::new(ErrorType::CircuitBreakerOpen, what, remedy).with("retry_after_sec", seconds)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was let through. Dropped unsettled, it gave no word.
#[derive(Debug)]
#[must_use]
pub struct Admission<'a> {
    breaker: &'a Breaker,
    generation: u64,
    settled: bool,
}

impl Admission<'_> {
    /// The same call after a wait, during which the breaker may have opened.
    ///
    /// # Errors
    ///
    /// As [`Breakers::admit`].
    pub fn renewed(self, now: Instant) -> Result<Self, CallError> {
        let breaker = self.breaker;
        if breaker.lock().generation == self.generation {
            return Ok(self);
        }
        breaker.admit(now)
    }

    /// Tells how the call ended.
    pub fn settle(mut self, word: Word, now: Instant) {
        self.settled = true;
        self.breaker.settle(self.generation, word, now);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker
                .settle(self.generation, Word::Nothing, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
