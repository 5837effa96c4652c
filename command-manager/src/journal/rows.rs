//! Commands as rows, written and read back.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::de::DeserializeOwned;

use super::JournalError;
use super::entries::{self, insert_entry};
use crate::{CommandId, CommandRecord, CommandType, Origin, Status, WireForm};

const COLUMNS: &str = "seq, queued, id, form, type, target, force, reason, requester, origin_module, origin_server, \
     origin_user, received, accepted_at, expires_at, expires_given, status, attempts, error, result, finished_at";

/// A command and where it stands in the queue.
pub(super) struct Stored {
    /// Its place in the order of acceptance.
    pub(super) seq: i64,
    /// Whether it waits for its turn.
    pub(super) queued: bool,
    pub(super) record: CommandRecord,
}

/// A new command with its JSON, made where it costs nobody else's time.
pub(super) struct NewRow {
    pub(super) record: CommandRecord,
    target: String,
    requester: Option<String>,
    received: String,
}

impl NewRow {
    pub(super) fn new(record: CommandRecord) -> Result<Self, JournalError> {
        let target = json(&record.target)?;
        let requester = record.requester.as_ref().map(json).transpose()?;
        let received = json(&record.received)?;
        Ok(Self { record, target, requester, received })
    }
}

/// The command `id`.
pub(super) fn by_id(
    connection: &Connection,
    id: &CommandId,
) -> Result<Option<Stored>, JournalError> {
    Ok(select(connection, "WHERE id = ?1", [id.as_str()])?.pop())
}

/// Whether there is anything about the command `id`: cheaper than reading it, and nearly always the answer is no.
pub(super) fn is_known(connection: &Connection, id: &CommandId) -> Result<bool, JournalError> {
    let query = "SELECT EXISTS (SELECT 1 FROM commands WHERE id = ?1)
         OR EXISTS (SELECT 1 FROM remembered WHERE id = ?1)";
    Ok(connection.prepare_cached(query)?.query_row([id.as_str()], |row| row.get(0))?)
}

/// The command at this place.
pub(super) fn by_seq(connection: &Connection, seq: i64) -> Result<Option<Stored>, JournalError> {
    Ok(select(connection, "WHERE seq = ?1", [seq])?.pop())
}

/// What is left of a command that is not kept any more.
pub(super) fn remembered(
    connection: &Connection,
    id: &CommandId,
) -> Result<Option<CommandRecord>, JournalError> {
    let query = "SELECT record FROM remembered WHERE id = ?1";
    let mut statement = connection.prepare_cached(query)?;
    let found: Option<String> = statement.query_row([id.as_str()], |row| row.get(0)).optional()?;
    found.map(|text| parsed(id.as_str(), "record", &text)).transpose()
}

/// The command `id` as it is shown, or what is left of it.
pub(super) fn show(
    connection: &Connection,
    id: &CommandId,
) -> Result<Option<CommandRecord>, JournalError> {
    match by_id(connection, id)? {
        Some(stored) => Ok(Some(stored.record)),
        None => remembered(connection, id),
    }
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

/// The commands that are in progress and not back in the queue, the oldest first.
pub(super) fn interrupted(connection: &Connection) -> Result<Vec<CommandId>, JournalError> {
    let under_way =
        select(connection, "WHERE finished_at IS NULL AND queued = 0 ORDER BY seq", [])?;
    Ok(under_way.into_iter().map(|stored| stored.record.id).collect())
}

/// Every command that is not finished.
pub(super) fn open_ids(connection: &Connection) -> Result<Vec<CommandId>, JournalError> {
    let query = "SELECT id FROM commands WHERE finished_at IS NULL AND queued = 1
         UNION ALL SELECT id FROM commands WHERE finished_at IS NULL AND queued = 0";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let raw_id: String = row.get(0)?;
        let id = CommandId::new(raw_id.as_str());
        ids.push(id.map_err(|error| damaged(&raw_id, "id", &error.to_string()))?);
    }
    Ok(ids)
}

