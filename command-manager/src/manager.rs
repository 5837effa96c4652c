//! The one place where commands are accepted, followed and finished.

mod joining;
mod results;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::executor::{Finish, Judgement};
use crate::journal::{
    Acceptance, Accepted, Cancelling, Change, Journal, JournalError, OpenError, SetAside,
};
use crate::runner::{Runner, nobody_for};
use crate::stopping::Stopping;
use crate::{
    Changes, CommandId, CommandRecord, Envelope, ErrorCode, Executors, Peer, RestartRoom, Settings,
    Step, WallClock, audit, panics,
};

/// Accepts commands into the journal and has them executed in the order of acceptance, one at a time per
/// [scope](crate::Scope).
///
/// Share it in an `Arc`. Every method may be dropped at any await: what was to be written is then on disk or not, as a
/// whole, and asking again tells. Dropping the manager waits until the journal is closed.
#[derive(Debug)]
pub struct CommandManager {
    journal: Journal,
    /// Found in progress at the start and not judged yet. Locked during a judgement, so that two callers of `recover`
    /// do not judge the same command.
    unjudged: Mutex<VecDeque<CommandId>>,
    /// Judged as being finished by somebody else; nobody watches their time yet.
    deferred: StdMutex<Vec<CommandId>>,
}

/// Why a command was not accepted. Nothing will be done for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// Its id belongs to a command that asks for something else.
    #[error("the id {id} belongs to another command: use a new id")]
    Conflict {
        /// The id.
        id: CommandId,
    },
    /// There were as many restarts of the agent within the last hour as are allowed.
    #[error(
        "the agent may be restarted {limit} times an hour (commands.max_restarts_per_hour): ask again in {} s",
        wait.as_secs() + 1
    )]
    TooManyRestarts {
        /// How many are allowed.
        limit: u32,
        /// How long until there is room for one more.
        wait: Duration,
    },
    /// It could not be made durable. If the disk failed in the middle it may be there after the next start
    /// all the same; asking again with the same id tells.
    #[error("the command could not be recorded: {reason}")]
    Storage {
        /// What the journal said.
        reason: String,
    },
}

impl CommandManager {
    /// Opens the journal at `path`, or makes it; `clock` stamps what is recorded. Blocks; briefly, but for up to 5 s
    /// when another process keeps the file locked.
    ///
    /// A damaged journal is set aside and a fresh one is opened; that is the second part of the answer, and has to be
    /// reported to the operator. A large one is not read as a whole: see [`CommandManager::verify`].
    ///
    /// # Errors
    /// [`OpenError`] when the journal belongs to a newer agent, is no journal, or cannot be opened.
    pub fn open(
        path: &Path,
        clock: Arc<dyn WallClock>,
        settings: Settings,
    ) -> Result<(Self, Option<SetAside>), OpenError> {
        let (journal, set_aside) = Journal::open(path, clock, settings)?;
        let unjudged = Mutex::new(journal.interrupted().iter().cloned().collect());
        Ok((Self { journal, unjudged, deferred: StdMutex::default() }, set_aside))
    }

