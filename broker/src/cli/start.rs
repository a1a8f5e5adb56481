//! Start-up that the commands share, and `mantlet stdio`.
//!
//! What it is: configuration, logging, giving up privileges, profiles, engine.
//! What it is not: a command's own work.
//!
//! Invariants: the order is: read configuration and make the state directory
//! (as whoever started us), give up privileges, then everything else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbox_profiles::ProfileSet;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use super::{Exit, complain};
use crate::config::service::StorePlace;
use crate::config::{ExecutorPlace, Settings};
use crate::executor::Executor;
use crate::observe::audit::chain::{Key, policy_digest};
use crate::observe::audit::{AuditError, AuditLog};
use crate::pipeline::caller::{Caller, Surface};
use crate::pipeline::{Engine, reading};
use crate::store::Store;
use crate::transport::Stop;
use crate::{identity, observe, state_dir, transport};

/// Configuration and profiles, read; privileges given up.
#[derive(Debug)]
pub struct Ready {
    /// The settings in effect.
    pub settings: Settings,
    /// The profiles that loaded.
    pub profiles: ProfileSet,
    /// What is wrong with those that did not.
    pub profile_errors: Vec<String>,
    /// What may be a mistake, and is none that keeps anything from working.
    pub warnings: Vec<String>,
}

/// Who the logs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// A service's log: as configured.
    Service,
    /// A person at a terminal: only what is wrong.
    Person,
}

/// Reads configuration and profiles and gives up privileges.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub fn ready(config: Option<&Path>, logs: Logs) -> Result<Ready, Exit> {
    ready_after(config, logs, |_| Ok(())).map(|(ready, ())| ready)
}

/// The state directory, made; only before privileges are given up.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub fn state_directory() -> Result<PathBuf, Exit> {
    state_dir::prepare(|name| std::env::var(name).ok()).map_err(|error| {
        complain(&with_cause(&error));
        Exit::Unavailable
    })
}

/// As [`ready`], for what keeps runs: gives the directory of the run store too;
/// `None` means in memory.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub fn ready_to_run(config: Option<&Path>) -> Result<(Ready, Option<PathBuf>), Exit> {
    ready_after(config, Logs::Service, store_directory)
}

/// The run store's directory, made; only before privileges are given up.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub fn store_directory(settings: &Settings) -> Result<Option<PathBuf>, Exit> {
    let lookup = |name: &str| std::env::var(name).ok();
    let made = match &settings.store.place {
        StorePlace::Memory => return Ok(None),
        StorePlace::State => state_dir::prepare(lookup),
        StorePlace::Directory(path) => state_dir::prepare_at(path).map(|()| path.clone()),
    };
    made.map(Some).map_err(|error| {
        complain_of_store(&with_cause(&error));
        Exit::Unavailable
    })
}

fn complain_of_store(why: &str) {
    complain(&format!(
        "runs can't be kept: {why}; mend that, or name another directory as store.directory \
         (none: in memory only)"
    ));
}

/// As [`ready`], with a step that needs the rights of whoever started us.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub fn ready_after<T>(
    config: Option<&Path>,
    logs: Logs,
    first: impl FnOnce(&Settings) -> Result<T, Exit>,
) -> Result<(Ready, T), Exit> {
    let settings = reading::settings(config).map_err(|faults| {
        faults.lines().for_each(|fault| complain(&fault));
        Exit::Usage
    })?;
    let set_by_person = std::env::var_os("LOG_LEVEL").is_some();
    match logs {
        Logs::Person if !set_by_person => observe::logging::start("error", "text"),
        Logs::Person | Logs::Service => {
            observe::logging::start(&settings.log_level, &settings.log_format);
        }
    }
    let made = first(&settings)?;
    let account = identity::give_up_privileges().map_err(|error| {
        complain(&with_cause(&error));
        Exit::Unavailable
    })?;
    if let Some(account) = account {
        tracing::info!(
            account,
            "started as root; root was given up for this account"
        );
    }
    let found = reading::profiles(&settings);
    let mut profile_errors = found.profile_errors;
    if !found.misnamed.is_empty() {
        // A profile that didn't load may be the one that is meant.
        if profile_errors.is_empty() {
            found.misnamed.iter().for_each(|error| complain(error));
            return Err(Exit::Usage);
        }
        profile_errors.extend(found.misnamed);
    }
    let warnings = reading::warnings();
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    for error in &profile_errors {
        tracing::error!("{error}");
    }
    let ready = Ready {
        settings,
        profiles: found.profiles,
        profile_errors,
        warnings,
    };
    Ok((ready, made))
}

impl Ready {
    /// The engine, with its executor started. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The exit to end with; the reason has been printed.
    pub fn engine(self) -> Result<Engine, Exit> {
        self.build(None, Store::none())
    }

