//! Results that reporters have not acknowledged yet.

use rusqlite::{Connection, OptionalExtension, params};

use super::JournalError;
use super::rows;
use crate::Report;

/// Keeps the end of a command, which was the change `change`, for each of the reporters.
pub(super) fn keep(
    connection: &Connection,
    reporters: &[String],
    command: i64,
    change: i64,
) -> Result<(), JournalError> {
    let mut statement = connection
        .prepare_cached("INSERT INTO outbox (reporter, change, command) VALUES (?1, ?2, ?3)")?;
    for reporter in reporters {
        statement.execute(params![reporter, change, command])?;
    }
    Ok(())
}

/// The oldest result that `reporter` has not acknowledged.
pub(super) fn oldest(
    connection: &Connection,
    reporter: &str,
) -> Result<Option<Report>, JournalError> {
    let query = "SELECT change, command FROM outbox WHERE reporter = ?1 ORDER BY change LIMIT 1";
    let found: Option<(i64, i64)> = connection
        .prepare_cached(query)?
        .query_row([reporter], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((change, command)) = found else { return Ok(None) };
    let stored = rows::by_seq(connection, command)?;
    let Some(stored) = stored else {
        return Err(rows::damaged(reporter, "outbox", "its command is missing"));
    };
    Ok(Some(Report { change: change.unsigned_abs(), record: stored.record }))
}

/// Removes a result that `reporter` has acknowledged, or that is given up. Whether it was there.
pub(super) fn remove(
    connection: &Connection,
    reporter: &str,
    change: u64,
) -> Result<bool, JournalError> {
    let mut statement =
        connection.prepare_cached("DELETE FROM outbox WHERE reporter = ?1 AND change = ?2")?;
    Ok(statement.execute(params![reporter, i64::try_from(change).unwrap_or(i64::MAX)])? > 0)
}

/// Counts an attempt that failed.
pub(super) fn count_attempt(
    connection: &Connection,
    reporter: &str,
    change: u64,
) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "UPDATE outbox SET attempts = attempts + 1 WHERE reporter = ?1 AND change = ?2",
        )?
        .execute(params![reporter, i64::try_from(change).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// How many results wait for `reporter`.
pub(super) fn waiting(connection: &Connection, reporter: &str) -> Result<u64, JournalError> {
    let query = "SELECT count(*) FROM outbox WHERE reporter = ?1";
    let count: i64 = connection.prepare_cached(query)?.query_row([reporter], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Drops what is kept for reporters that are not among `known` any more, and returns how much that was.
pub(super) fn forget_others(connection: &Connection, known: &[String]) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare("SELECT DISTINCT reporter FROM outbox")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut dropped = 0;
    for other in found.iter().filter(|name| !known.contains(name)) {
        dropped += connection.execute("DELETE FROM outbox WHERE reporter = ?1", [other])?;
    }
    Ok(dropped)
}