    /// What was decided about commands when the journal was opened.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.journal.settings()
    }

    /// Takes a command on. On return it is on disk, or was before. `peer` is who asked over the local socket.
    ///
    /// The same id with the same content is answered with the record of the first, also when only its id and its answer
    /// are left of it. The content is what decides what is done: type, target, force, reason, origin and the time at which
    /// it expires, if that was given.
    ///
    /// # Errors
    /// [`AcceptError`] says why nothing will be done. It is in the audit trail already.
    pub async fn accept(
        &self,
        envelope: Envelope,
        peer: Option<Peer>,
    ) -> Result<Acceptance, AcceptError> {
        let id = envelope.id.clone().unwrap_or_else(CommandId::generate);
        let asked = audit::Asked::new(&id, &envelope, peer.as_ref());
        let refused = match self.journal.accept(id.clone(), envelope, peer).await {
            Ok((Accepted::New, record)) => return Ok(Acceptance::New(record)),
            Ok((Accepted::Expired(ended), _)) => return Ok(Acceptance::New(*ended)),
            Ok((Accepted::Known(known), _)) => return Ok(Acceptance::Known(*known)),
            Ok((Accepted::Conflict, _)) => AcceptError::Conflict { id },
            Ok((Accepted::TooManyRestarts(wait), _)) => {
                let limit = self.settings().max_restarts_per_hour;
                AcceptError::TooManyRestarts { limit, wait }
            }
            Err(error) => AcceptError::Storage { reason: error.to_string() },
        };
        audit::refused(&asked, &refused.to_string(), self.journal.now());
        Err(refused)
    }

    /// The command `id`, if it is known. When it is not kept as a whole any more, its history has only the end left, and
    /// `received`, `result` and `requester` are gone.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn show(&self, id: &CommandId) -> Result<Option<CommandRecord>, JournalError> {
        self.journal.show(id).await
    }

    /// How many restarts of the agent the limit leaves now, without asking for one.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn restart_room(&self) -> Result<RestartRoom, JournalError> {
        self.journal.restart_room().await
    }

    /// At most `limit` commands, those accepted last first; without those of which only id and answer are left.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn list(&self, limit: usize) -> Result<Vec<CommandRecord>, JournalError> {
        self.journal.list(limit).await
    }

    /// Returns the command `id` once its history has an entry after `after_seq`, or once it is finished; at once if that
    /// is so already. Waits without end otherwise: put a timeout around it. Cancel safe.
    ///
    /// `None` means that there is no such command.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn wait(
        &self,
        id: &CommandId,
        after_seq: u64,
    ) -> Result<Option<CommandRecord>, JournalError> {
        let mut changes = self.journal.changes();
        loop {
            // Marked as seen before reading, so that a change in between wakes the loop again.
            changes.borrow_and_update();
            let Some(record) = self.journal.show(id).await? else { return Ok(None) };
            if record.status.is_finished() || record.last_seq() > after_seq {
                return Ok(Some(record));
            }
            changes.changed().await.map_err(|_| JournalError::Closed)?;
        }
    }

    /// The next changes of any command after the change `after`, at most `limit` (at least 1) of them: 0 begins with the
    /// oldest that is kept. Returns once there is one, at once if there is one already; waits without end otherwise. Cancel
    /// safe.
    ///
    /// The numbers go on in the next process, so a subscriber that remembers the last one misses nothing and gets
    /// nothing twice.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn changes(&self, after: u64, limit: usize) -> Result<Changes, JournalError> {
        let mut commits = self.journal.changes();
        loop {
            commits.borrow_and_update();
            let found = self.journal.changes_after(after, limit.max(1)).await?;
            if !found.changes.is_empty() {
                return Ok(found);
            }
            commits.changed().await.map_err(|_| JournalError::Closed)?;
        }
    }

    /// The number of the newest change, from which a subscriber begins that wants only what is new; 0 before the first.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn newest_change(&self) -> Result<u64, JournalError> {
        self.journal.newest_change().await
    }

    /// Records how far the command `id` is. On return it is on disk. A finished command stays as it is, and the answer
    /// says so.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written.
    pub async fn progress(&self, id: &CommandId, step: Step) -> Result<Change, JournalError> {
        self.journal.progress(id, step).await
    }

    /// Ends the command `id`, in progress or still waiting. On return it is on disk and in the audit trail, and the queue
    /// goes on if it waited for this. A finished command stays as it is, and the answer says so.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written; try again.
    pub async fn finish(&self, id: &CommandId, finish: Finish) -> Result<Change, JournalError> {
        self.journal.finish(id, finish).await
    }

    /// Ends the command `id` as failure with [`ErrorCode::Cancelled`] if it has not been begun; `who` and `why` go into its
    /// history. What was begun goes on. A stop is begun by being accepted.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written; try again.
    pub async fn cancel(
        &self,
        id: &CommandId,
        who: Option<&Peer>,
        why: Option<&str>,
    ) -> Result<Cancelling, JournalError> {
        let by = who.map_or_else(String::new, |peer| format!(" by {}", audit::Who(Some(peer))));
        let because = why.map_or_else(String::new, |why| format!(": {why}"));
        let text = format!("cancelled before its turn came{by}{because}");
        self.journal.cancel(id, text).await
    }

    /// What [`changes`](Self::changes) would return, without waiting: there may be none.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn changes_so_far(&self, after: u64, limit: usize) -> Result<Changes, JournalError> {
        self.journal.changes_after(after, limit.max(1)).await
    }

    /// Has the executors judge each command that was in progress when the journal was opened. Call it before [`run`],
    /// which otherwise does it itself. A second call finds nothing to do; after an error it goes on where it stopped.
    ///
    /// # Errors
    /// [`JournalError`] when a judgement could not be written.
    ///
    /// [`run`]: Self::run
    pub async fn recover(&self, executors: &Executors) -> Result<(), JournalError> {
        let mut unjudged = self.unjudged.lock().await;
        while let Some(id) = unjudged.front() {
            self.judge(id, executors).await?;
            unjudged.pop_front();
        }
        Ok(())
    }

    /// Asks what became of `id`, which an earlier process had begun, and records the judgement.
    async fn judge(&self, id: &CommandId, executors: &Executors) -> Result<(), JournalError> {
        let Some(command) = self.journal.show(id).await? else { return Ok(()) };
        if command.status.is_finished() {
            return Ok(());
        }
        let judgement = match executors.get(command.kind) {
            Some(executor) => {
                panics::catch(executor.judge(&command)).await.unwrap_or_else(|panic| {
                    let panic = panics::text(&*panic);
                    let text = format!("it was broken off, and judging it panicked: {panic}");
                    Judgement::Finished(Finish::failure(ErrorCode::Interrupted, text))
                })
            }
            None => Judgement::Finished(nobody_for(&command)),
        };
        match judgement {
            Judgement::Finished(finish) => self.journal.finish(id, finish).await.map(drop),
            Judgement::Again => self.journal.requeue(id).await.map(drop),
            Judgement::Deferred => {
                drop(self.journal.leave(id).await?);
                self.deferred_ids().push(id.clone());
                Ok(())
            }
        }
    }

    /// The task that executes commands, until `stop` becomes true or its sender is gone.
    ///
    /// The attempt is on disk before [`Executor::execute`](crate::Executor::execute) is called. A stop waits for the
    /// commands under way, so that their ends are recorded: an executor that takes part in the stop has to answer
    /// [`Deferred`](crate::Execution::Deferred). Dropping this future aborts the commands under way, which are then
    /// judged at the next start. While the journal cannot be written nothing is begun; it is tried again each second.
    pub async fn run(self: Arc<Self>, executors: Executors, stop: watch::Receiver<bool>) {
        Runner::new(self, executors, Stopping::new(stop)).run().await;
    }

    /// Reads the whole journal and answers what is damaged in it, if something is. One of up to 1 MiB was read when it was
    /// opened; then this returns at once. A larger one takes a millisecond or two for each MiB, on a thread of its own:
    /// call it once after the start. What is damaged has to be reported; the journal is set aside at the next start.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be read for another reason.
    pub async fn verify(&self) -> Result<Option<String>, JournalError> {
        self.journal.verify().await
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The commands that were judged as being finished by somebody else, once.
    pub(crate) fn take_deferred(&self) -> Vec<CommandId> {
        std::mem::take(&mut *self.deferred_ids())
    }

    fn deferred_ids(&self) -> std::sync::MutexGuard<'_, Vec<CommandId>> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
