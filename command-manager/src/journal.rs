//! The durable journal of commands: what may be asked of it, and what it answers.
//!
//! One SQLite file, owned by one thread. Requests reach that thread over a channel; those that wait together are
//! committed together, and each is answered only after its commit is on disk. The journal is the queue as well: which
//! command is next is read from it, so that memory and disk cannot disagree.

mod file;
mod rows;
mod schema;
mod steps;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use crate::{CommandId, CommandRecord, Envelope, Finish, Peer, WallClock, audit};
pub(crate) use steps::{Claim, Conflict};
use writer::Writer;

/// How many finished commands are kept, the newest by acceptance; older ones are removed when the journal is opened. An
/// id is known as long as its command is kept. A command with its history takes about 2 KiB, so this is about 20 MiB.
pub const KEPT_FINISHED: u32 = 10_000;

/// How many attempts a command gets. One that did not come to an end in the second either is given up: it is more likely
/// the cause than the victim.
pub const MAX_ATTEMPTS: u32 = 2;

/// The journal of commands. Dropping it waits until what was asked before is done and the file is closed.
pub struct Journal {
    writer: Writer,
    clock: Arc<dyn WallClock>,
    interrupted: Vec<CommandId>,
}

/// A journal that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// The damaged file that was found instead and set aside, if there was one. The commands in it are lost to the
    /// agent, so this has to be reported.
    pub set_aside: Option<SetAside>,
}

/// A damaged journal that was kept under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now; what belongs to it lies beside it with `-wal` and `-shm` added.
    pub kept_as: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// Why the journal could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A newer agent wrote it; it is left as it is.
    #[error(
        "the command journal {path} has version {found}, this agent knows versions up to {known}: use the newer agent or move the file away"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// A database of something else; it is left as it is.
    #[error("{path} is a database but not a command journal: move it away or choose another place")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The system or the disk refused, or another process keeps it locked.
    #[error("the command journal {path} cannot be opened: {reason}")]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
}

/// Why the journal did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The disk refused. What was to be written may or may not be there after the next start.
    #[error("the command journal could not be read or written: {reason}")]
    Storage {
        /// What SQLite said.
        reason: String,
    },
    /// A row holds what no version has written there.
    #[error("the command journal holds a damaged row for {id:?}: {reason}")]
    Damaged {
        /// The id in that row.
        id: String,
        /// Which column, and what is wrong with it.
        reason: String,
    },
    /// Its thread has ended; nothing more can be recorded by this process.
    #[error("the command journal is closed")]
    Closed,
}

/// A command that is on disk.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Acceptance {
    /// It was not known and is in the queue now.
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

impl Journal {
    /// Opens the journal at `path`, or makes it, readable by its owner only, and prunes it. Blocks; briefly, but for up
    /// to 5 s when another process keeps the file locked.
    ///
    /// A damaged file is renamed to `NAME.corrupt-TIME` and a fresh one is made.
    ///
    /// # Errors
    /// [`OpenError`]; the file is then as it was.
    pub fn open(path: &Path, clock: Arc<dyn WallClock>) -> Result<Opened, OpenError> {
        let file::OpenFile { connection, interrupted, set_aside } = file::open(path, clock.now())?;
        let writer = Writer::start(connection).map_err(|error| OpenError::Storage {
            path: path.to_owned(),
            reason: format!("its thread cannot be started: {error}"),
        })?;
        Ok(Opened { journal: Self { writer, clock, interrupted }, set_aside })
    }

    /// The command `id`, if it is known.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn show(&self, id: &CommandId) -> Result<Option<CommandRecord>, JournalError> {
        let id = id.clone();
        self.writer.call(move |connection| rows::show(connection, &id), drop_ref).await
    }

    /// At most `limit` commands, those accepted last first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn list(&self, limit: usize) -> Result<Vec<CommandRecord>, JournalError> {
        self.writer.call(move |connection| rows::list(connection, limit), drop_ref).await
    }

    /// The commands that were in progress when the journal was opened, in the order of acceptance.
    pub(crate) fn interrupted(&self) -> &[CommandId] {
        &self.interrupted
    }

    /// A number that changes after each commit that changed anything.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.writer.changes()
    }

    /// Makes `envelope` durable under `id`, unless that id is known.
    pub(crate) async fn accept(
        &self,
        id: CommandId,
        envelope: Envelope,
        peer: Option<Peer>,
    ) -> Result<Result<Acceptance, Conflict>, JournalError> {
        let clock = Arc::clone(&self.clock);
        self.writer
            .call(
                move |connection| {
                    steps::accept(connection, &id, &envelope, peer.as_ref(), clock.now())
                },
                |answer| {
                    if let Ok(Acceptance::New(record)) = answer {
                        audit::accepted(record);
                    }
                },
            )
            .await
    }

    /// Begins an attempt at the command whose turn it is, and gives up those before it that have none left.
    pub(crate) async fn claim(&self) -> Result<Claim, JournalError> {
        let clock = Arc::clone(&self.clock);
        self.writer
            .call(
                move |connection| steps::claim(connection, clock.now()),
                |claim: &Claim| claim.given_up.iter().for_each(audit::finished),
            )
            .await
    }

    /// Adds an entry to the history of `id`.
    pub(crate) async fn progress(
        &self,
        id: &CommandId,
        stage: &str,
        module: Option<&str>,
        text: &str,
    ) -> Result<Change, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        let note = steps::Note {
            stage: stage.to_owned(),
            module: module.map(str::to_owned),
            text: text.to_owned(),
        };
        self.writer
            .call(move |connection| steps::progress(connection, &id, &note, clock.now()), drop_ref)
            .await
    }

    /// Puts a command that was broken off back into the queue, at its old place.
    pub(crate) async fn requeue(&self, id: &CommandId) -> Result<Change, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        self.writer
            .call(move |connection| steps::requeue(connection, &id, clock.now()), drop_ref)
            .await
    }

    /// Ends `id`.
    pub(crate) async fn finish(
        &self,
        id: &CommandId,
        finish: Finish,
    ) -> Result<Change, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        self.writer
            .call(
                move |connection| steps::finish(connection, &id, &finish, clock.now()),
                |change| {
                    if let Change::Made(record) = change {
                        audit::finished(record);
                    }
                },
            )
            .await
    }
}

/// After an operation that needs no audit record.
fn drop_ref<T>(_done: &T) {}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("interrupted", &self.interrupted).finish_non_exhaustive()
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage { reason: error.to_string() }
    }
}
