//! A whole proof with a watcher in the place of the agent: one that is always right, and one that is blind for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::mutator::Operation;
use crate::proof::{Agent, Proof, Watcher};

/// Looks whenever it is asked for its events.
struct Stage {
    fake: Mutex<Fake>,
    events: PathBuf,
}

impl Stage {
    fn new(folder: &Path) -> Self {
        let mut fake = Fake::new(&folder.join("tree"));
        let action = json!({ "kind": "state", "action": "baseline_created" });
        fake.lines.push(json!({ "id": "baseline", "module": "fim", "event": action }));
        Self { fake: Mutex::new(fake), events: folder.join("events.ndjson") }
    }
}

impl Agent for Stage {
    fn events(&self) -> PathBuf {
        let mut fake = self.fake.lock().unwrap();
        fake.look();
        let text: String = fake.lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&self.events, text).unwrap();
        self.events.clone()
    }

    fn fim_status(&self) -> Option<Value> {
        Some(json!({ "state": "idle", "scan": null }))
    }

    fn log(&self) -> String {
        "nothing".to_owned()
    }

    fn scan(&self) {}

    fn grace(&self) -> Duration {
        Duration::ZERO
    }
}

fn proof(seed: u64, is_seen: impl Fn(usize) -> bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut proof = Proof::new(folder.path(), Watcher::Fanotify, seed, 100);
    let stage = Stage::new(folder.path());
    proof.begin(&stage);
    for number in 0..200 {
        let done = proof.mutator.step();
        if is_seen(number) {
            if done.operation == Operation::ShortLived {
                stage.fake.lock().unwrap().short_lived(&done.path);
            }
            stage.events();
        }
    }
    proof.judge(&stage, true)
}

#[test]
fn a_watcher_that_is_always_right_passes_the_whole_proof() {
    let summary = proof(1, |_| true);
    assert!(summary.contains(" 0 missed, 0 invented, 0 wrong, 0 repeated, 0 gaps"), "{summary}");
}

#[test]
#[should_panic(expected = "short-lived: created 0 times, deleted 0 times")]
fn a_watcher_that_is_blind_for_a_while_fails_it() {
    proof(2, |number| number < 100);
}
