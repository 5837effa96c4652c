//! The steps lead to the known version, once, and lose nothing of an older journal.

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

#[test]
fn the_history_of_a_version_1_journal_is_numbered_command_by_command() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(STEPS[0]).unwrap();
    connection
        .execute_batch(
            "UPDATE version SET version = 1;
             INSERT INTO commands (id, type, target, force, origin_module, origin_server, received, accepted_at,
                    status, queued, attempts, error)
                VALUES ('a', 'reload', '\"all\"', 0, 'm', 's', '{}', '2026-01-01T00:00:00Z', 'pending', 1, 0, 0),
                       ('b', 'reload', '\"all\"', 0, 'm', 's', '{}', '2026-01-01T00:00:01Z', 'pending', 1, 0, 0);
             INSERT INTO history VALUES
                (2, 1, '2026-01-01T00:00:01Z', 'pending', 'accepted', NULL, 'second'),
                (1, 1, '2026-01-01T00:00:00Z', 'pending', 'accepted', NULL, 'first'),
                (1, 2, '2026-01-01T00:00:02Z', 'in_progress', 'started', 'fim', 'third');",
        )
        .unwrap();
    migrate(&connection, 1).unwrap();
    let query = "SELECT change, command, seq, text FROM changes ORDER BY change";
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    let rows: Vec<(i64, i64, i64, String)> = rows.map(Result::unwrap).collect();
    let expected = [(1, 1, 1, "first"), (2, 1, 2, "third"), (3, 2, 1, "second")];
    assert_eq!(
        rows,
        expected.map(|(change, command, seq, text)| (change, command, seq, text.into()))
    );
}
