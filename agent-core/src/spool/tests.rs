//! Rules of the spool as its users see them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use module_api::{Batch, Checkpoint, Event, EventId, EventSink, ModuleName, PublishError};
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::{Spool, SpoolError, SpoolLimits};

fn noon() -> jiff::Timestamp {
    "2024-01-01T12:00:00Z".parse().unwrap()
}

fn open_at(folder: &Path, max_events: u64) -> Arc<Spool> {
    let opened = Spool::open(
        &folder.join("events.db"),
        SpoolLimits { max_events, ..SpoolLimits::default() },
        noon,
    )
    .unwrap();
    assert_eq!(opened.set_aside, None);
    opened.spool
}

fn open(max_events: u64) -> (TempDir, Arc<Spool>) {
    let folder = tempfile::tempdir().unwrap();
    let spool = open_at(folder.path(), max_events);
    (folder, spool)
}

fn module(name: &str) -> ModuleName {
    ModuleName::new(name).unwrap()
}

fn events(ids: &[&str]) -> Batch {
    let event = |id: &&str| Event { id: EventId((*id).to_owned()), fields: Map::new() };
    Batch { events: ids.iter().map(event).collect(), checkpoints: Vec::new() }
}

fn checkpoint(key: &str, value: Option<&str>) -> Checkpoint {
    Checkpoint { key: key.to_owned(), value: value.map(|value| value.as_bytes().to_vec()) }
}

fn stored(spool: &Spool) -> Vec<String> {
    spool.read_after(0, usize::MAX).unwrap().into_iter().map(|event| event.id.0).collect()
}

/// Waits until so many publishers wait for room.
async fn until_waiting(spool: &Spool, publishers: u64) {
    spool.watch_stats().wait_for(|stats| stats.waiting == publishers).await.unwrap();
}

#[tokio::test]
async fn events_come_out_in_order_with_the_time_of_their_acceptance() {
    let (_folder, spool) = open(9);
    spool.sink(module("fim")).publish(events(&["b", "a"])).await.unwrap();
    spool.sink(module("sca")).publish(events(&["c"])).await.unwrap();
    let read = spool.read_after(0, 9).unwrap();
    assert_eq!(stored(&spool), ["b", "a", "c"]);
    assert_eq!((read[2].seq, read[2].module.as_str()), (3, "sca"));
    let body: Value = serde_json::from_str(&read[2].body).unwrap();
    let expected = serde_json::json!({
        "id": "c", "module": "sca", "@timestamp": "2024-01-01T12:00:00.000000Z",
    });
    assert_eq!(body, expected);
    assert_eq!(spool.read_after(1, 1).unwrap(), read[1..2]);
}

#[tokio::test]
async fn a_read_of_large_events_is_cut_short_but_never_empty() {
    let (_folder, spool) = open(9);
    let mut batch = events(&["a", "b", "c"]);
    for event in &mut batch.events {
        event.fields.insert("text".to_owned(), "x".repeat(5 << 20).into());
    }
    spool.sink(module("fim")).publish(batch).await.unwrap();
    let numbers = |after| {
        let read = spool.read_after(after, 9).unwrap();
        read.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!((numbers(0), numbers(2)), (vec![1, 2], vec![3]));
}

#[tokio::test]
async fn the_same_id_is_stored_once_per_module() {
    let (_folder, spool) = open(9);
    let fim = spool.sink(module("fim"));
    fim.publish(events(&["a", "a"])).await.unwrap();
    fim.publish(events(&["a", "b"])).await.unwrap();
    spool.sink(module("sca")).publish(events(&["a"])).await.unwrap();
    assert_eq!(stored(&spool), ["a", "b", "a"]);
    let stats = spool.stats();
    assert_eq!((stats.stored, stats.accepted_total, stats.repeated_total), (3, 3, 2));
}

#[tokio::test]
async fn checkpoints_belong_to_their_module_and_survive_reopening() {
    let (folder, spool) = open(9);
    let fim = spool.sink(module("fim"));
    let checkpoints = vec![checkpoint("k", Some("1")), checkpoint("gone", Some("2"))];
    fim.publish(Batch { events: Vec::new(), checkpoints }).await.unwrap();
    let checkpoints = vec![checkpoint("k", Some("3")), checkpoint("gone", None)];
    fim.publish(Batch { events: Vec::new(), checkpoints }).await.unwrap();
    drop((spool, fim));

    let spool = open_at(folder.path(), 9);
    let found = spool.checkpoints(&module("fim")).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("k".to_owned(), b"3".to_vec())]);
    assert!(spool.checkpoints(&module("sca")).unwrap().is_empty());
}

