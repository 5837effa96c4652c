//! Results, on their way to reporters.

use std::sync::Arc;

use tokio::sync::watch;

use super::CommandManager;
use crate::Reporter;
use crate::journal::JournalError;
use crate::reporting::Reporting;
use crate::stopping::Stopping;

impl CommandManager {
    /// The task that brings results to `reporter`, until `stop` becomes true or its sender is gone. One task for each
    /// reporter; what is not acknowledged when it ends is brought by the next one, in this process or another.
    ///
    /// A reporter whose name is not among [`Settings::reporters`](crate::Settings::reporters) gets nothing.
    pub async fn report_to(
        self: Arc<Self>,
        reporter: Arc<dyn Reporter>,
        stop: watch::Receiver<bool>,
    ) {
        Reporting::new(self, reporter, Stopping::new(stop)).run().await;
    }

    /// How many results wait for the acknowledgement of the reporter called `name`.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn unreported(&self, name: &str) -> Result<u64, JournalError> {
        self.journal.count_unreported(name).await
    }

    /// Whether a result waits for the reporter called `name`.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub async fn has_unreported(&self, name: &str) -> Result<bool, JournalError> {
        self.journal.has_unreported(name).await
    }

    /// Keeps results for the reporter called `name`, one of [`Settings::reporters_on_demand`](crate::Settings::reporters_on_demand), from now on, also in the
    /// next processes; until nobody has taken one for [`Settings::report_for`](crate::Settings::report_for).
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written.
    pub async fn demand(&self, name: &str) -> Result<(), JournalError> {
        self.journal.demand(name).await
    }

    /// Takes the result `change` as acknowledged by the receiver of the reporter called `name`, for a receiver that says so by
    /// another way than [`Reporter::report`]. On return it is on disk. Whether the result was waiting.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written; the result is sent again then.
    pub async fn acknowledge(&self, name: &str, change: u64) -> Result<bool, JournalError> {
        self.journal.reported(name, change).await
    }
}
