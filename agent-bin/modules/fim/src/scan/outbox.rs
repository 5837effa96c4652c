//! Gathers findings in their order and hands them on in batches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Finding;

/// Findings that go together.
const BATCH: usize = 256;

/// How often a thread that waits for room asks whether the scan was stopped.
const PATIENCE: Duration = Duration::from_millis(5);

/// One for all threads: what one of them adds before another is before it for the receiver too.
#[derive(Debug)]
pub(super) struct Outbox {
    to: mpsc::Sender<Vec<Finding>>,
    batch: Mutex<Vec<Finding>>,
}

impl Outbox {
    pub(super) fn new(to: mpsc::Sender<Vec<Finding>>) -> Self {
        Self { to, batch: Mutex::default() }
    }

    /// Adds a finding. Waits while the receiver is behind, but not longer than until `stop`; then it is lost.
    pub(super) fn push(&self, finding: Finding, stop: &AtomicBool) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.push(finding);
        if batch.len() >= BATCH {
            self.send(std::mem::take(&mut batch), stop);
        }
    }

    /// Hands on what is there, so that it does not wait for more.
    pub(super) fn flush(&self, stop: &AtomicBool) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        if !batch.is_empty() {
            self.send(std::mem::take(&mut batch), stop);
        }
    }

    /// The last batch. It is not waited for: after a stop there may be nobody.
    pub(super) fn end(&self, stopped: bool) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.push(Finding::End { stopped });
        let never = AtomicBool::new(false);
        let last = std::mem::take(&mut *batch);
        if stopped {
            if self.to.try_send(last).is_err() {
                tracing::debug!("nobody waits for the end of a scan that was stopped");
            }
        } else {
            self.send(last, &never);
        }
    }

    /// The lock of the batch is held meanwhile, which keeps the order and makes all threads wait.
    fn send(&self, mut batch: Vec<Finding>, stop: &AtomicBool) {
        loop {
            match self.to.try_send(batch) {
                // Nobody wants to know any more.
                Ok(()) | Err(TrySendError::Closed(_)) => return,
                Err(TrySendError::Full(unsent)) => batch = unsent,
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::park_timeout(PATIENCE);
        }
    }
}
