//! The run store: every run and its result, until they are too old or too many.
//!
//! What it is: one database file that the brokers of one user may share, written
//! and read on threads of its own.
//! What it is not: the place where runs happen, or a decision on who may see
//! them; the pipeline does both.
//!
//! Invariants: nothing here blocks an async task; what was stored stays stored
//! when a write fails; a run under way is only called interrupted when its
//! broker is dead.

pub mod record;

mod instance;
mod worker;
mod schema;
mod rows;
mod retention;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use rusqlite::{Connection, ErrorCode};
use serde_json::{Value, json};

use crate::config::service::StoreSettings;
use crate::outcome::Outcome;
use instance::Instance;
use record::{Filter, RunInfo, StdoutPart};
use retention::Keep;
use rows::Kept;
use worker::Worker;

/// The file's name in its directory.
const FILE: &str = "runs.db";

/// Free space below which no new run begins, so that those under way can still
/// be written, in bytes.
const RESERVE_BYTES: u64 = 32 << 20;

/// Most that a store in memory takes, in bytes.
const MEMORY_BYTES_MAX: u64 = 64_000_000;

/// Time between two looks for what is too old, and for dead brokers.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file can't be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not one to write to.
    #[error("{}: {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// A newer Mantlet made it.
    #[error(
        "{} was made by a newer Mantlet (version {version}, this one knows {known}); \
         use that one, or another directory", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest known.
        known: i64,
    },
    /// Too little space is left.
    #[error("{}: only {free_bytes} bytes are free; {RESERVE_BYTES} are needed", path.display())]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// What is free.
        free_bytes: u64,
    },
    /// A statement failed.
    #[error("the run store: {0}")]
    Sql(#[from] rusqlite::Error),
    /// The store's thread is gone.
    #[error("the run store was interrupted; restart mantlet")]
    Interrupted,
}

impl StoreError {
    fn file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::File { path, source }
    }

    fn unfit(path: &Path, why: &str) -> Self {
        let (path, why) = (path.to_owned(), why.to_owned());
        Self::Unfit { path, why }
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Sql(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::File { .. } | Self::Unfit { .. } | Self::Newer { .. } | Self::Interrupted => {
                false
            }
        }
    }
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Worker,
    reader: Worker,
    /// `None` in memory: nobody shares it, nothing outlives it.
    shared: Option<Shared>,
    keep: Keep,
}

/// What brokers that share a store know of one another.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    instance: Instance,
}

impl Store {
    /// Opens the store in `dir`, which is there already; `None` keeps it in
    /// memory. Marks what dead brokers left. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where it can't be opened, with what to do where that isn't plain.
    pub fn open(settings: &StoreSettings, dir: Option<&Path>) -> Result<Self, StoreError> {
        let keep = Keep::new(settings);
        let Some(dir) = dir else {
            let keep = keep.at_most(MEMORY_BYTES_MAX);
            let connection = schema::open_in_memory()?;
            let place = Path::new("memory");
            let writer = Worker::start("runs", connection);
            let writer = writer.map_err(|error| StoreError::file(place, error))?;
            let reader = writer.clone();
            return Ok(Self::with(writer, reader, None, keep));
        };
        let path = dir.join(FILE);
        let failed = |source| StoreError::file(&path, source);
        let opening = instance::opening(dir).map_err(|source| StoreError::file(dir, source))?;
        let mut connection = schema::open(&path)?;
        let read = schema::open_to_read(&path)?;
        let instance = Instance::claim(dir).map_err(|source| StoreError::file(dir, source))?;
        interrupt_dead(&connection, dir, instance.id())?;
        instance::remove_dead(dir, instance.id());
        tidy(&mut connection, keep)?;
        drop(opening);
        let writer = Worker::start("runs-write", connection).map_err(failed)?;
        let reader = Worker::start("runs-read", read).map_err(failed)?;
        let dir = dir.to_owned();
        let store = Self::with(writer, reader, Some(Shared { dir, instance }), keep);
        store.sweep_from_now_on();
        Ok(store)
    }

