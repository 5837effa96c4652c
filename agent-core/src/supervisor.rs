//! Runs the modules: builds instances, starts them, learns of their failures, and knows the state of each.

mod backoff;
mod module_runtime;
mod slot;
mod tasks;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use module_api::{EventSink, Module, ModuleKind, ModuleName, StartContext, TaskSpawner};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::spool::Spool;
use crate::state_store::StateStore;
use crate::wall_clock;

pub(crate) use backoff::Backoff;
pub(crate) use slot::{ModuleState, ModuleStatus};
pub(crate) use tasks::Failure;

use module_runtime::ModuleRuntime;
use slot::{Running, Slot};
use tasks::WatchedTasks;

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
    /// Its `start` failed, panicked or took too long.
    #[error("module {module} did not start: {reason}")]
    Start {
        /// Which module.
        module: ModuleName,
        /// Why.
        reason: String,
    },
}

/// Runs modules. All methods may be called from any task; none of them decides when a module is started or stopped.
pub(crate) struct Supervisor {
    slots: Mutex<BTreeMap<ModuleName, Slot>>,
    spool: Arc<Spool>,
    states: StateStore,
    failures: mpsc::UnboundedSender<Failure>,
    /// Changed whenever the state of a module has changed.
    changed: watch::Sender<()>,
}

impl Supervisor {
    /// A supervisor without modules. Failures of running modules are sent to `failures`.
    #[must_use]
    pub(crate) fn new(
        spool: Arc<Spool>,
        states: StateStore,
        failures: mpsc::UnboundedSender<Failure>,
    ) -> Self {
        let changed = watch::Sender::new(());
        Self { slots: Mutex::default(), spool, states, failures, changed }
    }

    /// Makes a module known with its section, or replaces its section; a running instance keeps the old one.
    pub(crate) fn configure(&self, kind: Arc<dyn ModuleKind>, section: Value, enabled: bool) {
        let name = kind.name().clone();
        let mut slots = self.lock();
        let slot =
            slots.entry(name).or_insert_with(|| Slot::new(Arc::clone(&kind), wall_clock::now()));
        slot.section = section;
        slot.set_enabled(enabled, wall_clock::now());
    }

    /// All modules that should run.
    #[must_use]
    pub(crate) fn enabled(&self) -> Vec<ModuleName> {
        let slots = self.lock();
        slots.iter().filter(|(_, slot)| slot.enabled).map(|(name, _)| name.clone()).collect()
    }

    /// Whether a module failed and waits to be started again.
    #[must_use]
    pub(crate) fn awaits_retry(&self, name: &ModuleName) -> bool {
        let slots = self.lock();
        slots.get(name).is_some_and(|slot| slot.enabled && slot.state == ModuleState::Failed)
    }

