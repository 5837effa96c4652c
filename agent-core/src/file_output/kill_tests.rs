//! The file output against SIGKILL: every acknowledged event is in the files exactly once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use module_api::{Batch, Event, EventId, EventSink, ModuleName};
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{FileOutput, FileOutputConfig};
use crate::spool::killed_child::{acknowledge, run_and_kill, told};
use crate::spool::{Spool, SpoolLimits};

fn open(folder: &Path) -> (Arc<Spool>, FileOutput) {
    let noon = || "2024-01-01T12:00:00Z".parse().unwrap();
    let opened = Spool::open(&folder.join("events.db"), SpoolLimits::default(), noon).unwrap();
    assert_eq!(opened.set_aside, None);
    let path = folder.join("events.json");
    let config = FileOutputConfig { path, rotate_bytes: 3_000, keep: 10_000 };
    (Arc::clone(&opened.spool), FileOutput::new(opened.spool, config))
}

/// Two publishers and the output, which rotates every few dozen events, without end.
#[test]
fn child() {
    let Some((folder, round)) = told() else { return };
    let (spool, output) = open(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for publisher in 0..2 {
            let sink = spool.sink(ModuleName::new("fim").unwrap());
            tasks.spawn(async move {
                for number in 0.. {
                    let ids = [0, 1, 2].map(|part| format!("{round}-{publisher}-{number}-{part}"));
                    let event = |id: &String| Event { id: EventId(id.clone()), fields: Map::new() };
                    let events = ids.iter().map(event).collect();
                    sink.publish(Batch { events, checkpoints: Vec::new() }).await.unwrap();
                    ids.iter().for_each(|id| acknowledge(id));
                }
            });
        }
        let (_stop, stopped) = watch::channel(false);
        output.run(stopped).await.unwrap();
        unreachable!("nobody stops the output");
    });
}

/// How often each id is in the files.
fn delivered(folder: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("events.json") {
            for line in fs::read_to_string(path).unwrap().lines() {
                let body: Value = serde_json::from_str(line).expect("every line is an event");
                *counts.entry(body["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    counts
}

#[tokio::test]
async fn every_acknowledged_event_is_in_the_files_exactly_once_after_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let child = concat!(module_path!(), "::child");
    let mut acknowledged = Vec::new();
    for round in 0..15 {
        let lines = 1 + 41 * usize::try_from(round).unwrap();
        acknowledged.extend(run_and_kill(child, folder.path(), round, lines));

        // Every third time the next process is killed as well before anybody looks.
        if round % 3 != 2 {
            let (spool, output) = open(folder.path());
            let (stop, stopped) = watch::channel(false);
            let output = tokio::spawn(output.run(stopped));
            spool.watch_stats().wait_for(|stats| stats.stored == 0).await.unwrap();
            stop.send_replace(true);
            output.await.unwrap().unwrap();
            let counts = delivered(folder.path());
            for id in &acknowledged {
                assert_eq!(counts.get(id), Some(&1), "{id} in round {round}");
            }
            let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
            assert!(repeated.is_empty(), "{repeated:?}");
        }
    }
    assert!(folder.path().join("events.json.1").exists(), "the kills met rotations");
}
