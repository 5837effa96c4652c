//! Takes commands from the journal as their turn comes, and has the executors carry them out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, warn};

use crate::journal::{Change, Claim, Journal, JournalError};
use crate::stopping::Stopping;
use crate::{
    CommandId, CommandManager, CommandRecord, ErrorCode, Execution, Executors, Finish,
    ProgressSink, panics,
};

/// How long to wait before a journal that refused is asked again: a full disk takes an operator, not milliseconds.
const RETRY: Duration = Duration::from_secs(1);

/// How often commands that wait behind another one are looked at for having expired.
const SWEEP: Duration = Duration::from_secs(1);

/// After how many commits it is looked whether something need not be kept any more.
const RETIRE_AFTER: u64 = 64;

/// Each time so many looks went on from where the one before had ended, one begins with the oldest command again.
const LOOK_BACK_EVERY: u64 = 64;

/// The state of one run.
pub(crate) struct Runner {
    manager: Arc<CommandManager>,
    executors: Executors,
    stop: Stopping,
    under_way: JoinSet<(CommandId, Execution)>,
    /// What is finished by somebody else, with the time by which that has to be.
    deferred: Vec<(CommandId, Option<Instant>)>,
    /// When to look for commands that have expired; `None` while nothing is known to wait.
    sweep_at: Option<Instant>,
}

/// The run is over: it was asked to stop, or there is no journal any more.
struct Over;

impl Runner {
    pub(crate) fn new(manager: Arc<CommandManager>, executors: Executors, stop: Stopping) -> Self {
        let under_way = JoinSet::new();
        Self { manager, executors, stop, under_way, deferred: Vec::new(), sweep_at: None }
    }

    pub(crate) async fn run(mut self) {
        let manager = Arc::clone(&self.manager);
        let journal = manager.journal();
        while let Err(error) = manager.recover(&self.executors).await {
            if let Err(Over) = self.pause_before_stop(&error).await {
                return;
            }
        }
        let retiring = keep_house(Arc::clone(&manager));
        tokio::select! {
            () = self.turn(journal) => {}
            () = retiring => {}
        }
    }

    /// Turns until a stop was asked for and nothing is under way.
    async fn turn(&mut self, journal: &Journal) {
        let mut changes = journal.changes();
        loop {
            let stopping = self.stop.is_asked();
            if stopping && self.under_way.is_empty() {
                return;
            }
            // Marked as seen before claiming, so that a change in between wakes the loop again.
            changes.borrow_and_update();
            for id in self.manager.take_deferred() {
                self.defer(id);
            }
            let went_on = if stopping {
                self.until_something(journal, &mut changes, stopping).await
            } else {
                match journal.claim().await {
                    Ok(Claim { started: Some(command), .. }) => {
                        self.begin(command);
                        Ok(())
                    }
                    Ok(Claim { started: None, .. }) => {
                        self.sweep_at.get_or_insert_with(|| Instant::now() + SWEEP);
                        self.until_something(journal, &mut changes, stopping).await
                    }
                    Err(error) => self.pause_after(&error).await,
                }
            };
            if let Err(Over) = went_on {
                return;
            }
        }
    }

    /// Waits until another command may have its turn, and sees to what comes meanwhile.
    async fn until_something(
        &mut self,
        journal: &Journal,
        changes: &mut watch::Receiver<u64>,
        stopping: bool,
    ) -> Result<(), Over> {
        loop {
            let late = self.deferred.iter().filter_map(|(_, at)| *at).min();
            let sweep = self.sweep_at.filter(|_| !stopping);
            tokio::select! {
                Some(ended) = self.under_way.join_next() => return self.ended(journal, ended).await,
                changed = changes.changed(), if !stopping => return changed.map_err(|_| Over),
                () = self.stop.asked(), if !stopping => return Ok(()),
                () = at(late), if !stopping => return self.time_out_deferred(journal).await,
                // What it ends is a change.
                () = at(sweep) => match journal.sweep().await {
                    Ok(waiting) => self.sweep_at = waiting.then(|| Instant::now() + SWEEP),
                    Err(error) => return self.pause_after(&error).await,
                },
            }
        }
    }