    /// As [`Ready::engine`], for calls that the audit log, if one is configured,
    /// has to know of, and whose runs are kept in `directory`, or else in memory.
    ///
    /// # Errors
    ///
    /// The exit to end with; the reason has been printed.
    pub fn audited_engine(self, directory: Option<&Path>) -> Result<Engine, Exit> {
        if self.settings.audit_file.is_none() && self.settings.audit_key_file.is_some() {
            // Whoever sets a key wants a log.
            complain(
                "audit.key_file is set and audit.file is not: name the log, or leave both out",
            );
            return Err(Exit::Usage);
        }
        let audit = self.audit_log().map_err(|error| {
            complain(&format!("the audit log can't be used: {error}"));
            Exit::Unavailable
        })?;
        let store = Store::open(&self.settings.store, directory).map_err(|error| {
            complain_of_store(&error.to_string());
            Exit::Unavailable
        })?;
        self.build(audit, store)
    }

    fn audit_log(&self) -> Result<Option<AuditLog>, AuditError> {
        let Some(file) = &self.settings.audit_file else {
            return Ok(None);
        };
        let key = self.settings.audit_key_file.as_deref();
        let key = key.map(Key::read).transpose()?;
        let scope = self.settings.scope.digest();
        let policy = policy_digest(&scope, &self.profiles.digest());
        AuditLog::open(file, key, policy).map(Some)
    }

    fn build(self, audit: Option<AuditLog>, store: Store) -> Result<Engine, Exit> {
        let settings = self.settings;
        let place = &settings.executor;
        let started = Executor::start(place, &settings.scope_config, &settings.profiles);
        let executor = started.map_err(|error| {
            complain(&with_cause(&error));
            Exit::Unavailable
        })?;
        if matches!(settings.executor, ExecutorPlace::Embedded(_)) {
            tracing::debug!(socket = %executor.socket().display(), "embedded executor started");
        }
        Ok(Engine::new(settings, self.profiles, executor, audit, store))
    }
}

/// A runtime for one command.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| {
            complain(&format!("can't start: {error}"));
            Exit::Failed
        })
}

/// What SIGTERM, SIGINT and SIGHUP (a terminal that closes) do: the first
/// drains, the second, or the end of `grace`, cancels. Needs a tokio runtime.
pub fn on_signals(grace: Duration) -> Stop {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ];
    on_these(&kinds, grace)
}

/// As [`on_signals`], for a service: SIGHUP ends nothing, and calls `hangup`.
pub fn on_service_signals(grace: Duration, hangup: impl Fn() + Send + 'static) -> Stop {
    match signal(SignalKind::hangup()) {
        Ok(mut signals) => {
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    hangup();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "SIGHUP can't be watched; it ends us at once"),
    }
    on_these(&[SignalKind::terminate(), SignalKind::interrupt()], grace)
}

fn on_these(kinds: &[SignalKind], grace: Duration) -> Stop {
    let stop = Stop::default();
    let (sender, mut told) = mpsc::channel::<()>(2);
    for kind in kinds {
        let sender = sender.clone();
        match signal(*kind) {
            Ok(mut signals) => {
                tokio::spawn(async move {
                    while signals.recv().await.is_some() && sender.send(()).await.is_ok() {}
                });
            }
            Err(error) => tracing::warn!(%error, "a signal can't be watched; it ends us at once"),
        }
    }
    let answer = stop.clone();
    tokio::spawn(async move {
        if told.recv().await.is_none() {
            return;
        }
        tracing::info!(
            grace_sec = grace.as_secs(),
            "told to stop; letting runs finish"
        );
        answer.drain.cancel();
        drop(tokio::time::timeout(grace, told.recv()).await);
        answer.cancel.cancel();
    });
    stop
}

/// Something that reloads the engine's configuration, one reload after another,
/// each time it is called; calls that come meanwhile are taken together. What is
/// wrong goes to the log. Needs a tokio runtime.
pub fn reload_on_hangup(engine: Engine) -> impl Fn() + Send + 'static {
    let told = Arc::new(Notify::new());
    let asked = Arc::clone(&told);
    tokio::spawn(async move {
        let caller = Caller::local(Surface::Signal);
        loop {
            told.notified().await;
            // Whatever came of it is in the log.
            drop(engine.reload(&caller).await);
        }
    });
    move || asked.notify_one()
}

/// `mantlet stdio`.
pub fn stdio(config: Option<&Path>) -> Exit {
    let served = ready_to_run(config).and_then(|(ready, directory)| {
        let runtime = runtime()?;
        let exit = runtime.block_on(async {
            let engine = ready.audited_engine(directory.as_deref())?;
            let stop = on_signals(engine.policy().settings().shutdown_grace);
            let (drain, cut) = (stop.drain.clone(), stop.cancel.clone());
            let served = transport::stdio::serve(engine.clone(), stop).await;
            // Runs that nobody waits for may end too; but not where the client is just gone.
            if drain.is_cancelled() {
                engine.runs().drain(&cut).await;
            }
            engine.stop().await;
            served.map_err(|error| {
                complain(&with_cause(&error));
                Exit::Failed
            })
        });
        // A blocked look-up or a closed standard input must not hold the end up.
        runtime.shutdown_background();
        exit
    });
    served.err().unwrap_or(Exit::Done)
}

/// An error and what caused it, in one line.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
