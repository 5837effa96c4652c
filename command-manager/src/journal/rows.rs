//! Commands and their history as rows, written and read back.

use jiff::Timestamp;
use rusqlite::{Connection, Params, Row, params};
use serde::de::DeserializeOwned;

use super::JournalError;
use crate::{CommandId, CommandRecord, CommandType, HistoryEntry, Origin, Status};

const COLUMNS: &str = "seq, queued, id, type, target, force, reason, requester, origin_module, origin_server, received, \
     accepted_at, status, attempts, error, result, finished_at";

/// A command and where it stands in the queue.
pub(super) struct Stored {
    /// Its place in the order of acceptance.
    pub(super) seq: i64,
    /// Whether it waits for its turn.
    pub(super) queued: bool,
    pub(super) record: CommandRecord,
}

/// The command `id`.
pub(super) fn by_id(
    connection: &Connection,
    id: &CommandId,
) -> Result<Option<Stored>, JournalError> {
    Ok(select(connection, "WHERE id = ?1", [id.as_str()])?.pop())
}

/// The command `id`, as it is shown.
pub(super) fn show(
    connection: &Connection,
    id: &CommandId,
) -> Result<Option<CommandRecord>, JournalError> {
    Ok(by_id(connection, id)?.map(|stored| stored.record))
}

/// At most `limit` commands, the newest first.
pub(super) fn list(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<CommandRecord>, JournalError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = select(connection, "ORDER BY seq DESC LIMIT ?1", [limit])?;
    Ok(found.into_iter().map(|stored| stored.record).collect())
}

/// The oldest command that waits for its turn.
pub(super) fn oldest_queued(connection: &Connection) -> Result<Option<Stored>, JournalError> {
    let oldest = "WHERE finished_at IS NULL AND queued = 1 ORDER BY seq LIMIT 1";
    Ok(select(connection, oldest, [])?.pop())
}

/// Whether an attempt was begun that has not come to an end.
pub(super) fn one_is_under_way(connection: &Connection) -> Result<bool, JournalError> {
    let query = "SELECT EXISTS (SELECT 1 FROM commands WHERE finished_at IS NULL AND queued = 0)";
    Ok(connection.prepare_cached(query)?.query_row([], |row| row.get(0))?)
}

/// The commands that are in progress and not back in the queue, the oldest first.
pub(super) fn interrupted(connection: &Connection) -> Result<Vec<CommandId>, JournalError> {
    let under_way =
        select(connection, "WHERE finished_at IS NULL AND queued = 0 ORDER BY seq", [])?;
    Ok(under_way.into_iter().map(|stored| stored.record.id).collect())
}

/// Writes a new command with its history and returns its place.
pub(super) fn insert(
    connection: &Connection,
    record: CommandRecord,
) -> Result<Stored, JournalError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO commands (id, type, target, force, reason, requester, origin_module, origin_server, received,
             accepted_at, status, queued, attempts, error)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, 0, 0)",
    )?;
    let requester = record.requester.as_ref().map(json).transpose()?;
    let seq = statement.insert(params![
        record.id.as_str(),
        record.kind.as_str(),
        json(&record.target)?,
        record.force,
        record.reason,
        requester,
        record.origin.module_name,
        record.origin.server_name,
        json(&record.received)?,
        record.accepted_at.to_string(),
        record.status.as_str(),
    ])?;
    for entry in &record.history {
        insert_entry(connection, seq, entry)?;
    }
    Ok(Stored { seq, queued: true, record })
}

/// Writes what can change of a command, and its newest history entry.
pub(super) fn update(connection: &Connection, stored: &Stored) -> Result<(), JournalError> {
    let Stored { seq, queued, record } = stored;
    let mut statement = connection.prepare_cached(
        "UPDATE commands SET status = ?2, queued = ?3, attempts = ?4, error = ?5, result = ?6, finished_at = ?7
         WHERE seq = ?1",
    )?;
    statement.execute(params![
        seq,
        record.status.as_str(),
        queued,
        record.attempts,
        record.error,
        record.result.as_ref().map(json).transpose()?,
        record.finished_at.map(|at| at.to_string()),
    ])?;
    record.history.last().map_or(Ok(()), |entry| insert_entry(connection, *seq, entry))
}

