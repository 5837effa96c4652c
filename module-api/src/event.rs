//! Events that a module publishes, and the sink that makes them durable.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The id of an event. The same change reported again after a crash has the same id, so that receivers can drop
/// the second copy. Unique within one module; at most 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub String);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that a module has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// See [`EventId`].
    pub id: EventId,
    /// The event's fields under their ECS names, nested (`{"log":{"file":{"path":…}}}`). The agent adds `id`,
    /// `module` and `@timestamp` at the top level; a module must not set those.
    pub fields: Map<String, Value>,
}

/// A small value of the module that is stored in the same transaction as a batch of events.
///
/// Events and position become durable together: after a kill at any moment the module finds the position that
/// belongs exactly to the events that were accepted, so it repeats none and loses none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which value, unique within the module; at most 1,024 bytes.
    pub key: String,
    /// Its new content, or `None` to remove it.
    pub value: Option<Vec<u8>>,
}

/// Events and checkpoints that become durable together, or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// In the order in which they were seen; outputs keep that order within one module.
    pub events: Vec<Event>,
    /// Written after the events, in the same transaction.
    pub checkpoints: Vec<Checkpoint>,
}

/// Where a module publishes its events. Bound to one module; cheap to share.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Returns once the whole batch is durable on disk.
    ///
    /// Waits while the spool is full: nothing is dropped. When the call is dropped before it returns, the batch may
    /// have become durable or not, as a whole; the same ids published again are stored once.
    ///
    /// # Errors
    /// [`PublishError`] says why nothing of the batch was stored. Publishing the same batch again later is right.
    async fn publish(&self, batch: Batch) -> Result<(), PublishError>;
}

/// Why a batch was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The disk refused; the batch can be published again.
    #[error("the event spool could not store the batch: {reason}")]
    Storage {
        /// What the storage said.
        reason: String,
    },
    /// The agent no longer takes events: this instance of the module was stopped or abandoned, or the process is
    /// ending. The module should stop what it is doing.
    #[error("the agent takes no more events from this instance of the module")]
    Closed,
}
