//! A supervisor with scripted or other modules and a real spool, for tests.

use std::sync::Arc;
use std::time::Duration;

use module_api::{ModuleKind, ModuleName, ScriptedKind};
use restart::DescriptorStore;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Failure, ModuleState, ModuleStatus, StartModuleError, Supervisor};
use crate::spool::{Spool, SpoolLimits};
use crate::state_store::StateStore;
use crate::wall_clock;

/// Longer than anything takes that works.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// Modules under supervision, and their failures that nobody has taken yet.
pub(crate) struct Scene {
    pub(crate) supervisor: Supervisor,
    pub(crate) failures: mpsc::UnboundedReceiver<Failure>,
    /// The first module.
    pub(crate) name: ModuleName,
    pub(crate) folder: tempfile::TempDir,
}

impl Scene {
    /// One scripted module.
    pub(crate) fn new(script: Value) -> Self {
        Self::of(&[scripted()], &script)
    }

    /// Modules of these kinds, all with the same section.
    pub(crate) fn of(kinds: &[Arc<dyn ModuleKind>], section: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let events = folder.path().join("events.db");
        let spool = Spool::open(&events, SpoolLimits::default(), wall_clock::now).unwrap().spool;
        let states = StateStore::new(folder.path().join("modules"));
        let own = vec![folder.path().to_owned()];
        let (sender, failures) = mpsc::unbounded_channel();
        let supervisor = Supervisor::new(spool, states, own, DescriptorStore::default(), sender);
        for kind in kinds {
            supervisor.configure(Arc::clone(kind), section.clone(), true);
        }
        Self { supervisor, failures, name: kinds[0].name().clone(), folder }
    }

    pub(crate) fn configure(&self, script: Value, enabled: bool) {
        self.supervisor.configure(scripted(), script, enabled);
    }

    /// Starts the first module.
    pub(crate) async fn start(&self) -> Result<(), StartModuleError> {
        self.supervisor.start(&self.name, WITHIN).await
    }

    pub(crate) fn status(&self) -> ModuleStatus {
        let statuses = self.supervisor.statuses();
        statuses.into_iter().find(|status| status.name == self.name).unwrap()
    }

    pub(crate) fn state(&self) -> ModuleState {
        self.status().state
    }
}

fn scripted() -> Arc<dyn ModuleKind> {
    Arc::new(ScriptedKind(ModuleName::new("scripted").unwrap()))
}