fn insert_entry(
    connection: &Connection,
    command: i64,
    entry: &HistoryEntry,
) -> Result<(), JournalError> {
    let mut statement =
        connection.prepare_cached("INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let number = i64::try_from(entry.seq)
        .map_err(|_| JournalError::Storage { reason: "the history is too long".to_owned() })?;
    statement.execute(params![
        command,
        number,
        entry.at.to_string(),
        entry.status.as_str(),
        entry.stage,
        entry.module,
        entry.text,
    ])?;
    Ok(())
}

fn select(
    connection: &Connection,
    which: &str,
    params: impl Params,
) -> Result<Vec<Stored>, JournalError> {
    let query = format!("SELECT {COLUMNS} FROM commands {which}");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut stored = read(row)?;
        stored.record.history = read_history(connection, stored.seq, &stored.record.id)?;
        found.push(stored);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Stored, JournalError> {
    let raw_id: String = row.get("id")?;
    let damaged = |column: &str, reason: &str| damaged(&raw_id, column, reason);
    let kind: String = row.get("type")?;
    let requester: Option<String> = row.get("requester")?;
    let result: Option<String> = row.get("result")?;
    let finished_at: Option<String> = row.get("finished_at")?;
    let record = CommandRecord {
        id: CommandId::new(raw_id.as_str()).map_err(|error| damaged("id", &error.to_string()))?,
        kind: CommandType::from_name(&kind).ok_or_else(|| damaged("type", &kind))?,
        target: parsed(&raw_id, "target", &row.get::<_, String>("target")?)?,
        force: row.get("force")?,
        status: status(&raw_id, &row.get::<_, String>("status")?)?,
        error: row.get("error")?,
        reason: row.get("reason")?,
        requester: requester.map(|text| parsed(&raw_id, "requester", &text)).transpose()?,
        origin: Origin {
            module_name: row.get("origin_module")?,
            server_name: row.get("origin_server")?,
            user: String::new(),
        },
        accepted_at: time(&raw_id, &row.get::<_, String>("accepted_at")?)?,
        finished_at: finished_at.map(|text| time(&raw_id, &text)).transpose()?,
        attempts: row.get("attempts")?,
        history: Vec::new(),
        result: result.map(|text| parsed(&raw_id, "result", &text)).transpose()?,
        received: parsed(&raw_id, "received", &row.get::<_, String>("received")?)?,
    };
    Ok(Stored { seq: row.get("seq")?, queued: row.get("queued")?, record })
}

fn read_history(
    connection: &Connection,
    command: i64,
    id: &CommandId,
) -> Result<Vec<HistoryEntry>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, at, status, stage, module, text FROM history WHERE command = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([command])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get("seq")?;
        entries.push(HistoryEntry {
            seq: seq
                .try_into()
                .map_err(|_| damaged(id.as_str(), "history.seq", &seq.to_string()))?,
            at: time(id.as_str(), &row.get::<_, String>("at")?)?,
            status: status(id.as_str(), &row.get::<_, String>("status")?)?,
            stage: row.get("stage")?,
            module: row.get("module")?,
            text: row.get("text")?,
        });
    }
    Ok(entries)
}

fn json(value: &impl serde::Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value)
        .map_err(|error| JournalError::Storage { reason: error.to_string() })
}

fn parsed<T: DeserializeOwned>(id: &str, column: &str, text: &str) -> Result<T, JournalError> {
    serde_json::from_str(text).map_err(|error| damaged(id, column, &error.to_string()))
}

fn status(id: &str, text: &str) -> Result<Status, JournalError> {
    Status::from_name(text).ok_or_else(|| damaged(id, "status", text))
}

fn time(id: &str, text: &str) -> Result<Timestamp, JournalError> {
    text.parse().map_err(|error: jiff::Error| damaged(id, "time", &error.to_string()))
}

fn damaged(id: &str, column: &str, reason: &str) -> JournalError {
    JournalError::Damaged { id: id.to_owned(), reason: format!("{column}: {reason}") }
}