    /// A store for an engine that runs nothing: it keeps nothing, and says so.
    pub fn none() -> Self {
        let worker = Worker::none();
        let keep = Keep::nothing();
        Self::with(worker.clone(), worker, None, keep)
    }

    fn with(writer: Worker, reader: Worker, shared: Option<Shared>, keep: Keep) -> Self {
        Self(Arc::new(Inner {
            writer,
            reader,
            shared,
            keep,
        }))
    }

    /// Looks for what is too old, and for dead brokers, as long as the store is used.
    fn sweep_from_now_on(&self) {
        let (writer, keep) = (self.0.writer.downgrade(), self.0.keep);
        let Some(shared) = &self.0.shared else {
            return;
        };
        let (dir, own) = (shared.dir.clone(), shared.instance.id().to_owned());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                let Some(writer) = writer.upgrade() else {
                    return;
                };
                let (dir, own) = (dir.clone(), own.clone());
                let swept = writer.ask(move |connection| {
                    interrupt_dead(connection, &dir, &own)?;
                    tidy(connection, keep)
                });
                if let Err(error) = swept.await {
                    tracing::warn!(%error, "old runs can't be removed");
                }
            }
        });
    }

    /// For how long runs are kept, if there is room.
    pub fn age_max(&self) -> Duration {
        self.0.keep.age_max()
    }

    /// Where it is; `None` in memory.
    pub fn directory(&self) -> Option<&Path> {
        self.0.shared.as_ref().map(|shared| shared.dir.as_path())
    }

    /// Records a run that is under way.
    ///
    /// # Errors
    ///
    /// Where that can't be done, or there is too little room for its result. It
    /// must not run then.
    pub async fn begin(&self, run: RunInfo) -> Result<(), StoreError> {
        let broker = self.broker().to_owned();
        let dir = self.directory().map(Path::to_owned);
        self.0
            .writer
            .ask(move |connection| {
                dir.as_deref().map_or(Ok(()), enough_room)?;
                rows::put(connection, &broker, &run)
            })
            .await
    }

    /// Notes that a queued run runs; some time soon, or not at all.
    pub fn now_running(&self, run_id: &str) {
        let run_id = run_id.to_owned();
        self.0.writer.tell(move |connection| {
            if let Err(error) = rows::set_running(connection, &run_id) {
                tracing::debug!(%error, run_id, "a state is not recorded");
            }
        });
    }

    /// Records what a run came to, and makes room if that took the last of it.
    ///
    /// # Errors
    ///
    /// Where it can't be written. What was stored before stays.
    pub async fn finish(&self, mut run: RunInfo, outcome: Arc<Outcome>) -> Result<(), StoreError> {
        let broker = self.broker().to_owned();
        let keep = self.0.keep;
        self.0
            .writer
            .ask(move |connection| {
                let kept = kept(&outcome, keep.result_bytes_max());
                run.stdout_bytes = u64::try_from(kept.stdout.len()).unwrap_or(u64::MAX);
                rows::put_ended(connection, &broker, &run, &kept)?;
                // It is stored: that no room could be made is not this run's failure.
                if let Err(error) = keep.by_size(connection) {
                    tracing::warn!(%error, "old runs can't be removed");
                }
                Ok(())
            })
            .await
    }

    /// A run, if it is stored.
    ///
    /// # Errors
    ///
    /// Where the store can't be read.
    pub async fn get(&self, run_id: &str) -> Result<Option<RunInfo>, StoreError> {
        let found = self.look_up(run_id).await?;
        let Some((run, broker)) = found else {
            return Ok(None);
        };
        let Some(shared) = &self.0.shared else {
            return Ok(Some(run));
        };
        if run.state.is_over()
            || broker == shared.instance.id()
            || instance::is_alive(&shared.dir, &broker)
        {
            return Ok(Some(run));
        }
        let interrupted = move |connection: &mut Connection| rows::interrupt(connection, &broker);
        self.0.writer.ask(interrupted).await?;
        Ok(self.look_up(run_id).await?.map(|(run, _)| run))
    }

    async fn look_up(&self, run_id: &str) -> Result<Option<(RunInfo, String)>, StoreError> {
        let run_id = run_id.to_owned();
        let reader = &self.0.reader;
        reader
            .ask(move |connection| rows::get(connection, &run_id))
            .await
    }

    /// The outcome of a run that is over, as JSON text, and its summary.
    ///
    /// # Errors
    ///
    /// Where the store can't be read.
    pub async fn outcome(&self, run_id: &str) -> Result<Option<(String, String)>, StoreError> {
        let run_id = run_id.to_owned();
        let reader = &self.0.reader;
        reader
            .ask(move |connection| rows::outcome(connection, &run_id))
            .await
    }

    /// A piece of a run's own standard output, of `bytes_max` bytes at most.
    ///
    /// # Errors
    ///
    /// Where the store can't be read.
    pub async fn stdout(
        &self,
        run_id: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<StdoutPart>, StoreError> {
        let run_id = run_id.to_owned();
        let read =
            move |connection: &mut Connection| rows::stdout(connection, &run_id, offset, bytes_max);
        self.0.reader.ask(read).await
    }

    /// Runs, newest first.
    ///
    /// # Errors
    ///
    /// Where the store can't be read.
    pub async fn list(&self, filter: Filter) -> Result<Vec<RunInfo>, StoreError> {
        let reader = &self.0.reader;
        reader
            .ask(move |connection| rows::list(connection, &filter))
            .await
    }

    /// Has everything in the file, and says that this broker has ended.
    pub async fn close(&self) {
        if self.0.writer.is_none() {
            return;
        }
        let written = self.0.writer.ask(|connection| {
            let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
            Ok(connection.query_row(checkpoint, [], |_| Ok(()))?)
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, "the run store was not closed in order");
        }
        if let Some(shared) = &self.0.shared {
            shared.instance.release();
        }
    }

    fn broker(&self) -> &str {
        self.0
            .shared
            .as_ref()
            .map_or("", |shared| shared.instance.id())
    }
}

