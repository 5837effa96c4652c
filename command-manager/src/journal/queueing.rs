//! Commands that join others, wait again, or end while they wait.

use std::sync::Arc;

use rusqlite::Connection;

use super::{Change, Journal, JournalError, drop_ref, queue, steps};
use crate::{CommandId, CommandRecord, CommandType, Finish, RestartRoom, audit};

impl Journal {
    /// Begins those of `ids` that still wait, together with another command.
    pub(crate) async fn join(
        &self,
        ids: Vec<CommandId>,
        text: String,
    ) -> Result<Vec<CommandId>, JournalError> {
        let clock = Arc::clone(&self.clock);
        let join = move |connection: &Connection| steps::join(connection, &ids, &text, clock.now());
        self.writer.call(join, drop_ref).await
    }

    /// Ends every command of these types that waits.
    pub(crate) async fn finish_waiting(
        &self,
        kinds: &'static [CommandType],
        finish: Finish,
    ) -> Result<Vec<CommandRecord>, JournalError> {
        let (clock, settings) = (Arc::clone(&self.clock), Arc::clone(&self.settings));
        self.writer
            .call(
                move |connection| {
                    steps::finish_waiting(connection, &settings, kinds, &finish, clock.now())
                },
                |ended: &Vec<CommandRecord>| ended.iter().for_each(audit::finished),
            )
            .await
    }

    /// The commands of these types that wait, in the order of acceptance.
    pub(crate) async fn waiting(
        &self,
        kinds: &'static [CommandType],
    ) -> Result<Vec<CommandRecord>, JournalError> {
        let read = move |connection: &Connection| queue::waiting(connection, kinds);
        let read = move |connection: &Connection| {
            Ok(read(connection)?.into_iter().map(|stored| stored.record).collect())
        };
        self.writer.call(read, drop_ref).await
    }

    /// How much room the limit of restarts leaves now.
    pub(crate) async fn restart_room(&self) -> Result<RestartRoom, JournalError> {
        let (limit, clock) = (self.settings.max_restarts_per_hour, Arc::clone(&self.clock));
        let read = move |connection: &Connection| {
            let before = queue::restarts(connection, limit)?;
            Ok(RestartRoom::of(&before, limit, clock.now()))
        };
        self.writer.call(read, drop_ref).await
    }

    /// Notes that `id` outlived its process; ends it if that has happened too often.
    pub(crate) async fn leave(&self, id: &CommandId) -> Result<Change, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        let settings = Arc::clone(&self.settings);
        self.writer
            .call(
                move |connection| steps::leave(connection, &settings, &id, clock.now()),
                |change| match change {
                    Change::Made(record) if record.status.is_finished() => audit::finished(record),
                    Change::Made(_) | Change::AlreadyFinished(_) | Change::Unknown => {}
                },
            )
            .await
    }

    /// Puts a command that was broken off back into the queue, at its old place.
    pub(crate) async fn requeue(&self, id: &CommandId) -> Result<Change, JournalError> {
        let (id, clock) = (id.clone(), Arc::clone(&self.clock));
        self.writer
            .call(move |connection| steps::requeue(connection, &id, clock.now()), drop_ref)
            .await
    }
}
