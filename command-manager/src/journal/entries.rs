//! The history of commands as rows, numbered through all commands.

use rusqlite::{Connection, Row, params};

use super::JournalError;
use super::rows::{damaged, kind_of, status, time};
use crate::{Changes, CommandId, Count, HistoryEntry, StatusChange};

const COLUMNS: &str = "c.seq, c.at, c.status, c.stage, c.module, c.done, c.total, c.text";

/// Writes an entry of the command at place `command`, and returns its number among all changes.
pub(super) fn insert_entry(
    connection: &Connection,
    command: i64,
    entry: &HistoryEntry,
) -> Result<i64, JournalError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO changes (command, seq, at, status, stage, module, done, total, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let number = i64::try_from(entry.seq)
        .map_err(|_| JournalError::Storage { reason: "the history is too long".to_owned() })?;
    Ok(statement.insert(params![
        command,
        number,
        entry.at.to_string(),
        entry.status.as_str(),
        entry.stage,
        entry.module,
        entry.count.map(|count| count.done),
        entry.count.map(|count| count.total),
        entry.text,
    ])?)
}

/// The history of one command, oldest first.
pub(super) fn of_command(
    connection: &Connection,
    command: i64,
    id: &CommandId,
) -> Result<Vec<HistoryEntry>, JournalError> {
    let query = format!("SELECT {COLUMNS} FROM changes c WHERE c.command = ?1 ORDER BY c.seq");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query([command])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read(row, id.as_str())?);
    }
    Ok(entries)
}

/// At most `limit` changes of any command after the change `after`, in their order.
pub(super) fn after(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Changes, JournalError> {
    let gone: i64 = connection
        .prepare_cached("SELECT gone_through FROM feed")?
        .query_row([], |row| row.get(0))?;
    let query = format!(
        "SELECT c.change, o.id, o.type, o.error, {COLUMNS} FROM changes c JOIN commands o ON o.seq = c.command
         WHERE c.change > ?1 ORDER BY c.change LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let (from, most) =
        (i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let mut rows = statement.query([from, most])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let raw_id: String = row.get("id")?;
        let entry = read(row, &raw_id)?;
        let error = if entry.status.is_finished() { row.get("error")? } else { 0 };
        changes.push(StatusChange {
            change: row.get::<_, i64>("change")?.unsigned_abs(),
            kind: kind_of(&raw_id, &row.get::<_, String>("type")?)?,
            id: CommandId::new(raw_id.as_str())
                .map_err(|error| damaged(&raw_id, "id", &error.to_string()))?,
            error,
            entry,
        });
    }
    Ok(Changes { changes, gap: after < gone.unsigned_abs() })
}

/// The number of the newest change, also if that is gone with its command; 0 before the first.
pub(super) fn newest(connection: &Connection) -> Result<u64, JournalError> {
    let query = "SELECT max((SELECT coalesce(max(change), 0) FROM changes), (SELECT gone_through FROM feed))";
    let newest: i64 = connection.prepare_cached(query)?.query_row([], |row| row.get(0))?;
    Ok(newest.unsigned_abs())
}

fn read(row: &Row<'_>, id: &str) -> Result<HistoryEntry, JournalError> {
    let (done, total): (Option<u32>, Option<u32>) = (row.get("done")?, row.get("total")?);
    Ok(HistoryEntry {
        seq: row.get::<_, i64>("seq")?.unsigned_abs(),
        at: time(id, &row.get::<_, String>("at")?)?,
        status: status(id, &row.get::<_, String>("status")?)?,
        stage: row.get("stage")?,
        module: row.get("module")?,
        count: done.zip(total).map(|(done, total)| Count { done, total }),
        text: row.get("text")?,
    })
}
