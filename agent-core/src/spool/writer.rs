//! The one thread that writes the spool: it commits everything that was asked while it was busy as one transaction.

use std::collections::VecDeque;
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};

use jiff::Timestamp;
use module_api::{ModuleName, PublishError};
use restart::boottime_ms;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::watch;

use super::request::{ChangeRequest, Checkpoints, Publish, Request};
use super::{EventTimes, SpoolError, SpoolStats, WallClock, open, store};

/// The most requests taken into one round, so that no answer waits for an endless stream of later requests.
const ROUND: usize = 1_024;

/// What the thread owns.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) clock: WallClock,
    pub(super) requests: Receiver<Request>,
    /// Batches that are not stored yet, in the order in which they came.
    pub(super) waiting: VecDeque<Publish>,
    /// What is true of the committed file.
    pub(super) stats: SpoolStats,
    pub(super) stats_to: watch::Sender<SpoolStats>,
    pub(super) last_seq_to: watch::Sender<u64>,
    pub(super) times: EventTimes,
}

/// What was asked in one round besides batches.
#[derive(Default)]
struct Round {
    changes: Vec<ChangeRequest>,
    reads: Vec<(ModuleName, SyncSender<Result<Checkpoints, SpoolError>>)>,
    count: bool,
    stop: bool,
}

/// What one transaction did.
struct Done {
    stats: SpoolStats,
    changes: Vec<Result<(), SpoolError>>,
    /// Per batch, whether it was stored.
    stored: Vec<bool>,
}

impl Writer {
    /// Serves requests until it is told to stop or nobody is left to ask.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.requests.recv() {
            let mut round = Round::default();
            self.take(first, &mut round);
            while !round.stop && round.changes.len() + self.waiting.len() < ROUND + self.blocked() {
                let Ok(request) = self.requests.try_recv() else { break };
                self.take(request, &mut round);
            }
            self.turn_away();
            if round.count {
                self.count();
            }
            let batches = mem::take(&mut self.waiting);
            self.commit(round.changes, batches);
            self.report();
            for (module, reply) in round.reads {
                let found = store::checkpoints(&self.connection, module.as_str());
                // Who asked may have given up.
                drop(reply.send(found.map_err(|error| self.failed("read checkpoints", &error))));
            }
            if round.stop {
                break;
            }
        }
        self.end();
    }

    /// Batches that were waiting for room before this round.
    fn blocked(&self) -> usize {
        usize::try_from(self.stats.waiting).unwrap_or(usize::MAX / 2)
    }

    fn take(&mut self, request: Request, round: &mut Round) {
        match request {
            Request::Publish(publish) => self.waiting.push_back(publish),
            Request::Change(change) => round.changes.push(change),
            Request::ReadCheckpoints { module, reply } => round.reads.push((module, reply)),
            Request::Count => round.count = true,
            Request::SinkClosed => {}
            Request::Stop => round.stop = true,
        }
    }

    /// Removes batches whose sink was closed or whose publisher has gone away. This comes after the requests were
    /// taken: a batch that came behind the reading of checkpoints, from a sink closed before it, is seen as closed.
    fn turn_away(&mut self) {
        for publish in mem::take(&mut self.waiting) {
            if publish.is_closed() {
                publish.answer(Err(PublishError::Closed));
            } else if !publish.reply.is_closed() {
                self.waiting.push_back(publish);
            }
        }
    }

    /// Commits all as one transaction. If that fails, each alone, so that one bad batch does not fail the others.
    fn commit(&mut self, changes: Vec<ChangeRequest>, batches: VecDeque<Publish>) {
        if changes.is_empty() && batches.is_empty() {
            return;
        }
        match self.attempt(&changes, &batches) {
            Ok(done) => self.finish(done, changes, batches),
            Err(_) if changes.len() + batches.len() > 1 => {
                for change in changes {
                    self.commit(vec![change], VecDeque::new());
                }
                for batch in batches {
                    self.commit(Vec::new(), VecDeque::from([batch]));
                }
            }
            Err(error) => {
                for change in changes {
                    change.answer(Err(self.failed("store the cursor of an output", &error)));
                }
                for batch in batches {
                    self.note_corruption(&error);
                    let reason = error.to_string();
                    batch.answer(Err(PublishError::Storage { reason }));
                }
            }
        }
    }

    fn attempt(
        &mut self,
        changes: &[ChangeRequest],
        batches: &VecDeque<Publish>,
    ) -> rusqlite::Result<Done> {
        let mut stats = self.stats;
        let now: Timestamp = (self.clock)();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changes = changes
            .iter()
            .map(|request| store::apply(&transaction, &request.change, &mut stats))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let mut stored = Vec::with_capacity(batches.len());
        for batch in batches {
            // Room never comes back within a transaction, so nobody overtakes one who waits.
            let admitted = !batch.needs_room() || stats.stored < stats.max_events;
            if admitted {
                store::insert(&transaction, batch, now, &mut stats)?;
            }
            stored.push(admitted);
        }
        if !changes.is_empty() || stored.contains(&true) {
            transaction.commit()?;
            stats.commits += 1;
        }
        Ok(Done { stats, changes, stored })
    }

    fn finish(&mut self, done: Done, changes: Vec<ChangeRequest>, batches: VecDeque<Publish>) {
        self.stats = done.stats;
        let mut stored = Vec::with_capacity(batches.len());
        for (batch, is_stored) in batches.into_iter().zip(done.stored) {
            if is_stored {
                stored.push(batch);
            } else {
                self.waiting.push_back(batch);
            }
        }
        // Before the answers, so that whoever has one sees its effect in the numbers.
        self.report();
        // What the agent itself has to say is urgent and shows nothing about a module.
        let published = stored.iter().filter(|batch| !batch.urgent && !batch.events.is_empty());
        self.times.note(published.map(|batch| batch.module.as_str()), boottime_ms());
        for (change, result) in changes.into_iter().zip(done.changes) {
            change.answer(result);
        }
        for batch in stored {
            batch.answer(Ok(()));
        }
    }

    /// Corrects the number of stored events, which was only known to be not larger. No transaction is under way here.
    fn count(&mut self) {
        match store::count(&self.connection) {
            Ok(stored) => self.stats.stored = stored,
            Err(error) => {
                let error = self.failed("count its events", &error);
                tracing::warn!(%error, "the event spool may seem fuller than it is");
            }
        }
    }

    fn report(&mut self) {
        self.stats.waiting = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        let now = self.stats;
        self.stats_to.send_if_modified(|seen| mem::replace(seen, now) != now);
        let last = self.stats.last_seq;
        self.last_seq_to.send_if_modified(|seen| mem::replace(seen, last) != last);
    }

    fn failed(&self, action: &'static str, error: &rusqlite::Error) -> SpoolError {
        self.note_corruption(error);
        SpoolError::Storage { action, reason: error.to_string() }
    }

    fn note_corruption(&self, error: &rusqlite::Error) {
        if open::is_corrupt(error) {
            open::mark_suspect(&self.path);
        }
    }

    fn end(self) {
        for publish in self.waiting {
            publish.answer(Err(PublishError::Closed));
        }
        // Leaves the file without a log; without it the next start would have to read the log first.
        let folded = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        if let Err(error) = folded {
            tracing::warn!(%error, "the log of the event spool stays for the next start");
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the event spool was not closed cleanly");
        }
    }
}

#[cfg(test)]
mod tests;
