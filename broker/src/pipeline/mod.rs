//! The one way from a call to its outcome, for every surface.
//!
//! What it is: admit (tool, caller) → rate limit → vet → resolve and pin → breaker → permit →
//! audit → run → parse → answer.
//! What it is not: a surface. MCP, REST and the terminal only translate.
//!
//! Invariants: a call always gets an answer; nothing reaches the executor that
//! was not vetted here; the deadline counts from the call's arrival, waiting
//! included; a call works to its end on the policy that held when it began.

pub mod call;
pub mod caller;
pub mod policy;
pub mod admit;
pub mod rates;
pub mod vet;
pub mod resolve;
pub mod hosts;
pub mod breaker;
pub mod permits;
pub mod slots;
pub mod run;
pub mod audited;
pub mod watched;
pub mod runs;
pub mod reading;
pub mod reload;
pub mod effective;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use sandbox_profiles::ProfileSet;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::config::Settings;
use crate::executor::Executor;
use crate::observe::audit::AuditLog;
use crate::outcome::{CallError, ErrorType, Outcome, RunFacts};
use crate::results::neutralise;
use crate::store::Store;
use call::Call;
use caller::Caller;
use policy::Policy;
use rates::Rates;
use resolve::Resolver;
use runs::{Live, Running, Runs};
use watched::Watch;

/// Most characters of a tool's name in the log.
const TOOL_CHARS_MAX: usize = 64;
/// What calls count as that name no tool that is offered.
const NO_TOOL: &str = "a tool that is not there";
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
    policy: RwLock<Arc<Policy>>,
    changes: watch::Sender<u64>,
    /// Held by whoever changes the policy, so that records stand in the order of changes.
    changing: Mutex<()>,
    /// Executors started by a reload, as long as calls use them.
    started: std::sync::Mutex<Vec<Weak<Executor>>>,
    rates: Rates,
    resolver: Resolver,
    audit: Option<AuditLog>,
    runs: Runs,
    watch: Watch,
}

impl Engine {
    /// Puts the pipeline together.
    pub fn new(
        settings: Settings,
        profiles: ProfileSet,
        executor: Executor,
        audit: Option<AuditLog>,
        store: Store,
    ) -> Self {
        let rates = Rates::new(settings.calls_per_minute, settings.callers_max);
        let watch = Watch::new(profiles.iter().map(|profile| profile.name.as_str()));
        let policy = Policy::new(settings, profiles, executor);
        Self(Arc::new(Inner {
            changes: watch::Sender::new(policy.generation()),
            policy: RwLock::new(Arc::new(policy)),
            changing: Mutex::new(()),
            started: std::sync::Mutex::default(),
            rates,
            resolver: Resolver::default(),
            audit,
            runs: Runs::new(store),
            watch,
        }))
    }

    /// The policy in effect. Whoever keeps it keeps it as it is.
    pub fn policy(&self) -> Arc<Policy> {
        let policy = self.0.policy.read();
        Arc::clone(&policy.unwrap_or_else(PoisonError::into_inner))
    }

    /// The executor that runs the tools.
    pub fn executor(&self) -> Arc<Executor> {
        Arc::clone(self.policy().executor())
    }

    /// Tells of changes of the policy, each by its generation. Some may be passed
    /// over; the last never is.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Switches a tool on or off until the broker ends, and says whether that
    /// changed anything. What runs goes on.
    ///
    /// # Errors
    ///
    /// `not_found` with the nearest name; `tool_disabled` where the configuration
    /// leaves the tool out, which stands above this; `resource_exhausted` where
    /// the audit log can't be written.
    pub async fn set_enabled(
        &self,
        tool: &str,
        enabled: bool,
        caller: &Caller,
    ) -> Result<bool, CallError> {
        let _changing = self.0.changing.lock().await;
        let policy = self.policy();
        let profile = admit::switchable(&policy, tool, enabled);
        let profile = profile.map_err(|error| error.about(tool, ""))?;
        if policy.switched_off(profile) != enabled {
            return Ok(false);
        }
        let name = &profile.name;
        audited::switched(self.0.audit.as_ref(), caller, name, enabled).await?;
        self.replace(|policy| policy.switched(name, enabled));
        tracing::info!(tool = name, enabled, %caller, "tool switched");
        Ok(true)
    }

