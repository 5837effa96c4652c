//! Rotation by renaming, truncation, and files that vanish and come back; live and while nobody watches.

use std::fs;

use crate::spool::Stored;
use crate::station::Station;

#[tokio::test(start_paused = true)]
async fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    let old = station.inode("a.log");
    station.rename("a.log", "a.log.1");
    station.append("a.log", "three\n");
    station.append("a.log.1", "two\n");
    station.expect_lines(&["one", "two", "three"]).await;
    station.expect_forgotten(&old).await;
    station.save_and_stop().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn the_last_line_of_a_finished_file_is_published_without_its_newline_and_first() {
    let mut station = Station::new();
    station.append("a.log", "one\ntw");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.rename("a.log", "a.log.1");
    station.append("a.log", "three\n");
    station.expect_lines(&["one", "tw", "three"]).await;
    let stored = station.spool.stored();
    assert_eq!(stored.lines()[1].fields["log"]["unterminated"], true);
    assert!(stored.lines()[2].fields["log"].get("unterminated").is_none());
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rotated_file_that_a_pattern_still_matches_is_not_read_again() {
    let mut station = Station::new();
    let both = station.path("a.log*").display().to_string();
    station = station.with("files", vec![both]);
    station.append("a.log", "one\ntw");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.rename("a.log", "a.log.1");
    station.append("a.log", "three\n");
    station.expect_lines(&["one", "tw", "three"]).await;
    station.append("a.log.1", "o\n");
    station.expect_lines(&["one", "tw", "three", "o"]).await;
    station.save_and_stop().await;
    station.start().await;
    station.append("a.log.1", "late\n");
    station.expect_lines(&["one", "tw", "three", "o", "late"]).await;
    station.kill().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn a_file_renamed_while_nobody_watched_is_finished_first() {
    for killed in [false, true] {
        let mut station = Station::new();
        station.append("a.log", "one\n");
        station.start().await;
        station.expect_lines(&["one"]).await;
        if killed {
            station.kill().await
        } else {
            station.save_and_stop().await
        }
        station.append("a.log", "two\n");
        let old = station.inode("a.log");
        station.rename("a.log", "a.log.2024-01-01");
        station.append("a.log", "three\n");
        station.start().await;
        station.expect_lines(&["one", "two", "three"]).await;
        station.expect_forgotten(&old).await;
        station.save_and_stop().await;
        assert_eq!(station.spool.stored().warnings(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_file_stays_forgotten_after_a_kill_with_an_older_state() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.save_and_stop().await;
    station.start().await;
    let old = station.inode("a.log");
    station.append("a.log", "two\n");
    station.rename("a.log", "a.log.1");
    station.expect_forgotten(&old).await;
    station.kill().await;
    station.append("a.log", "three\n");
    station.start().await;
    station.expect_lines(&["one", "two", "three"]).await;
    station.save_and_stop().await;
    assert_eq!(station.spool.stored().warnings(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_truncated_file_is_read_from_its_start() {
    let mut station = Station::new();
    station.append("a.log", "one, a long line\n");
    station.start().await;
    station.expect_lines(&["one, a long line"]).await;
    station.truncate("a.log");
    station.append("a.log", "two\n");
    station.expect_lines(&["one, a long line", "two"]).await;
    let stored = station.spool.stored();
    let file = |index: usize| stored.lines()[index].id.0.split(':').next().unwrap().to_owned();
    assert_ne!(file(0), file(1), "another content has another id");
    assert_eq!(stored.warnings(), Vec::<String>::new(), "everything was read before");
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_truncated_and_grown_beyond_the_offset_is_noticed() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.truncate("a.log");
    station.append("a.log", "two, which is longer\nthree\n");
    station.expect_lines(&["one", "two, which is longer", "three"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_truncation_before_the_end_was_read_is_said() {
    let mut station = Station::new();
    station.append("a.log", "one\nunfinished");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.append("b.log", "marker\n");
    station.expect_lines(&["one", "marker"]).await;
    station.truncate("a.log");
    station.append("a.log", "x\n");
    station.expect_lines(&["one", "marker", "x"]).await;
    let warnings = station.spool.stored().warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("a.log: was truncated"), "{warnings:?}");
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_truncated_while_nobody_watched_is_read_from_its_start_and_the_gap_is_said() {
    for (killed, content) in
        [(false, "2\n"), (true, "2\n"), (false, "2\nand much more than before\n")]
    {
        let mut station = Station::new().with("start_at", "end");
        station.start().await;
        station.append("a.log", "one\n");
        station.expect_lines(&["one"]).await;
        if killed {
            station.kill().await
        } else {
            station.save_and_stop().await
        }
        station.truncate("a.log");
        station.append("a.log", content);
        station.start().await;
        let expected: Vec<&str> = ["one"].into_iter().chain(content.lines()).collect();
        station.expect_lines(&expected).await;
        let warnings = station.spool.stored().warnings();
        assert!(
            warnings.len() == 1 && warnings[0].contains("truncated or replaced"),
            "{warnings:?}"
        );
        station.save_and_stop().await;
        station.expect_no_repeats();
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_vanished_is_read_to_its_end_and_read_anew_when_it_comes_back() {
    let mut station = Station::new().with("start_at", "end");
    station.start().await;
    station.append("a.log", "one\n");
    station.expect_lines(&["one"]).await;
    let old = station.inode("a.log");
    station.append("a.log", "two\n");
    fs::remove_file(station.path("a.log")).unwrap();
    station.expect_lines(&["one", "two"]).await;
    station.expect_forgotten(&old).await;
    station.append("a.log", "one\n");
    station.expect_lines(&["one", "two", "one"]).await;
    station.save_and_stop().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn a_link_that_moves_on_to_the_next_file_is_a_rotation() {
    let mut station = Station::new();
    station.append("day1.txt", "one\n");
    std::os::unix::fs::symlink("day1.txt", station.path("a.log")).unwrap();
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.append("day2.txt", "three\n");
    station.append("day1.txt", "two\n");
    std::os::unix::fs::symlink("day2.txt", station.path("new")).unwrap();
    station.rename("new", "a.log");
    station.expect_lines(&["one", "two", "three"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_goes_on_growing_after_its_rotation_is_read_on() {
    let mut station = Station::new();
    station.append("a.log", "0\n");
    station.start().await;
    station.expect_lines(&["0"]).await;
    station.rename("a.log", "a.log.1");
    let count = |count: usize| move |stored: &Stored| stored.lines().len() == count;
    for number in 1..6 {
        // Longer than half of the grace each, so that all together are longer than the grace.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        station.append("a.log.1", format!("{number}\n"));
        station.spool.until("the line", count(number + 1)).await;
    }
    station.expect_forgotten(&station.inode("a.log.1")).await;
    assert_eq!(station.spool.stored().texts(), ["0", "1", "2", "3", "4", "5"]);
    station.save_and_stop().await;
}
