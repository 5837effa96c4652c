//! Publishes what was decided, and then moves the baseline: a crash at any instruction reports nothing twice and skips nothing.
//!
//! The events and the operations on the baseline that belong to them become durable together, in one transaction of the agent's
//! spool: the operations as a checkpoint, the *redo*. The baseline is moved after that. Who starts after a crash finds either
//! neither of them, and decides again, or both, and moves the baseline first of all ([`redo`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use module_api::{Batch, Checkpoint, Event, EventSink, PublishError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::baseline::Op;
use crate::book::{Book, BookError, Outcome};
use crate::change::What;
use crate::event;
use crate::gather::{At, Ended, Hint, Life, Whereabouts};
use crate::path_bytes::PathBytes;
use crate::phase::Phase;
use crate::rules::Rules;
use crate::status::EventCounts;
use crate::sys::Handle;

/// The name of the checkpoint.
const REDO: &str = "redo";
/// And of the one with the rest of a window.
const WINDOW: &str = "window";
/// Decisions that become durable together; a decision is at most two events.
pub(crate) const MOST_AT_ONCE: usize = 400;
/// How long to wait when the spool could not store a batch.
const RETRY: Duration = Duration::from_secs(1);

/// Operations that belong to events which are durable.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Redo {
    number: u64,
    operations: Vec<Op>,
}

/// Why something was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TellError {
    /// The module is being stopped, or the agent takes no more events. What was not told is decided again by the next
    /// instance.
    #[error("the module is being stopped")]
    Stopping,
    /// The baseline could not be moved.
    #[error(transparent)]
    Book(#[from] BookError),
    /// A queue of the kernel cannot be read.
    #[error("the kernel's queue cannot be read: {0}")]
    Queue(std::io::Error),
    /// A scan cannot be begun.
    #[error("a scan cannot be begun: {0}")]
    Scan(std::io::Error),
    /// A blocking step panicked.
    #[error("a step of the module was broken off: {0}")]
    BrokenOff(#[from] tokio::task::JoinError),
}

/// Publishes events and moves the baseline after them.
#[derive(Clone)]
pub(crate) struct Teller {
    events: Arc<dyn EventSink>,
    rules: Arc<Rules>,
    phase: watch::Receiver<Phase>,
    pub(crate) counts: Arc<EventCounts>,
    unfinished: Option<Vec<u8>>,
    /// How many changes of each path were told by this copy, which is that of one window.
    told: HashMap<PathBytes, u32>,
}

/// What is left to be done of a window. It is stored with each step of it: what its notices meant can no longer be found out when
/// the baseline has moved, so they are not heard again.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    hints: Vec<(PathBytes, Hint)>,
    ended: Vec<Life>,
    #[serde(default)]
    folders: Whereabouts,
    /// When the last of its notices was read; older ones that a recorder has are done with.
    pub(crate) read_at: (i64, u32),
}

impl Unfinished {
    pub(crate) fn new(
        hints: &BTreeMap<PathBytes, Hint>,
        ended: &Ended,
        folders: &Whereabouts,
        read_at: (i64, u32),
    ) -> Self {
        let plain = |hint: &Hint| Hint { observed: None, ..hint.clone() };
        Self {
            hints: hints.iter().map(|(path, hint)| (path.clone(), plain(hint))).collect(),
            ended: ended.values().flatten().cloned().collect(),
            folders: folders.clone(),
            read_at,
        }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.hints.is_empty() && self.ended.is_empty()
    }

    /// Nothing: the window is done with.
    pub(crate) fn nothing(read_at: (i64, u32), folders: &Whereabouts) -> Self {
        Self { read_at, folders: folders.clone(), ..Self::default() }
    }

    /// What the instance before has left.
    pub(crate) fn left(checkpoints: &BTreeMap<String, Vec<u8>>) -> Self {
        let Some(bytes) = checkpoints.get(WINDOW) else { return Self::default() };
        serde_json::from_slice(bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the rest of a window cannot be read: have what is watched scanned (`fim scan`)");
            Self::default()
        })
    }

    /// Folders that the baseline may not have, and where they were then.
    pub(crate) fn folders(&self) -> &[(Handle, At)] {
        &self.folders
    }

    /// Something was not heard since then: they may be anywhere.
    pub(crate) fn forget_folders(&mut self) {
        self.folders.clear();
    }

    /// What is left to be done of it.
    pub(crate) fn into_parts(self) -> (BTreeMap<PathBytes, Hint>, Ended, Whereabouts) {
        let mut ended = Ended::new();
        for life in self.ended {
            ended.entry(life.path.clone()).or_default().push(life);
        }
        (self.hints.into_iter().collect(), ended, self.folders)
    }
}

