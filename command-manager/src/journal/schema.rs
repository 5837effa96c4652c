//! The tables of the journal and the steps that bring older files up to date.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

/// The step at index N leads from version N to N + 1. A step that has been released is never changed.
///
/// A command waits for its turn while `queued` is 1; one that is not finished and not queued is under way. `target`,
/// `requester`, `received`, `result` and `record` hold JSON, times are RFC 3339.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE version (version INTEGER NOT NULL) STRICT;
    INSERT INTO version VALUES (0);
    CREATE TABLE commands (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        type          TEXT NOT NULL,
        target        TEXT NOT NULL,
        force         INTEGER NOT NULL,
        reason        TEXT,
        requester     TEXT,
        origin_module TEXT NOT NULL,
        origin_server TEXT NOT NULL,
        received      TEXT NOT NULL,
        accepted_at   TEXT NOT NULL,
        status        TEXT NOT NULL,
        queued        INTEGER NOT NULL,
        attempts      INTEGER NOT NULL,
        error         INTEGER NOT NULL,
        result        TEXT,
        finished_at   TEXT
    ) STRICT;
    CREATE INDEX commands_open ON commands (seq) WHERE finished_at IS NULL;
    CREATE TABLE history (
        command INTEGER NOT NULL REFERENCES commands (seq) ON DELETE CASCADE,
        seq     INTEGER NOT NULL,
        at      TEXT NOT NULL,
        status  TEXT NOT NULL,
        stage   TEXT NOT NULL,
        module  TEXT,
        text    TEXT NOT NULL,
        PRIMARY KEY (command, seq)
    ) STRICT, WITHOUT ROWID;
    ",
    // `changes` takes the place of `history`: its numbers run through all commands, and none is given twice, so that a
    // subscriber can go on where it was. `gone_through` is the last of those that went with their commands.
    // `receivers` are the reporters on demand that somebody has asked.
    // `remembered` holds what is left of a command that is not kept any more: its id, what it asked for, its answer.
    "
    ALTER TABLE commands ADD COLUMN form TEXT NOT NULL DEFAULT 'envelope';
    ALTER TABLE commands ADD COLUMN origin_user TEXT NOT NULL DEFAULT '';
    ALTER TABLE commands ADD COLUMN expires_at TEXT;
    ALTER TABLE commands ADD COLUMN expires_given INTEGER NOT NULL DEFAULT 0;
    DROP INDEX commands_open;
    CREATE INDEX commands_queued ON commands (type, seq, expires_at) WHERE finished_at IS NULL AND queued = 1;
    CREATE INDEX commands_under_way ON commands (seq) WHERE finished_at IS NULL AND queued = 0;
    CREATE INDEX commands_restarts ON commands (seq) WHERE type = 'restart-agent' AND attempts > 0;
    CREATE TABLE changes (
        change  INTEGER PRIMARY KEY AUTOINCREMENT,
        command INTEGER NOT NULL REFERENCES commands (seq) ON DELETE CASCADE,
        seq     INTEGER NOT NULL,
        at      TEXT NOT NULL,
        status  TEXT NOT NULL,
        stage   TEXT NOT NULL,
        module  TEXT,
        done    INTEGER,
        total   INTEGER,
        text    TEXT NOT NULL
    ) STRICT;
    INSERT INTO changes (command, seq, at, status, stage, module, text)
        SELECT command, seq, at, status, stage, module, text FROM history ORDER BY command, seq;
    CREATE UNIQUE INDEX changes_of ON changes (command, seq);
    DROP TABLE history;
    CREATE TABLE feed (gone_through INTEGER NOT NULL) STRICT;
    INSERT INTO feed VALUES (0);
    CREATE TABLE remembered (
        id          TEXT PRIMARY KEY,
        finished_at TEXT NOT NULL,
        record      TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX remembered_by_age ON remembered (finished_at);
    CREATE TABLE outbox (
        reporter TEXT NOT NULL,
        change   INTEGER NOT NULL,
        command  INTEGER NOT NULL REFERENCES commands (seq) ON DELETE CASCADE,
        attempts INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (reporter, change)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox_of ON outbox (command);
    CREATE TABLE receivers (reporter TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    ",
];

/// The version that this code reads and writes.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

/// What kind of database a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A journal of this version; 0 for an empty file.
    Version(i64),
    /// Tables of something else.
    Foreign,
}

/// Looks without changing anything.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Found> {
    let count = "SELECT count(*), count(*) FILTER (WHERE name = 'version') FROM sqlite_schema";
    let (objects, versions): (i64, i64) =
        connection.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match (objects, versions) {
        (0, _) => Ok(Found::Version(0)),
        (_, 0) => Ok(Found::Foreign),
        _ => {
            let version = connection
                .query_row("SELECT version FROM version", [], |row| row.get(0))
                .optional()?;
            Ok(version.map_or(Found::Foreign, Found::Version))
        }
    }
}

/// Takes a journal of version `from` to [`KNOWN`], one transaction a step.
pub(super) fn migrate(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    for (step, to) in STEPS.iter().zip(1i64..).filter(|(_, to)| *to > from) {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.execute("UPDATE version SET version = ?1", [to])?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
