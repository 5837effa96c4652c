//! The durable journal of commands: what may be asked of it, and what it answers.
//!
//! One SQLite file, owned by one thread. Requests reach that thread over a channel; those that wait together are
//! committed together, and each is answered only after its commit is on disk. The journal is the queue as well: which
//! command is next is read from it, so that memory and disk cannot disagree.

mod entries;
mod error;
mod file;
mod outbox;
mod queue;
mod queueing;
mod results;
mod retention;
mod rows;
mod schema;
mod steps;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tokio::sync::watch;
use tracing::error;

use crate::{
    Changes, CommandId, CommandRecord, Envelope, ErrorCode, Finish, HistoryEntry, Peer, Settings,
    Status, Step, WallClock, audit,
};
pub use error::{JournalError, OpenError};
use rows::NewRow;
pub(crate) use steps::{Accepted, Claim};
use writer::Writer;

/// The journal of commands. Dropping it waits until what was asked before is done and the file is closed.
pub(crate) struct Journal {
    writer: Writer,
    path: PathBuf,
    clock: Arc<dyn WallClock>,
    settings: Arc<Settings>,
    interrupted: Vec<CommandId>,
    /// Every command that was not finished when the journal was opened.
    inherited: HashSet<CommandId>,
    checked: bool,
}

/// A damaged journal that was kept under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now; what belongs to it lies beside it with `-wal` and `-shm` added.
    pub kept_as: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// A command that is on disk.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Acceptance {
    /// It was not known. It is in the queue now, or finished already if it had expired before it came.
    New(CommandRecord),
    /// The same command was accepted before; this is how far it is.
    Known(CommandRecord),
}

/// What became of a change to a command.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Change {
    /// It is on disk; the command is like this now.
    Made(Box<CommandRecord>),
    /// The command was finished before and stays as it is, which is like this.
    AlreadyFinished(Box<CommandRecord>),
    /// There is no such command (any more).
    Unknown,
}

/// What became of the wish that a command is not carried out.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Cancelling {
    /// It had not been begun and never will be; it is finished now.
    Cancelled(Box<CommandRecord>),
    /// It was finished before.
    AlreadyFinished(Box<CommandRecord>),
    /// It was begun before, or is a stop, and goes on.
    UnderWay(Box<CommandRecord>),
    /// There is no such command (any more).
    Unknown,
}

impl Journal {
    /// Opens the journal at `path`, or makes it, readable by its owner only. Blocks; briefly, but for up to 5 s when
    /// another process keeps the file locked.
    ///
    /// A damaged file is renamed to `NAME.corrupt-TIME` and a fresh one is made.
    ///
    /// # Errors
    /// [`OpenError`]; the file is then as it was.
    pub(crate) fn open(
        path: &Path,
        clock: Arc<dyn WallClock>,
        settings: Settings,
    ) -> Result<(Self, Option<SetAside>), OpenError> {
        let file::OpenFile { connection, interrupted, set_aside, checked, open } =
            file::open(path, &settings, clock.now())?;
        let suspected = path.to_owned();
        let damaged = move || {
            if let Err(error) = file::suspect(&suspected) {
                error!(%error, "a damaged command journal may be used again at the next start");
            }
        };
        let writer = Writer::start(connection, damaged).map_err(|error| OpenError::Storage {
            path: path.to_owned(),
            reason: format!("its thread cannot be started: {error}"),
        })?;
        let (path, settings) = (path.to_owned(), Arc::new(settings));
        let inherited = open.into_iter().collect();
        Ok((Self { writer, path, clock, settings, interrupted, inherited, checked }, set_aside))
    }

    /// What the agent has decided about its commands.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Now, by the clock that stamps commands.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The commands that were in progress when the journal was opened, in the order of acceptance.
    pub(crate) fn interrupted(&self) -> &[CommandId] {
        &self.interrupted
    }

    /// Whether an earlier process has accepted this command and not finished it.
    pub(crate) fn is_inherited(&self, id: &CommandId) -> bool {
        self.inherited.contains(id)
    }

