//! The one place where commands are accepted, followed and finished.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::executor::{Executor, Finish};
use crate::journal::{Acceptance, Change, Conflict, Journal, JournalError, OpenError, SetAside};
use crate::{CommandId, CommandRecord, Envelope, Peer, WallClock, audit, runner};

/// Accepts commands into the journal and has them executed one after the other, in the order of acceptance.
///
/// Share it in an `Arc`. Every method may be dropped at any await: what was to be written is then on disk or not, as a
/// whole, and asking again tells. Dropping the manager waits until the journal is closed.
#[derive(Debug)]
pub struct CommandManager {
    journal: Journal,
    /// Found in progress at the start and not judged yet. Locked during a judgement, so that two callers of `recover`
    /// do not judge the same command.
    unjudged: Mutex<VecDeque<CommandId>>,
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
    /// reported to the operator.
    ///
    /// # Errors
    /// [`OpenError`] when the journal belongs to a newer agent, is no journal, or cannot be opened.
    pub fn open(
        path: &Path,
        clock: Arc<dyn WallClock>,
    ) -> Result<(Self, Option<SetAside>), OpenError> {
        let opened = Journal::open(path, clock)?;
        let unjudged = Mutex::new(opened.journal.interrupted().iter().cloned().collect());
        Ok((Self { journal: opened.journal, unjudged }, opened.set_aside))
    }

    /// Takes a command on. On return it is on disk, or was before. `peer` is who asked over the local socket.
    ///
    /// The same id with the same content is answered with the record of the first. The content is what decides what is
    /// done: type, target, force, reason and origin.
    ///
    /// # Errors
    /// [`AcceptError`] says why nothing will be done. It is in the audit trail already.
    pub async fn accept(
        &self,
        envelope: Envelope,
        peer: Option<Peer>,
    ) -> Result<Acceptance, AcceptError> {
        let id = envelope.id.clone().unwrap_or_else(CommandId::generate);
        let accepted = self.journal.accept(id.clone(), envelope.clone(), peer.clone()).await;
        let refused = match accepted {
            Ok(Ok(acceptance)) => return Ok(acceptance),
            Ok(Err(Conflict)) => AcceptError::Conflict { id: id.clone() },
            Err(error) => AcceptError::Storage { reason: error.to_string() },
        };
        audit::refused(Some(&id), Some(&envelope), peer.as_ref(), &refused.to_string());
        Err(refused)
    }

    /// The command `id`, if it is known.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn show(&self, id: &CommandId) -> Result<Option<CommandRecord>, JournalError> {
        self.journal.show(id).await
    }

    /// At most `limit` commands, those accepted last first.
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

    /// Records how far the command `id` is: which `stage` of the work, about which module, in words. On return it is on
    /// disk. A finished command stays as it is, and the answer says so.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written.
    pub async fn progress(
        &self,
        id: &CommandId,
        stage: &str,
        module: Option<&str>,
        text: &str,
    ) -> Result<Change, JournalError> {
        self.journal.progress(id, stage, module, text).await
    }

    /// Ends the command `id`, in progress or still waiting. On return it is on disk and in the audit trail, and the queue
    /// goes on if it waited for this. A finished command stays as it is, and the answer says so.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written; try again.
    pub async fn finish(&self, id: &CommandId, finish: Finish) -> Result<Change, JournalError> {
        self.journal.finish(id, finish).await
    }

    /// Has `executor` judge each command that was in progress when the journal was opened. Call it before [`run`], which
    /// otherwise does it itself. A second call finds nothing to do; after an error it goes on where it stopped.
    ///
    /// # Errors
    /// [`JournalError`] when a judgement could not be written.
    ///
    /// [`run`]: Self::run
    pub async fn recover(&self, executor: &dyn Executor) -> Result<(), JournalError> {
        let mut unjudged = self.unjudged.lock().await;
        while let Some(id) = unjudged.front() {
            runner::judge(&self.journal, id, executor).await?;
            unjudged.pop_front();
        }
        Ok(())
    }

    /// The task that executes commands, until `stop` becomes true or its sender is gone.
    ///
    /// The attempt is on disk before [`Executor::execute`] is called. A stop waits for the command under way, so that
    /// its end is recorded: an executor that takes part in the stop has to answer
    /// [`Deferred`](crate::Execution::Deferred). Dropping this future aborts the command under way, which is then
    /// judged at the next start. While the journal cannot be written nothing is begun; it is tried again each second.
    pub async fn run(self: Arc<Self>, executor: Arc<dyn Executor>, stop: watch::Receiver<bool>) {
        runner::Runner::new(&self, &self.journal, executor, stop).run().await;
    }
}
