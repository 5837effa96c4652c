//! The start of a module: a new instance on threads of its own, or nothing at all.

use std::sync::Arc;
use std::time::Duration;

use module_api::{EventSink, ModuleKind, ModuleName, StartContext, TaskSpawner};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Supervisor;
use super::module_runtime::ModuleRuntime;
use super::sensor_keeping::InstanceKeeper;
use super::slot::{ModuleState, Running};
use super::tasks::WatchedTasks;
use crate::state_store::Loaded;
use crate::wall_clock;

/// Why a module could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartModuleError {
    /// No such module.
    #[error("there is no module {0}")]
    Unknown(ModuleName),
    /// Its section of the configuration is wrong.
    #[error("the configuration of module {module} is wrong: {reason}")]
    Section {
        /// Which module.
        module: ModuleName,
        /// Key and message of each wrong value.
        reason: String,
    },
    /// What it saved could not be read, for a reason other than its content.
    #[error("the saved state of module {module} cannot be read: {reason}")]
    State {
        /// Which module.
        module: ModuleName,
        /// What the disk said.
        reason: String,
    },
    /// The folder for its files cannot be made.
    #[error("module {module} has no folder for its files: {reason}")]
    Folder {
        /// Which module.
        module: ModuleName,
        /// What the disk said.
        reason: String,
    },
    /// Its `start` failed, panicked or took too long.
    #[error("module {module} did not start: {reason}")]
    Start {
        /// Which module.
        module: ModuleName,
        /// Why.
        reason: String,
    },
}

impl Supervisor {
    /// Builds a new instance and starts it. Returns once it works, or failed, or `within` is over.
    ///
    /// An instance that still runs is ended first as [`Supervisor::end`] does; two starts of one module follow each
    /// other. Cancelling leaves the module not running.
    ///
    /// # Errors
    /// [`StartModuleError`]; the module is then in state `failed`, unless it was ended meanwhile: by a task of it that
    /// failed, which has its own consequences, or because somebody wants it stopped.
    pub(crate) async fn start(
        &self,
        name: &ModuleName,
        within: Duration,
    ) -> Result<(), StartModuleError> {
        let starting = self.lock().get(name).map(|slot| Arc::clone(&slot.starting));
        let starting = starting.ok_or_else(|| StartModuleError::Unknown(name.clone()))?;
        let _one_at_a_time = starting.lock().await;
        self.end(name, ModuleState::Stopped);
        let (kind, section, run) = {
            let mut slots = self.lock();
            let slot =
                slots.get_mut(name).ok_or_else(|| StartModuleError::Unknown(name.clone()))?;
            slot.run += 1;
            slot.died = None;
            slot.set_state(ModuleState::Starting, wall_clock::now());
            (Arc::clone(&slot.kind), slot.section.clone(), slot.run)
        };
        let mut unfinished = Unfinished { supervisor: self, name, armed: true };
        let started = self.start_instance(name, kind.as_ref(), &section, run, within).await;
        unfinished.armed = false;
        started.map_err(|error| self.not_started(name, run, error))
    }

    /// Ends what did not start. Returns why, which is what a task of it failed of if that came first.
    fn not_started(
        &self,
        name: &ModuleName,
        run: u64,
        error: StartModuleError,
    ) -> StartModuleError {
        let mut why = error;
        self.with(name, |slot| {
            slot.end();
            if slot.state == ModuleState::Starting {
                slot.not_started = run;
                slot.last_error = Some(why.to_string());
                slot.set_state(ModuleState::Failed, wall_clock::now());
            } else if let Some(reason) = slot.last_error.clone().filter(|_| slot.counted == run) {
                why = StartModuleError::Start { module: name.clone(), reason };
            }
        });
        why
    }

