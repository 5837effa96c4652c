//! Takes commands from the journal, one at a time, and has the executor carry them out.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{error, warn};

use crate::journal::{Change, Claim, Journal, JournalError};
use crate::{
    CommandId, CommandManager, CommandRecord, ErrorCode, Execution, Executor, Finish, Judgement,
};

/// How long to wait before a journal that refused is asked again: a full disk takes an operator, not milliseconds.
const RETRY: Duration = Duration::from_secs(1);

/// The state of one run.
pub(crate) struct Runner<'a> {
    manager: &'a CommandManager,
    journal: &'a Journal,
    executor: Arc<dyn Executor>,
    stop: watch::Receiver<bool>,
}

/// The run is over: it was asked to stop, or there is no journal any more.
struct Over;

impl<'a> Runner<'a> {
    pub(crate) fn new(
        manager: &'a CommandManager,
        journal: &'a Journal,
        executor: Arc<dyn Executor>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { manager, journal, executor, stop }
    }

    pub(crate) async fn run(mut self) {
        let mut changes = self.journal.changes();
        while let Err(error) = self.manager.recover(self.executor.as_ref()).await {
            if let Err(Over) = self.pause_after(&error).await {
                return;
            }
        }
        loop {
            if self.stopped() {
                return;
            }
            // Marked as seen before claiming, so that a change in between wakes the loop again.
            changes.borrow_and_update();
            let went_on = match self.journal.claim().await {
                Ok(Claim { started: Some(command), .. }) => self.carry_out(command).await,
                Ok(Claim { started: None, .. }) => self.until_changed(&mut changes).await,
                Err(error) => self.pause_after(&error).await,
            };
            if let Err(Over) = went_on {
                return;
            }
        }
    }

    /// Executes a command whose attempt is on disk, and records its end.
    async fn carry_out(&mut self, command: CommandRecord) -> Result<(), Over> {
        let id = command.id.clone();
        let executor = Arc::clone(&self.executor);
        // A task of its own, so that a panic ends only this command.
        let mut task = AbortOnDrop(tokio::spawn(async move { executor.execute(&command).await }));
        let finish = match (&mut task.0).await {
            Ok(Execution::Finished(finish)) => finish,
            Ok(Execution::Deferred) => return Ok(()),
            Err(join) => broken_off(join),
        };
        loop {
            match self.journal.finish(&id, finish.clone()).await {
                Ok(Change::Made(_) | Change::AlreadyFinished(_)) => return Ok(()),
                Ok(Change::Unknown) => {
                    error!(%id, "a command vanished from the journal while it was executed");
                    return Ok(());
                }
                Err(error) => self.pause_after(&error).await?,
            }
        }
    }

    async fn until_changed(&mut self, changes: &mut watch::Receiver<u64>) -> Result<(), Over> {
        tokio::select! {
            () = stop_asked(&mut self.stop) => Err(Over),
            changed = changes.changed() => changed.map_err(|_| Over),
        }
    }

    async fn pause_after(&mut self, error: &JournalError) -> Result<(), Over> {
        if *error == JournalError::Closed {
            error!("no more commands are executed: {error}");
            return Err(Over);
        }
        warn!("commands wait until the journal works again: {error}");
        tokio::select! {
            () = stop_asked(&mut self.stop) => Err(Over),
            () = sleep(RETRY) => Ok(()),
        }
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

/// Returns once a stop was asked for, or nobody is left who could ask.
async fn stop_asked(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which counts as a stop.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Asks `executor` what became of `id`, which an earlier process had begun, and records the judgement.
pub(crate) async fn judge(
    journal: &Journal,
    id: &CommandId,
    executor: &dyn Executor,
) -> Result<(), JournalError> {
    let Some(command) = journal.show(id).await? else { return Ok(()) };
    if command.status.is_finished() {
        return Ok(());
    }
    let judgement = catch_panic(executor.judge(&command)).await.unwrap_or_else(|panic| {
        let text = format!("it was broken off, and judging it panicked: {}", panic_text(&*panic));
        Judgement::Finished(Finish::failure(ErrorCode::Interrupted, text))
    });
    match judgement {
        Judgement::Finished(finish) => journal.finish(id, finish).await.map(drop),
        Judgement::Again => journal.requeue(id).await.map(drop),
        Judgement::Deferred => Ok(()),
    }
}

async fn catch_panic<T>(future: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    })
    .await
}

fn broken_off(join: tokio::task::JoinError) -> Finish {
    let text = match join.try_into_panic() {
        Ok(panic) => format!("the executor panicked: {}", panic_text(&*panic)),
        Err(cancelled) => format!("the executor was broken off: {cancelled}"),
    };
    Finish::failure(ErrorCode::Failed, text)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
