//! The event spool: what modules publish is on disk before it is acknowledged, and stays until every output has it.
//!
//! One thread owns the connection that writes; everything that is asked while it commits becomes the next
//! transaction (group commit). Reading has a connection of its own and never waits for a commit.

mod body;
mod error;
mod event_times;
mod open;
mod outputs;
mod request;
mod set_aside;
mod sink;
mod stats;
mod store;
mod verify;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use module_api::{Batch, Event, EventId, EventSink, ModuleName, PublishError};
use rusqlite::{Connection, InterruptHandle};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

pub use error::SpoolError;
pub(crate) use event_times::EventTimes;
pub use set_aside::SetAside;
pub use sink::SinkHandle;
pub use stats::SpoolStats;

use request::Request;
use writer::Writer;

/// Tells the time of acceptance of events.
pub type WallClock = fn() -> Timestamp;

/// How long [`Spool::checkpoints`] waits for the thread; a commit takes milliseconds on a disk that works.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long [`Spool::close`] waits for the thread. Short, because the shutdown waits for it; nothing that was
/// acknowledged is lost when it is over.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The limits of a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// From this many undelivered events on, publishers wait. It is looked at before a batch is stored, so the last
    /// batch may go beyond it.
    pub max_events: u64,
    /// A file of up to so many bytes is read as a whole before it is used, which takes about 15 ms for each MiB; for a larger
    /// one see [`Spool::verify`].
    pub check_up_to: u64,
}

impl SpoolLimits {
    /// 1 MiB: the file of an agent whose outputs keep up. It costs a start nothing that is noticed.
    pub const QUICK_CHECK: u64 = 1 << 20;

    /// 32 MiB, which takes half a second. A larger file is checked only after it was seen to be corrupt.
    pub const THOROUGH_CHECK: u64 = 32 << 20;
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { max_events: 1_000_000, check_up_to: Self::THOROUGH_CHECK }
    }
}

/// A spool that was opened, and what happened to the file before it.
#[derive(Debug)]
pub struct OpenedSpool {
    /// The spool.
    pub spool: Arc<Spool>,
    /// The corrupt file that was there instead, kept under another name.
    pub set_aside: Option<SetAside>,
}

/// An event as outputs get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number: growing, with gaps, never used again.
    pub seq: u64,
    /// The id that the module gave it.
    pub id: EventId,
    /// The module's name.
    pub module: String,
    /// The event as a JSON object, in one line without its end.
    pub body: String,
}

/// The event spool. All methods may be called from any thread.
pub struct Spool {
    path: PathBuf,
    clock: WallClock,
    requests: mpsc::Sender<Request>,
    /// `None` once closed.
    reader: Mutex<Option<Connection>>,
    stats: watch::Receiver<SpoolStats>,
    last_seq: watch::Receiver<u64>,
    times: EventTimes,
    agent: Option<SinkHandle>,
    agent_events: AtomicU64,
    /// Closed by the end of the thread. `None` once waited for.
    thread_ended: Mutex<Option<mpsc::Receiver<()>>>,
    /// Whether the whole file was read when it was opened.
    checked: bool,
    /// Cuts off the check that is under way.
    verifying: Mutex<Option<InterruptHandle>>,
}

impl Spool {
    /// Opens the spool at `path`, or makes it (mode 0600; the folder must exist). Only one process may have it open.
    ///
    /// A corrupt file is renamed to `PATH.corrupt-N` with its `-wal` and `-shm`, and a new one is begun.
    ///
    /// # Errors
    /// [`SpoolError::NewerFormat`] for the file of a newer agent; otherwise why the file cannot be used. The file
    /// stays as it is.
    pub fn open(
        path: &Path,
        limits: SpoolLimits,
        clock: WallClock,
    ) -> Result<OpenedSpool, SpoolError> {
        match Self::open_once(path, limits, clock) {
            // It turned out to be corrupt, and is checked now as a whole, and set aside.
            Err(_) if open::is_suspect(path) => Self::open_once(path, limits, clock),
            opened => opened,
        }
    }

