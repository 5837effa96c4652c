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

/// Looks at some of the commands after the place `after`, the oldest first: retires those for which their time or their
/// number says so, and forgets some ids. Returns the place to go on from, or `None` when all that could be retired was
/// looked at.
pub(super) fn retire(
    connection: &Connection,
    settings: &Settings,
    after: i64,
    now: Timestamp,
) -> Result<Option<i64>, JournalError> {
    let newest: i64 = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM commands")?
        .query_row([], |row| row.get(0))?;
    let last_by_number = newest.saturating_sub(i64::from(settings.keep_finished));
    let kept_since = before(now, settings.keep_for);
    let forgotten = forget(connection, before(now, settings.remember_ids_for))?;
    let looked_at = look(connection, after)?;
    let last = looked_at.last().map(|candidate| candidate.seq);
    let mut all_stay = true;
    for Candidate { seq, finished_at, unreported } in looked_at {
        let too_old = match &finished_at {
            Some(at) => rows::time("", at)? < kept_since,
            None => false,
        };
        let due = finished_at.is_some() && (seq <= last_by_number || too_old);
        // What a reporter has not acknowledged stays as long as it is sent.
        if due
            && !unreported
            && let Some(stored) = rows::by_seq(connection, seq)?
        {
            retire_one(connection, stored)?;
        }
        all_stay &= !due && finished_at.is_some();
    }
    match last {
        // Young ones throughout: what follows is younger.
        Some(last) if !all_stay => Ok(Some(last)),
        _ if forgotten > 0 => Ok(Some(after)),
        _ => Ok(None),
    }
}

/// A command that may be retired.
struct Candidate {
    seq: i64,
    finished_at: Option<String>,
    unreported: bool,
}

fn look(connection: &Connection, after: i64) -> Result<Vec<Candidate>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, finished_at, EXISTS (SELECT 1 FROM outbox WHERE command = commands.seq)
         FROM commands WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let candidates = statement.query_map([after, AT_ONCE], |row| {
        Ok(Candidate { seq: row.get(0)?, finished_at: row.get(1)?, unreported: row.get(2)? })
    })?;
    Ok(candidates.collect::<rusqlite::Result<_>>()?)
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