    /// Has a command executed whose attempt is on disk.
    fn begin(&mut self, command: CommandRecord) {
        let (id, limit) = (command.id.clone(), self.manager.settings().timeout);
        let progress = ProgressSink::new(Arc::clone(&self.manager), id.clone());
        let executor = self.executors.get(command.kind).cloned();
        self.under_way.spawn(async move {
            let Some(executor) = executor else {
                return (id, Execution::Finished(nobody_for(&command)));
            };
            let executing = panics::catch(executor.execute(&command, &progress));
            let execution = tokio::select! {
                biased;
                executed = executing => executed.unwrap_or_else(|panic| {
                    let text = format!("the executor panicked: {}", panics::text(&*panic));
                    Execution::Finished(Finish::failure(ErrorCode::Failed, text))
                }),
                () = at(Instant::now().checked_add(limit)) => Execution::Finished(too_late(limit)),
            };
            (id, execution)
        });
    }

    async fn ended(
        &mut self,
        journal: &Journal,
        ended: Result<(CommandId, Execution), JoinError>,
    ) -> Result<(), Over> {
        match ended {
            Ok((id, Execution::Finished(finish))) => self.finish(journal, &id, finish).await,
            Ok((id, Execution::Deferred)) => {
                self.defer(id);
                Ok(())
            }
            Err(error) => {
                // Panics are caught within, so only an executor that is torn down with its runtime gets here.
                error!(%error, "an executor was broken off; its command is judged at the next start");
                Ok(())
            }
        }
    }

    fn defer(&mut self, id: CommandId) {
        let limit = self.manager.settings().timeout;
        self.deferred.push((id, Instant::now().checked_add(limit)));
    }

    /// Ends the deferred commands that nobody has finished in their time.
    async fn time_out_deferred(&mut self, journal: &Journal) -> Result<(), Over> {
        let now = Instant::now();
        let limit = self.manager.settings().timeout;
        let is_late = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        let late: Vec<_> = self.deferred.extract_if(.., |(_, at)| is_late(at)).collect();
        for (id, _) in late {
            self.finish(journal, &id, too_late(limit)).await?;
        }
        Ok(())
    }

    /// Records an end; again and again while the journal refuses.
    async fn finish(
        &mut self,
        journal: &Journal,
        id: &CommandId,
        finish: Finish,
    ) -> Result<(), Over> {
        loop {
            match journal.finish(id, finish.clone()).await {
                Ok(Change::Made(_) | Change::AlreadyFinished(_)) => return Ok(()),
                Ok(Change::Unknown) => {
                    error!(%id, "a command vanished from the journal while it was under way");
                    return Ok(());
                }
                Err(error) => self.pause_before_stop(&error).await?,
            }
        }
    }

    /// Rests for a while, or until a stop is asked for.
    async fn pause_after(&mut self, error: &JournalError) -> Result<(), Over> {
        if *error == JournalError::Closed {
            error!("no more commands are executed: {error}");
            return Err(Over);
        }
        warn!("commands wait until the journal works again: {error}");
        tokio::select! {
            () = self.stop.asked() => Ok(()),
            () = sleep(RETRY) => Ok(()),
        }
    }

    /// The same before something that is given up when a stop comes.
    async fn pause_before_stop(&mut self, error: &JournalError) -> Result<(), Over> {
        self.pause_after(error).await?;
        if self.stop.is_asked() { Err(Over) } else { Ok(()) }
    }
}

/// Retires old commands a few at a time, at the start and while new ones come. Ends with the journal only.
async fn keep_house(manager: Arc<CommandManager>) {
    let journal = manager.journal();
    let mut changes = journal.changes();
    let mut place = 0;
    for round in 1_u64.. {
        // What could not be retired yet, at the old end, is looked at again now and then.
        if round % LOOK_BACK_EVERY == 0 {
            place = 0;
        }
        loop {
            match journal.retire(place).await {
                Ok(Some(next)) => place = next,
                Ok(None) => break,
                Err(JournalError::Closed) => return,
                Err(error) => {
                    warn!("old commands are kept longer than configured: {error}");
                    break;
                }
            }
        }
        let next = *changes.borrow() + RETIRE_AFTER;
        if changes.wait_for(|number| *number >= next).await.is_err() {
            return;
        }
    }
}

/// At this time; never without one.
async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

fn too_late(limit: Duration) -> Finish {
    Finish::timeout(format!("not finished within {limit:?}; what was begun may still take effect"))
}

pub(crate) fn nobody_for(command: &CommandRecord) -> Finish {
    let text = format!("this program carries out no {} commands", command.kind);
    Finish::failure(ErrorCode::Refused, text)
}
