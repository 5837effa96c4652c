//! An event sink in memory: stores a batch as a whole or not at all, and can refuse, block, or store and never answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use module_api::{Batch, Event, EventSink, PublishError};
use serde_json::Value;
use tokio::sync::watch;

/// How the spool answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Store,
    Refuse,
    /// Does not answer and stores nothing until the mode changes.
    Block,
    /// Stores the batch and never answers.
    StoreAndHang,
    Close,
}

/// What is durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    pub(crate) events: Vec<Event>,
    pub(crate) checkpoints: BTreeMap<String, Vec<u8>>,
    /// Ids that were stored more than once; a real spool would drop the second copy.
    pub(crate) repeated: Vec<String>,
    ids: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) struct Spool {
    stored: Mutex<Stored>,
    mode: watch::Sender<Mode>,
    /// Grows with every call, whatever became of it.
    calls: watch::Sender<u64>,
    /// Grows with every stored batch.
    stored_batches: watch::Sender<u64>,
}

impl Spool {
    pub(crate) fn new() -> Self {
        Self {
            stored: Mutex::default(),
            mode: watch::Sender::new(Mode::Store),
            calls: watch::Sender::new(0),
            stored_batches: watch::Sender::new(0),
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn stored(&self) -> Stored {
        self.stored.lock().unwrap().clone()
    }

    /// Waits until the next call of `publish` has begun.
    pub(crate) async fn next_call(&self) {
        let mut calls = self.calls.subscribe();
        calls.mark_unchanged();
        within_patience("a call", calls.changed()).await.unwrap();
    }

    /// Waits until what is stored is as `wanted`.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Stored) -> bool) {
        let mut batches = self.stored_batches.subscribe();
        let waiting = async {
            while !wanted(&self.stored.lock().unwrap()) {
                batches.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not seen: {what}; stored: {:#?}", self.stored());
        }
    }

    fn store(&self, batch: Batch) {
        let mut stored = self.stored.lock().unwrap();
        for event in batch.events {
            if !stored.ids.insert(event.id.0.clone()) {
                stored.repeated.push(event.id.0.clone());
            }
            stored.events.push(event);
        }
        for checkpoint in batch.checkpoints {
            match checkpoint.value {
                Some(value) => stored.checkpoints.insert(checkpoint.key, value),
                None => stored.checkpoints.remove(&checkpoint.key),
            };
        }
        drop(stored);
        self.stored_batches.send_modify(|batches| *batches += 1);
    }
}

#[async_trait]
impl EventSink for Spool {
    async fn publish(&self, batch: Batch) -> Result<(), PublishError> {
        self.calls.send_modify(|calls| *calls += 1);
        let mut mode = self.mode.subscribe();
        let mode = *mode.wait_for(|mode| *mode != Mode::Block).await.unwrap();
        match mode {
            Mode::Refuse => Err(PublishError::Storage { reason: "the disk is full".to_owned() }),
            Mode::Close => Err(PublishError::Closed),
            Mode::StoreAndHang => {
                self.store(batch);
                std::future::pending().await
            }
            Mode::Store | Mode::Block => {
                tokio::task::yield_now().await;
                self.store(batch);
                Ok(())
            }
        }
    }
}

/// Far longer than anything takes; in most tests the clock is tokio's, which does not wait.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn within_patience<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("not seen: {what}"),
    }
}

impl Stored {
    /// The lines, without the warnings.
    pub(crate) fn lines(&self) -> Vec<&Event> {
        self.events.iter().filter(|event| event.fields["event"].get("original").is_some()).collect()
    }

    /// What the lines of each file say, put together again as the file had it; by inode.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let mut contents: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for event in self.lines() {
            let inode = event.fields["log"]["file"]["inode"].as_str().unwrap();
            contents.entry(inode.to_owned()).or_default().extend(bytes(event));
        }
        contents
    }

    /// Everything that the lines say, in the order in which it was published.
    pub(crate) fn content(&self) -> Vec<u8> {
        self.lines().into_iter().flat_map(bytes).collect()
    }

    /// What the lines say, as text.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines().iter().map(|event| text(event)).collect()
    }

    /// The files that have a position.
    pub(crate) fn inodes(&self) -> Vec<String> {
        let positions = self.checkpoints.iter().filter(|(key, _)| key.starts_with("file:"));
        positions
            .map(|(_, value)| serde_json::from_slice::<Value>(value).unwrap()["inode"].to_string())
            .collect()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let is_warning = |event: &&Event| event.fields["event"]["kind"] == "warning";
        self.events
            .iter()
            .filter(is_warning)
            .map(|event| event.fields["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// What a line says, as text.
pub(crate) fn text(event: &Event) -> String {
    event.fields["event"]["original"].as_str().unwrap().to_owned()
}

/// The bytes of a line or part as they were in the file, with the newline.
pub(crate) fn bytes(event: &Event) -> Vec<u8> {
    let mut bytes = match event.fields["event"].get("original_base64") {
        Some(base64) => STANDARD.decode(base64.as_str().unwrap()).unwrap(),
        None => text(event).into_bytes(),
    };
    let log = &event.fields["log"];
    let inner = log.get("part").is_some_and(|part| part["last"] == false);
    if !inner && log.get("unterminated").is_none() {
        bytes.push(b'\n');
    }
    bytes
}
