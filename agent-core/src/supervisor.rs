//! Runs the modules: builds instances, starts them, learns of their failures, and knows the state of each.

mod ask;
mod backoff;
mod failures;
mod history;
mod left_behind;
mod module_runtime;
mod sensor_keeping;
pub(crate) mod sensors;
mod slot;
mod start;
mod tasks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use module_api::{Module, ModuleKind, ModuleName};
use restart::DescriptorStore;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::spool::Spool;
use crate::state_store::StateStore;
use crate::wall_clock;

pub(crate) use ask::AskModuleError;
pub(crate) use backoff::Backoff;
pub(crate) use failures::Reaction;
pub(crate) use history::{Policy, Quarantine};
pub(crate) use slot::{ModuleState, ModuleStatus};
#[cfg(test)]
pub(crate) use start::StartModuleError;
pub(crate) use tasks::Failure;

use sensor_keeping::Gate;
use slot::Slot;

/// Runs modules. All methods may be called from any task; none of them decides when a module is started or stopped.
pub(crate) struct Supervisor {
    slots: Mutex<BTreeMap<ModuleName, Slot>>,
    spool: Arc<Spool>,
    states: StateStore,
    /// Folders whose files no module may open.
    own_folders: Vec<PathBuf>,
    /// What outlives the process; the sensors of modules are among it.
    descriptors: DescriptorStore,
    sensor_gate: Gate,
    failures: mpsc::UnboundedSender<Failure>,
    /// Changed whenever the state of a module has changed.
    changed: watch::Sender<()>,
}

impl Supervisor {
    /// A supervisor without modules. Failures of running modules are sent to `failures`; modules are told to keep out of
    /// `own_folders`.
    #[must_use]
    pub(crate) fn new(
        spool: Arc<Spool>,
        states: StateStore,
        own_folders: Vec<PathBuf>,
        descriptors: DescriptorStore,
        failures: mpsc::UnboundedSender<Failure>,
    ) -> Self {
        let changed = watch::Sender::new(());
        let (slots, sensor_gate) = (Mutex::default(), Gate::default());
        Self { slots, spool, states, own_folders, descriptors, sensor_gate, failures, changed }
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

    /// All modules that work and that nobody is shutting down.
    #[must_use]
    pub(crate) fn at_work(&self) -> Vec<ModuleName> {
        let slots = self.lock();
        slots
            .iter()
            .filter(|(_, slot)| slot.running.is_some() && slot.state == ModuleState::Running)
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

    /// Ends an instance without asking it: aborts its tasks and closes its sink. Nothing happens if none runs.
    pub(crate) fn end(&self, name: &ModuleName, state: ModuleState) {
        self.with(name, |slot| {
            slot.end();
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

    /// Returns the state of all modules once every enabled one runs or is quarantined; waits for ever for one that is
    /// neither. Cancel safe.
    pub(crate) async fn until_settled(&self) -> Vec<ModuleStatus> {
        let settled = |status: &ModuleStatus| {
            !status.enabled
                || matches!(status.state, ModuleState::Running | ModuleState::Quarantined)
        };
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let statuses = self.statuses();
            // The sender is borrowed, so the channel cannot be closed.
            if statuses.iter().all(settled) || changed.changed().await.is_err() {
                return statuses;
            }
        }
    }

    /// Where module states are kept.
    #[must_use]
    pub(crate) fn states(&self) -> &StateStore {
        &self.states
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

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("modules", &self.statuses()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod scene;
#[cfg(test)]
mod tests;