#[tokio::test]
async fn a_full_spool_makes_publishers_wait_until_an_output_has_delivered() {
    let (_folder, spool) = open(2);
    spool.register_output("file").await.unwrap();
    let fim = spool.sink(module("fim"));
    fim.publish(events(&["a", "b"])).await.unwrap();
    let waiting = tokio::spawn({
        let fim = Arc::clone(&fim);
        async move { fim.publish(events(&["c"])).await }
    });
    until_waiting(&spool, 1).await;
    assert!(!waiting.is_finished());

    // Neither checkpoints alone nor the agent's own events have to wait.
    let checkpoints = vec![checkpoint("k", Some("1"))];
    fim.publish(Batch { events: Vec::new(), checkpoints }).await.unwrap();
    spool.publish_agent_event("spool_full", "text").await.unwrap();
    assert_eq!(spool.stats().waiting, 1);

    spool.delivered("file", 3, b"here".to_vec()).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(stored(&spool), ["c"]);
}

#[tokio::test]
async fn events_stay_until_every_output_has_delivered_them() {
    let (_folder, spool) = open(9);
    for output in ["file", "server"] {
        spool.register_output(output).await.unwrap();
    }
    spool.sink(module("fim")).publish(events(&["a", "b", "c"])).await.unwrap();
    spool.delivered("file", 3, Vec::new()).await.unwrap();
    spool.delivered("server", 1, Vec::new()).await.unwrap();
    assert_eq!(stored(&spool), ["b", "c"]);
    let stats = spool.stats();
    assert_eq!((stats.stored, stats.delivered_seq, stats.last_seq), (2, 1, 3));

    spool.forget_output("server").await.unwrap();
    assert_eq!(stored(&spool), [""; 0]);
    assert_eq!(spool.outputs().unwrap().into_iter().collect::<Vec<_>>(), [("file".to_owned(), 3)]);
}

#[tokio::test]
async fn without_an_output_everything_is_kept() {
    let (_folder, spool) = open(9);
    spool.sink(module("fim")).publish(events(&["a"])).await.unwrap();
    spool.register_output("file").await.unwrap();
    assert_eq!(spool.cursor("file").unwrap(), (0, None));
    assert_eq!(stored(&spool), ["a"]);
}

#[tokio::test]
async fn a_cursor_survives_reopening_never_goes_back_and_never_runs_ahead() {
    let (folder, spool) = open(9);
    spool.register_output("file").await.unwrap();
    spool.sink(module("fim")).publish(events(&["a", "b"])).await.unwrap();
    spool.delivered("file", 2, b"two".to_vec()).await.unwrap();
    spool.delivered("file", 1, b"one".to_vec()).await.unwrap();
    let ahead = spool.delivered("file", 3, Vec::new()).await;
    assert!(matches!(ahead, Err(SpoolError::NotStored { seq: 3, last: 2, .. })), "{ahead:?}");
    let unknown = spool.delivered("server", 1, Vec::new()).await;
    assert!(matches!(unknown, Err(SpoolError::UnknownOutput(_))), "{unknown:?}");
    drop(spool);

    let spool = open_at(folder.path(), 9);
    spool.register_output("file").await.unwrap();
    assert_eq!(spool.cursor("file").unwrap(), (2, Some(b"two".to_vec())));
    spool.sink(module("fim")).publish(events(&["c"])).await.unwrap();
    assert_eq!(spool.read_after(0, 9).unwrap()[0].seq, 3, "numbers are never used again");
}

