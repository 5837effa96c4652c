//! Rules of the thread: what becomes one transaction, and what a failure takes with it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use module_api::{Checkpoint, Event, EventId};
use serde_json::Map;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::super::body::PreparedEvent;
use super::super::request::Change;
use super::*;

type Answer = oneshot::Receiver<Result<(), PublishError>>;

fn opened(path: &Path) -> Connection {
    let check_up_to = super::super::SpoolLimits::THOROUGH_CHECK;
    open::open_for_writing(path, check_up_to).unwrap().connection
}

fn writer(
    path: &Path,
    max_events: u64,
) -> (mpsc::Sender<Request>, watch::Receiver<SpoolStats>, Writer) {
    let connection = opened(path);
    let stats = store::first_look(&connection, max_events).unwrap();
    let (to, requests) = mpsc::channel();
    let (stats_to, stats_from) = watch::channel(stats);
    let (last_seq_to, _) = watch::channel(0);
    let clock = || "2024-01-01T12:00:00Z".parse().unwrap();
    let path = path.to_owned();
    let writer = Writer {
        connection,
        path,
        clock,
        requests,
        waiting: VecDeque::new(),
        stats,
        stats_to,
        last_seq_to,
        times: EventTimes::new(),
    };
    (to, stats_from, writer)
}

fn publish(to: &mpsc::Sender<Request>, id: &str, closed: bool) -> Answer {
    let module = ModuleName::new("fim").unwrap();
    let event = Event { id: EventId(id.to_owned()), fields: Map::new() };
    let events = vec![PreparedEvent::new(&module, event)];
    let checkpoints = vec![Checkpoint { key: "last".to_owned(), value: Some(id.into()) }];
    let (reply, answer) = oneshot::channel();
    let closed = Arc::new(AtomicBool::new(closed));
    let publish = Publish { module, events, checkpoints, urgent: false, closed, reply };
    to.send(Request::Publish(publish)).unwrap();
    answer
}

fn change(to: &mpsc::Sender<Request>, change: Change) -> oneshot::Receiver<Result<(), SpoolError>> {
    let (reply, answer) = oneshot::channel();
    to.send(Request::Change(ChangeRequest { change, reply })).unwrap();
    answer
}

#[test]
fn everything_that_waits_becomes_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let (to, stats, writer) = writer(&folder.path().join("events.db"), 1_000);
    let answers: Vec<Answer> = (0..100).map(|n| publish(&to, &n.to_string(), false)).collect();
    to.send(Request::Stop).unwrap();
    writer.run();
    for mut answer in answers {
        assert_eq!(answer.try_recv(), Ok(Ok(())));
    }
    let stats = *stats.borrow();
    assert_eq!((stats.commits, stats.stored, stats.last_seq), (1, 100, 100));
}

#[test]
fn room_made_in_a_transaction_is_used_in_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let (to, stats, writer) = writer(&folder.path().join("events.db"), 2);
    let mut answers: Vec<Answer> = (0..4).map(|n| publish(&to, &n.to_string(), false)).collect();
    let registered = change(&to, Change::Register { output: "file".to_owned() });
    let thread = std::thread::spawn(|| writer.run());
    registered.blocking_recv().unwrap().unwrap();
    assert_eq!((stats.borrow().commits, stats.borrow().waiting), (1, 2));
    let delivered = Change::Delivered { output: "file".to_owned(), seq: 2, position: Vec::new() };
    change(&to, delivered).blocking_recv().unwrap().unwrap();
    assert_eq!((stats.borrow().commits, stats.borrow().stored), (2, 2));
    to.send(Request::Stop).unwrap();
    thread.join().unwrap();
    for answer in &mut answers {
        assert_eq!(answer.try_recv(), Ok(Ok(())));
    }
}

#[test]
fn a_batch_that_cannot_be_stored_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (to, stats, writer) = writer(&folder.path().join("events.db"), 1_000);
    let refuse = "CREATE TEMP TRIGGER refuse BEFORE INSERT ON events WHEN NEW.id = 'bad'
                  BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    writer.connection.execute_batch(refuse).unwrap();
    let mut good = publish(&to, "good", false);
    let mut bad = publish(&to, "bad", false);
    let mut after = publish(&to, "after", false);
    to.send(Request::Stop).unwrap();
    writer.run();
    assert_eq!((good.try_recv(), after.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
    let refused = bad.try_recv().unwrap().unwrap_err();
    assert!(
        matches!(&refused, PublishError::Storage { reason } if reason.contains("refused by the test"))
    );
    assert_eq!((stats.borrow().stored, stats.borrow().commits), (2, 2));
    let connection = opened(&folder.path().join("events.db"));
    assert_eq!(store::checkpoints(&connection, "fim").unwrap()["last"], b"after");
}

#[test]
fn a_full_disk_fails_the_batch_and_nothing_of_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let (to, stats, writer) = writer(&path, 1_000);
    writer.connection.pragma_update(None, "max_page_count", 1).unwrap();
    let mut large = publish(&to, &"x".repeat(1 << 16), false);
    to.send(Request::Stop).unwrap();
    writer.run();
    assert!(matches!(large.try_recv().unwrap(), Err(PublishError::Storage { .. })));
    assert_eq!(stats.borrow().stored, 0);
    let connection = opened(&path);
    assert!(store::checkpoints(&connection, "fim").unwrap().is_empty());
}

#[test]
fn a_batch_of_a_closed_sink_is_never_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (to, stats, writer) = writer(&folder.path().join("events.db"), 1_000);
    let mut closed = publish(&to, "closed", true);
    to.send(Request::Stop).unwrap();
    writer.run();
    assert_eq!(closed.try_recv(), Ok(Err(PublishError::Closed)));
    assert_eq!(stats.borrow().stored, 0);
}

#[test]
fn what_is_asked_after_the_stop_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (to, stats, writer) = writer(&folder.path().join("events.db"), 1_000);
    to.send(Request::Stop).unwrap();
    let mut late = publish(&to, "late", false);
    writer.run();
    assert_eq!(late.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(stats.borrow().stored, 0);
}

#[test]
fn checkpoints_read_after_closing_a_sink_hold_all_that_it_ever_stores() {
    let folder = tempfile::tempdir().unwrap();
    let (to, _, writer) = writer(&folder.path().join("events.db"), 1_000);
    let module = ModuleName::new("fim").unwrap();
    let closed = Arc::new(AtomicBool::new(false));
    let batch = |key: &str| {
        let (reply, answer) = oneshot::channel();
        let checkpoints = vec![Checkpoint { key: key.to_owned(), value: Some(Vec::new()) }];
        let (module, closed) = (module.clone(), Arc::clone(&closed));
        let publish =
            Publish { module, events: Vec::new(), checkpoints, urgent: false, closed, reply };
        to.send(Request::Publish(publish)).unwrap();
        answer
    };
    let thread = std::thread::spawn(|| writer.run());
    batch("before").blocking_recv().unwrap().unwrap();
    closed.store(true, Ordering::Release);
    let (reply, read) = mpsc::sync_channel(1);
    to.send(Request::ReadCheckpoints { module: module.clone(), reply }).unwrap();
    // Its publisher had seen an open sink, but asks after the closing.
    let late = batch("late");
    let found = read.recv().unwrap().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["before"]);
    assert_eq!(late.blocking_recv().unwrap(), Err(PublishError::Closed));
    to.send(Request::Stop).unwrap();
    thread.join().unwrap();
}
