//! The spool against SIGKILL: what was acknowledged is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use module_api::{Batch, Checkpoint, Event, EventId, EventSink, ModuleName};
use serde_json::Map;

use super::killed_child::{acknowledge, run_and_kill, told};
use super::{OpenedSpool, Spool, SpoolLimits};

fn open(folder: &Path) -> Arc<Spool> {
    let noon = || "2024-01-01T12:00:00Z".parse().unwrap();
    let OpenedSpool { spool, set_aside } =
        Spool::open(&folder.join("events.db"), SpoolLimits::default(), noon).unwrap();
    assert_eq!(set_aside, None, "a kill never makes the file corrupt");
    spool
}

fn module() -> ModuleName {
    ModuleName::new("fim").unwrap()
}

/// Four publishers at once, without end; each event goes with a checkpoint of its publisher.
#[test]
fn child() {
    let Some((folder, round)) = told() else { return };
    let spool = open(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for publisher in 0..4 {
            let sink = spool.sink(module());
            tasks.spawn(async move {
                for number in 0.. {
                    let id = format!("{round}-{publisher}-{number}");
                    let events = vec![Event { id: EventId(id.clone()), fields: Map::new() }];
                    let key = format!("publisher {publisher}");
                    let checkpoints =
                        vec![Checkpoint { key, value: Some(id.clone().into_bytes()) }];
                    sink.publish(Batch { events, checkpoints }).await.unwrap();
                    acknowledge(&id);
                }
            });
        }
        tasks.join_all().await;
    });
}

#[test]
fn every_acknowledged_event_survives_sigkill_with_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let child = concat!(module_path!(), "::child");
    let mut acknowledged = BTreeSet::new();
    for round in 0..12 {
        let lines = 1 + 37 * usize::try_from(round).unwrap();
        let now = run_and_kill(child, folder.path(), round, lines);

        let spool = open(folder.path());
        let checkpoints = spool.checkpoints(&module()).unwrap();
        let stored: Vec<String> =
            spool.read_after(0, usize::MAX).unwrap().into_iter().map(|event| event.id.0).collect();
        acknowledged.extend(now);
        let ids: BTreeSet<String> = stored.iter().cloned().collect();
        assert_eq!(ids.len(), stored.len(), "no event is stored twice");
        assert!(acknowledged.is_subset(&ids), "missing: {:?}", acknowledged.difference(&ids));
        for (key, value) in checkpoints {
            // The checkpoint is exactly that of the publisher's last stored event.
            let publisher = key.strip_prefix("publisher ").unwrap();
            let of_publisher = |id: &&String| id.split('-').nth(1) == Some(publisher);
            let last = stored.iter().rev().find(of_publisher).unwrap();
            assert_eq!(last.as_bytes(), value);
        }
        assert_eq!(spool.stats().stored, u64::try_from(stored.len()).unwrap());
    }
}
