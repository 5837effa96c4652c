//! What the supervisor knows of one module.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use module_api::{Module, ModuleKind, ModuleName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::module_runtime::ModuleRuntime;
use super::tasks::WatchedTasks;
use crate::spool::SinkHandle;

/// Where a module is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModuleState {
    /// Switched off in the configuration.
    Disabled,
    /// Not started, or stopped on request.
    Stopped,
    /// `start` is under way.
    Starting,
    /// It works.
    Running,
    /// It is being drained, saved or stopped.
    Stopping,
    /// It failed and waits to be started again.
    Failed,
}

/// The state of a module, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModuleStatus {
    /// The module's name.
    pub(crate) name: ModuleName,
    /// Where it is in its life.
    pub(crate) state: ModuleState,
    /// Whether the configuration wants it to run.
    pub(crate) enabled: bool,
    /// Since when it is in this state.
    pub(crate) since: Timestamp,
    /// How many instances were started in this process.
    pub(crate) run: u64,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Why it failed last.
    pub(crate) last_error: Option<String>,
}

/// One module and its instance.
pub(super) struct Slot {
    pub(super) kind: Arc<dyn ModuleKind>,
    pub(super) section: Value,
    pub(super) enabled: bool,
    pub(super) state: ModuleState,
    pub(super) since: Timestamp,
    pub(super) run: u64,
    pub(super) failures: u32,
    pub(super) last_error: Option<String>,
    pub(super) running: Option<Running>,
    /// Why a task of the instance ended while it was being shut down; it counts if that is called off.
    pub(super) died: Option<String>,
    /// Held while an instance is started, so that two starts follow each other.
    pub(super) starting: Arc<tokio::sync::Mutex<()>>,
}

/// An instance that was given a context.
pub(super) struct Running {
    pub(super) module: Arc<dyn Module>,
    pub(super) sink: Arc<SinkHandle>,
    pub(super) tasks: Arc<WatchedTasks>,
    pub(super) runtime: ModuleRuntime,
}

impl Slot {
    pub(super) fn new(kind: Arc<dyn ModuleKind>, now: Timestamp) -> Self {
        Self {
            kind,
            section: Value::Null,
            enabled: false,
            state: ModuleState::Disabled,
            since: now,
            run: 0,
            failures: 0,
            last_error: None,
            running: None,
            died: None,
            starting: Arc::default(),
        }
    }

    pub(super) fn set_enabled(&mut self, enabled: bool, now: Timestamp) {
        self.enabled = enabled;
        match (enabled, self.state) {
            (true, ModuleState::Disabled) => self.set_state(ModuleState::Stopped, now),
            (false, ModuleState::Stopped | ModuleState::Failed) => {
                self.set_state(ModuleState::Disabled, now);
            }
            _ => {}
        }
    }

    pub(super) fn set_state(&mut self, state: ModuleState, now: Timestamp) {
        self.state = if state == ModuleState::Stopped && !self.enabled {
            ModuleState::Disabled
        } else {
            state
        };
        self.since = now;
    }

    /// How long the module is in its state.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.since)).unwrap_or(Duration::ZERO)
    }

    pub(super) fn status(&self, name: &ModuleName) -> ModuleStatus {
        ModuleStatus {
            name: name.clone(),
            state: self.state,
            enabled: self.enabled,
            since: self.since,
            run: self.run,
            failures: self.failures,
            last_error: self.last_error.clone(),
        }
    }
}
