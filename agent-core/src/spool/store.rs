//! The spool's statements: what each change does to the tables, and the counts that follow from it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use module_api::EventId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::request::{Change, Checkpoints, Publish};
use super::{SpoolError, SpoolStats, StoredEvent};

/// How many events are stored. Reads an index as a whole: about 50 ns for each event.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).map(unsigned)
}

/// What can be known of a spool that was just opened without reading it. There are at most `stored` events: numbers are
/// given in a row, and those that a repeated event did not use are counted as well.
pub(super) fn first_look(connection: &Connection, max_events: u64) -> rusqlite::Result<SpoolStats> {
    let one = |sql: &str| {
        let found = connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        Ok::<_, rusqlite::Error>(found.optional()?.flatten().map_or(0, unsigned))
    };
    let first = one("SELECT min(seq) FROM events")?;
    let last = one("SELECT max(seq) FROM events")?;
    Ok(SpoolStats {
        stored: if first == 0 { 0 } else { last - first + 1 },
        last_seq: one("SELECT seq FROM sqlite_sequence WHERE name = 'events'")?,
        delivered_seq: one("SELECT min(seq) FROM outputs")?,
        max_events,
        ..SpoolStats::default()
    })
}

/// Stores a batch. An event whose id is stored already stays as it is.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    publish: &Publish,
    at: Timestamp,
    stats: &mut SpoolStats,
) -> rusqlite::Result<()> {
    let module = publish.module.as_str();
    let mut event_in = transaction.prepare_cached(
        "INSERT INTO events(module, id, at, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT(module, id) DO NOTHING",
    )?;
    for event in &publish.events {
        let body = event.body(at);
        if event_in.execute(params![module, event.id.0, at.to_string(), body])? == 0 {
            stats.repeated_total += 1;
        } else {
            stats.stored += 1;
            stats.accepted_total += 1;
            stats.last_seq = unsigned(transaction.last_insert_rowid());
        }
    }
    let mut checkpoint_in = transaction.prepare_cached(
        "INSERT INTO checkpoints(module, key, value) VALUES (?1, ?2, ?3)
         ON CONFLICT(module, key) DO UPDATE SET value = excluded.value",
    )?;
    let mut checkpoint_out =
        transaction.prepare_cached("DELETE FROM checkpoints WHERE module = ?1 AND key = ?2")?;
    for checkpoint in &publish.checkpoints {
        match &checkpoint.value {
            Some(value) => checkpoint_in.execute(params![module, checkpoint.key, value])?,
            None => checkpoint_out.execute(params![module, checkpoint.key])?,
        };
    }
    Ok(())
}

/// Makes a change of an output, then drops the events that every output has delivered. The inner error is an
/// answer to the output; the transaction is good all the same.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    change: &Change,
    stats: &mut SpoolStats,
) -> rusqlite::Result<Result<(), SpoolError>> {
    match change {
        Change::Register { output } => {
            transaction.execute(
                "INSERT INTO outputs(name, seq) VALUES (?1, 0) ON CONFLICT(name) DO NOTHING",
                [output],
            )?;
        }
        Change::Forget { output } => {
            transaction.execute("DELETE FROM outputs WHERE name = ?1", [output])?;
        }
        Change::Delivered { output, seq, position } => {
            if *seq > stats.last_seq {
                let (output, last) = (output.clone(), stats.last_seq);
                return Ok(Err(SpoolError::NotStored { output, seq: *seq, last }));
            }
            if cursor(transaction, output)?.is_none() {
                return Ok(Err(SpoolError::UnknownOutput(output.clone())));
            }
            transaction
                .prepare_cached(
                    "UPDATE outputs SET seq = ?2, position = ?3 WHERE name = ?1 AND seq <= ?2",
                )?
                .execute(params![output, signed(*seq), position])?;
        }
    }
    prune(transaction, stats)?;
    Ok(Ok(()))
}

fn prune(transaction: &Transaction<'_>, stats: &mut SpoolStats) -> rusqlite::Result<()> {
    let smallest: Option<i64> =
        transaction.query_row("SELECT min(seq) FROM outputs", [], |row| row.get(0))?;
    stats.delivered_seq = smallest.map_or(0, unsigned);
    let removed = transaction
        .prepare_cached("DELETE FROM events WHERE seq <= ?1")?
        .execute([signed(stats.delivered_seq)])?;
    stats.stored = stats.stored.saturating_sub(u64::try_from(removed).unwrap_or(u64::MAX));
    Ok(())
}

/// The cursor and position of an output, or `None` if it is not registered.
pub(super) fn cursor(
    connection: &Connection,
    output: &str,
) -> rusqlite::Result<Option<(u64, Option<Vec<u8>>)>> {
    connection
        .prepare_cached("SELECT seq, position FROM outputs WHERE name = ?1")?
        .query_row([output], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))
        .optional()
}

/// All registered outputs with their cursors, by name.
pub(super) fn outputs(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    connection
        .prepare_cached("SELECT name, seq FROM outputs")?
        .query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?
        .collect()
}

/// The texts of one read are not much larger than this, in bytes; bounds the memory of an output.
const READ_BYTES: usize = 8 << 20;

/// The first events after `seq`, in their order: `max` at most, and not many more bytes than `READ_BYTES`.
pub(super) fn read_after(
    connection: &Connection,
    seq: u64,
    max: usize,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, module, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![signed(seq), i64::try_from(max).unwrap_or(i64::MAX)])?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = StoredEvent {
            seq: unsigned(row.get(0)?),
            id: EventId(row.get(1)?),
            module: row.get(2)?,
            body: row.get(3)?,
        };
        bytes += event.body.len();
        events.push(event);
        if bytes >= READ_BYTES {
            break;
        }
    }
    Ok(events)
}

/// The checkpoints of one module.
pub(super) fn checkpoints(connection: &Connection, module: &str) -> rusqlite::Result<Checkpoints> {
    connection
        .prepare_cached("SELECT key, value FROM checkpoints WHERE module = ?1")?
        .query_map([module], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Numbers of events are positive in SQLite and never reach the end of its range.
fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