/// Writes a new command with its history, and returns its place.
pub(super) fn insert(connection: &Connection, new: &NewRow) -> Result<i64, JournalError> {
    let record = &new.record;
    let mut statement = connection.prepare_cached(
        "INSERT INTO commands (id, form, type, target, force, reason, requester, origin_module, origin_server,
             origin_user, received, accepted_at, expires_at, expires_given, status, queued, attempts, error)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 1, 0, 0)",
    )?;
    let seq = statement.insert(params![
        record.id.as_str(),
        record.form.as_str(),
        record.kind.as_str(),
        new.target,
        record.force,
        record.reason,
        new.requester,
        record.origin.module_name,
        record.origin.server_name,
        record.origin.user,
        new.received,
        record.accepted_at.to_string(),
        record.expires_at.map(|at| at.to_string()),
        record.expiry_given,
        record.status.as_str(),
    ])?;
    for entry in &record.history {
        insert_entry(connection, seq, entry)?;
    }
    Ok(seq)
}

/// Writes what can change of a command, and its newest history entry, whose number among all changes it returns.
pub(super) fn update(connection: &Connection, stored: &Stored) -> Result<i64, JournalError> {
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
    let newest = record
        .history
        .last()
        .ok_or_else(|| damaged(record.id.as_str(), "history", "it is empty"))?;
    insert_entry(connection, *seq, newest)
}

/// Reads the commands that the rest of a SELECT says.
pub(super) fn select(
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
        stored.record.history = entries::of_command(connection, stored.seq, &stored.record.id)?;
        found.push(stored);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Stored, JournalError> {
    let raw_id: String = row.get("id")?;
    let damaged = |column: &str, reason: &str| damaged(&raw_id, column, reason);
    let form: String = row.get("form")?;
    let kind: String = row.get("type")?;
    let requester: Option<String> = row.get("requester")?;
    let result: Option<String> = row.get("result")?;
    let record = CommandRecord {
        id: CommandId::new(raw_id.as_str()).map_err(|error| damaged("id", &error.to_string()))?,
        form: WireForm::from_name(&form).ok_or_else(|| damaged("form", &form))?,
        kind: kind_of(&raw_id, &kind)?,
        target: parsed(&raw_id, "target", &row.get::<_, String>("target")?)?,
        force: row.get("force")?,
        status: status(&raw_id, &row.get::<_, String>("status")?)?,
        error: row.get("error")?,
        reason: row.get("reason")?,
        requester: requester.map(|text| parsed(&raw_id, "requester", &text)).transpose()?,
        origin: Origin {
            module_name: row.get("origin_module")?,
            server_name: row.get("origin_server")?,
            user: row.get("origin_user")?,
        },
        accepted_at: time(&raw_id, &row.get::<_, String>("accepted_at")?)?,
        expires_at: maybe_time(&raw_id, row.get("expires_at")?)?,
        expiry_given: row.get("expires_given")?,
        finished_at: maybe_time(&raw_id, row.get("finished_at")?)?,
        attempts: row.get("attempts")?,
        history: Vec::new(),
        result: result.map(|text| parsed(&raw_id, "result", &text)).transpose()?,
        received: parsed(&raw_id, "received", &row.get::<_, String>("received")?)?,
    };
    Ok(Stored { seq: row.get("seq")?, queued: row.get("queued")?, record })
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value)
        .map_err(|error| JournalError::Storage { reason: error.to_string() })
}

pub(super) fn parsed<T: DeserializeOwned>(
    id: &str,
    column: &str,
    text: &str,
) -> Result<T, JournalError> {
    serde_json::from_str(text).map_err(|error| damaged(id, column, &error.to_string()))
}

pub(super) fn kind_of(id: &str, text: &str) -> Result<CommandType, JournalError> {
    CommandType::from_name(text).ok_or_else(|| damaged(id, "type", text))
}

pub(super) fn status(id: &str, text: &str) -> Result<Status, JournalError> {
    Status::from_name(text).ok_or_else(|| damaged(id, "status", text))
}

pub(super) fn time(id: &str, text: &str) -> Result<Timestamp, JournalError> {
    text.parse().map_err(|error: jiff::Error| damaged(id, "time", &error.to_string()))
}

fn maybe_time(id: &str, text: Option<String>) -> Result<Option<Timestamp>, JournalError> {
    text.map(|text| time(id, &text)).transpose()
}

pub(super) fn damaged(id: &str, column: &str, reason: &str) -> JournalError {
    JournalError::Damaged { id: id.to_owned(), reason: format!("{column}: {reason}") }
}