    /// All modules that run now and can be shut down in an orderly way; one that is being started is not among them.
    #[must_use]
    pub(crate) fn running(&self) -> Vec<ModuleName> {
        let slots = self.lock();
        slots
            .iter()
            .filter(|(_, slot)| slot.running.is_some() && slot.state != ModuleState::Starting)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// All modules that should run and were stopped; one that failed is not among them, it waits to be started again.
    #[must_use]
    pub(crate) fn stopped(&self) -> Vec<ModuleName> {
        let slots = self.lock();
        slots
            .iter()
            .filter(|(_, slot)| slot.enabled && slot.state == ModuleState::Stopped)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The state of every known module, by name.
    #[must_use]
    pub(crate) fn statuses(&self) -> Vec<ModuleStatus> {
        self.lock().iter().map(|(name, slot)| slot.status(name)).collect()
    }

    /// The running instance of a module.
    #[must_use]
    pub(crate) fn instance(&self, name: &ModuleName) -> Option<Arc<dyn Module>> {
        let slots = self.lock();
        slots.get(name)?.running.as_ref().map(|running| Arc::clone(&running.module))
    }

    /// Where the calls of the running instance belong.
    #[must_use]
    pub(crate) fn runtime_of(&self, name: &ModuleName) -> Option<Handle> {
        self.lock().get(name)?.running.as_ref()?.runtime.handle().cloned()
    }

    /// Builds a new instance and starts it. Returns once it works, or failed, or `within` is over.
    ///
    /// An instance that still runs is ended first as [`Supervisor::end`] does; two starts of one module follow each
    /// other. Cancelling leaves the module not running.
    ///
    /// # Errors
    /// [`StartModuleError`]; the module is then in state `failed`.
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
        if let Err(error) = &started {
            self.end(name, ModuleState::Failed);
            self.with(name, |slot| slot.last_error = Some(error.to_string()));
        }
        started
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
        let context = self.context(name, Arc::clone(&sink) as _, Arc::clone(&tasks) as _).await?;
        let running = Running { module: Arc::clone(&module), sink, tasks, runtime };
        self.with(name, |slot| slot.running = Some(running));

        // In a task of its own, so that a panic is an error and nothing else; dropped with this call.
        let mut starting = JoinSet::new();
        starting.spawn_on(async move { module.start(context).await }, &handle);
        match tokio::time::timeout(within, starting.join_next()).await {
            Ok(Some(Ok(Ok(())))) => {
                self.with(name, |slot| slot.set_state(ModuleState::Running, wall_clock::now()));
                Ok(())
            }
            Ok(Some(Ok(Err(error)))) => Err(failed(error.to_string())),
            Ok(Some(Err(panicked))) => Err(failed(panicked.to_string())),
            Ok(None) | Err(_) => Err(failed(format!("it took longer than {within:?}"))),
        }
    }

    async fn context(
        &self,
        name: &ModuleName,
        events: Arc<dyn EventSink>,
        tasks: Arc<dyn TaskSpawner>,
    ) -> Result<StartContext, StartModuleError> {
        let unreadable = |reason: String| StartModuleError::State { module: name.clone(), reason };
        let loaded = self.states.load(name).map_err(|error| unreadable(error.to_string()))?;
        self.warn_about_state(name, &loaded).await;
        let checkpoints =
            self.spool.checkpoints(name).map_err(|error| unreadable(error.to_string()))?;
        Ok(StartContext { state: loaded.restored, checkpoints, sensors: Vec::new(), events, tasks })
    }

    /// Ends an instance without asking it: aborts its tasks and closes its sink. Nothing happens if none runs.
    pub(crate) fn end(&self, name: &ModuleName, state: ModuleState) {
        self.with(name, |slot| {
            if let Some(running) = slot.running.take() {
                running.sink.close();
                running.tasks.end();
            }
            slot.set_state(state, wall_clock::now());
        });
    }

    /// Ends whatever still runs, because the process is about to end.
    pub(crate) fn end_all(&self) {
        let names: Vec<ModuleName> = self.lock().keys().cloned().collect();
        for name in names {
            self.end(&name, ModuleState::Stopped);
        }
    }

    /// Marks a module as being shut down, so that its failures mean nothing from now on.
    pub(crate) fn mark_stopping(&self, name: &ModuleName) {
        self.with(name, |slot| slot.set_state(ModuleState::Stopping, wall_clock::now()));
    }

    /// Marks a module whose shutdown was called off. One that died meanwhile is reported as failed now.
    pub(crate) fn mark_running(&self, name: &ModuleName) {
        let mut died = None;
        self.with(name, |slot| {
            if slot.running.is_some() && slot.state == ModuleState::Stopping {
                slot.set_state(ModuleState::Running, wall_clock::now());
                died = slot.died.take().map(|reason| (slot.run, reason));
            }
        });
        if let Some((run, reason)) = died {
            self.report(name, run, reason);
        }
    }

    /// Reports that the last instance of a module failed, as a background task of it would.
    pub(crate) fn report_failure(&self, name: &ModuleName, reason: String) {
        self.report(name, self.run_of(name), reason);
    }

    fn report(&self, name: &ModuleName, run: u64, reason: String) {
        // Without a receiver the agent is ending, and nothing is to be supervised.
        drop(self.failures.send(Failure { module: name.clone(), run, reason }));
    }

    /// Takes a failure: ends the instance and says after which wait to start a new one. `None` when the failure is
    /// of an earlier instance, or of a module that is not meant to run.
    #[must_use]
    pub(crate) fn failed(&self, failure: &Failure, backoff: &Backoff) -> Option<Duration> {
        let failures = {
            let mut slots = self.lock();
            let slot = slots.get_mut(&failure.module)?;
            if failure.run == slot.run && slot.state == ModuleState::Stopping {
                slot.died = Some(failure.reason.clone());
            }
            let state_counts = matches!(
                slot.state,
                ModuleState::Running | ModuleState::Starting | ModuleState::Failed
            );
            if failure.run != slot.run || !slot.enabled || !state_counts {
                return None;
            }
            slot.failures = backoff.count(slot.failures, slot.age(wall_clock::now()));
            slot.last_error = Some(failure.reason.clone());
            slot.failures
        };
        self.end(&failure.module, ModuleState::Failed);
        Some(backoff.delay(failures))
    }

    /// The number of the last instance of a module, 0 before the first.
    #[must_use]
    pub(crate) fn run_of(&self, name: &ModuleName) -> u64 {
        self.lock().get(name).map_or(0, |slot| slot.run)
    }

    /// Returns once every enabled module runs; for ever if one never does. Cancel safe.
    pub(crate) async fn until_all_run(&self) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let all_run = self
                .lock()
                .values()
                .all(|slot| !slot.enabled || slot.state == ModuleState::Running);
            if all_run || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Where module states are kept.
    #[must_use]
    pub(crate) fn states(&self) -> &StateStore {
        &self.states
    }

    async fn warn_about_state(&self, name: &ModuleName, loaded: &crate::state_store::Loaded) {
        let Some(text) = loaded.warning() else { return };
        tracing::warn!(module = %name, "{text}");
        let stored = self.spool.publish_agent_event("module_state_unreadable", &text).await;
        if let Err(error) = stored {
            tracing::error!(%error, "the warning about the state of module {name} is not in the spool");
        }
    }

    fn with(&self, name: &ModuleName, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.lock().get_mut(name) {
            change(slot);
        }
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModuleName, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
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

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("modules", &self.statuses()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
