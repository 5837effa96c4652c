//! Commands that wait: those that join another one, and those that end before their turn.

use super::CommandManager;
use crate::journal::{Change, JournalError};
use crate::{CommandId, CommandRecord, CommandType, Finish};

impl CommandManager {
    /// Begins those of `ids` that still wait together with a command under way that does what they ask for, and returns
    /// them; `text` tells why. No attempt is counted. From then on they can neither expire nor be cancelled, and nothing that
    /// they exclude is begun: whoever joins them has to [`finish`](Self::finish) or [`release`](Self::release) each.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written; none is joined then.
    pub async fn join(
        &self,
        ids: Vec<CommandId>,
        text: impl Into<String> + Send,
    ) -> Result<Vec<CommandId>, JournalError> {
        let joined = self.journal.join(ids, text.into()).await?;
        self.deferred_ids().extend(joined.iter().cloned());
        Ok(joined)
    }

    /// Lets a command that was joined to another wait for its own turn again.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written; try again.
    pub async fn release(&self, id: &CommandId) -> Result<Change, JournalError> {
        self.deferred_ids().retain(|deferred| deferred != id);
        self.journal.requeue(id).await
    }

    /// The commands of these types that were not begun, in the order of acceptance.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn waiting(
        &self,
        kinds: &'static [CommandType],
    ) -> Result<Vec<CommandRecord>, JournalError> {
        self.journal.waiting(kinds).await
    }

    /// Ends every command of these types that was not begun, all in one commit, and returns them.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written; none has ended then.
    pub async fn finish_waiting(
        &self,
        kinds: &'static [CommandType],
        finish: Finish,
    ) -> Result<Vec<CommandRecord>, JournalError> {
        self.journal.finish_waiting(kinds, finish).await
    }

    /// Whether an earlier process has accepted this command and not finished it.
    #[must_use]
    pub fn is_inherited(&self, id: &CommandId) -> bool {
        self.journal.is_inherited(id)
    }
}
