//! The tables of the journal and the steps that bring older files up to date.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

/// The step at index N leads from version N to N + 1. A step that has been released is never changed.
///
/// A command waits for its turn while `queued` is 1; one that is `in_progress` and not queued is under way, and nothing
/// is begun beside it. `target`, `requester`, `received` and `result` hold JSON, times are RFC 3339.
const STEPS: [&str; 1] = ["
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
"];

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

/// Removes the finished commands beyond the newest `keep`, with their history.
pub(super) fn prune(connection: &Connection, keep: u32) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM commands WHERE finished_at IS NOT NULL AND seq <=
            (SELECT seq FROM commands WHERE finished_at IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
        [keep],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_becomes_a_journal_of_the_known_version_once() {
        let connection = Connection::open_in_memory().unwrap();
        assert_eq!(look(&connection), Ok(Found::Version(0)));
        migrate(&connection, 0).unwrap();
        assert_eq!(look(&connection), Ok(Found::Version(KNOWN)));
        migrate(&connection, KNOWN).unwrap();
        assert_eq!(look(&connection), Ok(Found::Version(KNOWN)));
    }

    #[test]
    fn tables_of_others_are_recognised() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE events (x)").unwrap();
        assert_eq!(look(&connection), Ok(Found::Foreign));
    }

    fn finished_and_open(connection: &Connection) -> Vec<(i64, i64)> {
        let query = "SELECT seq, (SELECT count(*) FROM history WHERE command = c.seq) FROM commands c ORDER BY seq";
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn pruning_keeps_the_newest_finished_commands_and_every_open_one() {
        let connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        migrate(&connection, 0).unwrap();
        // Command 2 of 1 to 7 is still open.
        connection
            .execute_batch(
                "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 7)
                 INSERT INTO commands SELECT x, 'c' || x, 'stop', '\"all\"', 0, NULL, NULL, '', '', '{}', 't',
                    'success', 0, 1, 0, NULL, iif(x = 2, NULL, 't') FROM n;
                 INSERT INTO history SELECT seq, 1, 't', 'success', 'finished', NULL, '' FROM commands;",
            )
            .unwrap();
        assert_eq!(prune(&connection, 6), Ok(0));
        assert_eq!(prune(&connection, 3), Ok(3));
        assert_eq!(finished_and_open(&connection), [(2, 1), (5, 1), (6, 1), (7, 1)]);
        let left: i64 =
            connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 4, "the history goes with its command");
    }
}
