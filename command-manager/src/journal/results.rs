//! The journal's results: what waits for which reporter.

use rusqlite::Connection;

use super::{Journal, JournalError, drop_ref, outbox};
use crate::Report;

impl Journal {
    /// The oldest result that `reporter` has not acknowledged.
    pub(crate) async fn unreported(&self, reporter: &str) -> Result<Option<Report>, JournalError> {
        let reporter = reporter.to_owned();
        self.writer.call(move |connection| outbox::oldest(connection, &reporter), drop_ref).await
    }

    /// How many results wait for `reporter`.
    pub(crate) async fn count_unreported(&self, reporter: &str) -> Result<u64, JournalError> {
        let reporter = reporter.to_owned();
        self.writer.call(move |connection| outbox::waiting(connection, &reporter), drop_ref).await
    }

    /// Whether a result waits for `reporter`.
    pub(crate) async fn has_unreported(&self, reporter: &str) -> Result<bool, JournalError> {
        let reporter = reporter.to_owned();
        let read = move |connection: &Connection| outbox::has_waiting(connection, &reporter);
        self.writer.call(read, drop_ref).await
    }

    /// Keeps results for `reporter` from now on.
    pub(crate) async fn demand(&self, reporter: &str) -> Result<(), JournalError> {
        let reporter = reporter.to_owned();
        self.writer.call(move |connection| outbox::demand(connection, &reporter), drop_ref).await
    }

    /// Keeps no more results for `reporter`, and drops those that wait. Returns how many those were.
    pub(crate) async fn forgo(&self, reporter: &str) -> Result<usize, JournalError> {
        let reporter = reporter.to_owned();
        self.writer.call(move |connection| outbox::forgo(connection, &reporter), drop_ref).await
    }

    /// Takes a result out of the outbox of `reporter`. Whether it was there.
    pub(crate) async fn reported(&self, reporter: &str, change: u64) -> Result<bool, JournalError> {
        let reporter = reporter.to_owned();
        let remove = move |connection: &Connection| outbox::remove(connection, &reporter, change);
        self.writer.call(remove, drop_ref).await
    }

    /// Counts an attempt to report that failed.
    pub(crate) async fn not_reported(
        &self,
        reporter: &str,
        change: u64,
    ) -> Result<(), JournalError> {
        let reporter = reporter.to_owned();
        let count =
            move |connection: &Connection| outbox::count_attempt(connection, &reporter, change);
        self.writer.call(count, drop_ref).await
    }
}
