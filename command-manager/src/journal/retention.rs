//! What is kept of finished commands, and for how long: first everything, then the id with its answer, then nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::rows::{self, Stored};
use super::{JournalError, Settings};
use crate::CommandRecord;

/// How many commands are looked at in one transaction: a millisecond or two, so that nobody who accepts notices.
const AT_ONCE: i64 = 64;

/// Retires some of the oldest commands for which their time or their number says so, and forgets some ids. Whether there
/// may be more to do.
pub(super) fn retire(
    connection: &Connection,
    settings: &Settings,
    now: Timestamp,
) -> Result<bool, JournalError> {
    let newest: i64 = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM commands")?
        .query_row([], |row| row.get(0))?;
    let last_by_number = newest.saturating_sub(i64::from(settings.keep_finished));
    let kept_since = before(now, settings.keep_for);
    // What a reporter has not acknowledged stays as long as it is sent.
    let which = "WHERE finished_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM outbox WHERE command = commands.seq)
         ORDER BY seq LIMIT ?1";
    let oldest = rows::select(connection, which, [AT_ONCE])?;
    let looked_at = oldest.len();
    let mut retired = 0;
    for stored in oldest {
        let too_old = stored.record.finished_at.is_some_and(|at| at < kept_since);
        if stored.seq <= last_by_number || too_old {
            retire_one(connection, stored)?;
            retired += 1;
        }
    }
    let forgotten = forget(connection, before(now, settings.remember_ids_for))?;
    let at_once = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    Ok((retired == looked_at && retired == at_once) || forgotten == at_once)
}

/// Puts what is to be remembered of a command in its place.
fn retire_one(connection: &Connection, stored: Stored) -> Result<(), JournalError> {
    let Stored { seq, record, .. } = stored;
    let remembered = remains(record);
    connection
        .prepare_cached(
            "UPDATE feed SET gone_through =
                max(gone_through, (SELECT coalesce(max(change), 0) FROM changes WHERE command = ?1))",
        )?
        .execute([seq])?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO remembered (id, finished_at, record) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            remembered.id.as_str(),
            remembered.finished_at.map(|at| at.to_string()),
            rows::json(&remembered)?
        ])?;
    connection.prepare_cached("DELETE FROM commands WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// What is left of a command: what it asked for, so that the same id with other content is still refused, and its answer.
fn remains(record: CommandRecord) -> CommandRecord {
    let end = record.history.last().cloned();
    CommandRecord {
        history: end.into_iter().collect(),
        received: Value::Null,
        result: None,
        requester: None,
        ..record
    }
}

/// Forgets some of the ids whose commands ended before `since`, and returns how many.
fn forget(connection: &Connection, since: Timestamp) -> Result<usize, JournalError> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM remembered WHERE id IN
            (SELECT id FROM remembered WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2)",
    )?;
    Ok(statement.execute(params![since.to_string(), AT_ONCE])?)
}

/// That long ago, or as early as a time stamp can be.
fn before(now: Timestamp, duration: Duration) -> Timestamp {
    let earlier = SignedDuration::try_from(duration).ok().and_then(|by| now.checked_sub(by).ok());
    earlier.unwrap_or(Timestamp::MIN)
}
