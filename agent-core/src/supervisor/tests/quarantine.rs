//! A module that fails too often is quarantined, whatever it fails of, until it is forgiven.

use std::sync::Arc;
use std::time::Duration;

use module_api::{ModuleKind, ModuleName, ScriptedKind};
use serde_json::json;
use tokio::time::Instant;

use super::super::ModuleState;
use super::super::scene::{Scene, WITHIN};
use super::{POLICY, Reaction, again_after_ms};

pub(super) const QUARANTINED: Option<Reaction> = Some(Reaction::Quarantined { failures: 3 });

impl Scene {
    /// Starts the module, which fails, and takes the failure.
    async fn fail(&mut self) -> Option<Reaction> {
        let error = self.start().await.unwrap_err();
        self.supervisor.report_failure(&self.name, error.to_string());
        let failure = self.failures.recv().await.unwrap();
        self.failed(&failure)
    }

    /// Fails three times, which is once too often.
    async fn fail_too_often(&mut self) {
        let reactions = [self.fail().await, self.fail().await, self.fail().await];
        assert_eq!(reactions, [again_after_ms(500), again_after_ms(1_000), QUARANTINED]);
    }
}

#[tokio::test]
async fn a_module_that_fails_too_often_is_quarantined_and_waits_for_no_further_try() {
    let mut scene = Scene::new(json!({"start": ["fail"]}));
    scene.fail_too_often().await;
    let status = scene.status();
    assert_eq!((status.state, status.failures), (ModuleState::Quarantined, 3));
    let error = status.last_error.unwrap();
    assert_eq!(error, "module scripted did not start: start fails as scripted");
    assert!(!scene.supervisor.awaits_retry(&scene.name));
    assert_eq!(json!(scene.state()), json!("quarantined"));
}

#[tokio::test]
async fn every_reason_not_to_start_counts() {
    for (script, state_is_readable, reason) in [
        (json!({"strat": []}), true, "the configuration of module scripted is wrong: "),
        (json!({}), false, "the saved state of module scripted cannot be read: "),
        (json!({"start": ["fail"]}), true, "module scripted did not start: start fails"),
        (json!({"start": ["panic"]}), true, "module scripted did not start: "),
    ] {
        let mut scene = Scene::new(script);
        if !state_is_readable {
            // A file where the folder of the module should be: nothing below it can be read.
            let folder = scene.folder.path().join("modules");
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("scripted"), "").unwrap();
        }
        scene.fail_too_often().await;
        let error = scene.status().last_error.unwrap();
        assert!(error.starts_with(reason), "{error}");
        assert_eq!(scene.state(), ModuleState::Quarantined);
    }
}

#[tokio::test]
async fn a_module_that_starts_and_then_fails_too_often_is_quarantined() {
    let mut scene = Scene::new(json!({"fail_after_ms": 1}));
    let mut reactions = Vec::new();
    for _ in 0..3 {
        scene.start().await.unwrap();
        let failure = scene.failures.recv().await.unwrap();
        reactions.push(scene.failed(&failure));
    }
    assert_eq!(reactions, [again_after_ms(500), again_after_ms(1_000), QUARANTINED]);
    assert!(scene.supervisor.instance(&scene.name).is_none(), "its instance is ended");
}

#[tokio::test]
async fn an_instance_fails_once_however_many_of_its_tasks_do() {
    let mut scene = Scene::new(json!({"start": ["fail"]}));
    scene.start().await.unwrap_err();
    scene.supervisor.report_failure(&scene.name, "the start".to_owned());
    scene.supervisor.report_failure(&scene.name, "a task".to_owned());
    let reactions = [scene.failures.recv().await, scene.failures.recv().await]
        .map(|failure| scene.failed(&failure.unwrap()));
    assert_eq!(reactions, [again_after_ms(500), None]);
    let status = scene.status();
    assert_eq!((status.failures, status.last_error.as_deref()), (1, Some("the start")));
}

#[tokio::test]
async fn the_report_of_a_failed_start_is_not_taken_for_the_failure_of_the_next_instance() {
    let mut scene = Scene::new(json!({"start": ["fail"]}));
    scene.start().await.unwrap_err();
    scene.configure(json!({}), true);
    scene.start().await.unwrap();
    scene.supervisor.report_failure(&scene.name, "late".to_owned());
    let failure = scene.failures.recv().await.unwrap();
    assert_eq!(scene.failed(&failure), None);
    assert_eq!(scene.state(), ModuleState::Running);
}

#[tokio::test]
async fn how_long_an_instance_worked_is_what_ends_a_row_of_failures() {
    let mut scene = Scene::new(json!({"start": ["fail"]}));
    scene.fail().await;
    scene.configure(json!({"fail_after_ms": 1}), true);
    scene.start().await.unwrap();
    let failure = scene.failures.recv().await.unwrap();
    let later = Instant::now() + POLICY.backoff.reset;
    let reaction = scene.supervisor.failed(&failure, &POLICY, later, u32::MAX);
    assert_eq!(reaction, again_after_ms(500));
    assert_eq!(scene.status().failures, 1);
}

#[tokio::test]
async fn a_forgiven_module_has_never_failed() {
    let mut scene = Scene::new(json!({"start": ["fail"]}));
    scene.fail_too_often().await;
    scene.supervisor.forgive(&scene.name);
    assert_eq!((scene.state(), scene.status().failures), (ModuleState::Stopped, 0));
    scene.fail_too_often().await;
}

#[tokio::test]
async fn a_start_alone_forgives_nothing() {
    let mut scene = Scene::new(json!({"start": ["fail"]}));
    scene.fail_too_often().await;
    assert_eq!(scene.fail().await, QUARANTINED);
}

#[tokio::test]
async fn a_quarantined_module_can_be_switched_off() {
    let mut scene = Scene::new(json!({"start": ["fail"]}));
    scene.fail_too_often().await;
    scene.configure(json!({}), false);
    assert_eq!(scene.state(), ModuleState::Disabled);
}

#[tokio::test]
async fn modules_that_run_or_are_quarantined_are_waited_for_no_longer() {
    let names = ["scripted", "works"].map(|name| ModuleName::new(name).unwrap());
    let kinds = names.clone().map(|name| Arc::new(ScriptedKind(name)) as Arc<dyn ModuleKind>);
    let mut scene = Scene::of(&kinds, &json!({}));
    scene.configure(json!({"start": ["fail"]}), true);
    scene.supervisor.start(&names[1], WITHIN).await.unwrap();
    assert_eq!([scene.fail().await, scene.fail().await].map(|r| r.is_some()), [true; 2]);
    let settled = tokio::time::timeout(Duration::ZERO, scene.supervisor.until_settled()).await;
    assert!(settled.is_err(), "a module that is tried again is waited for");
    assert_eq!(scene.fail().await, QUARANTINED);
    let settled = tokio::time::timeout(WITHIN, scene.supervisor.until_settled()).await.unwrap();
    let states: Vec<ModuleState> = settled.into_iter().map(|status| status.state).collect();
    assert_eq!(states, [ModuleState::Quarantined, ModuleState::Running]);
}
