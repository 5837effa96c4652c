//! The module's lifecycle around the collector's task.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use module_api::{Module, ModuleError, ModuleName, Readiness, SavedState, StartContext};
use tokio::time::Instant;

use crate::collector::{Collector, Shared, take};
use crate::config::Config;
use crate::restore;

/// One instance of the module.
pub(crate) struct Logcollector {
    name: ModuleName,
    config: Arc<Config>,
    /// Set once the task was handed to the agent.
    started: OnceLock<Arc<Shared>>,
}

impl Logcollector {
    /// An instance that is not started.
    pub(crate) fn new(name: ModuleName, config: Config) -> Self {
        Self { name, config: Arc::new(config), started: OnceLock::new() }
    }
}

#[async_trait]
impl Module for Logcollector {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        let inherited = restore::merge(&context.state, &context.checkpoints);
        for problem in &inherited.problems {
            tracing::warn!("{problem}");
        }
        let (mut collector, request) =
            Collector::new(Arc::clone(&self.config), inherited, context.events);
        let found = take(request)
            .await
            .map_err(|error| ModuleError::caused_by("looking for files failed", error))?;
        collector.apply(found, Instant::now());
        let shared = collector.shared();
        if self.started.set(Arc::clone(&shared)).is_err() {
            return Err(ModuleError::new("this instance was started before; a new one is needed"));
        }
        shared.ended.send_replace(false);
        let ended = Ended(shared);
        context.tasks.run("tail", async move {
            let _ended = ended;
            collector.run().await
        });
        Ok(())
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        match self.started.get().and_then(|shared| shared.gate.drain()) {
            Some(what) => Readiness::busy(format!("publishing {what}")),
            None => Readiness::Ready,
        }
    }

    async fn resume(&self) {
        if let Some(shared) = self.started.get() {
            shared.gate.resume();
        }
    }

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        let Some(shared) = self.started.get() else { return Ok(SavedState::none()) };
        // No batch is begun after this, even if nobody asked whether the module is ready. One that is under way
        // carries a checkpoint that is newer than what is saved here.
        shared.gate.drain();
        shared.book().save()
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        let Some(shared) = self.started.get() else { return Ok(()) };
        shared.gate.stop();
        let mut ended = shared.ended.subscribe();
        let waited = ended.wait_for(|ended| *ended).await;
        waited.map(drop).map_err(|error| ModuleError::caused_by("waiting for the task", error))
    }
}

/// Says that the task has ended, however it ended.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

impl fmt::Debug for Logcollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logcollector").field("config", &self.config).finish_non_exhaustive()
    }
}
