//! What the module and its engine's task share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use module_api::SensorFd;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::path_bytes::PathBytes;
use crate::phase::Phase;

/// Shared by the module, which steers, and the task, which reports.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) phase: watch::Sender<Phase>,
    pub(crate) ended: watch::Sender<bool>,
    /// What goes on watching when this instance has ended.
    pub(crate) sensors: Vec<SensorFd>,
    asks: mpsc::Sender<Ask>,
    busy: Mutex<Option<String>>,
}

/// What is asked of the engine.
#[derive(Debug)]
pub(crate) enum Ask {
    /// How it is.
    Status(oneshot::Sender<Value>),
    /// Scan these paths, or everything; the answer is the number of the scan, or why there is none.
    Scan(Vec<PathBytes>, oneshot::Sender<Result<u64, String>>),
    /// Compare this path with the baseline.
    Check(PathBytes, oneshot::Sender<Result<Value, String>>),
}

impl Shared {
    pub(super) fn new(sensors: Vec<SensorFd>, asks: mpsc::Sender<Ask>) -> Self {
        Self {
            phase: watch::Sender::new(Phase::Open),
            ended: watch::Sender::new(true),
            sensors,
            asks,
            busy: Mutex::new(None),
        }
    }

    /// Has the engine go on to `phase`; never back.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase as u8 > *now as u8;
            if later {
                *now = phase;
            }
            later
        });
    }

    /// Takes a drain back.
    pub(crate) fn resume(&self) {
        self.phase.send_if_modified(|now| {
            let draining = *now == Phase::Draining;
            if draining {
                *now = Phase::Open;
            }
            draining
        });
    }

    /// What has to be finished before a shutdown, for people.
    pub(crate) fn busy(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Says that `what` is under way, unless the phase is another one by now. The lock is that of the answer, so that no work
    /// begins after the answer that there is none.
    pub(super) fn begin(&self, what: &str, phase: Phase) -> bool {
        let mut busy = self.lock();
        let right = *self.phase.borrow() == phase;
        if right {
            *busy = Some(what.to_owned());
        }
        right
    }

    /// Sets what is under way.
    pub(super) fn set_busy(&self, what: Option<String>) {
        *self.lock() = what;
    }

    /// Asks the engine; `None` when it has ended.
    pub(crate) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.ok()?;
        answer.await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
