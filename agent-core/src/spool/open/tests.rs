//! Rules of opening: what is made, what is refused, what is set aside.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    (folder, path)
}

const THOROUGH: u64 = crate::SpoolLimits::THOROUGH_CHECK;

fn reopened(path: &Path, check_up_to: u64) -> (Connection, Option<SetAside>) {
    let opened = open_for_writing(path, check_up_to).unwrap();
    (opened.connection, opened.set_aside)
}

/// A spool with enough events that most of its pages are not looked at on opening.
fn filled(path: &Path) {
    let (connection, _) = reopened(path, THOROUGH);
    connection
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO events(module, id, at, body) SELECT 'fim', i, '', hex(randomblob(200)) FROM n;",
        )
        .unwrap();
    connection.close().unwrap();
}

/// Destroys pages in the middle of the file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16_384].fill(0xAA);
    fs::write(path, bytes).unwrap();
}

#[test]
fn garbage_is_set_aside_with_its_companions_and_nothing_is_deleted() {
    let (folder, path) = place();
    fs::write(&path, b"this is no database, however long one looks at it").unwrap();
    fs::write(beside(&path, "-wal"), b"log").unwrap();
    let (_connection, kept) = reopened(&path, THOROUGH);
    let kept = kept.unwrap();
    assert_eq!(kept.kept_as, folder.path().join("events.db.corrupt-1"));
    assert_eq!(fs::read(beside(&kept.kept_as, "-wal")).unwrap(), b"log");
    assert!(fs::read(&kept.kept_as).unwrap().starts_with(b"this is no database"));
}

#[test]
fn a_second_corrupt_file_does_not_replace_the_first() {
    let (folder, path) = place();
    for number in 1..=2 {
        fs::write(&path, format!("garbage number {number}, longer than a header").repeat(9))
            .unwrap();
        let (connection, kept) = reopened(&path, THOROUGH);
        connection.close().unwrap();
        assert_eq!(
            kept.unwrap().kept_as,
            folder.path().join(format!("events.db.corrupt-{number}"))
        );
    }
}

#[test]
fn a_damaged_page_is_found_at_the_start() {
    let (_folder, path) = place();
    filled(&path);
    damage(&path);
    let (connection, kept) = reopened(&path, THOROUGH);
    assert!(kept.is_some());
    let left: i64 =
        connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_large_file_is_checked_once_it_is_suspect() {
    let (_folder, path) = place();
    filled(&path);
    damage(&path);
    let (_, kept) = reopened(&path, 0);
    assert_eq!(kept, None, "not looked at");
    mark_suspect(&path);
    let (_, kept) = reopened(&path, 0);
    assert!(kept.is_some());
    assert!(!suspect(&path).exists());
}

#[test]
fn a_log_whose_file_is_missing_is_set_aside_before_sqlite_deletes_it() {
    let (_folder, path) = place();
    fs::write(beside(&path, "-wal"), b"accepted events").unwrap();
    let (_, kept) = reopened(&path, THOROUGH);
    assert_eq!(fs::read(beside(&kept.unwrap().kept_as, "-wal")).unwrap(), b"accepted events");
}

#[test]
fn the_file_of_a_newer_agent_is_refused_and_left_as_it_is() {
    let (_folder, path) = place();
    let (connection, _) = reopened(&path, THOROUGH);
    connection.execute("UPDATE version SET format = 2", []).unwrap();
    connection.close().unwrap();
    let before = fs::read(&path).unwrap();
    let refused = open_for_writing(&path, THOROUGH).err().unwrap();
    assert!(matches!(refused, SpoolError::NewerFormat { found: 2, known: 1, .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!beside(&path, ".corrupt-1").exists());
}

#[test]
fn the_database_of_another_program_is_set_aside() {
    let one = "version(format); INSERT INTO version VALUES (1)";
    for table in ["other(a)", "version(a)", "version(format)", one] {
        let (_folder, path) = place();
        let foreign = Connection::open(&path).unwrap();
        foreign.execute_batch(&format!("CREATE TABLE {table}; CREATE TABLE more(a)")).unwrap();
        foreign.close().unwrap();
        let (_, kept) = reopened(&path, THOROUGH);
        assert!(kept.is_some(), "{table}");
    }
}

#[test]
fn a_kill_right_after_the_file_was_made_is_no_corruption() {
    let (_folder, path) = place();
    fs::write(&path, b"").unwrap();
    let (_, kept) = reopened(&path, THOROUGH);
    assert_eq!(kept, None);
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file() {
    let (folder, _) = place();
    let error = open_for_writing(&folder.path().join("missing/events.db"), THOROUGH);
    let error = error.err().unwrap().to_string();
    assert!(error.contains("missing/events.db"), "{error}");
}

#[test]
fn damage_that_shows_in_the_first_look_of_an_unchecked_file_is_set_aside_at_once() {
    let (folder, path) = place();
    filled(&path);
    let mut bytes = fs::read(&path).unwrap();
    // All but the schema and the version, which every opening reads.
    bytes[8_192..].fill(0xAA);
    fs::write(&path, bytes).unwrap();
    let limits = crate::SpoolLimits { check_up_to: 0, ..crate::SpoolLimits::default() };
    let opened = crate::Spool::open(&path, limits, crate::wall_clock::now).unwrap();
    let kept = opened.set_aside.expect("the damaged file is set aside");
    assert_eq!(kept.kept_as, folder.path().join("events.db.corrupt-1"));
    opened.spool.close();
}