/// Marks the runs of brokers that are no more.
fn interrupt_dead(connection: &Connection, dir: &Path, own: &str) -> Result<(), StoreError> {
    for broker in rows::brokers_under_way(connection)? {
        if broker != own && !instance::is_alive(dir, &broker) {
            let runs = rows::interrupt(connection, &broker)?;
            tracing::warn!(
                runs,
                "an earlier broker was killed; its runs are marked interrupted"
            );
        }
    }
    Ok(())
}

fn tidy(connection: &mut Connection, keep: Keep) -> Result<(), StoreError> {
    // A full disk must not keep anybody from what is stored.
    let removed = keep.by_age(connection).and_then(|old| {
        let over = keep.by_size(connection)?;
        Ok(old.saturating_add(over))
    });
    match removed {
        Ok(0) => {}
        Ok(runs) => tracing::info!(runs, "old runs were removed"),
        Err(error) if error.is_full() => tracing::warn!(%error, "old runs can't be removed"),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn enough_room(dir: &Path) -> Result<(), StoreError> {
    let facts = statvfs(dir).map_err(|error| StoreError::file(dir, error.into()))?;
    let free_bytes = facts
        .blocks_available()
        .saturating_mul(facts.fragment_size());
    if free_bytes < RESERVE_BYTES {
        let path = dir.to_owned();
        return Err(StoreError::NoRoom { path, free_bytes });
    }
    Ok(())
}

/// What is stored of an outcome: all of it, or what fits.
fn kept(outcome: &Outcome, bytes_max: usize) -> Kept<'_> {
    let summary = outcome.facts.summary.as_str();
    let raw = outcome.facts.raw_stdout.as_slice();
    let mut object = outcome.to_json();
    let mut text = object.to_string();
    let stdout = if text.len().saturating_add(raw.len()) <= bytes_max {
        raw
    } else {
        &[]
    };
    if text.len() > bytes_max
        && let Some(fields) = object.as_object_mut()
    {
        fields.insert("structured".into(), Value::Null);
        let note = json!("the parsed result was too large for the run store");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("not_kept".into(), note);
        }
        text = object.to_string();
    }
    Kept {
        outcome: text,
        summary,
        stdout,
    }
}

#[cfg(test)]
mod tests;
