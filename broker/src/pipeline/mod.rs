//! The one way from a call to its outcome, for every surface.
//!
//! What it is: admit (tool, caller) → rate limit → vet → resolve and pin → breaker → permit →
//! audit → run → parse → answer.
//! What it is not: a surface. MCP, REST and the terminal only translate.
//!
//! Invariants: a call always gets an answer; nothing reaches the executor that
//! was not vetted here; the deadline counts from the call's arrival, waiting
//! included.

pub mod call;
pub mod caller;
pub mod admit;
pub mod rates;
pub mod vet;
pub mod resolve;
pub mod hosts;
pub mod breaker;
pub mod permits;
pub mod run;
pub mod audited;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sandbox_profiles::{Profile, ProfileSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::config::Settings;
use crate::executor::Executor;
use crate::observe::audit::AuditLog;
use crate::outcome::{CallError, ErrorType, Outcome, RunFacts};
use crate::results::neutralise;
use breaker::Breakers;
use call::Call;
use caller::Caller;
use permits::Permits;
use rates::Rates;
use resolve::Resolver;

/// Longest reason of a failure in the log, in characters.
const REASON_CHARS_MAX: usize = 512;

/// What happens to a call while it is under way.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// It waits for its turn.
    Queued,
    /// The tool runs.
    Started {
        /// Names the run.
        run_id: String,
        /// The tool's process id, in the executor's PID namespace.
        pid: u32,
    },
    /// The tool says how far it is.
    Progress {
        /// 0 to 100, never falling.
        percent: f64,
        /// What it is doing.
        message: String,
    },
}

/// Watches a call. Must not block: it is called from the run's own loop.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, event: RunEvent);
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _event: RunEvent) {}
}

/// The pipeline with all that it needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    profiles: ProfileSet,
    rates: Rates,
    breakers: Breakers,
    permits: Permits,
    resolver: Resolver,
    executor: Executor,
    audit: Option<AuditLog>,
}

impl Engine {
    /// Puts the pipeline together.
    pub fn new(
        settings: Settings,
        profiles: ProfileSet,
        executor: Executor,
        audit: Option<AuditLog>,
    ) -> Self {
        let permits = Permits::new(profiles.iter(), settings.calls_max, settings.concurrency);
        let breakers = Breakers::new(profiles.iter(), settings.breaker);
        let rates = Rates::new(settings.calls_per_minute, settings.callers_max);
        Self(Arc::new(Inner {
            settings,
            profiles,
            rates,
            breakers,
            permits,
            resolver: Resolver::default(),
            executor,
            audit,
        }))
    }

    /// The settings in effect.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// All profiles, also of tools that are not offered.
    pub fn profiles(&self) -> &ProfileSet {
        &self.0.profiles
    }

    /// The tools offered.
    pub fn enabled(&self) -> impl Iterator<Item = &Profile> {
        self.0
            .profiles
            .iter()
            .filter(|profile| admit::offered(&self.0.settings, profile))
    }

    /// The executor that runs the tools.
    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// Ends the executor, if it is ours.
    pub async fn stop(&self) {
        self.0.executor.stop().await;
        audited::stopped(self.0.audit.as_ref()).await;
    }

