//! What the kernel told while no instance ran, and what one that was killed had read, is reported once by the next one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test")]

#[path = "adoption/station.rs"]
mod station;

use std::fs;

use station::Station;

/// What happened while nobody looked, and the events of it.
async fn told_while_nothing_ran(watcher: &'static str) {
    let Some(mut station) = Station::new(watcher) else { return };
    station.write("kept", "1");
    station.write("goes", "1");
    station.write("old", "1");
    station.start().await;
    station.until_scanned().await;
    station.stop().await;
    station.write("new", "1");
    station.write("kept", "22");
    fs::remove_file(station.path("goes")).unwrap();
    fs::rename(station.path("old"), station.path("renamed")).unwrap();
    fs::create_dir(station.path("folder")).unwrap();
    station.write("folder/inside", "1");
    station.start().await;
    let expected = [
        ("created", "folder"),
        ("created", "folder/inside"),
        ("created", "new"),
        ("deleted", "goes"),
        ("modified", "kept"),
        ("moved", "renamed"),
    ];
    station.until_told(&expected).await;
    station.stop().await;
    // A third instance finds nothing to tell; one more change shows that it has looked.
    station.start().await;
    station.write("last", "1");
    station.until_told(&[&expected[..2], &[("created", "last")], &expected[2..]].concat()).await;
    station.stop().await;
    assert_eq!(station.gaps(), 0, "the queue says all of it");
}

/// One that was killed before anything of what it had read was durable.
async fn told_to_one_that_was_killed(watcher: &'static str) {
    let Some(mut station) = Station::new(watcher) else { return };
    station.write("old", "1");
    station.start().await;
    station.until_scanned().await;
    station.refuse(true);
    station.write("new", "1");
    fs::rename(station.path("old"), station.path("renamed")).unwrap();
    station.until_refused().await;
    station.kill().await;
    station.write("later", "1");
    station.refuse(false);
    station.start().await;
    station.until_told(&[("created", "later"), ("created", "new"), ("moved", "renamed")]).await;
    station.stop().await;
    assert_eq!(station.gaps(), 0, "the queue and the recorder say all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_inotify_told_while_nothing_ran_is_reported_once() {
    told_while_nothing_ran("inotify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fanotify_told_while_nothing_ran_is_reported_once() {
    told_while_nothing_ran("fanotify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_inotify_told_to_one_that_was_killed_is_reported_once() {
    told_to_one_that_was_killed("inotify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fanotify_told_to_one_that_was_killed_is_reported_once() {
    told_to_one_that_was_killed("fanotify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_queues_a_scan_finds_what_has_changed_once() {
    let Some(mut station) = Station::new("inotify") else { return };
    station.start().await;
    station.until_scanned().await;
    station.stop().await;
    station.write("new", "1");
    station.lose_sensors();
    station.start().await;
    station.until_told(&[("created", "new")]).await;
    station.until_closed().await;
    station.stop().await;
    assert_eq!(station.gaps(), 1);
}

/// More than the queue takes comes while nothing runs, and the one that has read of it is killed before a scan has found it.
#[tokio::test(flavor = "multi_thread")]
async fn an_overflow_that_a_killed_one_had_read_is_closed_by_the_next() {
    let test = "an_overflow_that_a_killed_one_had_read_is_closed_by_the_next";
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 200_000 {
        return eprintln!("skipped: {test}: max_queued_events is {limit}");
    }
    let Some(mut station) = Station::new("inotify") else { return };
    station.start().await;
    station.until_scanned().await;
    station.stop().await;
    for _ in 0..=limit / 2 {
        // Two events each.
        station.write("x", "1");
        fs::remove_file(station.path("x")).unwrap();
    }
    station.write("lost", "1");
    station.refuse(true);
    station.start().await;
    station.until_refused().await;
    station.kill().await;
    station.refuse(false);
    station.start().await;
    station.until_closed().await;
    station.stop().await;
    assert!(station.knows("created", "lost"));
    let gaps = station.gaps();
    assert!(gaps > 0);
    station.start().await;
    station.write("last", "1");
    station.until_known("created", "last").await;
    station.stop().await;
    assert_eq!(station.gaps(), gaps, "what was lost is found");
}

/// The watched folder itself is removed or moved away, with what is in it.
async fn the_root_goes(watcher: &'static str) {
    for moved in [false, true] {
        let Some(mut station) = Station::new(watcher) else { return };
        station.write("a", "1");
        station.start().await;
        station.until_scanned().await;
        if moved {
            station.move_root()
        } else {
            station.remove_root()
        }
        station.until_known("deleted", "a").await;
        station.until_root_is_deleted().await;
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_root_goes_is_told_by_inotify() {
    the_root_goes("inotify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_root_goes_is_told_by_fanotify() {
    the_root_goes("fanotify").await;
}

/// A folder that is moved to where nothing is watched, and what goes on in it then.
async fn a_folder_left(watcher: &'static str) {
    let Some(mut station) = Station::new(watcher) else { return };
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(station.path("folder/inner")).unwrap();
    station.start().await;
    station.until_scanned().await;
    fs::rename(station.path("folder"), outside.path().join("folder")).unwrap();
    let left = [("deleted", "folder"), ("deleted", "folder/inner")];
    station.until_told(&left).await;
    for folder in ["folder", "folder/inner"] {
        let file = outside.path().join(folder).join("file");
        fs::write(&file, "1").unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, "1").unwrap();
    }
    station.write("last", "1");
    station.until_told(&[&[("created", "last")], &left[..]].concat()).await;
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_in_a_folder_that_has_left_is_not_told_by_inotify() {
    a_folder_left("inotify").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_in_a_folder_that_has_left_is_not_told_by_fanotify() {
    a_folder_left("fanotify").await;
}
