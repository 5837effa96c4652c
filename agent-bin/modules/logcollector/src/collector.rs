//! The task that tails all files: the only one that changes positions and publishes.

mod apply;
mod round;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use module_api::{Batch, Event, EventSink, ModuleError, PublishError};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use crate::book::{Book, Change};
use crate::config::{Config, StartAt};
use crate::event;
use crate::gate::{Gate, Stopping};
use crate::position::FileId;
use crate::restore::Inheritance;
use crate::survey::{Known, Request, Starts, Survey, survey};
use crate::tail::{Tail, grace};

/// What the module and the task share.
#[derive(Debug)]
pub(crate) struct Shared {
    book: Mutex<Book>,
    /// Asked before each batch.
    pub(crate) gate: Gate,
    /// Whether the task has ended.
    pub(crate) ended: watch::Sender<bool>,
}

/// Tails all files.
pub(crate) struct Collector {
    config: Arc<Config>,
    shared: Arc<Shared>,
    sink: Arc<dyn EventSink>,
    /// A file that had a path before another one comes before it.
    tails: Vec<Tail>,
    pending: Pending,
    /// Paths that a warning was published about.
    troubled: BTreeSet<String>,
    grace: Duration,
}

/// What the next batch without lines is to say. Nothing of it is carried out before that batch is stored, so
/// whoever is stopped or killed before finds it again.
#[derive(Debug, Default)]
struct Pending {
    events: Vec<Event>,
    forget: Vec<FileId>,
}

/// Why the work does not go on at once.
#[derive(Debug)]
enum Halt {
    /// The storage refused: again after a while.
    Retry,
    /// The module is being stopped, or nobody takes events any more.
    Stop,
    /// A defect of the module.
    Failed(ModuleError),
}

impl From<Stopping> for Halt {
    fn from(Stopping: Stopping) -> Self {
        Self::Stop
    }
}

impl From<ModuleError> for Halt {
    fn from(error: ModuleError) -> Self {
        Self::Failed(error)
    }
}

impl Shared {
    pub(crate) fn new(book: Book) -> Self {
        Self { book: Mutex::new(book), gate: Gate::new(), ended: watch::Sender::new(true) }
    }

