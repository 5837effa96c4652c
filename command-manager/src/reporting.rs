//! Brings results to one reporter, one after the other, until each is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use crate::journal::{Journal, JournalError};
use crate::stopping::Stopping;
use crate::{CommandManager, Report, ReportError, Reporter, backoff, panics};

/// How long a reporter may take for one result.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before a journal that refused is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The state of reporting to one reporter.
pub(crate) struct Reporting {
    manager: Arc<CommandManager>,
    reporter: Arc<dyn Reporter>,
    stop: Stopping,
    /// Attempts in a row that failed.
    failures: u32,
}

impl Reporting {
    pub(crate) fn new(
        manager: Arc<CommandManager>,
        reporter: Arc<dyn Reporter>,
        stop: Stopping,
    ) -> Self {
        Self { manager, reporter, stop, failures: 0 }
    }

    /// Reports until a stop is asked for. What is not acknowledged by then is in the journal.
    pub(crate) async fn run(mut self) {
        let manager = Arc::clone(&self.manager);
        let journal = manager.journal();
        let mut changes = journal.changes();
        while !self.stop.is_asked() {
            // Marked as seen before reading, so that a change in between wakes the loop again.
            changes.borrow_and_update();
            match journal.unreported(self.reporter.name()).await {
                Ok(Some(report)) => {
                    if let Err(error) = self.bring(journal, &report).await {
                        self.rest(&error).await;
                    }
                }
                Ok(None) => tokio::select! {
                    () = self.stop.asked() => {}
                    changed = changes.changed() => if changed.is_err() { return },
                },
                Err(JournalError::Closed) => return,
                Err(error) => self.rest(&error).await,
            }
        }
    }

    /// Makes one attempt, and rests after one that failed.
    async fn bring(&mut self, journal: &Journal, report: &Report) -> Result<(), JournalError> {
        let (reporter, id) = (self.reporter.name().to_owned(), &report.record.id);
        if self.is_too_old(journal, report) {
            return self.give_up(journal, report).await;
        }
        let Some(answer) = self.attempt(report).await else { return Ok(()) };
        match answer {
            Ok(()) => {
                self.failures = 0;
                debug!(reporter, %id, "a result was acknowledged");
                journal.reported(&reporter, report.change).await.map(drop)
            }
            Err(ReportError::Refused { reason }) => {
                self.failures = 0;
                error!(reporter, %id, %reason, "a result was refused and is not sent again");
                journal.reported(&reporter, report.change).await.map(drop)
            }
            Err(ReportError::Unreachable { reason }) => {
                self.failures = self.failures.saturating_add(1);
                debug!(reporter, %id, %reason, failures = self.failures, "a result is sent again later");
                let counted = journal.not_reported(&reporter, report.change).await;
                let pause = backoff::pause(self.failures, fastrand::f64());
                tokio::select! {
                    () = self.stop.asked() => {}
                    () = self.reporter.reachable() => {}
                    () = sleep(pause) => {}
                }
                counted
            }
        }
    }

    /// A result that nobody has acknowledged in its time goes. With it goes all that waits for a reporter on demand: whoever
    /// asked for results does not take them any more.
    async fn give_up(&self, journal: &Journal, report: &Report) -> Result<(), JournalError> {
        let (reporter, id) = (self.reporter.name(), &report.record.id);
        if journal.settings().reporters_on_demand.iter().any(|name| name == reporter) {
            let dropped = journal.forgo(reporter).await?;
            warn!(
                reporter,
                dropped, "nobody takes results any more; none is kept until somebody asks"
            );
            return Ok(());
        }
        error!(reporter, %id, "a result was never acknowledged and is not sent any more");
        journal.reported(reporter, report.change).await.map(drop)
    }

    /// What the reporter answers; `None` when a stop came first.
    async fn attempt(&mut self, report: &Report) -> Option<Result<(), ReportError>> {
        let unreachable = |reason: String| Err(ReportError::Unreachable { reason });
        let reporter = Arc::clone(&self.reporter);
        let reporting = timeout(PATIENCE, panics::catch(reporter.report(report)));
        tokio::select! {
            () = self.stop.asked() => None,
            answer = reporting => Some(match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(panic)) => unreachable(format!("the reporter panicked: {}", panics::text(&*panic))),
                Err(_) => unreachable(format!("no answer within {} s", PATIENCE.as_secs())),
            }),
        }
    }

    fn is_too_old(&self, journal: &Journal, report: &Report) -> bool {
        let ended = report.record.finished_at.unwrap_or(report.record.accepted_at);
        let age = journal.now().duration_since(ended);
        Duration::try_from(age).is_ok_and(|age| age > journal.settings().report_for)
    }

    async fn rest(&mut self, error: &JournalError) {
        warn!(
            reporter = self.reporter.name(),
            "results wait until the journal works again: {error}"
        );
        tokio::select! {
            () = self.stop.asked() => {}
            () = sleep(RETRY) => {}
        }
    }
}
