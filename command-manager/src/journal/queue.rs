//! The queue as it is in the journal: what is under way, what waits, and how long.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::JournalError;
use super::rows::{self, Stored, kind_of};
use crate::{CommandType, ErrorCode, scope};

/// The waiting command whose turn it is now, if there is one.
pub(super) fn next(connection: &Connection) -> Result<Option<Stored>, JournalError> {
    let heads = heads(connection)?;
    if heads.is_empty() {
        return Ok(None);
    }
    match scope::next(&under_way(connection)?, &heads) {
        Some(seq) => rows::by_seq(connection, seq),
        None => Ok(None),
    }
}

/// The oldest waiting command of each type.
fn heads(connection: &Connection) -> Result<Vec<(i64, CommandType)>, JournalError> {
    let query =
        "SELECT min(seq) FROM commands WHERE finished_at IS NULL AND queued = 1 AND type = ?1";
    let mut statement = connection.prepare_cached(query)?;
    let mut heads = Vec::new();
    for kind in CommandType::ALL {
        let oldest: Option<i64> = statement.query_row([kind.as_str()], |row| row.get(0))?;
        heads.extend(oldest.map(|seq| (seq, kind)));
    }
    Ok(heads)
}

/// The types of the commands of which an attempt was begun that has not come to an end.
fn under_way(connection: &Connection) -> Result<Vec<CommandType>, JournalError> {
    let query = "SELECT id, type FROM commands WHERE finished_at IS NULL AND queued = 0";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([])?;
    let mut kinds = Vec::new();
    while let Some(row) = rows.next()? {
        kinds.push(kind_of(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?);
    }
    Ok(kinds)
}

/// How many commands one look ends or lists at most, so that nobody who accepts waits for long.
pub(super) const AT_ONCE: usize = 64;

/// Some of the waiting commands whose time has passed at `now`. Reads nothing but an index for those that have time.
pub(super) fn expired(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<Stored>, JournalError> {
    // Texts of one second are not in the order of their fractions: `until` is later than that, and what it finds is
    // compared exactly below.
    let until = now.checked_add(jiff::SignedDuration::from_secs(2)).unwrap_or(now);
    let query = "SELECT seq FROM commands INDEXED BY commands_queued
         WHERE finished_at IS NULL AND queued = 1 AND type = ?1 AND expires_at <= ?2 LIMIT 64";
    let mut statement = connection.prepare_cached(query)?;
    let mut found = Vec::new();
    for kind in CommandType::ALL {
        let mut rows = statement.query([kind.as_str(), &until.to_string()])?;
        while let Some(row) = rows.next()? {
            found.extend(rows::by_seq(connection, row.get(0)?)?);
        }
    }
    found.retain(|stored| stored.record.has_expired(now));
    Ok(found)
}

/// Every command of these types that waits and was not begun, in the order of acceptance.
pub(super) fn waiting(
    connection: &Connection,
    kinds: &[CommandType],
) -> Result<Vec<Stored>, JournalError> {
    let which = "WHERE finished_at IS NULL AND queued = 1 AND type = ?1 AND status = 'pending' ORDER BY seq";
    let mut found = Vec::new();
    for kind in kinds {
        found.extend(rows::select(connection, which, [kind.as_str()])?);
    }
    found.sort_by_key(|stored| stored.seq);
    Ok(found)
}

/// Whether a command waits for its turn.
pub(super) fn somebody_waits(connection: &Connection) -> Result<bool, JournalError> {
    Ok(!heads(connection)?.is_empty())
}

/// The times at which restarts of the agent were asked for that count for the limit, the oldest first: those that were
/// begun and not refused by the checks, the newest `limit` of them, and those that wait.
pub(super) fn restarts(
    connection: &Connection,
    limit: u32,
) -> Result<Vec<Timestamp>, JournalError> {
    let begun = "SELECT id, accepted_at FROM commands WHERE type = 'restart-agent' AND attempts > 0
         AND (finished_at IS NULL OR error <> ?2) ORDER BY seq DESC LIMIT ?1";
    let waiting = "SELECT id, accepted_at FROM commands
         WHERE finished_at IS NULL AND queued = 1 AND type = 'restart-agent' AND attempts = 0 LIMIT ?1";
    let refused = i32::from(ErrorCode::Refused);
    let mut times = Vec::new();
    for (query, parameters) in [(begun, params![limit, refused]), (waiting, params![limit])] {
        let mut statement = connection.prepare_cached(query)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            times.push(rows::time(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?);
        }
    }
    times.sort_unstable();
    Ok(times)
}
