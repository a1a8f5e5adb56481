//! What is kept, and for how long.
//!
//! What it is: runs that are over are deleted when they are too old, and the
//! oldest of them when all together take too much; the file shrinks with them.
//! What it is not: a clean-up of runs under way, or of the newest result.
//!
//! Invariants: what is deleted is gone from the file, not only from its index.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::StoreError;
use crate::config::service::StoreSettings;

/// Runs deleted in one transaction.
const BATCH: u32 = 500;

/// Unused space that is left for the next runs, in bytes.
const SLACK_BYTES: u64 = 1 << 20;

/// What may be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    age_max: Duration,
    bytes_max: u64,
}

impl Keep {
    pub(super) fn new(settings: &StoreSettings) -> Self {
        Self {
            age_max: settings.age_max,
            bytes_max: settings.bytes_max,
        }
    }

    /// The same, of at most so many bytes.
    pub(super) fn at_most(self, bytes_max: u64) -> Self {
        let bytes_max = self.bytes_max.min(bytes_max);
        Self { bytes_max, ..self }
    }

    pub(super) fn nothing() -> Self {
        Self {
            age_max: Duration::ZERO,
            bytes_max: 0,
        }
    }

    pub(super) fn age_max(self) -> Duration {
        self.age_max
    }

    /// The most that one run's result may take: a fourth of everything.
    pub(super) fn result_bytes_max(self) -> usize {
        usize::try_from(self.bytes_max.div_euclid(4)).unwrap_or(usize::MAX)
    }

    /// Deletes what is too old. Gives the number of runs.
    pub(super) fn by_age(self, connection: &mut Connection) -> Result<usize, StoreError> {
        let age = i64::try_from(self.age_max.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::now().as_millisecond().saturating_sub(age);
        let mut gone: usize = 0;
        loop {
            let old: Vec<String> = {
                let mut statement = connection.prepare_cached(
                    "SELECT run_id FROM runs WHERE ended_ms < ?1 ORDER BY ended_ms LIMIT ?2",
                )?;
                let rows = statement.query_map(params![before, BATCH], |row| row.get(0))?;
                rows.collect::<Result<_, _>>()?
            };
            delete(connection, &old)?;
            gone = gone.saturating_add(old.len());
            if old.is_empty() {
                shrink(connection, gone > 0)?;
                return Ok(gone);
            }
        }
    }

    /// Deletes the oldest while all together take too much. Gives the number of runs.
    pub(super) fn by_size(self, connection: &mut Connection) -> Result<usize, StoreError> {
        let mut gone: usize = 0;
        let mut over = used_bytes(connection)?.saturating_sub(self.bytes_max);
        if over > 0 {
            // A little more than needed, so that not every run has to make room.
            over = over.saturating_add(self.bytes_max.div_euclid(20));
        }
        while over > 0 {
            let oldest = oldest(connection)?;
            let mut freed: u64 = 0;
            let mut leaving = Vec::new();
            for (run_id, bytes) in oldest {
                if freed >= over {
                    break;
                }
                freed = freed.saturating_add(bytes);
                leaving.push(run_id);
            }
            if leaving.is_empty() {
                break;
            }
            delete(connection, &leaving)?;
            gone = gone.saturating_add(leaving.len());
            over = over.saturating_sub(freed);
        }
        shrink(connection, gone > 0)?;
        Ok(gone)
    }
}

/// The oldest that are over, the newest excepted, with what each takes.
fn oldest(connection: &Connection) -> Result<Vec<(String, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT run_id, kept_bytes FROM runs WHERE ended_ms IS NOT NULL \
         AND run_id <> (SELECT run_id FROM runs WHERE ended_ms IS NOT NULL \
                        ORDER BY ended_ms DESC LIMIT 1) \
         ORDER BY ended_ms LIMIT ?1",
    )?;
    let rows = statement.query_map([BATCH], |row| {
        let bytes: i64 = row.get(1)?;
        Ok((row.get(0)?, u64::try_from(bytes).unwrap_or(0)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn delete(connection: &mut Connection, runs: &[String]) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for run_id in runs {
        for sql in [
            "DELETE FROM results WHERE run_id = ?1",
            "DELETE FROM runs WHERE run_id = ?1",
        ] {
            transaction.prepare_cached(sql)?.execute([run_id])?;
        }
    }
    Ok(transaction.commit()?)
}

/// Gives unused pages back to the file system.
fn shrink(connection: &Connection, deleted: bool) -> Result<(), StoreError> {
    let unused =
        pragma(connection, "freelist_count")?.saturating_mul(pragma(connection, "page_size")?);
    if !deleted || unused <= SLACK_BYTES {
        return Ok(());
    }
    // Works a page a row, so all rows have to be asked for.
    let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    // The file shrinks when the log is written back. A reader may hold that up; then it is later.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// What runs take in the file, in bytes.
fn used_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let pages = pragma(connection, "page_count")?;
    let used = pages.saturating_sub(pragma(connection, "freelist_count")?);
    Ok(used.saturating_mul(pragma(connection, "page_size")?))
}

fn pragma(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}
