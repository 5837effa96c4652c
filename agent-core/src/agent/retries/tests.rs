//! A module that fails whenever it is started, under paused time: when each start is, and what operators are told.

use std::sync::Arc;
use std::time::Duration;

use module_api::{Module, ModuleKind, ModuleName, SectionError};
use serde_json::{Value, json};

use super::*;
use crate::config::SupervisionConfig;
use crate::supervisor::scene::Scene;

/// A module that is never built, so that no thread of its own runs beside the paused clock.
struct Broken(ModuleName);

impl ModuleKind for Broken {
    fn name(&self) -> &ModuleName {
        &self.0
    }

    fn build(&self, _: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        Err(vec![SectionError { path: "key".to_owned(), message: "is wrong".to_owned() }])
    }
}

/// Plays the part of the main loop, and writes down what happens and when.
struct Stage {
    scene: Scene,
    retries: Retries,
    policy: Policy,
    /// What every draw gives.
    draw: u32,
    began: Instant,
    journal: Vec<String>,
}

impl Stage {
    fn new(supervision: &SupervisionConfig, draw: u32) -> Self {
        let kind: Arc<dyn ModuleKind> = Arc::new(Broken(ModuleName::new("broken").unwrap()));
        Self {
            scene: Scene::of(&[kind], &json!({})),
            retries: Retries::default(),
            policy: supervision.policy(),
            draw,
            began: Instant::now(),
            journal: Vec::new(),
        }
    }

    fn note(&mut self, text: &str) {
        let at = self.began.elapsed().as_secs_f64();
        self.journal.push(format!("{at:7.3} s  {text}"));
    }

    /// Starts the module and takes its failure.
    async fn start(&mut self) {
        self.note("start");
        let supervisor = &self.scene.supervisor;
        let error = self.scene.start().await.unwrap_err();
        supervisor.report_failure(&self.scene.name, error.to_string());
        let failure = self.scene.failures.recv().await.unwrap();
        let (policy, now) = (self.policy, Instant::now());
        let notice = self.retries.take(supervisor, &failure, &policy, now, self.draw);
        let (kind, text) = notice.unwrap();
        self.note(&format!("{kind}: {text}"));
    }

    /// Starts the module whenever it is due, until it is not any more.
    async fn start_while_due(&mut self) {
        while let Some(at) = self.retries.next_at() {
            tokio::time::sleep_until(at).await;
            for _ in self.retries.take_due(&self.scene.supervisor, Instant::now()) {
                self.start().await;
            }
        }
    }
}

const WRONG: &str = "the configuration of module broken is wrong: key: is wrong";

fn again(after: &str) -> String {
    format!("module_failed: module broken failed and is started again in {after}: {WRONG}")
}

#[tokio::test(start_paused = true)]
async fn a_module_that_always_fails_is_tried_ever_later_then_quarantined_and_after_forgiveness_anew()
 {
    let supervision = SupervisionConfig {
        backoff_initial: Duration::from_secs(1),
        backoff_max: Duration::from_secs(4),
        quarantine_failures: 4,
        quarantine_window: Duration::from_secs(60),
        ..SupervisionConfig::default()
    };
    // Half of what is drawn at most: three quarters of the longest pause.
    let mut stage = Stage::new(&supervision, u32::MAX / 2 + 1);
    stage.start().await;
    stage.start_while_due().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    stage.note("forgiven by an operator");
    stage.scene.supervisor.forgive(&stage.scene.name);
    stage.start().await;
    stage.start_while_due().await;

    let quarantined = format!(
        "module_quarantined: module broken failed 5 times within 1m and is quarantined; the last failure: {WRONG}; \
         when its cause is removed, start it with `wazuh-agent restart --module broken`"
    );
    let rounds = [[0.0, 0.75, 2.25, 5.25, 8.25], [28.25, 29.0, 30.5, 33.5, 36.5]];
    let told = ["750ms", "1500ms", "3s", "3s"].map(again).into_iter().chain([quarantined]);
    let told: Vec<String> = told.collect();
    let mut expected = Vec::new();
    for (round, starts) in rounds.iter().enumerate() {
        if round == 1 {
            expected.push(format!("{:7.3} s  forgiven by an operator", 28.25));
        }
        for (at, told) in starts.iter().zip(&told) {
            expected.push(format!("{at:7.3} s  start"));
            expected.push(format!("{at:7.3} s  {told}"));
        }
    }
    assert_eq!(stage.journal, expected);
}

#[tokio::test(start_paused = true)]
async fn with_the_defaults_a_module_that_always_fails_is_quarantined_after_two_to_four_minutes() {
    for (draw, end) in [(0, 121.75), (u32::MAX, 243.5)] {
        let mut stage = Stage::new(&SupervisionConfig::default(), draw);
        stage.start().await;
        stage.start_while_due().await;
        assert_eq!(stage.began.elapsed().as_secs_f64(), end);
        assert_eq!(stage.scene.status().run, 11, "one more than is borne");
    }
}

#[tokio::test(start_paused = true)]
async fn a_module_that_was_started_by_other_means_is_not_due() {
    let mut stage = Stage::new(&SupervisionConfig::default(), 0);
    stage.start().await;
    let at = stage.retries.next_at().unwrap();
    assert_eq!(stage.retries.take_due(&stage.scene.supervisor, at - Duration::from_millis(1)), []);
    // As the restart of the module marks it.
    stage.scene.supervisor.mark_stopping(&stage.scene.name);
    assert_eq!(stage.retries.take_due(&stage.scene.supervisor, at), []);
    assert_eq!(stage.retries.next_at(), None);
}