    /// The positions. Every change of the book is complete in itself, so a panic elsewhere does not spoil it.
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector {
    /// A collector that has no file open yet, and the survey that finds the first ones.
    pub(crate) fn new(
        config: Arc<Config>,
        inherited: Inheritance,
        sink: Arc<dyn EventSink>,
    ) -> (Self, Request) {
        let is_dropped = |path: &str| !config.watches(path);
        let dropped = inherited.files.iter().filter(|position| is_dropped(&position.path));
        let forget = inherited.stale.into_iter().chain(dropped.map(|position| position.file_id));
        let pending = Pending {
            forget: forget.collect(),
            events: inherited.problems.into_iter().map(event::lost_state).collect(),
        };
        let starts = match config.start_at {
            StartAt::Beginning => Starts::AtBeginning,
            StartAt::End => Starts::AtEnd {
                watched: inherited.patterns.into_iter().flatten().collect(),
                read: inherited.files.iter().map(|position| position.path.clone()).collect(),
                longest_line: config.max_line_bytes,
            },
        };
        let book = Book::open(inherited.seq, inherited.files, config.files.clone());
        let collector = Self {
            grace: grace(config.read_interval),
            config,
            shared: Arc::new(Shared::new(book)),
            sink,
            tails: Vec::new(),
            pending,
            troubled: BTreeSet::new(),
        };
        let request = Request { starts, ..collector.request() };
        (collector, request)
    }

    /// What the module needs to have of it.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Tails until the module is stopped.
    pub(crate) async fn run(mut self) -> Result<(), ModuleError> {
        let shared = self.shared();
        let mut surveys = Surveys::new(self.config.reload_interval);
        loop {
            let more = match self.turn().await {
                Ok(more) => more,
                Err(Halt::Retry) => false,
                Err(Halt::Stop) => return Ok(()),
                Err(Halt::Failed(error)) => return Err(error),
            };
            let rest = async {
                if more {
                    tokio::task::yield_now().await;
                } else {
                    sleep(self.config.read_interval).await;
                }
            };
            tokio::select! {
                biased;
                () = shared.gate.stopped() => return Ok(()),
                found = surveys.next(|| self.request()) => self.apply(found?, Instant::now()),
                () = rest => {}
            }
        }
    }

    /// One round, once batches may be begun. Says whether there is more to read at once.
    async fn turn(&mut self) -> Result<bool, Halt> {
        self.shared.gate.opened().await?;
        self.settle().await?;
        self.round().await
    }

    /// The survey that finds what has changed.
    fn request(&self) -> Request {
        let book = self.shared.book();
        let open: BTreeSet<FileId> = self.tails.iter().map(|tail| tail.id).collect();
        let (open, waiting): (Vec<_>, Vec<_>) =
            book.files().partition(|position| open.contains(&position.file_id));
        Request {
            patterns: self.config.files.clone(),
            open: open
                .into_iter()
                .map(|position| Known {
                    id: position.file_id,
                    key: position.key,
                    path: position.path.clone(),
                })
                .collect(),
            waiting: waiting
                .into_iter()
                .filter(|position| !self.pending.forget.contains(&position.file_id))
                .cloned()
                .collect(),
            starts: Starts::AtBeginning,
        }
    }

    /// Stores what is known in memory only, and publishes the warnings.
    async fn settle(&mut self) -> Result<(), Halt> {
        let nothing = self.pending.events.is_empty() && self.pending.forget.is_empty();
        if nothing && !self.shared.book().has_unstored() {
            return Ok(());
        }
        let change = self.shared.book().plan(Vec::new(), self.pending.forget.clone())?;
        self.publish(self.pending.events.clone(), change, "positions").await?;
        self.pending = Pending::default();
        Ok(())
    }

    /// Publishes `events` and carries out `change` as one. `what` names the content for people.
    async fn publish(&self, events: Vec<Event>, change: Change, what: &str) -> Result<(), Halt> {
        let batch = Batch { events, checkpoints: change.checkpoints() };
        let publishing = self.shared.gate.begin(what).await?;
        let published = tokio::select! {
            biased;
            // Whether the batch was stored is then told by its checkpoints.
            () = self.shared.gate.stopped() => return Err(Halt::Stop),
            published = self.sink.publish(batch) => published,
        };
        match published {
            Ok(()) => self.shared.book().commit(change),
            Err(error @ PublishError::Storage { .. }) => {
                tracing::warn!(%error, "{what} could not be published, trying again");
                return Err(Halt::Retry);
            }
            Err(PublishError::Closed) => return Err(Halt::Stop),
        }
        drop(publishing);
        Ok(())
    }
}

/// Evaluates the patterns again and again, beside the reading.
struct Surveys {
    every: Duration,
    due: Instant,
    running: Option<JoinHandle<Survey>>,
}

impl Surveys {
    fn new(every: Duration) -> Self {
        Self { every, due: Instant::now() + every, running: None }
    }

    /// Waits for the next survey to be due and to be done. Can be dropped and called again.
    async fn next(&mut self, request: impl Fn() -> Request) -> Result<Survey, ModuleError> {
        if self.running.is_none() {
            sleep_until(self.due).await;
        }
        let survey = self.running.get_or_insert_with(|| take(request())).await;
        self.running = None;
        self.due = Instant::now() + self.every;
        survey.map_err(|error| ModuleError::caused_by("looking for files failed", error))
    }
}

/// The known files that had this file's path before it, the latest first, and how far they are published.
fn predecessors(book: &Book, id: FileId) -> Vec<(FileId, u64)> {
    let mut earlier = Vec::new();
    let mut at = id;
    while let Some(before) = book.get(at).and_then(|position| position.after)
        && let Some(position) = book.get(before)
        // The kept positions come from outside: a circle among them must not catch the task.
        && before != id
        && !earlier.iter().any(|(known, _)| *known == before)
    {
        earlier.push((before, position.offset));
        at = before;
    }
    earlier
}

/// Starts a survey where blocking is allowed.
pub(crate) fn take(request: Request) -> JoinHandle<Survey> {
    spawn_blocking(move || survey(&request))
}
