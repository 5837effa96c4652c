//! Offers results to whoever asks for them over the control API, one after the other, until each is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use command_manager::{Report, ReportError, Reporter};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long a result is offered before the reporter rests. Shorter than the command manager waits, so that what is offered
/// is taken back by this code.
const OFFERED_FOR: Duration = Duration::from_secs(20);

/// The results that wait for a local receiver. There is one place for a receiver: of two that ask, each may get what the
/// other has not acknowledged yet.
pub(crate) struct ResultStream {
    /// The result that is offered now.
    offered: watch::Sender<Option<Arc<Report>>>,
    /// Told when a receiver asks.
    asked: Notify,
}

impl ResultStream {
    /// Its name in the journal.
    pub(crate) const NAME: &str = "control";

    pub(crate) fn new() -> Self {
        Self { offered: watch::Sender::new(None), asked: Notify::new() }
    }

    /// The oldest result that is not acknowledged, as soon as there is one; waits without end otherwise. Cancel safe.
    pub(crate) async fn next(&self) -> Option<Arc<Report>> {
        self.asked.notify_one();
        let mut offered = self.offered.subscribe();
        let found = offered.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone())
    }

    /// Tells that the receiver has the result `change`, which is out of the journal.
    pub(crate) fn acknowledge(&self, change: u64) {
        // What is not offered any more must not be handed out again.
        self.offered.send_if_modified(|offered| {
            let is_this = offered.as_ref().is_some_and(|report| report.change == change);
            if is_this {
                *offered = None;
            }
            is_this
        });
    }
}

#[async_trait]
impl Reporter for ResultStream {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn report(&self, report: &Report) -> Result<(), ReportError> {
        let mut offered = self.offered.subscribe();
        self.offered.send_replace(Some(Arc::new(report.clone())));
        let _withdraw = Withdraw(&self.offered);
        // Only an acknowledgement takes an offer away while this waits.
        match timeout(OFFERED_FOR, offered.wait_for(Option::is_none)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let reason = "nobody has acknowledged it over the control API".to_owned();
                Err(ReportError::Unreachable { reason })
            }
        }
    }

    async fn reachable(&self) {
        self.asked.notified().await;
    }
}

/// Takes the offer back, also when the report is given up half-way.
struct Withdraw<'a>(&'a watch::Sender<Option<Arc<Report>>>);

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

#[cfg(test)]
mod tests;
