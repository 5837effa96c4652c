//! A journal of many finished commands, made faster than by accepting them.

use std::path::Path;

use command_manager::CommandId;
use rusqlite::{Connection, Result, params};
use tokio::runtime::Runtime;

use crate::{on_a_worker, subject};

/// Makes a journal at `path` with `count` finished commands. The first is accepted and finished by the crate; the others
/// are its copies under ids and places of their own, so that a row here is what the crate writes, column by column.
pub(crate) fn make(runtime: &Runtime, path: &Path, count: u32) -> std::result::Result<(), String> {
    let manager = subject::open(path)?;
    let envelope = subject::envelope()?;
    on_a_worker(runtime, async move {
        let id = subject::accept(&manager, envelope).await?;
        subject::finish(&manager, &id).await
    })?;
    copy(path, count).map_err(|error| format!("cannot fill the journal: {error}"))
}

/// How many commands the journal at `path` holds.
pub(crate) fn commands(path: &Path) -> std::result::Result<u32, String> {
    let counted = Connection::open(path).and_then(|connection| {
        connection.query_row("SELECT count(*) FROM commands", [], |row| row.get(0))
    });
    counted.map_err(|error| format!("cannot count the commands: {error}"))
}

fn copy(path: &Path, count: u32) -> Result<()> {
    let mut connection = Connection::open(path)?;
    let command = columns(&connection, "commands", &["seq", "id"])?;
    let history = columns(&connection, "changes", &["change", "command"])?;
    let outbox = columns(&connection, "outbox", &["change", "command"])?;
    let transaction = connection.transaction()?;
    for place in 2..=count {
        let insert = format!(
            "INSERT INTO commands (seq, id, {command}) SELECT ?1, ?2, {command} FROM commands WHERE seq = 1"
        );
        let id = CommandId::generate();
        transaction.prepare_cached(&insert)?.execute(params![place, id.as_str()])?;
        let insert = format!(
            "INSERT INTO changes (command, {history}) SELECT ?1, {history} FROM changes WHERE command = 1"
        );
        transaction.prepare_cached(&insert)?.execute([place])?;
        // None is acknowledged, which is the worst that can be.
        let insert = format!(
            "INSERT INTO outbox (change, command, {outbox}) SELECT ?1, ?2, {outbox} FROM outbox WHERE command = 1"
        );
        transaction
            .prepare_cached(&insert)?
            .execute([transaction.last_insert_rowid(), place.into()])?;
    }
    transaction.commit()
}

/// The columns of `table` but those in `without`, as SQL lists them.
fn columns(connection: &Connection, table: &str, without: &[&str]) -> Result<String> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<Vec<String>>>()?;
    let names = names.into_iter().filter(|name| !without.contains(&name.as_str()));
    Ok(names.collect::<Vec<_>>().join(", "))
}
