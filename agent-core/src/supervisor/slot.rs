//! What the supervisor knows of one module.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use module_api::{Module, ModuleKind, ModuleName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::history::FailureHistory;
use super::module_runtime::{ModuleRuntime, Threads};
use super::sensor_keeping::InstanceKeeper;
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
    /// It failed too often: it is not started again by itself.
    Quarantined,
}

impl fmt::Display for ModuleState {
    /// As in JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
        })
    }
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
    /// Threads of instances that have ended but still live. One that stays hangs in a call; it ends with the process.
    pub(crate) threads_left: u32,
}

/// One module and its instance.
pub(super) struct Slot {
    pub(super) kind: Arc<dyn ModuleKind>,
    pub(super) section: Value,
    pub(super) enabled: bool,
    pub(super) state: ModuleState,
    pub(super) since: Timestamp,
    pub(super) run: u64,
    pub(super) history: FailureHistory,
    pub(super) last_error: Option<String>,
    pub(super) running: Option<Running>,
    /// When the instance had started, on the clock that nobody sets; `None` before that and after its end.
    pub(super) works_since: Option<Instant>,
    /// The last instance whose start failed, and the last whose failure was counted: each fails once.
    pub(super) not_started: u64,
    pub(super) counted: u64,
    /// Why a task of the instance ended while it was being shut down; it counts if that is called off.
    pub(super) died: Option<String>,
    /// Held while an instance is started, so that two starts follow each other.
    pub(super) starting: Arc<tokio::sync::Mutex<()>>,
    /// The threads of ended instances, as long as there are any.
    pub(super) left: Vec<Threads>,
}

/// An instance that was given a context.
pub(super) struct Running {
    pub(super) module: Arc<dyn Module>,
    pub(super) sink: Arc<SinkHandle>,
    pub(super) keeper: InstanceKeeper,
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
            history: FailureHistory::default(),
            last_error: None,
            running: None,
            works_since: None,
            not_started: 0,
            counted: 0,
            died: None,
            starting: Arc::default(),
            left: Vec::new(),
        }
    }

    pub(super) fn set_enabled(&mut self, enabled: bool, now: Timestamp) {
        self.enabled = enabled;
        match (enabled, self.state) {
            (true, ModuleState::Disabled) => self.set_state(ModuleState::Stopped, now),
            (false, ModuleState::Stopped | ModuleState::Failed | ModuleState::Quarantined) => {
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

    /// How long the instance has worked; nothing if it never did.
    pub(super) fn worked(&self, now: Instant) -> Duration {
        self.works_since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    /// Ends the instance without asking it: closes its sink and its keeper, aborts its tasks and gives its threads up.
    pub(super) fn end(&mut self) {
        self.works_since = None;
        self.left.retain(|threads| threads.alive() > 0);
        if let Some(running) = self.running.take() {
            running.sink.close();
            running.keeper.close();
            running.tasks.end();
            self.left.push(running.runtime.threads());
        }
    }

    /// Threads of ended instances that live now.
    pub(super) fn threads_left(&self) -> usize {
        self.left.iter().map(Threads::alive).sum()
    }

    pub(super) fn status(&self, name: &ModuleName) -> ModuleStatus {
        ModuleStatus {
            name: name.clone(),
            state: self.state,
            enabled: self.enabled,
            since: self.since,
            run: self.run,
            failures: self.history.in_a_row(),
            last_error: self.last_error.clone(),
            threads_left: u32::try_from(self.threads_left()).unwrap_or(u32::MAX),
        }
    }
}