    /// Puts other settings and profiles in the place of those in effect, for calls
    /// that begin from now on. Tools switched off stay so.
    pub fn adopt(&self, settings: Settings, profiles: ProfileSet, executor: Arc<Executor>) {
        let rate = (settings.calls_per_minute, settings.callers_max);
        let names = profiles.iter().map(|profile| profile.name.as_str());
        self.0.watch.metrics.know_tools(names);
        self.replace(|policy| policy.replaced(settings, profiles, executor));
        self.0.rates.change(rate.0, rate.1);
    }

    /// Puts the policy that `next` makes of the one in effect in its place.
    fn replace(&self, next: impl FnOnce(&Policy) -> Policy) {
        let policy = self.0.policy.write();
        let mut policy = policy.unwrap_or_else(PoisonError::into_inner);
        *policy = Arc::new(next(&policy));
        // Told under the lock, so that the last one told is the one in effect.
        self.0.changes.send_replace(policy.generation());
    }

    /// The runs of this broker, live and kept.
    pub fn runs(&self) -> &Runs {
        &self.0.runs
    }

    /// Keeps sight of an executor, so that [`Engine::stop`] ends it too.
    fn remember(&self, executor: &Arc<Executor>) {
        let started = self.0.started.lock();
        let mut started = started.unwrap_or_else(PoisonError::into_inner);
        started.retain(|known| known.strong_count() > 0);
        // The first one too: from now on it is not the policy's any more.
        for one in [&self.executor(), executor] {
            let one = Arc::downgrade(one);
            if !started.iter().any(|known| known.ptr_eq(&one)) {
                started.push(one);
            }
        }
    }

