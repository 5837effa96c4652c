//! Rules of what is read after the start instead of before it.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// Longer than counting takes; only a failure waits this long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A spool of `events` events, whose numbers have a gap, that was closed.
fn closed_spool(events: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 0));
    let connection = Connection::open(folder.path().join("events.db")).unwrap();
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events} + 1)
             INSERT INTO events(module, id, at, body) SELECT 'fim', i, '', hex(randomblob(200)) FROM n;
             DELETE FROM events WHERE seq = 2;"
        ))
        .unwrap();
    connection.close().unwrap();
    folder
}

/// Opens it, reading up to `check_up_to` bytes as a whole.
fn open(folder: &Path, check_up_to: u64) -> Arc<Spool> {
    let limits = SpoolLimits { check_up_to, ..SpoolLimits::default() };
    let opened = Spool::open(&folder.join("events.db"), limits, crate::wall_clock::now).unwrap();
    assert_eq!(opened.set_aside, None);
    opened.spool
}

fn damage(folder: &Path) {
    let path = folder.join("events.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16_384].fill(0xAA);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_spool_that_was_not_read_counts_too_many_events_until_it_is_verified() {
    let folder = closed_spool(2_000);
    let spool = open(folder.path(), 0);
    assert_eq!(spool.stats().stored, 2_001, "with the number that nobody has");
    let mut stats = spool.watch_stats();
    assert_eq!(spool.verify().await.unwrap(), None);
    let counted = stats.wait_for(|stats| stats.stored == 2_000);
    tokio::time::timeout(PATIENCE, counted).await.expect("never counted").unwrap();
    assert_eq!(spool.stats().last_seq, 2_001);
}

#[tokio::test]
async fn a_spool_that_was_read_counts_right_at_once() {
    let folder = closed_spool(2_000);
    let spool = open(folder.path(), SpoolLimits::THOROUGH_CHECK);
    assert_eq!(spool.stats().stored, 2_000);
}

#[tokio::test]
async fn damage_that_the_start_did_not_see_is_found_after_it_and_set_aside_by_the_next() {
    let folder = closed_spool(2_000);
    damage(folder.path());
    let spool = open(folder.path(), 0);
    let found = spool.verify().await.unwrap();
    assert!(found.is_some(), "no damage was found");
    drop(spool);
    let path = folder.path().join("events.db");
    let opened = Spool::open(
        &path,
        SpoolLimits { check_up_to: 0, ..SpoolLimits::default() },
        crate::wall_clock::now,
    );
    assert!(opened.unwrap().set_aside.is_some());
}

#[tokio::test]
async fn a_closed_spool_is_not_verified() {
    let folder = closed_spool(10);
    let spool = open(folder.path(), 0);
    spool.close();
    assert!(matches!(spool.verify().await, Err(SpoolError::Closed)));
    assert_eq!(spool.check().unwrap(), None, "the file is let go of at once");
}
