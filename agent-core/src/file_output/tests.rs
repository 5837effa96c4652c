//! Rules of the file output as its users see them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use module_api::{Batch, Event, EventId, EventSink, ModuleName};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::spool::SpoolLimits;

/// A spool and a file to deliver into.
struct Place {
    folder: TempDir,
    spool: Arc<Spool>,
    config: FileOutputConfig,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = FileOutputConfig::new(folder.path().join("events.json"));
        let spool = open_spool(folder.path());
        Self { folder, spool, config }
    }

    /// A limit at which each event (of 80 bytes and more) gets a file of its own.
    fn rotating(keep: u32) -> Self {
        let mut place = Self::new();
        place.config = FileOutputConfig { rotate_bytes: 100, keep, ..place.config };
        place
    }

    async fn publish(&self, ids: impl IntoIterator<Item = u32>) {
        let event = |id: u32| Event { id: EventId(id.to_string()), fields: Map::new() };
        let events = ids.into_iter().map(event).collect();
        let sink = self.spool.sink(ModuleName::new("fim").unwrap());
        sink.publish(Batch { events, checkpoints: Vec::new() }).await.unwrap();
    }

    /// One life of the output: delivers what is in the spool and ends.
    async fn deliver(&self) {
        self.attempt().await.unwrap();
    }

    async fn attempt(&self) -> Result<(), FileOutputError> {
        let (_stop, stopped) = watch::channel(true);
        FileOutput::new(Arc::clone(&self.spool), self.config.clone()).run(stopped).await
    }

    fn run(&self) -> (watch::Sender<bool>, JoinHandle<Result<(), FileOutputError>>) {
        let (stop, stopped) = watch::channel(false);
        let output = FileOutput::new(Arc::clone(&self.spool), self.config.clone());
        (stop, tokio::spawn(output.run(stopped)))
    }

    async fn until_delivered(&self, seq: u64) {
        self.spool.watch_stats().wait_for(|stats| stats.delivered_seq == seq).await.unwrap();
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("events.json{suffix}"))
    }

    fn ids(&self, suffix: &str) -> Vec<u32> {
        ids_in(&self.path(suffix))
    }

    fn append(&self, suffix: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new().append(true).open(self.path(suffix)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// The lines that the output would write next.
    fn next_lines(&self) -> Vec<u8> {
        let (cursor, _) = self.spool.cursor(FileOutput::NAME).unwrap();
        let next = self.spool.read_after(cursor, usize::MAX).unwrap();
        next.iter().flat_map(|event| format!("{}\n", event.body).into_bytes()).collect()
    }
}

fn open_spool(folder: &Path) -> Arc<Spool> {
    let noon = || "2024-01-01T12:00:00Z".parse().unwrap();
    Spool::open(&folder.join("events.db"), SpoolLimits::default(), noon).unwrap().spool
}

/// The ids of the events in a file; a line that is no event is left out.
fn ids_in(path: &Path) -> Vec<u32> {
    let id = |line: &str| serde_json::from_str::<Value>(line).ok()?["id"].as_str()?.parse().ok();
    fs::read_to_string(path).unwrap().lines().filter_map(id).collect()
}

#[tokio::test]
async fn events_are_one_line_each_in_their_order_in_a_file_for_owner_and_group() {
    let place = Place::new();
    place.publish(0..1_200).await;
    place.deliver().await;
    assert_eq!(place.ids(""), (0..1_200).collect::<Vec<_>>());
    let text = fs::read_to_string(place.path("")).unwrap();
    assert_eq!((text.lines().count(), text.ends_with('\n')), (1_200, true));
    assert_eq!(fs::metadata(place.path("")).unwrap().permissions().mode() & 0o137, 0);
    assert_eq!(place.spool.stats().stored, 0);
}

#[tokio::test]
async fn events_are_delivered_as_they_come_and_the_rest_at_the_stop() {
    let place = Place::new();
    let (stop, output) = place.run();
    place.publish([1]).await;
    place.until_delivered(1).await;
    assert_eq!(place.ids(""), [1]);
    place.publish([2]).await;
    stop.send_replace(true);
    output.await.unwrap().unwrap();
    assert_eq!(place.ids(""), [1, 2]);
}

#[tokio::test]
async fn a_stop_whose_sender_is_gone_is_a_stop() {
    let place = Place::new();
    place.publish([1]).await;
    let (stop, output) = place.run();
    drop(stop);
    output.await.unwrap().unwrap();
    assert_eq!(place.ids(""), [1]);
}

#[tokio::test]
async fn the_next_life_goes_on_where_the_last_one_ended() {
    let place = Place::new();
    place.publish(0..3).await;
    place.deliver().await;
    place.publish(3..5).await;
    place.deliver().await;
    assert_eq!(place.ids(""), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn what_was_written_before_a_kill_is_not_written_again() {
    let place = Place::new();
    place.publish(0..3).await;
    place.deliver().await;
    place.publish(3..9).await;
    let next = place.next_lines();
    // Three whole events and half of one reached the file; the cursor did not move.
    let three = next.split_inclusive(|byte| *byte == b'\n').take(3).flatten().count();
    place.append("", &next[..three + 20]);
    place.deliver().await;
    assert_eq!(place.ids(""), (0..9).collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(place.path("")).unwrap().lines().count(), 9, "no torn line");
}

#[tokio::test]
async fn what_was_written_before_a_kill_is_found_after_a_rotation_too() {
    let place = Place::new();
    place.publish(0..3).await;
    place.deliver().await;
    place.publish(3..6).await;
    place.append("", &place.next_lines());
    fs::rename(place.path(""), place.path(".1")).unwrap();
    place.publish(6..8).await;
    place.deliver().await;
    assert_eq!(place.ids(".1"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(place.ids(""), [6, 7]);
}

#[tokio::test]
async fn full_files_are_rotated_and_the_oldest_is_dropped() {
    let place = Place::rotating(3);
    place.publish(0..6).await;
    place.deliver().await;
    let kept = ["", ".1", ".2", ".3"].map(|suffix| place.ids(suffix));
    assert_eq!(kept, [[5], [4], [3], [2]]);
    assert!(!place.path(".4").exists());
}

#[tokio::test]
async fn without_kept_files_a_full_one_is_deleted() {
    let place = Place::rotating(0);
    place.publish(0..3).await;
    place.deliver().await;
    assert_eq!(place.ids(""), [2]);
    assert!(!place.path(".1").exists());
}

#[tokio::test]
async fn a_rotation_cut_short_anywhere_neither_loses_nor_repeats() {
    // The renames of a rotation with three kept files; the process dies after the first `cut` of them.
    let renames = [(".2", ".3"), (".1", ".2"), ("", ".1")];
    for cut in 0..=renames.len() {
        let place = Place::rotating(3);
        place.publish(0..4).await;
        place.deliver().await;
        for (from, to) in &renames[..cut] {
            fs::rename(place.path(from), place.path(to)).unwrap();
        }
        place.publish([4]).await;
        place.deliver().await;
        let kept = ["", ".1", ".2", ".3"].map(|suffix| place.ids(suffix));
        assert_eq!(kept, [[4], [3], [2], [1]], "cut after {cut} renames");
    }
}

#[tokio::test]
async fn a_file_that_somebody_renames_is_left_alone_and_a_new_one_is_begun() {
    let place = Place::new();
    let (stop, output) = place.run();
    place.publish([1]).await;
    place.until_delivered(1).await;
    fs::rename(place.path(""), place.path("-20240101")).unwrap();
    place.publish([2]).await;
    place.until_delivered(2).await;
    stop.send_replace(true);
    output.await.unwrap().unwrap();
    assert_eq!((place.ids("-20240101"), place.ids("")), (vec![1], vec![2]));
}

#[tokio::test]
async fn a_file_that_was_replaced_between_two_lives_is_continued_as_it_is() {
    let place = Place::new();
    place.publish([1]).await;
    place.deliver().await;
    let inode = fs::metadata(place.path("")).unwrap().ino();
    fs::write(place.path(".new"), "somebody else's line without an end").unwrap();
    fs::rename(place.path(".new"), place.path("")).unwrap();
    assert_ne!(fs::metadata(place.path("")).unwrap().ino(), inode);
    place.publish([2]).await;
    place.deliver().await;
    let text = fs::read_to_string(place.path("")).unwrap();
    assert!(text.starts_with("somebody else's line without an end\n{"), "{text}");
    assert_eq!(place.ids(""), [2]);
}

#[tokio::test]
async fn a_file_that_was_cut_between_two_lives_is_continued_at_its_end() {
    let place = Place::new();
    place.publish([1]).await;
    place.deliver().await;
    fs::write(place.path(""), "").unwrap();
    place.publish([2]).await;
    place.deliver().await;
    assert_eq!(place.ids(""), [2]);
}

#[tokio::test]
async fn a_file_that_is_cut_while_the_output_runs_is_continued_at_its_end() {
    let place = Place::new();
    let (stop, output) = place.run();
    place.publish([1]).await;
    place.until_delivered(1).await;
    fs::write(place.path(""), "").unwrap();
    place.publish([2]).await;
    place.until_delivered(2).await;
    stop.send_replace(true);
    output.await.unwrap().unwrap();
    assert_eq!(place.ids(""), [2]);
}

#[tokio::test]
async fn an_existing_file_is_never_overwritten_by_the_first_life() {
    let place = Place::new();
    fs::write(place.path(""), "{\"id\":\"7\"}\n").unwrap();
    place.publish([1]).await;
    place.deliver().await;
    assert_eq!(place.ids(""), [7, 1]);
}

#[tokio::test]
async fn the_cursor_stays_while_the_file_cannot_be_written_and_delivery_resumes_when_it_can() {
    let mut place = Place::new();
    let folder = place.folder.path().join("logs");
    place.config.path = folder.join("events.json");
    place.publish([1]).await;
    let refused = place.attempt().await.unwrap_err().to_string();
    assert!(refused.contains("logs/events.json"), "{refused}");
    assert_eq!(place.spool.stats().stored, 1);

    let (stop, output) = place.run();
    place.publish([2]).await;
    fs::create_dir(&folder).unwrap();
    place.until_delivered(2).await;
    stop.send_replace(true);
    output.await.unwrap().unwrap();
    assert_eq!(ids_in(&place.config.path), [1, 2]);
}

#[tokio::test]
async fn a_stop_ends_the_wait_after_a_failure() {
    let mut place = Place::new();
    place.config.path = place.folder.path().to_owned();
    place.publish([1]).await;
    let (stop, output) = place.run();
    stop.send_replace(true);
    let refused = output.await.unwrap().unwrap_err();
    assert!(matches!(refused, FileOutputError::NotAFile(_)), "{refused}");
    assert_eq!(place.spool.stats().stored, 1);
}

#[tokio::test]
async fn a_spool_that_is_closed_ends_the_output() {
    let place = Place::new();
    let (_stop, output) = place.run();
    place.publish([1]).await;
    place.until_delivered(1).await;
    place.spool.close();
    let ended = output.await.unwrap();
    assert!(matches!(ended, Err(FileOutputError::Spool(SpoolError::Closed))), "{ended:?}");
}

#[test]
fn the_wait_doubles_up_to_its_limit() {
    assert_eq!([0, 1, 2].map(|n| backoff(n).as_millis()), [200, 400, 800]);
    assert_eq!(backoff(u32::MAX), Duration::from_secs(30));
}
