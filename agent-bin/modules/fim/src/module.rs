//! The module's lifecycle around the engine's task.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use module_api::{
    AskError, Module, ModuleError, ModuleName, Question, Readiness, SavedState, SensorFd,
    StartContext,
};
use serde_json::Value;

use crate::answers;
use crate::config::Config;
use crate::engine::{Engine, Shared};
use crate::phase::Phase;

/// One instance of the module.
pub(crate) struct Fim {
    name: ModuleName,
    config: Arc<Config>,
    /// Set once the task was handed to the agent.
    started: OnceLock<Arc<Shared>>,
}

impl Fim {
    /// An instance that is not started.
    pub(crate) fn new(name: ModuleName, config: Config) -> Self {
        Self { name, config: Arc::new(config), started: OnceLock::new() }
    }
}

#[async_trait]
impl Module for Fim {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        let tasks = Arc::clone(&context.tasks);
        let engine = Engine::start(Arc::clone(&self.config), context).await?;
        let shared = engine.shared();
        if self.started.set(Arc::clone(&shared)).is_err() {
            return Err(ModuleError::new("this instance was started before; a new one is needed"));
        }
        shared.ended.send_replace(false);
        let ended = Ended(shared);
        tasks.run("watch", async move {
            let _ended = ended;
            engine.run().await
        });
        Ok(())
    }

    async fn sensors(&self) -> Result<Vec<SensorFd>, ModuleError> {
        let Some(shared) = self.started.get() else { return Ok(Vec::new()) };
        shared.sensors.iter().map(copy).collect()
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        let Some(shared) = self.started.get() else { return Readiness::Ready };
        shared.advance(Phase::Draining);
        match shared.busy() {
            Some(what) => Readiness::busy(what),
            None => Readiness::Ready,
        }
    }

    async fn resume(&self) {
        if let Some(shared) = self.started.get() {
            shared.resume();
        }
    }

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        // Everything that was told is in the database already, and what was not is in the recorder or in the kernel's queue.
        if let Some(shared) = self.started.get() {
            shared.advance(Phase::Draining);
        }
        Ok(SavedState::none())
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        let Some(shared) = self.started.get() else { return Ok(()) };
        shared.advance(Phase::Stopping);
        let mut ended = shared.ended.subscribe();
        let waited = ended.wait_for(|ended| *ended).await;
        waited.map(drop).map_err(|error| ModuleError::caused_by("waiting for the task", error))
    }

    async fn ask(&self, question: Question) -> Result<Value, AskError> {
        let Some(shared) = self.started.get() else {
            return Err(AskError::Failed("the module has not been started yet".to_owned()));
        };
        answers::answer(shared, question).await
    }
}

fn copy(sensor: &SensorFd) -> Result<SensorFd, ModuleError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        ModuleError::caused_by("a queue cannot be handed out", error)
    };
    let fd = sensor.as_fd().try_clone_to_owned().map_err(|error| failed(error.into()))?;
    SensorFd::new(sensor.name(), fd).map_err(|error| failed(error.into()))
}

/// Says that the task has ended, however it ended.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

impl fmt::Debug for Fim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fim").field("config", &self.config).finish_non_exhaustive()
    }
}
