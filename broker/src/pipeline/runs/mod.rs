//! Runs as tasks of their own, with what is known of them.
//!
//! What it is: each call is worked on by a task that ends with its outcome told
//! and stored, whatever becomes of whoever asked for it.
//! What it is not: the steps of a call; those are the pipeline's.
//!
//! Invariants: dropping a [`Running`] that was not detached cancels its run;
//! a run is live until its outcome has been stored, or could not be; a run that
//! may be asked for by its id can be, until it is too old.

pub mod ask;

mod unkept;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::{Observer, RunEvent};
use crate::outcome::{CallError, ErrorType, Outcome, RunFacts};
use crate::results::neutralise;
use crate::store::record::{RunInfo, RunProgress, RunState};
use crate::store::{Store, StoreError};
use unkept::Unkept;

/// How long the ends of cancelled runs are waited for when the broker ends.
const LAST_ENDS: Duration = Duration::from_secs(20);

/// All runs of this broker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    live: Mutex<HashMap<String, Arc<Live>>>,
    /// How many are live.
    count: watch::Sender<usize>,
    unkept: Mutex<Unkept>,
}

/// What is known of a run under way.
#[derive(Debug)]
pub struct Live {
    info: Mutex<RunInfo>,
    cancel: CancellationToken,
    /// Cancelled when the run is no longer live.
    over: CancellationToken,
    detached: AtomicBool,
    /// Its outcome is there.
    ending: AtomicBool,
    /// The store knows of it.
    recorded: AtomicBool,
}

impl Live {
    /// Cancelled when the run is not wanted any more.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// The run as it is now.
    pub fn info(&self) -> RunInfo {
        locked(&self.info).clone()
    }
}

/// Keeps what is known of a run up to date, and passes on what it sees.
struct Watching {
    live: Arc<Live>,
    then: Arc<dyn Observer>,
}

impl Observer for Watching {
    fn observe(&self, event: RunEvent) {
        {
            let mut info = locked(&self.live.info);
            match &event {
                RunEvent::Queued => info.state = RunState::Queued,
                RunEvent::Started { .. } => info.state = RunState::Running,
                RunEvent::Progress { percent, message } => {
                    let message = message.clone();
                    let percent = *percent;
                    info.progress = Some(RunProgress { percent, message });
                }
            }
        }
        self.then.observe(event);
    }
}

/// A run that somebody waits for. Dropped, it cancels the run.
#[derive(Debug)]
pub struct Running {
    live: Arc<Live>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Running {
    /// Names the run.
    pub fn run_id(&self) -> String {
        locked(&self.live.info).run_id.clone()
    }

    /// The run as it is now.
    pub fn info(&self) -> RunInfo {
        self.live.info()
    }

    /// Ends the run; its outcome still comes.
    pub fn cancel(&self) {
        self.live.cancel.cancel();
    }

    /// What it came to. May be abandoned and asked again until it has answered.
    pub async fn outcome(&mut self) -> Outcome {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            // Its task is gone without a word.
            Err(_) => broken(&self.live.info()),
        }
    }

    /// Lets the run go on when this is dropped. False where its outcome is just
    /// there: that has to be taken now, it may be kept nowhere else.
    #[must_use]
    pub fn detach(&self) -> bool {
        self.live.detached.store(true, Ordering::SeqCst);
        !self.live.ending.load(Ordering::SeqCst)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.live.detached.load(Ordering::SeqCst) {
            self.live.cancel.cancel();
        }
    }
}

/// Takes a run off the list however its task ends.
struct Leaving {
    runs: Runs,
    live: Arc<Live>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let run_id = locked(&self.live.info).run_id.clone();
        let left = {
            let mut live = locked(&self.runs.0.live);
            live.remove(&run_id);
            live.len()
        };
        self.live.over.cancel();
        self.runs.0.count.send_replace(left);
    }
}

