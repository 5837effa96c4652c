//! Results that reporters have not acknowledged yet.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows;
use super::{JournalError, Settings};
use crate::Report;

/// Keeps the end of a command, which was the change `change`, for each reporter, and for those on demand that were asked.
pub(super) fn keep(
    connection: &Connection,
    settings: &Settings,
    command: i64,
    change: i64,
) -> Result<(), JournalError> {
    let insert = "INSERT INTO outbox (reporter, change, command) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(insert)?;
    for reporter in &settings.reporters {
        statement.execute(params![reporter, change, command])?;
    }
    let insert = "INSERT INTO outbox (reporter, change, command)
         SELECT reporter, ?2, ?3 FROM receivers WHERE reporter = ?1";
    let mut statement = connection.prepare_cached(insert)?;
    for reporter in &settings.reporters_on_demand {
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

/// Whether a result waits for `reporter`.
pub(super) fn has_waiting(connection: &Connection, reporter: &str) -> Result<bool, JournalError> {
    let query = "SELECT EXISTS (SELECT 1 FROM outbox WHERE reporter = ?1)";
    Ok(connection.prepare_cached(query)?.query_row([reporter], |row| row.get(0))?)
}

/// From now on results are kept for `reporter`, also by the next process.
pub(super) fn demand(connection: &Connection, reporter: &str) -> Result<(), JournalError> {
    let query = "INSERT OR IGNORE INTO receivers (reporter) VALUES (?1)";
    connection.prepare_cached(query)?.execute([reporter])?;
    Ok(())
}

/// Nobody wants the results of `reporter` any more: none is kept, and those that are go. Returns how many those were.
pub(super) fn forgo(connection: &Connection, reporter: &str) -> Result<usize, JournalError> {
    connection.execute("DELETE FROM receivers WHERE reporter = ?1", [reporter])?;
    Ok(connection.execute("DELETE FROM outbox WHERE reporter = ?1", [reporter])?)
}

/// Drops what is kept for reporters that are not among `known` any more, and returns how much that was.
pub(super) fn forget_others(
    connection: &Connection,
    known: &[String],
) -> Result<usize, JournalError> {
    // From name to name, which does not read the results of each.
    let mut next = connection.prepare("SELECT min(reporter) FROM outbox WHERE reporter > ?1")?;
    let mut dropped = 0;
    let mut last = String::new();
    while let Some(name) = next.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
        if !known.contains(&name) {
            dropped += forgo(connection, &name)?;
        }
        last = name;
    }
    Ok(dropped)
}