/// Moves the baseline to where the last published events say, if it is not there yet.
///
/// # Errors
/// The baseline cannot be moved. A redo that cannot be read is an error text: what it moved is found and reported again.
pub(crate) fn redo(
    book: &mut Book,
    checkpoints: &BTreeMap<String, Vec<u8>>,
) -> Result<Option<String>, BookError> {
    let Some(bytes) = checkpoints.get(REDO) else { return Ok(None) };
    match serde_json::from_slice::<Redo>(bytes) {
        Ok(redo) => book.apply(redo.number, &redo.operations, true).map(|()| None),
        Err(error) => Ok(Some(format!("the last checkpoint cannot be read: {error}"))),
    }
}

impl Teller {
    pub(crate) fn new(
        events: Arc<dyn EventSink>,
        rules: Arc<Rules>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self {
            events,
            rules,
            phase,
            counts: Arc::default(),
            unfinished: None,
            told: HashMap::new(),
        }
    }

    /// Tells `outcomes` in their order and moves the baseline after each part of them.
    pub(crate) async fn tell(
        &mut self,
        mut book: Book,
        outcomes: Vec<Outcome>,
    ) -> Result<Book, TellError> {
        let mut outcomes = outcomes.into_iter();
        loop {
            let part: Vec<Outcome> = outcomes.by_ref().take(MOST_AT_ONCE).collect();
            if part.is_empty() {
                return Ok(book);
            }
            book = self.tell_at_once(book, part).await?;
        }
    }

    /// Tells `outcomes` in their order, all of which become durable together, and moves the baseline.
    pub(crate) async fn tell_at_once(
        &mut self,
        book: Book,
        outcomes: Vec<Outcome>,
    ) -> Result<Book, TellError> {
        let number = book.number()? + 1;
        let mut events = Vec::new();
        let mut operations = Vec::new();
        for outcome in outcomes {
            if let Some(change) = &outcome.change {
                let rule = self.rules.of(&change.path);
                let before = self.told.entry(change.path.clone()).or_default();
                let attributes = rule.map_or(&[][..], |rule| &rule.attributes);
                events.extend(event::of(change, attributes, *before));
                *before += u32::from(!matches!(change.what, What::ShortLived { .. }));
            }
            self.counts.count(outcome.change.as_ref());
            operations.extend(outcome.operations);
        }
        self.both(book, events, Redo { number, operations }).await
    }

    /// Whether all of this becomes durable at once.
    pub(crate) fn is_one_step(outcomes: &[Outcome]) -> bool {
        outcomes.len() <= MOST_AT_ONCE
    }

    /// Has the rest of the window stored with what is told next.
    pub(crate) fn leave(&mut self, rest: &Unfinished) {
        self.unfinished = serde_json::to_vec(rest).ok();
    }

    /// Stores that the window is done with.
    pub(crate) async fn end_window(
        &mut self,
        read_at: (i64, u32),
        folders: &Whereabouts,
    ) -> Result<(), TellError> {
        self.unfinished = None;
        let value = serde_json::to_vec(&Unfinished::nothing(read_at, folders)).ok();
        let done = Checkpoint { key: WINDOW.to_owned(), value };
        self.publish(Batch { events: Vec::new(), checkpoints: vec![done] }).await
    }

    /// Tells something about the module itself.
    pub(crate) async fn say(&mut self, event: Event) -> Result<(), TellError> {
        self.publish(Batch { events: vec![event], checkpoints: Vec::new() }).await
    }

    async fn both(
        &mut self,
        mut book: Book,
        events: Vec<Event>,
        redo: Redo,
    ) -> Result<Book, TellError> {
        let told = !events.is_empty();
        if told {
            let value = serde_json::to_vec(&redo).ok();
            let mut checkpoints = vec![Checkpoint { key: REDO.to_owned(), value }];
            if let Some(value) = self.unfinished.take() {
                checkpoints.push(Checkpoint { key: WINDOW.to_owned(), value: Some(value) });
            }
            self.publish(Batch { events, checkpoints }).await?;
        }
        spawn_blocking(move || {
            book.apply(redo.number, &redo.operations, told)?;
            Ok(book)
        })
        .await?
    }

    async fn publish(&mut self, batch: Batch) -> Result<(), TellError> {
        loop {
            let stored = tokio::select! {
                stored = self.events.publish(batch.clone()) => stored,
                _ = self.phase.wait_for(|phase| *phase == Phase::Stopping) => {
                    return Err(TellError::Stopping);
                }
            };
            match stored {
                Ok(()) => return Ok(()),
                Err(PublishError::Closed) => return Err(TellError::Stopping),
                Err(error @ PublishError::Storage { .. }) => {
                    tracing::warn!(%error, "events are published again in {RETRY:?}");
                    sleep(RETRY).await;
                }
            }
        }
    }
}