#[tokio::test]
async fn a_closed_sink_takes_nothing_and_lets_go_of_those_who_wait() {
    let (_folder, spool) = open(1);
    let fim = spool.sink(module("fim"));
    fim.publish(events(&["a"])).await.unwrap();
    let waiting = tokio::spawn({
        let fim = Arc::clone(&fim);
        async move { fim.publish(events(&["b"])).await }
    });
    until_waiting(&spool, 1).await;
    fim.close();
    assert_eq!(waiting.await.unwrap(), Err(PublishError::Closed));
    let checkpoints = vec![checkpoint("k", Some("1"))];
    let late = fim.publish(Batch { events: Vec::new(), checkpoints }).await;
    assert_eq!(late, Err(PublishError::Closed));
    assert!(spool.checkpoints(&module("fim")).unwrap().is_empty());
    // The next instance has a sink of its own.
    let checkpoints = vec![checkpoint("k", Some("2"))];
    spool.sink(module("fim")).publish(Batch { events: Vec::new(), checkpoints }).await.unwrap();
    assert_eq!(stored(&spool), ["a"]);
}

#[tokio::test]
async fn a_publisher_that_gave_up_leaves_nothing_behind() {
    let (_folder, spool) = open(1);
    spool.register_output("file").await.unwrap();
    let fim = spool.sink(module("fim"));
    fim.publish(events(&["a"])).await.unwrap();
    let waiting = tokio::spawn({
        let fim = Arc::clone(&fim);
        async move { fim.publish(events(&["b"])).await }
    });
    until_waiting(&spool, 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    spool.delivered("file", 1, Vec::new()).await.unwrap();
    assert_eq!(stored(&spool), [""; 0]);
    assert_eq!(spool.stats().waiting, 0);
}

#[tokio::test]
async fn watchers_see_the_number_of_the_last_committed_event() {
    let (_folder, spool) = open(9);
    let mut changed = spool.changed();
    assert_eq!(*changed.borrow_and_update(), 0);
    spool.sink(module("fim")).publish(events(&["a", "b"])).await.unwrap();
    changed.changed().await.unwrap();
    assert_eq!(*changed.borrow_and_update(), 2);
    spool.close();
    changed.changed().await.unwrap_err();
}

#[tokio::test]
async fn the_agents_own_events_have_ids_of_their_own() {
    let (_folder, spool) = open(9);
    spool.publish_agent_event("odd", "first").await.unwrap();
    spool.publish_agent_event("odd", "second").await.unwrap();
    let read = spool.read_after(0, 9).unwrap();
    assert_eq!(read.len(), 2);
    let body: Value = serde_json::from_str(&read[1].body).unwrap();
    assert_eq!(
        (&body["module"], &body["message"], &body["event"]["action"]),
        (&"agent".into(), &"second".into(), &"odd".into())
    );
}

#[tokio::test]
async fn a_closed_spool_answers_everything_with_closed_and_leaves_no_log() {
    let (folder, spool) = open(1);
    let fim = spool.sink(module("fim"));
    fim.publish(events(&["a"])).await.unwrap();
    let waiting = tokio::spawn({
        let fim = Arc::clone(&fim);
        async move { fim.publish(events(&["b"])).await }
    });
    until_waiting(&spool, 1).await;
    spool.close();
    spool.close();
    assert_eq!(waiting.await.unwrap(), Err(PublishError::Closed));
    assert_eq!(fim.publish(events(&["c"])).await, Err(PublishError::Closed));
    assert!(matches!(spool.read_after(0, 1), Err(SpoolError::Closed)));
    assert!(matches!(spool.checkpoints(&module("fim")), Err(SpoolError::Closed)));
    assert!(matches!(spool.register_output("file").await, Err(SpoolError::Closed)));
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["events.db"]);
    drop(spool);
    assert_eq!(stored(&open_at(folder.path(), 1)), ["a"]);
}

#[tokio::test]
async fn its_files_belong_to_the_owner_alone() {
    let (folder, spool) = open(9);
    spool.sink(module("fim")).publish(events(&["a"])).await.unwrap();
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
