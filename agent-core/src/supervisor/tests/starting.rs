//! What comes while a module is being started: its own failure, and its end.

use std::sync::Arc;

use async_trait::async_trait;
use module_api::{
    Module, ModuleError, ModuleKind, ModuleName, Readiness, SavedState, SectionError, StartContext,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::super::scene::Scene;
use super::super::{Failure, ModuleState};
use super::again_after_ms;
use super::quarantine::QUARANTINED;

impl Scene {
    /// Returns once there is an instance that is being started.
    async fn until_called(&self) {
        while self.supervisor.instance(&self.name).is_none() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_task_that_fails_during_the_start_is_the_failure_that_counts() {
    let scene = Scene::new(json!({"start": ["hang"]}));
    let mut reactions = Vec::new();
    for run in 1..=3 {
        let task = Failure { module: scene.name.clone(), run, reason: "a task".to_owned() };
        let fail = async {
            scene.until_called().await;
            scene.failed(&task)
        };
        let (started, reaction) = tokio::join!(scene.start(), fail);
        let error = started.unwrap_err().to_string();
        assert_eq!(error, "module scripted did not start: a task");
        reactions.push(reaction);
    }
    assert_eq!(reactions, [again_after_ms(500), again_after_ms(1_000), QUARANTINED]);
    let status = scene.status();
    assert_eq!(status.state, ModuleState::Quarantined, "the end of the start does not lift it");
    assert_eq!(status.last_error.as_deref(), Some("a task"));
}

/// A module whose start waits until the test lets it go.
#[derive(Clone)]
struct Gated {
    name: ModuleName,
    gate: Arc<Notify>,
}

#[async_trait]
impl Module for Gated {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, _: StartContext) -> Result<(), ModuleError> {
        self.gate.notified().await;
        Ok(())
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        Readiness::Ready
    }

    async fn resume(&self) {}

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        Ok(SavedState::none())
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        Ok(())
    }
}

impl ModuleKind for Gated {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    fn build(&self, _: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        Ok(Arc::new(self.clone()))
    }
}

#[tokio::test]
async fn a_failure_that_is_faster_than_the_answer_of_the_start_is_not_forgotten() {
    let gated = Gated { name: ModuleName::new("gated").unwrap(), gate: Arc::default() };
    let scene = Scene::of(&[Arc::new(gated.clone())], &json!({}));
    let task = Failure { module: scene.name.clone(), run: 1, reason: "a task".to_owned() };
    let fail = async {
        scene.until_called().await;
        let metrics = scene.supervisor.runtime_of(&scene.name).unwrap().metrics();
        gated.gate.notify_one();
        // Without an await, so that the supervisor does not hear of the end of the start before the failure is taken.
        while metrics.num_alive_tasks() > 0 {
            std::thread::yield_now();
        }
        scene.failed(&task)
    };
    let (started, reaction) = tokio::join!(scene.start(), fail);
    started.unwrap_err();
    assert_eq!((scene.state(), reaction), (ModuleState::Failed, again_after_ms(500)));
}

#[tokio::test]
async fn a_module_that_is_ended_while_it_starts_has_not_failed() {
    let scene = Scene::new(json!({"start": ["hang"]}));
    let end = async {
        scene.until_called().await;
        scene.supervisor.end(&scene.name, ModuleState::Stopped);
    };
    let (started, ()) = tokio::join!(scene.start(), end);
    started.unwrap_err();
    assert_eq!((scene.state(), scene.status().last_error), (ModuleState::Stopped, None));
}
