//! A spool in memory: stores, refuses or keeps waiting, and writes down every attempt to publish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{Batch, Event, EventId, EventSink, PublishError};

/// The longest id of an event, in bytes, and the longest key of a checkpoint; see their types.
const LONGEST_ID: usize = 128;
const LONGEST_KEY: usize = 1_024;
/// Fields that the agent sets.
const FIELDS_OF_THE_AGENT: [&str; 3] = ["id", "module", "@timestamp"];

/// What becomes of batches with events. Those without are always stored, so that whoever publishes a position apart from
/// its events is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Store,
    /// The disk refuses.
    Refuse,
    /// There is no room, and no answer until the mode changes.
    Hold,
}

/// One call of `publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) instance: u32,
    pub(super) ids: Vec<EventId>,
    pub(super) has_checkpoints: bool,
    pub(super) stored: bool,
}

/// All that is known of the spool.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) attempts: Vec<Attempt>,
    pub(super) stored: BTreeSet<EventId>,
    /// Ids that were stored twice.
    pub(super) repeated: Vec<EventId>,
    pub(super) checkpoints: BTreeMap<String, Vec<u8>>,
    /// What has a form that is not allowed.
    pub(super) malformed: Vec<String>,
}

impl Books {
    /// How much of an instance is in the books: attempts that were begun, and those that were stored.
    pub(super) fn activity(&self, instance: u32) -> (usize, usize) {
        let own = || self.attempts.iter().filter(|attempt| attempt.instance == instance);
        (own().count(), own().filter(|attempt| attempt.stored).count())
    }

    /// The ids in attempts of this instance that were not stored so far.
    pub(super) fn unstored(&self, instance: u32) -> Vec<EventId> {
        let own = self.attempts.iter().filter(|attempt| attempt.instance == instance);
        own.flat_map(|attempt| &attempt.ids)
            .filter(|id| !self.stored.contains(id))
            .cloned()
            .collect()
    }
}

/// The spool of one check.
#[derive(Debug)]
pub(super) struct Ledger {
    mode: watch::Sender<Mode>,
    books: Mutex<Books>,
    changed: watch::Sender<u64>,
}

impl Ledger {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            mode: watch::Sender::new(Mode::Store),
            books: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the books are as wanted; `false` when they are not in time.
    pub(super) async fn until(
        &self,
        limit: Duration,
        wanted: impl Fn(&Books) -> bool + Send,
    ) -> bool {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while !wanted(&self.books()) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, waiting).await.is_ok()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        let result = change(&mut self.books());
        self.changed.send_modify(|changes| *changes += 1);
        result
    }
}

/// The sink of one instance.
#[derive(Debug)]
pub(super) struct Sink {
    ledger: Arc<Ledger>,
    instance: u32,
    closed: AtomicBool,
}

impl Sink {
    pub(super) fn new(ledger: &Arc<Ledger>, instance: u32) -> Self {
        Self { ledger: Arc::clone(ledger), instance, closed: AtomicBool::new(false) }
    }

    /// From now on every batch is turned away.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn begin(&self, batch: &Batch) -> usize {
        let attempt = Attempt {
            instance: self.instance,
            ids: batch.events.iter().map(|event| event.id.clone()).collect(),
            has_checkpoints: !batch.checkpoints.is_empty(),
            stored: false,
        };
        self.ledger.change(|books| {
            books.malformed.extend(faults(batch));
            books.attempts.push(attempt);
            books.attempts.len() - 1
        })
    }

    fn store(&self, number: usize, batch: Batch) {
        self.ledger.change(|books| {
            for Event { id, .. } in batch.events {
                if !books.stored.insert(id.clone()) {
                    books.repeated.push(id);
                }
            }
            for checkpoint in batch.checkpoints {
                match checkpoint.value {
                    Some(value) => books.checkpoints.insert(checkpoint.key, value),
                    None => books.checkpoints.remove(&checkpoint.key),
                };
            }
            if let Some(attempt) = books.attempts.get_mut(number) {
                attempt.stored = true;
            }
        });
    }
}

#[async_trait]
impl EventSink for Sink {
    async fn publish(&self, batch: Batch) -> Result<(), PublishError> {
        let number = self.begin(&batch);
        let mode = if batch.events.is_empty() {
            Mode::Store
        } else {
            let mut mode = self.ledger.mode.subscribe();
            let answering = mode.wait_for(|mode| *mode != Mode::Hold).await;
            answering.map_or(Mode::Refuse, |mode| *mode)
        };
        // A real spool is not done at once either.
        tokio::task::yield_now().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        if mode == Mode::Refuse {
            return Err(PublishError::Storage {
                reason: "refused by the contract's sink".to_owned(),
            });
        }
        self.store(number, batch);
        Ok(())
    }
}

/// What is wrong with the form of a batch.
fn faults(batch: &Batch) -> Vec<String> {
    let mut faults = Vec::new();
    for Event { id, fields } in &batch.events {
        if id.0.is_empty() || id.0.chars().count() > LONGEST_ID {
            faults.push(format!(
                "the event id {id:?} is empty or has more than {LONGEST_ID} characters"
            ));
        }
        let taken = FIELDS_OF_THE_AGENT.iter().filter(|field| fields.contains_key(**field));
        faults.extend(taken.map(|field| format!("event {id} sets the field {field} of the agent")));
    }
    let long = batch.checkpoints.iter().filter(|checkpoint| checkpoint.key.len() > LONGEST_KEY);
    faults.extend(long.map(|checkpoint| {
        format!("a checkpoint's key has {} bytes, more than {LONGEST_KEY}", checkpoint.key.len())
    }));
    faults
}
