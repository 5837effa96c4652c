//! A scripted module between which and the agent something is wrong: one broken rule each.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use module_api::contract::Subject;
use module_api::{
    Batch, EventSink, Module, ModuleError, ModuleName, PublishError, Readiness, Restored,
    SavedState, Script, ScriptedModule, StartContext, Task, TaskSpawner,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Has another name once it is started.
    ChangesItsName,
    /// Does not hear that the shutdown was called off.
    IgnoresResume,
    /// Refuses to stop unless it was saved.
    StopsOnlyWhenSaved,
    /// Starts afresh every time.
    ForgetsItsState,
    /// Takes a refused batch for stored.
    IgnoresRefusals,
    /// Stores the position before the events that belong to it.
    PublishesPositionsFirst,
    /// Sets a field that is the agent's.
    SetsTheIdField,
    /// Returns a state of version 0.
    SavesVersionZero,
    /// Runs its work where the agent does not see it.
    HidesItsTask,
    /// Gives its sink to somebody who keeps it for ever.
    LeaksItsSink,
    /// Hangs when an earlier call of this method was dropped.
    HangsAfterDropped(&'static str),
}

/// Builds modules with a fault that publish by themselves.
pub(crate) struct Case {
    script: Script,
    fault: Fault,
    /// A call was begun and has not come to its end; the same for all instances.
    inside: Arc<AtomicBool>,
}

impl Case {
    pub(crate) fn new(script: Script, fault: Fault) -> Self {
        Self { script, fault, inside: Arc::default() }
    }
}

#[async_trait]
impl Subject for Case {
    fn build(&self) -> Arc<dyn Module> {
        let name = |text| ModuleName::new(text).unwrap();
        let module = ScriptedModule::new(name("scripted"), self.script.clone());
        Arc::new(Faulty {
            module,
            fault: self.fault,
            other_name: name("other"),
            started: AtomicBool::default(),
            saved: AtomicBool::default(),
            inside: Arc::clone(&self.inside),
        })
    }

    async fn give_work(&self) {}
}

struct Faulty {
    module: ScriptedModule,
    fault: Fault,
    other_name: ModuleName,
    started: AtomicBool,
    saved: AtomicBool,
    inside: Arc<AtomicBool>,
}

impl Faulty {
    /// Marks the call for the time of one await; a dropped call leaves the mark behind.
    async fn pass(&self, method: &'static str) {
        if self.fault == Fault::HangsAfterDropped(method) {
            if self.inside.swap(true, Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            tokio::task::yield_now().await;
            self.inside.store(false, Ordering::Relaxed);
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

#[async_trait]
impl Module for Faulty {
    fn name(&self) -> &ModuleName {
        if self.has(Fault::ChangesItsName) && self.started.load(Ordering::Relaxed) {
            return &self.other_name;
        }
        self.module.name()
    }

    async fn start(&self, mut context: StartContext) -> Result<(), ModuleError> {
        self.pass("start").await;
        self.started.store(true, Ordering::Relaxed);
        if self.has(Fault::ForgetsItsState) {
            context.state = Restored::Nothing;
            context.checkpoints = BTreeMap::new();
        }
        if self.has(Fault::HidesItsTask) {
            context.tasks = Arc::new(Hidden);
        }
        if self.has(Fault::LeaksItsSink) {
            mem::forget(Arc::clone(&context.events));
        }
        context.events = Arc::new(Wrapped { sink: context.events, fault: self.fault });
        self.module.start(context).await
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        self.pass("ready_for_shutdown").await;
        self.module.ready_for_shutdown().await
    }

    async fn resume(&self) {
        self.pass("resume").await;
        if !self.has(Fault::IgnoresResume) {
            self.module.resume().await;
        }
    }

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        self.pass("save_state").await;
        self.saved.store(true, Ordering::Relaxed);
        if self.has(Fault::SavesVersionZero) {
            return Ok(SavedState::new(0, Vec::new()));
        }
        self.module.save_state().await
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        self.pass("stop").await;
        if self.has(Fault::StopsOnlyWhenSaved) && !self.saved.load(Ordering::Relaxed) {
            return Err(ModuleError::new("nothing was saved"));
        }
        self.module.stop().await
    }
}

/// Starts tasks that the agent knows nothing of.
struct Hidden;

impl TaskSpawner for Hidden {
    fn spawn(&self, _label: &'static str, task: Task) {
        drop(tokio::spawn(task));
    }
}

/// The sink as a faulty module uses it.
struct Wrapped {
    sink: Arc<dyn EventSink>,
    fault: Fault,
}

#[async_trait]
impl EventSink for Wrapped {
    async fn publish(&self, mut batch: Batch) -> Result<(), PublishError> {
        if self.fault == Fault::SetsTheIdField {
            for event in &mut batch.events {
                event.fields.insert("id".to_owned(), "mine".into());
            }
        }
        if self.fault == Fault::PublishesPositionsFirst {
            let checkpoints = mem::take(&mut batch.checkpoints);
            self.sink.publish(Batch { events: Vec::new(), checkpoints }).await?;
        }
        match self.sink.publish(batch).await {
            Err(PublishError::Storage { .. }) if self.fault == Fault::IgnoresRefusals => Ok(()),
            told => told,
        }
    }
}
