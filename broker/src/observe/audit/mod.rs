//! The audit log: what was asked, by whom, what ran and what came of it.
//!
//! What it is: an append-only file of JSON Lines, each record carrying the hash
//! of the one before ([`chain`]); its writer, and its check ([`verify`]).
//! What it is not: a decision. The pipeline asks for a record of what is about
//! to run, and runs nothing if it isn't on disk.
//!
//! Invariants: [`AuditLog::intent`] returns after its record is on disk; a run
//! with an intent is recorded as an outcome, a call without one as refused.

pub mod chain;
pub mod writer;
pub mod verify;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::Serialize;

use chain::Key;
use writer::Writer;

/// What a record is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The broker began.
    #[default]
    Started,
    /// The executor is about to be asked for a run.
    Intent,
    /// What came of a run that had an intent.
    Outcome,
    /// A call that never came to the executor.
    Refused,
    /// What is allowed was changed while the broker runs.
    Changed,
    /// The broker ended in order.
    Stopped,
    /// A last line that was cut short by a crash was taken out.
    Recovered,
    /// Records could not be written.
    Lost,
}

/// What a record says. What doesn't apply is left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// Who called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub caller: String,
    /// Where the call came in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub surface: String,
    /// Names the run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run_id: String,
    /// The caller's name for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub correlation_id: String,
    /// The tool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tool: String,
    /// The target as asked, made harmless.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// What runs, if it came so far.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// What it is aimed at, canonical.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// How it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
    /// The tool's exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returncode: Option<i32>,
    /// Of [`Kind::Changed`]: `reloaded`, or what became of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<&'static str>,
    /// Of [`Kind::Changed`]: the configuration keys whose values are others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The digest of the policy that it happened under, where that is not the
    /// newest. Written as the record's own `policy`.
    #[serde(skip)]
    pub policy: Option<String>,
    /// Of [`Kind::Recovered`]: bytes taken out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_bytes: Option<u64>,
    /// Of [`Kind::Recovered`]: how they began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_text: Option<String>,
    /// Of [`Kind::Lost`]: how many records are missing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

impl Entry {
    /// An entry that says nothing but its kind.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }
}

/// Why the audit log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It can't be opened or read.
    #[error("{}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process writes to it.
    #[error(
        "{} is in use by another mantlet; name another file in audit.file (one broker, one file)",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is not one to write to.
    #[error("{}: {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// A write failed.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The writer is gone.
    #[error("its writer was interrupted; restart mantlet")]
    Interrupted,
}

impl AuditError {
    fn unfit(path: &Path, why: impl Into<String>) -> Self {
        Self::Unfit {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    fn open(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Open {
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// The broker's audit log. Cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    book: Arc<Mutex<Book>>,
    /// Whoever has a record to write waits here, in order, and not on a thread:
    /// a thousand refusals at once would take five hundred.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Book {
    writer: Writer,
    /// Runs with an intent and no outcome yet; as many as run at once.
    open: HashSet<String>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLog")
    }
}

impl AuditLog {
    /// Opens or makes the file, and records the start. `policy` is the digest of
    /// what is allowed, kept in every record.
    ///
    /// # Errors
    ///
    /// Where it can't be opened, is in use, or its end is not what was written.
    pub fn open(path: &Path, key: Option<Key>, policy: String) -> Result<Self, AuditError> {
        let mut writer = Writer::open(path, key, policy)?;
        writer.append(&Entry::of(Kind::Started))?;
        let open = HashSet::new();
        Ok(Self {
            book: Arc::new(Mutex::new(Book { writer, open })),
            turn: Arc::default(),
        })
    }

    /// Records that a run is about to be asked for. It is on disk afterwards.
    ///
    /// # Errors
    ///
    /// Where that can't be said; nothing may run then.
    pub async fn intent(&self, mut entry: Entry) -> Result<(), AuditError> {
        entry.kind = Kind::Intent;
        self.with(move |book| {
            book.writer.append(&entry)?;
            book.open.insert(entry.run_id);
            Ok(())
        })
        .await
    }

    /// Records the end of a call: an outcome if it had an intent, else refused.
    ///
    /// # Errors
    ///
    /// Where it can't be written. It counts as lost, which a later record says.
    pub async fn end(&self, mut entry: Entry) -> Result<(), AuditError> {
        self.with(move |book| {
            let had_intent = book.open.remove(&entry.run_id);
            entry.kind = if had_intent {
                Kind::Outcome
            } else {
                Kind::Refused
            };
            book.writer.append(&entry)
        })
        .await
    }

    /// Records a change of what is allowed. If it names a policy, that one is the
    /// newest from now on.
    ///
    /// # Errors
    ///
    /// Where it can't be written; nothing may change then.
    pub async fn changed(&self, mut entry: Entry) -> Result<(), AuditError> {
        entry.kind = Kind::Changed;
        self.with(move |book| {
            book.writer.append(&entry)?;
            if let Some(policy) = entry.policy {
                book.writer.set_policy(policy);
            }
            Ok(())
        })
        .await
    }

    /// Whether the next record can be written, as far as that can be told without
    /// writing one.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub async fn check(&self) -> Result<(), AuditError> {
        self.with(|book| book.writer.check()).await
    }

    /// Records that the broker ends.
    ///
    /// # Errors
    ///
    /// Where it can't be written.
    pub async fn stopped(&self) -> Result<(), AuditError> {
        self.with(|book| book.writer.append(&Entry::of(Kind::Stopped)))
            .await
    }

    /// Does blocking work where it holds up no other call, in the order in which
    /// it was asked for; also when whoever asked has gone.
    async fn with(
        &self,
        work: impl FnOnce(&mut Book) -> Result<(), AuditError> + Send + 'static,
    ) -> Result<(), AuditError> {
        let Self { book, turn } = self.clone();
        let done = tokio::spawn(async move {
            let _turn = turn.lock().await;
            let work = tokio::task::spawn_blocking(move || {
                let mut book = book.lock().map_err(|_| AuditError::Interrupted)?;
                work(&mut book)
            });
            work.await.map_err(|_| AuditError::Interrupted)?
        });
        done.await.map_err(|_| AuditError::Interrupted)?
    }
}

#[cfg(test)]
mod tests;