impl Runs {
    /// No runs yet; those that end are kept in `store`.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner {
            store,
            live: Mutex::default(),
            count: watch::Sender::new(0),
            unkept: Mutex::default(),
        }))
    }

    /// Where runs are kept; `None` in memory.
    pub fn store_directory(&self) -> Option<&Path> {
        self.0.store.directory()
    }

    /// What is known of a call that has just come in.
    pub fn info(caller: &Caller, tool: &str, target: &str, correlation_id: &str) -> RunInfo {
        RunInfo {
            run_id: uuid::Uuid::now_v7().to_string(),
            correlation_id: neutralise::asked(correlation_id),
            caller: caller.to_string(),
            surface: caller.surface().as_str().to_owned(),
            tool: neutralise::asked(tool),
            target: neutralise::asked(target),
            argv: Vec::new(),
            state: RunState::Queued,
            started_at: Timestamp::now(),
            ended_at: None,
            returncode: None,
            error_type: None,
            error: None,
            stdout_bytes: 0,
            progress: None,
        }
    }

    /// Starts a task that does `work`. Needs a tokio runtime.
    pub fn start<F>(
        &self,
        info: RunInfo,
        observer: Arc<dyn Observer>,
        work: impl FnOnce(Arc<Live>, Arc<dyn Observer>) -> F,
    ) -> Running
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let run_id = info.run_id.clone();
        let live = Arc::new(Live {
            info: Mutex::new(info),
            cancel: CancellationToken::new(),
            over: CancellationToken::new(),
            detached: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
        });
        let watching = Arc::new(Watching {
            live: Arc::clone(&live),
            then: observer,
        });
        let work = work(Arc::clone(&live), watching);
        let count = {
            let mut all = locked(&self.0.live);
            all.insert(run_id, Arc::clone(&live));
            all.len()
        };
        self.0.count.send_replace(count);
        let (sender, outcome) = oneshot::channel();
        let leaving = Leaving {
            runs: self.clone(),
            live: Arc::clone(&live),
        };
        tokio::spawn(async move {
            let outcome = work.await;
            let outcome = leaving.runs.keep(&leaving.live, outcome).await;
            drop(leaving);
            // Nobody may be waiting any more.
            drop(sender.send(outcome));
        });
        Running { live, outcome }
    }

    /// Records that a run is about to wait or to begin.
    ///
    /// # Errors
    ///
    /// Where the store can't take it: it must not run then.
    pub async fn begin(&self, live: &Live, outcome: &Outcome) -> Result<(), CallError> {
        if live.recorded.load(Ordering::SeqCst) {
            self.0.store.now_running(&outcome.run_id);
            return Ok(());
        }
        let info = {
            let mut info = locked(&live.info);
            info.tool.clone_from(&outcome.tool);
            info.argv.clone_from(&outcome.argv);
            info.clone()
        };
        // Said before, since a cancelled call may be gone before the store has answered.
        live.recorded.store(true, Ordering::SeqCst);
        self.0.store.begin(info).await.map_err(|error| {
            live.recorded.store(false, Ordering::SeqCst);
            refused(&error)
        })
    }

    /// Waits for a permit; where that is not there at once, the run is recorded
    /// as queued meanwhile, which `waits` tells.
    ///
    /// # Errors
    ///
    /// Those of the permit, and as [`Runs::begin`].
    pub async fn permitted<T>(
        &self,
        live: &Live,
        outcome: &Outcome,
        waits: &Notify,
        permit: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let mut permit = std::pin::pin!(permit);
        let permit = tokio::select! {
            biased;
            permit = &mut permit => permit?,
            () = waits.notified() => {
                self.begin(live, outcome).await?;
                permit.await?
            }
        };
        locked(&live.info).state = RunState::Running;
        self.begin(live, outcome).await?;
        Ok(permit)
    }

    /// Stores an outcome, where it can be asked for later.
    async fn keep(&self, live: &Live, outcome: Outcome) -> Outcome {
        live.ending.store(true, Ordering::SeqCst);
        let recorded = live.recorded.load(Ordering::SeqCst);
        let info = live.info().ended(&outcome, Timestamp::now());
        // A call that was refused at once has told its caller so, and was no run.
        if !recorded && !live.detached.load(Ordering::SeqCst) {
            return outcome;
        }
        let outcome = Arc::new(outcome);
        let stored = self
            .0
            .store
            .finish(info.clone(), Arc::clone(&outcome))
            .await;
        let Err(error) = stored else {
            return Arc::unwrap_or_clone(outcome);
        };
        tracing::error!(%error, run_id = info.run_id, "the result of a run can't be stored");
        let mut outcome = Arc::unwrap_or_clone(outcome);
        let note = "this result could not be stored: it can't be asked for after the broker ends";
        outcome.notes.push(note.to_owned());
        locked(&self.0.unkept).push(info, outcome.clone());
        outcome
    }

    /// Cancels every run under way.
    pub fn cancel_all(&self) {
        for live in locked(&self.0.live).values() {
            live.cancel.cancel();
        }
    }

    /// Waits until no run is under way, or `cut` is cancelled.
    pub async fn drain(&self, cut: &CancellationToken) {
        let mut count = self.0.count.subscribe();
        tokio::select! {
            _ = count.wait_for(|count| *count == 0) => {}
            () = cut.cancelled() => {}
        }
    }

    /// Cancels every run under way and waits until their outcomes are stored.
    pub async fn end(&self) {
        self.cancel_all();
        let mut count = self.0.count.subscribe();
        let ends = count.wait_for(|count| *count == 0);
        if tokio::time::timeout(LAST_ENDS, ends).await.is_err() {
            tracing::error!("runs did not end in time; the next start marks them interrupted");
        }
    }

    /// Says that no more runs come: the store is closed.
    pub async fn close(&self) {
        self.0.store.close().await;
    }

    fn live(&self, run_id: &str) -> Option<Arc<Live>> {
        locked(&self.0.live).get(run_id).cloned()
    }
}

/// The outcome of a run whose task broke.
fn broken(info: &RunInfo) -> Outcome {
    let what = "the run failed inside the broker";
    let error = CallError::new(ErrorType::Unknown, what, "see the broker's log; call again");
    Outcome {
        run_id: info.run_id.clone(),
        correlation_id: info.correlation_id.clone(),
        tool: info.tool.clone(),
        target: info.target.clone(),
        argv: info.argv.clone(),
        targets: Vec::new(),
        notes: Vec::new(),
        resolved: None,
        started_at: info.started_at,
        execution_time: 0.0,
        facts: RunFacts::default(),
        error: Some(error.about(&info.tool, &info.target)),
    }
}

/// Why nothing is run.
fn refused(error: &StoreError) -> CallError {
    tracing::error!(%error, "the run store can't take a run; nothing is run");
    let what = if error.is_full() {
        format!("there is no room to keep the result: {error}")
    } else {
        format!("the run can't be recorded: {error}")
    };
    let remedy = "nothing was run and nothing stored was lost; the administrator has to make room \
                  on that file system, or to name another directory (store.directory), then call again";
    CallError::new(ErrorType::ResourceExhausted, what, remedy)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
