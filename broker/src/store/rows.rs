//! The store's statements.
//!
//! What it is not: a decision on who may see what; the caller of a question is
//! part of it ([`super::Filter`]), or checked by whoever asked.
//!
//! Invariants: every value is bound, none is part of a statement's text; a run
//! and its result are written and deleted together.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::StoreError;
use super::record::{Filter, RunInfo, RunState, StdoutPart};

/// What is kept of a result.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    /// The outcome, as JSON.
    pub(super) outcome: String,
    /// What matters, in few words.
    pub(super) summary: &'a str,
    /// What the tool itself printed.
    pub(super) stdout: &'a [u8],
}

/// Bytes that a run takes besides its result, about.
const ROW_BYTES: u64 = 1024;

const COLUMNS: &str = "run_id, correlation_id, caller, surface, tool, target, argv, state, \
     started_ms, ended_ms, returncode, error_type, error, stdout_bytes";

/// Writes a run, as it is now.
pub(super) fn put(connection: &Connection, broker: &str, run: &RunInfo) -> Result<(), StoreError> {
    write(connection, broker, run, 0)
}

fn write(
    connection: &Connection,
    broker: &str,
    run: &RunInfo,
    result_bytes: u64,
) -> Result<(), StoreError> {
    let argv = serde_json::to_string(&run.argv).unwrap_or_default();
    let mut statement = connection.prepare_cached(
        "INSERT INTO runs (run_id, correlation_id, broker, caller, surface, tool, target, argv, \
         state, started_ms, ended_ms, returncode, error_type, error, stdout_bytes, kept_bytes) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
         ON CONFLICT (run_id) DO UPDATE SET tool = excluded.tool, argv = excluded.argv, \
         state = excluded.state, ended_ms = excluded.ended_ms, returncode = excluded.returncode, \
         error_type = excluded.error_type, error = excluded.error, \
         stdout_bytes = excluded.stdout_bytes, kept_bytes = excluded.kept_bytes",
    )?;
    statement.execute(params![
        run.run_id,
        run.correlation_id,
        broker,
        run.caller,
        run.surface,
        run.tool,
        run.target,
        argv,
        run.state.as_str(),
        run.started_at.as_millisecond(),
        run.ended_at.map(Timestamp::as_millisecond),
        run.returncode,
        run.error_type,
        run.error,
        integer(run.stdout_bytes),
        integer(ROW_BYTES.saturating_add(result_bytes)),
    ])?;
    Ok(())
}

/// Writes a run that is over, with its result.
pub(super) fn put_ended(
    connection: &mut Connection,
    broker: &str,
    run: &RunInfo,
    result: &Kept<'_>,
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Kept {
        outcome,
        summary,
        stdout,
    } = result;
    let bytes = outcome.len().saturating_add(stdout.len());
    write(
        &transaction,
        broker,
        run,
        u64::try_from(bytes).unwrap_or(u64::MAX),
    )?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO results (run_id, outcome, summary, stdout) \
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![run.run_id, outcome, summary, stdout])?;
    Ok(transaction.commit()?)
}

/// Notes that a queued run runs.
pub(super) fn set_running(connection: &Connection, run_id: &str) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE runs SET state = 'running' WHERE run_id = ?1 AND state = 'queued'",
    )?;
    statement.execute([run_id])?;
    Ok(())
}

/// A run and the broker it belongs to.
pub(super) fn get(
    connection: &Connection,
    run_id: &str,
) -> Result<Option<(RunInfo, String)>, StoreError> {
    let sql = format!("SELECT {COLUMNS}, broker FROM runs WHERE run_id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row([run_id], |row| Ok((run(row)?, row.get(14)?)));
    Ok(found.optional()?)
}

/// The outcome of a run that is over, and its summary.
pub(super) fn outcome(
    connection: &Connection,
    run_id: &str,
) -> Result<Option<(String, String)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT outcome, summary FROM results WHERE run_id = ?1")?;
    let found = statement.query_row([run_id], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?)
}

/// At most `bytes_max` bytes of a run's standard output.
pub(super) fn stdout(
    connection: &Connection,
    run_id: &str,
    offset: u64,
    bytes_max: usize,
) -> Result<Option<StdoutPart>, StoreError> {
    let result: Option<i64> = connection
        .prepare_cached("SELECT result FROM results WHERE run_id = ?1")?
        .query_row([run_id], |row| row.get(0))
        .optional()?;
    let Some(result) = result else {
        return Ok(None);
    };
    let blob = connection.blob_open("main", "results", "stdout", result, true)?;
    let size = blob.len();
    let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(size);
    let mut bytes = vec![0; size.saturating_sub(begin).min(bytes_max)];
    blob.read_at_exact(&mut bytes, begin)?;
    let total = u64::try_from(size).unwrap_or(u64::MAX);
    Ok(Some(StdoutPart {
        offset: u64::try_from(begin).unwrap_or(u64::MAX),
        bytes,
        total,
    }))
}

/// Runs, newest first.
pub(super) fn list(connection: &Connection, filter: &Filter) -> Result<Vec<RunInfo>, StoreError> {
    let mut sql = format!("SELECT {COLUMNS} FROM runs WHERE (?1 IS NULL OR run_id < ?1)");
    // A condition of its own where it counts, so that its index is used.
    sql.push_str(match filter.caller {
        Some(_) => " AND caller = ?2",
        None => " AND ?2 IS NULL",
    });
    sql.push_str(" AND (?3 IS NULL OR tool = ?3) AND (?4 IS NULL OR state = ?4)");
    sql.push_str(" ORDER BY run_id DESC LIMIT ?5");
    let mut statement = connection.prepare_cached(&sql)?;
    let state = filter.state.map(RunState::as_str);
    let rows = statement.query_map(
        params![
            filter.before,
            filter.caller,
            filter.tool,
            state,
            filter.limit
        ],
        run,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Brokers with runs under way.
pub(super) fn brokers_under_way(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT broker FROM runs WHERE ended_ms IS NULL")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Marks what a dead broker left. Gives their number.
pub(super) fn interrupt(connection: &Connection, broker: &str) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE runs SET state = 'interrupted', ended_ms = ?2, error_type = 'unknown', \
         error = 'the broker was killed while the run was under way' \
         WHERE broker = ?1 AND ended_ms IS NULL",
    )?;
    Ok(statement.execute(params![broker, Timestamp::now().as_millisecond()])?)
}

fn run(row: &Row<'_>) -> Result<RunInfo, rusqlite::Error> {
    let argv: String = row.get(6)?;
    let state: String = row.get(7)?;
    let stdout_bytes: i64 = row.get(13)?;
    Ok(RunInfo {
        run_id: row.get(0)?,
        correlation_id: row.get(1)?,
        caller: row.get(2)?,
        surface: row.get(3)?,
        tool: row.get(4)?,
        target: row.get(5)?,
        argv: serde_json::from_str(&argv).unwrap_or_default(),
        state: RunState::from_name(&state).unwrap_or(RunState::Interrupted),
        started_at: time(row.get(8)?),
        ended_at: row.get::<_, Option<i64>>(9)?.map(time),
        returncode: row.get(10)?,
        error_type: row.get(11)?,
        error: row.get(12)?,
        stdout_bytes: u64::try_from(stdout_bytes).unwrap_or(0),
        progress: None,
    })
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
