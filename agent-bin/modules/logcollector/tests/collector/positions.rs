//! Where reading begins and goes on: first starts, restarts, kills, lost and foreign state.

use std::fs;
use std::path::PathBuf;

use module_api::Restored;

use crate::spool::Mode;
use crate::station::Station;

#[tokio::test(start_paused = true)]
async fn at_the_first_start_old_lines_are_left_out_and_later_files_are_not() {
    let mut station = Station::new().with("start_at", "end");
    station.append("a.log", "old\nbeg");
    station.start().await;
    station.append("a.log", "un\n");
    station.append("b.log", "later\n");
    station.expect_known("b.log").await;
    station.spool.until("2 lines", |stored| stored.lines().len() == 2).await;
    let mut texts = station.spool.stored().texts();
    texts.sort();
    assert_eq!(texts, ["begun", "later"]);
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_is_killed_keeps_the_place_it_began_at() {
    let mut station = Station::new().with("start_at", "end");
    station.append("a.log", "old\n");
    station.start().await;
    station.expect_known("a.log").await;
    station.kill().await;
    station.append("a.log", "new\n");
    station.start().await;
    station.expect_lines(&["new"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_could_store_nothing_keeps_the_place_in_its_state() {
    let mut station = Station::new().with("start_at", "end");
    station.append("a.log", "old\n");
    station.spool.set(Mode::Refuse);
    station.start().await;
    station.append("a.log", "new\n");
    station.spool.next_call().await;
    station.save_and_stop().await;
    station.spool.set(Mode::Store);
    station.start().await;
    station.expect_lines(&["new"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_at_the_exact_byte() {
    let mut station = Station::new();
    station.append("a.log", "one\ntwo\nthr");
    station.start().await;
    station.expect_lines(&["one", "two"]).await;
    station.save_and_stop().await;
    station.append("a.log", "ee\nfour\n");
    station.start().await;
    station.expect_lines(&["one", "two", "three", "four"]).await;
    station.save_and_stop().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn the_saved_state_alone_is_enough() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.save_and_stop().await;
    station.spool = std::sync::Arc::new(crate::spool::Spool::new());
    station.append("a.log", "two\n");
    station.start().await;
    station.expect_lines(&["two"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_checkpoints_are_enough() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.kill().await;
    station.append("a.log", "two\n");
    station.start().await;
    station.expect_lines(&["one", "two"]).await;
    station.kill().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn a_kill_after_the_batch_was_stored_repeats_nothing() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.spool.set(Mode::StoreAndHang);
    station.append("a.log", "two\n");
    station.expect_lines(&["one", "two"]).await;
    station.kill().await;
    station.spool.set(Mode::Store);
    station.append("a.log", "three\n");
    station.start().await;
    station.expect_lines(&["one", "two", "three"]).await;
    station.kill().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn a_line_that_was_not_stored_before_a_kill_keeps_its_id() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.spool.set(Mode::Block);
    station.append("a.log", "two\n");
    station.spool.next_call().await;
    station.kill().await;
    station.spool.set(Mode::Store);
    station.start().await;
    station.expect_lines(&["one", "two"]).await;
    let stored = station.spool.stored();
    let file = |index: usize| stored.lines()[index].id.0.split(':').next().unwrap().to_owned();
    assert_eq!(file(0), file(1));
    station.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_appeared_while_nobody_watched_is_read_from_its_beginning() {
    for killed in [false, true] {
        let mut station = Station::new().with("start_at", "end");
        station.append("a.log", "old\n");
        station.start().await;
        station.expect_known("a.log").await;
        if killed {
            station.kill().await
        } else {
            station.save_and_stop().await
        }
        station.append("b.log", "meanwhile\n");
        station.start().await;
        station.expect_lines(&["meanwhile"]).await;
        station.save_and_stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_pattern_begins_as_at_the_first_start() {
    let mut station = Station::new().with("start_at", "end");
    station.append("b.txt", "old\n");
    station.start().await;
    station.expect_known_patterns().await;
    station.save_and_stop().await;
    let patterns = ["*.log", "*.txt"].map(|pattern| station.path(pattern).display().to_string());
    let mut station = station.with("files", patterns.to_vec());
    station.start().await;
    station.append("b.txt", "new\n");
    station.expect_lines(&["new"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_no_pattern_names_any_more_is_forgotten() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.save_and_stop().await;
    let other = station.path("*.txt").display().to_string();
    let mut station = station.with("files", vec![other]);
    station.append("a.log", "two\n");
    station.start().await;
    station.expect_forgotten(&station.inode("a.log")).await;
    station.save_and_stop().await;
    assert_eq!(station.spool.stored().texts(), ["one"]);
    assert_eq!(station.spool.stored().warnings(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn without_a_readable_state_reading_goes_on_from_the_checkpoints_and_says_so() {
    let newer = Restored::Found { version: 9, bytes: b"?".to_vec() };
    let torn = Restored::Found { version: 1, bytes: b"{".to_vec() };
    let kept_as = PathBuf::from("/kept/here");
    let unreadable = Restored::Unreadable { kept_as, reason: "checksum".to_owned() };
    for (state, said) in [(newer, "format 9"), (torn, "EOF"), (unreadable, "/kept/here")] {
        let mut station = Station::new();
        station.append("a.log", "one\n");
        station.start().await;
        station.expect_lines(&["one"]).await;
        station.kill().await;
        station.state = state;
        station.append("a.log", "two\n");
        station.start().await;
        station.expect_lines(&["one", "two"]).await;
        let warnings = station.spool.stored().warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(said), "{warnings:?}");
        station.save_and_stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_deleted_while_nobody_watched_is_a_gap_that_is_said_once() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.save_and_stop().await;
    fs::remove_file(station.path("a.log")).unwrap();
    for _ in 0..2 {
        station.start().await;
        station.spool.until("a warning", |stored| !stored.warnings().is_empty()).await;
        station.kill().await;
    }
    let stored = station.spool.stored();
    assert_eq!(stored.warnings().len(), 1);
    assert!(stored.warnings()[0].contains("a.log: was deleted"), "{:?}", stored.warnings());
    assert_eq!(stored.events[1].fields["log"]["offset"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_is_warned_about_once_and_tried_again() {
    let mut station = Station::new();
    // A link to itself cannot be opened by anybody, not even by root.
    std::os::unix::fs::symlink("a.log", station.path("a.log")).unwrap();
    station.append("b.log", "other\n");
    station.start().await;
    station.expect_lines(&["other"]).await;
    station.append("c.log", "found by a later survey\n");
    station.expect_known("c.log").await;
    station.append("d.log", "found by another survey\n");
    station.expect_known("d.log").await;
    let warnings = station.spool.stored().warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("/a.log cannot be read"), "{warnings:?}");
    fs::remove_file(station.path("a.log")).unwrap();
    station.append("a.log", "now\n");
    let now = |stored: &crate::spool::Stored| stored.texts().contains(&"now".to_owned());
    station.spool.until("the line", now).await;
    station.save_and_stop().await;
}