    fn open_once(
        path: &Path,
        limits: SpoolLimits,
        clock: WallClock,
    ) -> Result<OpenedSpool, SpoolError> {
        let failed = |reason: String| SpoolError::Open { path: path.to_owned(), reason };
        let open::OpenFile { connection, set_aside, checked } =
            open::open_for_writing(path, limits.check_up_to)?;
        let reader = open::open_for_reading(path)?;
        let unread = |error: rusqlite::Error| {
            if open::is_corrupt(&error) {
                open::mark_suspect(path);
            }
            failed(error.to_string())
        };
        let mut stats = store::first_look(&connection, limits.max_events).map_err(unread)?;
        if checked {
            stats.stored = store::count(&connection).map_err(unread)?;
        }
        let (requests, requests_from) = mpsc::channel();
        let (stats_to, stats_from) = watch::channel(stats);
        let (last_seq_to, last_seq_from) = watch::channel(stats.last_seq);
        let times = EventTimes::new();
        let writer = Writer {
            connection,
            path: path.to_owned(),
            clock,
            requests: requests_from,
            waiting: VecDeque::new(),
            stats,
            stats_to,
            last_seq_to,
            times: times.clone(),
        };
        let (ending, thread_ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("event-spool".to_owned())
            .spawn(move || {
                let _tells_the_end: mpsc::Sender<()> = ending;
                writer.run();
            })
            .map_err(|error| failed(error.to_string()))?;
        let agent = ModuleName::new("agent").ok();
        let spool = Arc::new(Self {
            path: path.to_owned(),
            clock,
            agent: agent.map(|name| SinkHandle::new(name, requests.clone(), true)),
            requests,
            reader: Mutex::new(Some(reader)),
            stats: stats_from,
            last_seq: last_seq_from,
            times,
            agent_events: AtomicU64::new(0),
            thread_ended: Mutex::new(Some(thread_ended)),
            checked,
            verifying: Mutex::default(),
        });
        Ok(OpenedSpool { spool, set_aside })
    }

    /// A sink for one instance of a module.
    #[must_use]
    pub fn sink(&self, module: ModuleName) -> Arc<SinkHandle> {
        Arc::new(SinkHandle::new(module, self.requests.clone(), false))
    }

    /// Publishes an event of the agent itself (`module` is `agent`): `event.action` is `kind`, `message` is `text`.
    /// It is stored even when the spool is full, because the agent must not wait for its own outputs.
    ///
    /// # Errors
    /// As [`EventSink::publish`].
    pub async fn publish_agent_event(&self, kind: &str, text: &str) -> Result<(), PublishError> {
        let mut fields = Map::new();
        fields.insert("message".to_owned(), Value::String(text.to_owned()));
        fields.insert("event".to_owned(), json!({ "action": kind }));
        self.publish_agent_fields(kind, fields).await
    }

    /// Publishes an event of the agent itself with fields of its own, otherwise as [`Spool::publish_agent_event`].
    ///
    /// # Errors
    /// As [`EventSink::publish`].
    pub async fn publish_agent_fields(
        &self,
        kind: &str,
        fields: Map<String, Value>,
    ) -> Result<(), PublishError> {
        let number = self.agent_events.fetch_add(1, Ordering::Relaxed);
        let id = EventId(format!("{kind}-{}-{number}", (self.clock)().as_nanosecond()));
        self.publish_agent_event_as(id, fields).await
    }

    /// Publishes an event of the agent itself under an id that the caller chose, so that the same event again is known as
    /// the same.
    ///
    /// # Errors
    /// As [`EventSink::publish`].
    pub async fn publish_agent_event_as(
        &self,
        id: EventId,
        fields: Map<String, Value>,
    ) -> Result<(), PublishError> {
        let batch = Batch { events: vec![Event { id, fields }], checkpoints: Vec::new() };
        match &self.agent {
            Some(sink) => sink.publish(batch).await,
            None => Err(PublishError::Closed),
        }
    }

    /// The checkpoints of a module, by key, including everything that was asked to be stored before this call. Blocks
    /// for a commit, 10 s at most.
    ///
    /// # Errors
    /// Closed, storage, or no answer in time.
    pub fn checkpoints(
        &self,
        module: &ModuleName,
    ) -> Result<BTreeMap<String, Vec<u8>>, SpoolError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let request = Request::ReadCheckpoints { module: module.clone(), reply };
        self.requests.send(request).map_err(|_| SpoolError::Closed)?;
        match answer.recv_timeout(ANSWER_WITHIN) {
            Ok(found) => found,
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(SpoolError::Closed),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let seconds = ANSWER_WITHIN.as_secs();
                Err(SpoolError::NoAnswer { action: "read checkpoints", seconds })
            }
        }
    }

    /// The number of the last committed event; ends with an error when the spool is closed.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.last_seq.clone()
    }

    /// When the events of each module became durable in this process.
    pub(crate) fn times(&self) -> &EventTimes {
        &self.times
    }

    /// What the spool holds and has done.
    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        *self.stats.borrow()
    }

    /// [`Spool::stats`] as they change.
    #[must_use]
    pub fn watch_stats(&self) -> watch::Receiver<SpoolStats> {
        self.stats.clone()
    }

    /// Stores what was asked before, turns waiting publishers away with [`PublishError::Closed`], and ends the
    /// thread. Blocks until then, 2 s at most; a thread that takes longer is left behind with a warning, which
    /// costs nothing that was acknowledged. Closing again does nothing.
    pub fn close(&self) {
        let ended = self.thread_ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(ended) = ended else { return };
        self.stop_verifying();
        // The thread has to be the last to close the file, because only a connection that writes can fold the log in.
        match self.reader.try_lock() {
            Ok(mut reader) => *reader = None,
            Err(TryLockError::Poisoned(poisoned)) => *poisoned.into_inner() = None,
            Err(TryLockError::WouldBlock) => {}
        }
        // A thread that has ended already needs no request.
        drop(self.requests.send(Request::Stop));
        if ended.recv_timeout(CLOSE_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(path = %self.path.display(), "the event spool does not close in time; the disk may hang");
        }
    }

    fn read<T>(
        &self,
        action: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, SpoolError> {
        let reader: MutexGuard<'_, _> = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = reader.as_ref().ok_or(SpoolError::Closed)?;
        query(connection).map_err(|error| {
            if open::is_corrupt(&error) {
                open::mark_suspect(&self.path);
            }
            SpoolError::Storage { action, reason: error.to_string() }
        })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("path", &self.path)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
pub(crate) mod killed_child;
#[cfg(test)]
mod tests;
