//! What the spool's thread is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use module_api::{Checkpoint, ModuleName, PublishError};
use tokio::sync::oneshot;

use super::SpoolError;
use super::body::PreparedEvent;

/// The checkpoints of one module.
pub(super) type Checkpoints = BTreeMap<String, Vec<u8>>;

/// One request to the thread.
pub(super) enum Request {
    Publish(Publish),
    Change(ChangeRequest),
    /// Answered after everything that was asked before, so that a batch of an abandoned instance is either seen in
    /// the answer or never stored.
    ReadCheckpoints {
        module: ModuleName,
        reply: SyncSender<Result<Checkpoints, SpoolError>>,
    },
    /// Count the stored events, and let those go on who waited for room that there is.
    Count,
    /// A sink was closed: its waiting batches are turned away.
    SinkClosed,
    /// Commit what was asked before, then end.
    Stop,
}

/// A batch to store.
pub(super) struct Publish {
    pub(super) module: ModuleName,
    pub(super) events: Vec<PreparedEvent>,
    pub(super) checkpoints: Vec<Checkpoint>,
    /// Stored even when the spool is full.
    pub(super) urgent: bool,
    /// Set when the sink was closed; looked at when all requests of a round were taken.
    pub(super) closed: Arc<AtomicBool>,
    pub(super) reply: oneshot::Sender<Result<(), PublishError>>,
}

impl Publish {
    /// Whether the batch has to wait while the spool is full.
    pub(super) fn needs_room(&self) -> bool {
        !self.urgent && !self.events.is_empty()
    }

    /// Whether the sink was closed since.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn answer(self, result: Result<(), PublishError>) {
        // A publisher that has gone away wants no answer.
        drop(self.reply.send(result));
    }
}

/// A change that an output asks for.
pub(super) enum Change {
    Register { output: String },
    Forget { output: String },
    Delivered { output: String, seq: u64, position: Vec<u8> },
}

/// A change and who waits for it.
pub(super) struct ChangeRequest {
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Result<(), SpoolError>>,
}

impl ChangeRequest {
    pub(super) fn answer(self, result: Result<(), SpoolError>) {
        // An output that has gone away wants no answer.
        drop(self.reply.send(result));
    }
}
