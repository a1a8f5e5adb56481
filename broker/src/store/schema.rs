//! The store's file: found fit, opened, brought to the version that we know.
//!
//! What it is not: what is written into it; that is [`super::rows`].
//!
//! Invariants: mode 0600; a file of a newer version, or of another program, is
//! refused and left as it is; a step from one version to the next is made whole
//! or not at all.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::StoreError;

/// Longest wait for another broker's write.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Marks the file as ours: "Mntl".
const APPLICATION_ID: i32 = 0x4d6e_746c;

/// Step n leads from version n to n + 1. Never changed once released; only added to.
const STEPS: &[&str] = &["
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    correlation_id TEXT NOT NULL,
    broker TEXT NOT NULL,
    caller TEXT NOT NULL,
    surface TEXT NOT NULL,
    tool TEXT NOT NULL,
    target TEXT NOT NULL,
    argv TEXT NOT NULL,
    state TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    returncode INTEGER,
    error_type TEXT,
    error TEXT,
    stdout_bytes INTEGER NOT NULL DEFAULT 0,
    kept_bytes INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_of_caller ON runs (caller, run_id);
CREATE INDEX runs_under_way ON runs (broker) WHERE ended_ms IS NULL;
CREATE INDEX runs_over ON runs (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE TABLE results (
    result INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    outcome TEXT NOT NULL,
    summary TEXT NOT NULL,
    stdout BLOB NOT NULL
) STRICT;
"];

/// Opens the file, or makes it. Must be called by one broker at a time.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    make_file(path)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare(&mut connection, path)?;
    Ok(connection)
}

/// A second connection, for reading.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// A store that goes with the process.
pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory()?;
    prepare(&mut connection, Path::new("memory"))?;
    Ok(connection)
}

/// Made by us, since the library would make it readable for all.
fn make_file(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(|source| StoreError::file(path, source))?;
    let facts = file
        .metadata()
        .map_err(|source| StoreError::file(path, source))?;
    if !facts.is_file() {
        return Err(StoreError::unfit(path, "it is not a regular file"));
    }
    if facts.mode() & 0o077 != 0 {
        return Err(StoreError::unfit(path, "others may use it; chmod 600 it"));
    }
    Ok(())
}

fn connect(path: &Path, how: OpenFlags) -> Result<Connection, StoreError> {
    let flags = how | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let number = |connection: &Connection, name: &str| -> Result<i64, rusqlite::Error> {
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    let pages = number(connection, "page_count")?;
    let application = number(connection, "application_id")?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let version = number(connection, "user_version")?;
    if pages > 0 && application != i64::from(APPLICATION_ID) {
        return Err(StoreError::unfit(path, "it is not a store of runs"));
    }
    if version > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            version,
            known,
        });
    }
    // Before the first page is written, or it would take a copy of the file to change it.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // A crash of this process loses nothing; one of the machine, at most the last moments.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", 4 << 20, |_| Ok(()))?;
    // What was deleted must not be found in the file.
    connection.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (index, step) in STEPS.iter().enumerate() {
        let from = i64::try_from(index).unwrap_or(i64::MAX);
        if version <= from {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", from.saturating_add(1))?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}
