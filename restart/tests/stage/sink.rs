//! Where a module of the stage publishes its events, until the host lets go of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use module_api::{
    Batch, EventSink, NoKeeper, PublishError, Restored, StartContext, Task, TaskSpawner,
};

use super::actor::Actor;

pub(super) struct Sink {
    pub(super) actor: Arc<Actor>,
}

impl Sink {
    pub(super) fn into_context(self) -> StartContext {
        StartContext {
            state: Restored::Nothing,
            checkpoints: BTreeMap::new(),
            sensors: Vec::new(),
            keeper: Arc::new(NoKeeper),
            // Nothing here keeps files.
            folder: PathBuf::new(),
            own_folders: Vec::new(),
            events: Arc::new(self),
            tasks: Arc::new(Tasks),
        }
    }
}

#[async_trait]
impl EventSink for Sink {
    async fn publish(&self, _: Batch) -> Result<(), PublishError> {
        if self.actor.publish() { Ok(()) } else { Err(PublishError::Closed) }
    }
}

struct Tasks;

impl TaskSpawner for Tasks {
    fn spawn(&self, _: &'static str, task: Task) {
        tokio::spawn(task);
    }
}