    /// A number that changes after each commit that changed anything.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.writer.changes()
    }

    /// The command `id`, or what is left of it.
    pub(crate) async fn show(&self, id: &CommandId) -> Result<Option<CommandRecord>, JournalError> {
        let id = id.clone();
        self.writer.call(move |connection| rows::show(connection, &id), drop_ref).await
    }

    /// At most `limit` commands, those accepted last first.
    pub(crate) async fn list(&self, limit: usize) -> Result<Vec<CommandRecord>, JournalError> {
        self.writer.call(move |connection| rows::list(connection, limit), drop_ref).await
    }

    /// At most `limit` changes after the change `after`.
    pub(crate) async fn changes_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Changes, JournalError> {
        let read = move |connection: &Connection| entries::after(connection, after, limit);
        self.writer.call(read, drop_ref).await
    }

    /// The number of the newest change.
    pub(crate) async fn newest_change(&self) -> Result<u64, JournalError> {
        self.writer.call(entries::newest, drop_ref).await
    }

    /// Makes `envelope` durable under `id`, unless that id is known. The record is what was made durable, if it was.
    pub(crate) async fn accept(
        &self,
        id: CommandId,
        envelope: Envelope,
        peer: Option<Peer>,
    ) -> Result<(Accepted, CommandRecord), JournalError> {
        let new = Arc::new(NewRow::new(self.new_record(id, envelope, peer))?);
        let (row, settings) = (Arc::clone(&new), Arc::clone(&self.settings));
        let audited = Arc::clone(&new);
        let accepted = self
            .writer
            .call(
                move |connection| steps::accept(connection, &settings, &row),
                move |accepted| match accepted {
                    Accepted::New => audit::accepted(&audited.record),
                    Accepted::Expired(ended) => {
                        audit::accepted(&audited.record);
                        audit::finished(ended);
                    }
                    Accepted::Known(_) | Accepted::Conflict | Accepted::TooManyRestarts(_) => {}
                },
            )
            .await?;
        let record = Arc::try_unwrap(new).map_or_else(|new| new.record.clone(), |new| new.record);
        Ok((accepted, record))
    }

    fn new_record(&self, id: CommandId, envelope: Envelope, peer: Option<Peer>) -> CommandRecord {
        let now = self.clock.now();
        let Envelope { form, kind, target, force, reason, origin, expires_at, received, .. } =
            envelope;
        let by_type = || {
            let lives = self.settings.time_to_live.of(kind)?;
            now.checked_add(SignedDuration::try_from(lives).ok()?).ok()
        };
        let status = Status::Pending;
        let step = Step::new("accepted", "waits for its turn");
        CommandRecord {
            id,
            form,
            kind,
            target,
            force,
            status,
            error: ErrorCode::Ok.code(),
            reason,
            requester: peer,
            origin,
            accepted_at: now,
            expires_at: expires_at.or_else(by_type),
            expiry_given: expires_at.is_some(),
            finished_at: None,
            attempts: 0,
            history: vec![HistoryEntry::new(1, now, status, step)],
            result: None,
            received,
        }
    }

    /// Begins an attempt at the command whose turn it is, and ends those before it that have no attempt or no time left.
    pub(crate) async fn claim(&self) -> Result<Claim, JournalError> {
        let (clock, settings) = (Arc::clone(&self.clock), Arc::clone(&self.settings));
        self.writer
            .call(
                move |connection| steps::claim(connection, &settings, clock.now()),
                |claim: &Claim| claim.ended.iter().for_each(audit::finished),
            )
            .await
    }

    /// Ends waiting commands whose time has passed. Whether some still wait.
    pub(crate) async fn sweep(&self) -> Result<bool, JournalError> {
        let (clock, settings) = (Arc::clone(&self.clock), Arc::clone(&self.settings));
        let (_, waiting) = self
            .writer
            .call(
                move |connection| {
                    let ended = steps::sweep(connection, &settings, clock.now())?;
                    Ok((ended, queue::somebody_waits(connection)?))
                },
                |(ended, _): &(Vec<CommandRecord>, bool)| ended.iter().for_each(audit::finished),
            )
            .await?;
        Ok(waiting)
    }

    /// Adds a step to the history of `id`.
    pub(crate) async fn progress(
        &self,
        id: &CommandId,
        step: Step,
    ) -> Result<Change, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        self.writer
            .call(move |connection| steps::progress(connection, &id, &step, clock.now()), drop_ref)
            .await
    }

    /// Ends `id`.
    pub(crate) async fn finish(
        &self,
        id: &CommandId,
        finish: Finish,
    ) -> Result<Change, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        let settings = Arc::clone(&self.settings);
        self.writer
            .call(
                move |connection| steps::finish(connection, &settings, &id, &finish, clock.now()),
                |change| {
                    if let Change::Made(record) = change {
                        audit::finished(record);
                    }
                },
            )
            .await
    }

    /// Ends `id` if it was not begun; `text` says who wanted that.
    pub(crate) async fn cancel(
        &self,
        id: &CommandId,
        text: String,
    ) -> Result<Cancelling, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        let settings = Arc::clone(&self.settings);
        self.writer
            .call(
                move |connection| steps::cancel(connection, &settings, &id, &text, clock.now()),
                |cancelling| {
                    if let Cancelling::Cancelled(record) = cancelling {
                        audit::finished(record);
                    }
                },
            )
            .await
    }

    /// Removes some of what is not to be kept any more, looking from the place `after` on. Returns where to go on.
    pub(crate) async fn retire(&self, after: i64) -> Result<Option<i64>, JournalError> {
        let (clock, settings) = (Arc::clone(&self.clock), Arc::clone(&self.settings));
        let retire = move |connection: &Connection| {
            retention::retire(connection, &settings, after, clock.now())
        };
        self.writer.call(retire, drop_ref).await
    }

    /// Checks the whole file if that was not done at the start, and says what is damaged; the file is set aside at the next
    /// start then. Takes about a millisecond for each MiB, on a thread of its own.
    pub(crate) async fn verify(&self) -> Result<Option<String>, JournalError> {
        if self.checked {
            return Ok(None);
        }
        let path = self.path.clone();
        let storage = |reason: String| JournalError::Storage { reason };
        let verifying = move || {
            let damage = match file::verify(&path).map_err(JournalError::from) {
                Ok(damage) => damage,
                Err(JournalError::Corrupt { reason }) => Some(reason),
                Err(error) => return Err(error),
            };
            if damage.is_some() {
                file::suspect(&path).map_err(|error| storage(error.to_string()))?;
            }
            Ok(damage)
        };
        let verified = tokio::task::spawn_blocking(verifying).await;
        verified.unwrap_or_else(|error| Err(storage(error.to_string())))
    }
}

/// After an operation that needs no audit record.
fn drop_ref<T>(_done: &T) {}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("interrupted", &self.interrupted).finish_non_exhaustive()
    }
}