    async fn start_instance(
        &self,
        name: &ModuleName,
        kind: &dyn ModuleKind,
        section: &Value,
        run: u64,
        within: Duration,
    ) -> Result<(), StartModuleError> {
        let module = kind.build(section).map_err(|errors| StartModuleError::Section {
            module: name.clone(),
            reason: errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        })?;
        let failed = |reason: String| StartModuleError::Start { module: name.clone(), reason };
        let runtime = ModuleRuntime::start(name).map_err(|error| failed(error.to_string()))?;
        let handle = runtime.handle().cloned();
        let handle = handle.ok_or_else(|| failed("its threads are gone".to_owned()))?;
        let sink = self.spool.sink(name.clone());
        let tasks = WatchedTasks::new(name.clone(), run, self.failures.clone(), handle.clone());
        let keeper = InstanceKeeper::new(
            name.clone(),
            self.descriptors.clone(),
            Arc::clone(&self.sensor_gate),
        );
        let events = Arc::clone(&sink);
        let context = self.context(name, &keeper, events as _, Arc::clone(&tasks) as _).await?;
        let its_keeper = keeper.clone();
        let running = Running { module: Arc::clone(&module), sink, keeper, tasks, runtime };
        self.with(name, |slot| slot.running = Some(running));

        // In a task of its own, so that a panic is an error and nothing else; dropped with this call.
        let mut starting = JoinSet::new();
        let start = async move {
            module.start(context).await?;
            module.sensors().await
        };
        starting.spawn_on(start, &handle);
        match tokio::time::timeout(within, starting.join_next()).await {
            Ok(Some(Ok(Ok(sensors)))) => {
                self.keep_sensors(name, sensors, &its_keeper).await;
                match self.works(name) {
                    true => Ok(()),
                    false => Err(failed("it failed as soon as it was started".to_owned())),
                }
            }
            Ok(Some(Ok(Err(error)))) => Err(failed(error.to_string())),
            Ok(Some(Err(panicked))) => Err(failed(panicked.to_string())),
            Ok(None) | Err(_) => Err(failed(format!("it took longer than {within:?}"))),
        }
    }

    /// Marks a module that has started; `false` when its instance has been ended meanwhile, because a task of it failed.
    fn works(&self, name: &ModuleName) -> bool {
        let mut works = false;
        self.with(name, |slot| {
            works = slot.running.is_some();
            if works {
                slot.works_since = Some(Instant::now());
                slot.set_state(ModuleState::Running, wall_clock::now());
            }
        });
        works
    }

    async fn context(
        &self,
        name: &ModuleName,
        keeper: &InstanceKeeper,
        events: Arc<dyn EventSink>,
        tasks: Arc<dyn TaskSpawner>,
    ) -> Result<StartContext, StartModuleError> {
        let unreadable = |reason: String| StartModuleError::State { module: name.clone(), reason };
        let folder = self.states.folder_of(name).map_err(|error| StartModuleError::Folder {
            module: name.clone(),
            reason: error.to_string(),
        })?;
        let loaded = self.states.load(name).map_err(|error| unreadable(error.to_string()))?;
        self.warn_about_state(name, &loaded).await;
        let checkpoints =
            self.spool.checkpoints(name).map_err(|error| unreadable(error.to_string()))?;
        let sensors = self.sensors(name);
        Ok(StartContext {
            state: loaded.restored,
            checkpoints,
            sensors,
            keeper: Arc::new(keeper.clone()),
            folder,
            own_folders: self.own_folders.clone(),
            events,
            tasks,
        })
    }

    async fn warn_about_state(&self, name: &ModuleName, loaded: &Loaded) {
        let Some(text) = loaded.warning() else { return };
        tracing::warn!(module = %name, "{text}");
        let stored = self.spool.publish_agent_event("module_state_unreadable", &text).await;
        if let Err(error) = stored {
            tracing::error!(%error, "the warning about the state of module {name} is not in the spool");
        }
    }
}

/// A start that may be dropped at any await: half an instance must not stay.
struct Unfinished<'a> {
    supervisor: &'a Supervisor,
    name: &'a ModuleName,
    armed: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.supervisor.end(self.name, ModuleState::Stopped);
        }
    }
}