    /// The verdict on a call, without running or resolving anything.
    ///
    /// # Errors
    ///
    /// The refusal, as a client would get it.
    pub fn vet(&self, call: &Call) -> Result<vet::Vetted<'_>, CallError> {
        let about = |error: CallError| error.about(&call.tool, &call.target);
        let profile = admit::profile(&self.0.settings, &self.0.profiles, call).map_err(about)?;
        admit::bounds(&self.0.settings, profile, call).map_err(about)?;
        vet::vet(&self.0.settings, profile, call).map_err(about)
    }

    /// As [`Engine::vet`], with a name resolved, checked and pinned.
    ///
    /// # Errors
    ///
    /// The refusal, as a client would get it.
    pub async fn vet_resolved(&self, call: &Call) -> Result<vet::Vetted<'_>, CallError> {
        let vetted = self.vet(call)?;
        let pinned = vet::pin(&self.0.settings, &self.0.resolver, vetted, Duration::MAX).await;
        pinned.map_err(|error| error.about(&call.tool, &call.target))
    }

    /// Runs a call to its end.
    pub async fn run(
        &self,
        call: Call,
        caller: &Caller,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Outcome {
        let began = Instant::now();
        let run_id = uuid::Uuid::now_v7().to_string();
        let mut outcome = Outcome {
            correlation_id: call.correlation_id.clone().unwrap_or_else(new_id),
            run_id: run_id.clone(),
            tool: call.tool.clone(),
            target: call.target.clone(),
            argv: Vec::new(),
            targets: Vec::new(),
            notes: Vec::new(),
            resolved: None,
            started_at: Timestamp::now(),
            execution_time: 0.0,
            facts: RunFacts::default(),
            error: None,
        };
        let span = tracing::info_span!(
            "run", run_id, correlation_id = %outcome.correlation_id, tool = %call.tool, %caller
        );
        let steps = self.steps(
            &call,
            caller,
            began,
            observer.as_ref(),
            &cancel,
            &mut outcome,
        );
        if let Err(error) = steps.instrument(span.clone()).await {
            // What went wrong after the look-up went wrong for that address.
            let error = match &outcome.resolved {
                Some(resolved) => error.with("resolved", serde_json::json!(resolved)),
                None => error,
            };
            outcome.error = Some(error.about(&call.tool, &call.target));
        }
        outcome.execution_time = began.elapsed().as_secs_f64();
        span.in_scope(|| log_end(&outcome));
        audited::end(self.0.audit.as_ref(), caller, &outcome).await;
        outcome
    }

    async fn steps(
        &self,
        call: &Call,
        caller: &Caller,
        began: Instant,
        observer: &dyn Observer,
        cancel: &CancellationToken,
        outcome: &mut Outcome,
    ) -> Result<(), CallError> {
        let inner = &self.0;
        let _under_way = inner.permits.call()?;
        let profile = admit::profile(&inner.settings, &inner.profiles, call)?;
        profile.name.clone_into(&mut outcome.tool);
        admit::granted(caller, profile)?;
        inner.rates.take(caller, &profile.name)?;
        let bounds = admit::bounds(&inner.settings, profile, call)?;
        let vetted = vet::vet(&inner.settings, profile, call)?;
        let (bounds, short) = bounds.fitted(profile, vetted.run.lasts(profile));
        let deadline = began.checked_add(bounds.timeout).unwrap_or(began);
        vetted.note(outcome);
        let left = deadline.saturating_duration_since(Instant::now());
        let pinned = vet::pin(&inner.settings, &inner.resolver, vetted, left);
        let pinned = unless(cancel, pinned).await?;
        pinned.note(outcome);
        outcome.notes.extend(short);
        let admission = inner.breakers.admit(&profile.name, Instant::now())?;
        let on_wait = || observer.observe(RunEvent::Queued);
        let permit = inner.permits.run(&profile.name, deadline, on_wait);
        let _permit = unless(cancel, permit).await?;
        // While this call waited, those before it may have shown that the tool fails.
        let admission = admission.renewed(Instant::now())?;
        audited::intent(inner.audit.as_ref(), caller, outcome).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let job = run::Job {
            run_id: outcome.run_id.clone(),
            profile,
            argv: outcome.argv.clone(),
            addresses: pinned.addresses(),
            // Whatever is left of the call's time, but enough for a refusal to be told from a timeout.
            timeout: left.max(Duration::from_millis(1)),
        };
        let ended = run::run(&inner.settings, &inner.executor, job, observer, cancel).await;
        admission.settle(ended.word, Instant::now());
        outcome.facts = ended.facts;
        ended.result.map_err(|error| pinned.with_nearest(error))
    }
}

/// The step's result, unless the client cancels first.
async fn unless<T>(
    cancel: &CancellationToken,
    step: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        result = step => result,
    }
}

fn cancelled() -> CallError {
    let remedy = "call again if that was not meant";
    CallError::new(ErrorType::Cancelled, "the call was cancelled", remedy)
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn log_end(outcome: &Outcome) {
    let facts = &outcome.facts;
    match &outcome.error {
        None => tracing::info!(
            argv = ?outcome.argv, targets = ?outcome.targets, returncode = facts.returncode,
            seconds = outcome.execution_time, "run finished"
        ),
        Some(error) => {
            // As text fields: quoted for people, plain strings in JSON.
            let reason = neutralise::line(&error.message, REASON_CHARS_MAX);
            tracing::warn!(
                argv = ?outcome.argv, error_type = error.error_type.as_str(),
                target_asked = error.target, reason = reason.as_str(),
                seconds = outcome.execution_time, "call failed"
            );
        }
    }
}