    /// Cancels what is still under way, ends the executors that are ours, and
    /// closes the books.
    pub async fn stop(&self) {
        self.0.runs.end().await;
        let former = {
            let started = self.0.started.lock();
            let mut started = started.unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *started)
        };
        self.executor().stop().await;
        for executor in former.iter().filter_map(Weak::upgrade) {
            executor.stop().await;
        }
        self.0.runs.close().await;
        audited::stopped(self.0.audit.as_ref()).await;
    }

    /// As [`Policy::vet`] of `policy`, with a name resolved, checked and pinned.
    ///
    /// # Errors
    ///
    /// The refusal, as a client would get it.
    pub async fn vet_resolved<'a>(
        &self,
        policy: &'a Policy,
        call: &Call,
    ) -> Result<vet::Vetted<'a>, CallError> {
        let vetted = policy.vet(call)?;
        let settings = policy.settings();
        let pinned = vet::pin(settings, &self.0.resolver, vetted, Duration::MAX).await;
        pinned.map_err(|error| error.about(&call.tool, &call.target))
    }

    /// Starts a call as a run of its own, which ends with it unless it is
    /// detached. Needs a tokio runtime.
    pub fn start(&self, call: Call, caller: &Caller, observer: Arc<dyn Observer>) -> Running {
        let correlation_id = call.correlation_id.clone().unwrap_or_else(new_id);
        let info = Runs::info(caller, &call.tool, &call.target, &correlation_id);
        let outcome = Outcome {
            correlation_id,
            run_id: info.run_id.clone(),
            tool: call.tool.clone(),
            target: call.target.clone(),
            argv: Vec::new(),
            targets: Vec::new(),
            notes: Vec::new(),
            resolved: None,
            started_at: info.started_at,
            execution_time: 0.0,
            facts: RunFacts::default(),
            error: None,
        };
        let (engine, caller) = (self.clone(), caller.clone());
        self.0
            .runs
            .start(info, observer, |live, observer| async move {
                engine.work(call, &caller, &live, observer, outcome).await
            })
    }

    /// Runs a call to its end; cancelled, or dropped, it ends early.
    pub async fn run(
        &self,
        call: Call,
        caller: &Caller,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Outcome {
        let mut running = self.start(call, caller, observer);
        tokio::select! {
            outcome = running.outcome() => return outcome,
            () = cancel.cancelled() => running.cancel(),
        }
        running.outcome().await
    }

    async fn work(
        &self,
        call: Call,
        caller: &Caller,
        live: &Live,
        observer: Arc<dyn Observer>,
        mut outcome: Outcome,
    ) -> Outcome {
        let run_id = outcome.run_id.as_str();
        // What a caller calls a tool that isn't there must not end a line.
        let tool = neutralise::line(&call.tool, TOOL_CHARS_MAX);
        let span = tracing::info_span!(
            "run", run_id, correlation_id = %outcome.correlation_id, %tool, %caller
        );
        // An alias is told of by the tool's name.
        let policy = self.policy();
        let known = policy.profiles().get(&call.tool);
        let tool = known.map_or(&call.tool, |profile| &profile.name);
        let watched = self.0.watch.call(caller, &outcome, tool, observer);
        let asked = Asked {
            policy: &policy,
            call: &call,
            caller,
            began: Instant::now(),
        };
        let steps = self.steps(&asked, &watched, live, &mut outcome);
        // What a panic leaves half done is dropped with the steps; the outcome is whole at any time.
        let steps = AssertUnwindSafe(steps)
            .catch_unwind()
            .instrument(span.clone());
        let result = steps.await.unwrap_or_else(|_| Err(panicked()));
        if let Err(error) = result {
            // What went wrong after the look-up went wrong for that address.
            let error = match &outcome.resolved {
                Some(resolved) => error.with("resolved", serde_json::json!(resolved)),
                None => error,
            };
            outcome.error = Some(error.about(&outcome.tool, &call.target));
        }
        outcome.execution_time = asked.began.elapsed().as_secs_f64();
        // One record tells that a caller began to call too often; each further
        // call would only let them fill the disk.
        if !is_one_more_too_many(&outcome) {
            span.in_scope(|| log_end(&outcome));
            let recorded = audited::end(self.0.audit.as_ref(), &policy, caller, &outcome);
            recorded.instrument(span).await;
        }
        watched.end(&outcome);
        outcome
    }

    async fn steps(
        &self,
        asked: &Asked<'_>,
        observer: &dyn Observer,
        live: &Live,
        outcome: &mut Outcome,
    ) -> Result<(), CallError> {
        let inner = &self.0;
        let Asked {
            policy,
            call,
            caller,
            began,
        } = *asked;
        let settings = policy.settings();
        let cancel = live.cancel();
        let profile = admit::profile(policy, call);
        // Before anything else is refused: refusals are logged and recorded, and
        // anybody can cause them.
        let rated = profile.as_ref().map_or(NO_TOOL, |profile| &profile.name);
        inner.rates.take(caller, rated)?;
        let _under_way = policy.permits.call()?;
        let profile = profile?;
        profile.name.clone_into(&mut outcome.tool);
        admit::granted(caller, profile)?;
        if let Some(fault) = &call.fault {
            return Err(fault.clone());
        }
        let bounds = admit::bounds(settings, profile, call)?;
        let vetted = vet::vet(settings, profile, call)?;
        let (bounds, short) = bounds.fitted(profile, vetted.run.lasts(profile));
        let deadline = began.checked_add(bounds.timeout).unwrap_or(began);
        vetted.note(outcome);
        let left = deadline.saturating_duration_since(Instant::now());
        let pinned = vet::pin(settings, &inner.resolver, vetted, left);
        let pinned = unless(cancel, pinned).await?;
        pinned.note(outcome);
        outcome.notes.extend(short);
        let admission = policy.breakers.admit(&profile.name, Instant::now())?;
        let waits = Notify::new();
        let on_wait = || {
            observer.observe(RunEvent::Queued);
            waits.notify_one();
        };
        let permit = policy.permits.run(&profile.name, deadline, on_wait);
        let permit = inner.runs.permitted(live, outcome, &waits, permit);
        let _permit = unless(cancel, permit).await?;
        // While this call waited, those before it may have shown that the tool fails.
        let admission = admission.renewed(Instant::now())?;
        audited::intent(inner.audit.as_ref(), policy, caller, outcome).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let job = run::Job {
            run_id: outcome.run_id.clone(),
            profile,
            argv: outcome.argv.clone(),
            addresses: pinned.addresses(),
            // Whatever is left of the call's time, but enough for a refusal to be told from a timeout.
            timeout: left.max(Duration::from_millis(1)),
        };
        let ended = run::run(settings, policy.executor(), job, observer, cancel).await;
        admission.settle(ended.word, Instant::now());
        outcome.facts = ended.facts;
        ended.result.map_err(|error| pinned.with_nearest(error))
    }
}

/// One call, and what holds for it.
struct Asked<'a> {
    policy: &'a Policy,
    call: &'a Call,
    caller: &'a Caller,
    began: Instant,
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

fn panicked() -> CallError {
    tracing::error!("a run panicked");
    let remedy = "call again; if it happens again, report it with the broker's log";
    CallError::new(
        ErrorType::Unknown,
        "the run failed inside the broker",
        remedy,
    )
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn is_one_more_too_many(outcome: &Outcome) -> bool {
    let error = outcome.error.as_ref();
    error.is_some_and(|error| {
        error.metadata.get(rates::REPEATED) == Some(&serde_json::Value::Bool(true))
    })
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

#[cfg(test)]
mod tests;
