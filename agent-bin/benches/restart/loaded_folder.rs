//! A state folder full of finished commands and undelivered events, made faster than by asking for them.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Result, params};

use crate::agent::Agent;

pub(crate) const COMMANDS: u32 = 10_000;
pub(crate) const EVENTS: u32 = 100_000;

/// Longer than an agent takes to store one line.
const PATIENCE: Duration = Duration::from_secs(30);

const WITHOUT_OUTPUT: &str = "events: {file: {enabled: false}}\n";

/// Makes the folder `state` in the folder of an agent that does not run, with all its outputs still to come. The first command
/// and the first event are written by an agent; the others are their copies under ids of their own, so that a row here is
/// what the agent writes, column by column.
pub(crate) fn fill(agent: &mut Agent) -> std::result::Result<(), String> {
    agent.configure(WITHOUT_OUTPUT)?;
    let line = "2026-11-28T10:00:00Z host app[4711]: a request was answered in 17 ms with status 200, 5120 bytes\n";
    fs::write(agent.path("app.log"), line).map_err(|error| error.to_string())?;
    agent.start()?;
    agent.ask(&["restart", "--module", "logcollector"])?;
    until_one_event(agent)?;
    agent.stop()?;
    let failed = |error: rusqlite::Error| format!("cannot fill the state folder: {error}");
    commands(&agent.path("state/commands.db")).map_err(failed)?;
    events(&agent.path("state/events.db")).map_err(failed)?;
    agent.configure("")
}

fn until_one_event(agent: &Agent) -> std::result::Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while agent.ask(&["status"])?["spool"]["stored"].as_u64() == Some(0) {
        if Instant::now() > deadline {
            return Err("the line did not become an event".to_owned());
        }
    }
    Ok(())
}

fn commands(path: &Path) -> Result<()> {
    let mut connection = Connection::open(path)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let first = number("SELECT min(seq) FROM commands")?;
    let last = number("SELECT max(seq) FROM commands")?;
    let command = columns(&connection, "commands", &["seq", "id"])?;
    let history = columns(&connection, "changes", &["change", "command"])?;
    let transaction = connection.transaction()?;
    for place in 1..=i64::from(COMMANDS) - last {
        let insert = format!(
            "INSERT INTO commands (seq, id, {command}) SELECT ?2, ?3, {command} FROM commands WHERE seq = ?1"
        );
        let id = uuid::Uuid::now_v7().to_string();
        transaction.prepare_cached(&insert)?.execute(params![first, last + place, id])?;
        let insert = format!(
            "INSERT INTO changes (command, {history}) SELECT ?2, {history} FROM changes WHERE command = ?1"
        );
        transaction.prepare_cached(&insert)?.execute([first, last + place])?;
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

fn events(path: &Path) -> Result<()> {
    let mut connection = Connection::open(path)?;
    let first: i64 = connection.query_row("SELECT max(seq) FROM events", [], |row| row.get(0))?;
    let event = columns(&connection, "events", &["seq", "id"])?;
    let transaction = connection.transaction()?;
    for place in 1..i64::from(EVENTS) {
        let insert = format!(
            "INSERT INTO events (seq, id, {event}) SELECT ?2, id || '-' || ?2, {event} FROM events WHERE seq = ?1"
        );
        transaction.prepare_cached(&insert)?.execute([first, first + place])?;
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// The columns of `table` but those in `without`, as SQL lists them.
fn columns(connection: &Connection, table: &str, without: &[&str]) -> Result<String> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<Vec<String>>>()?;
    let names = names.into_iter().filter(|name| !without.contains(&name.as_str()));
    Ok(names.collect::<Vec<_>>().join(", "))
}

/// Makes the folder `to` like `from`, and waits for the disk, so that no later commit has to.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    Ok(())
}
