//! What the supervisor makes of failures, with scripted modules and a real spool.

mod asking;
mod folders;
mod keeping;
mod left_behind;
mod others;
mod quarantine;
mod starting;

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::scene::Scene;
use super::{Backoff, Failure, ModuleState, Policy, Quarantine, Reaction};

/// Two failures within a minute are borne.
const POLICY: Policy = Policy {
    backoff: Backoff {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(60),
        reset: Duration::from_secs(300),
    },
    quarantine: Quarantine { failures: 2, window: Duration::from_secs(60) },
};

impl Scene {
    /// Takes a failure now, with the longest wait that it may bring.
    fn failed(&self, failure: &Failure) -> Option<Reaction> {
        self.supervisor.failed(failure, &POLICY, Instant::now(), u32::MAX)
    }
}

fn again_after_ms(millis: u64) -> Option<Reaction> {
    Some(Reaction::StartAgain { after: Duration::from_millis(millis) })
}

#[tokio::test]
async fn a_start_that_panics_is_an_error_and_the_module_waits_for_the_next_try() {
    let scene = Scene::new(json!({"start": ["panic"]}));
    let error = scene.start().await.unwrap_err().to_string();
    assert!(error.starts_with("module scripted did not start: "), "{error}");
    assert_eq!(scene.state(), ModuleState::Failed);
    assert!(scene.supervisor.awaits_retry(&scene.name));
    assert!(scene.supervisor.running().is_empty());
}

#[tokio::test]
async fn a_task_that_fails_is_the_failure_of_its_module() {
    let mut scene = Scene::new(json!({"fail_after_ms": 1}));
    scene.start().await.unwrap();
    let failure = scene.failures.recv().await.unwrap();
    assert_eq!(failure.run, 1);
    assert!(failure.reason.contains("fails as scripted"), "{failure:?}");
    assert_eq!(scene.failed(&failure), again_after_ms(500));
    assert_eq!(scene.state(), ModuleState::Failed);
}

#[tokio::test]
async fn a_failure_of_an_earlier_instance_means_nothing() {
    let scene = Scene::new(json!({}));
    scene.start().await.unwrap();
    scene.start().await.unwrap();
    let failure = Failure { module: scene.name.clone(), run: 1, reason: "late".to_owned() };
    assert_eq!(scene.failed(&failure), None);
    assert_eq!(scene.state(), ModuleState::Running);
}

#[tokio::test]
async fn a_module_that_died_in_a_shutdown_that_is_called_off_has_failed() {
    let mut scene = Scene::new(json!({"fail_after_ms": 1}));
    scene.start().await.unwrap();
    scene.supervisor.mark_stopping(&scene.name);
    let failure = scene.failures.recv().await.unwrap();
    assert_eq!(scene.failed(&failure), None, "it is being shut down anyway");
    scene.supervisor.mark_running(&scene.name);
    assert_eq!(scene.failures.recv().await, Some(failure));
}

#[tokio::test]
async fn a_module_that_was_switched_off_waits_for_no_further_try() {
    let scene = Scene::new(json!({"start": ["fail"]}));
    scene.start().await.unwrap_err();
    scene.configure(json!({}), false);
    assert!(!scene.supervisor.awaits_retry(&scene.name));
    assert_eq!(scene.state(), ModuleState::Disabled);
}

#[tokio::test]
async fn a_start_that_is_cut_off_leaves_nothing_running() {
    let scene = Scene::new(json!({"start": ["hang"]}));
    let cut_off = tokio::time::timeout(Duration::from_millis(1), scene.start()).await;
    assert!(cut_off.is_err());
    assert_eq!(scene.state(), ModuleState::Stopped);
    assert!(scene.supervisor.instance(&scene.name).is_none());
}
