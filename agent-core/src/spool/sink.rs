//! Where one instance of a module publishes its events.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use async_trait::async_trait;
use module_api::{Batch, EventSink, ModuleName, PublishError};
use tokio::sync::oneshot;

use super::body::PreparedEvent;
use super::request::{Publish, Request};

/// The [`EventSink`] of one instance of a module. It can be closed from outside, for an instance that was abandoned.
pub struct SinkHandle {
    module: ModuleName,
    requests: mpsc::Sender<Request>,
    closed: Arc<AtomicBool>,
    urgent: bool,
}

impl SinkHandle {
    pub(super) fn new(module: ModuleName, requests: mpsc::Sender<Request>, urgent: bool) -> Self {
        Self { module, requests, closed: Arc::default(), urgent }
    }

    /// Turns every later batch away with [`PublishError::Closed`], and those that wait for room.
    ///
    /// A batch that is being committed at this moment may still become durable and is then acknowledged; checkpoints
    /// that are read from the spool after this call include it, and nothing of this sink is stored after them.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // Without its thread the spool stores nothing any more.
        drop(self.requests.send(Request::SinkClosed));
    }
}

#[async_trait]
impl EventSink for SinkHandle {
    async fn publish(&self, batch: Batch) -> Result<(), PublishError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        let Batch { events, checkpoints } = batch;
        if events.is_empty() && checkpoints.is_empty() {
            return Ok(());
        }
        let events =
            events.into_iter().map(|event| PreparedEvent::new(&self.module, event)).collect();
        let (reply, answer) = oneshot::channel();
        let publish = Publish {
            module: self.module.clone(),
            events,
            checkpoints,
            urgent: self.urgent,
            closed: Arc::clone(&self.closed),
            reply,
        };
        self.requests.send(Request::Publish(publish)).map_err(|_| PublishError::Closed)?;
        // The thread drops a request unanswered only when it ends before storing it.
        answer.await.unwrap_or(Err(PublishError::Closed))
    }
}

impl fmt::Debug for SinkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkHandle")
            .field("module", &self.module)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
