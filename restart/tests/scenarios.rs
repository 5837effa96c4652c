//! The driver with scripted modules under paused time: whole transcripts of who was called when.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use module_api::{Act, Module, ModuleName, SavedState, Script, ScriptedModule};
use restart::{
    Clock, Ending, Event, Host, Limits, Progress, Purpose, Shutdown, ShutdownOutcome, TokioClock,
    drive,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Runs scripted modules and writes down everything that the driver does.
struct Stage {
    modules: BTreeMap<ModuleName, Arc<ScriptedModule>>,
    began: Instant,
    notes: Mutex<Vec<(Instant, String)>>,
    replacement: Event,
}

impl Stage {
    fn new(scripts: &[(&str, Script)], replacement: Event) -> Arc<Self> {
        let build = |(name, script): &(&str, Script)| {
            let name = ModuleName::new(name).unwrap();
            (name.clone(), Arc::new(ScriptedModule::new(name, script.clone())))
        };
        Arc::new(Self {
            modules: scripts.iter().map(build).collect(),
            began: Instant::now(),
            notes: Mutex::default(),
            replacement,
        })
    }

    fn write_down(&self, text: String) {
        self.notes.lock().unwrap().push((Instant::now(), text));
    }

    async fn run(
        self: &Arc<Self>,
        purpose: Purpose,
        requests: mpsc::Receiver<Event>,
    ) -> ShutdownOutcome {
        let names = self.modules.keys().cloned().collect();
        let begun = Shutdown::begin(purpose, names, Limits::default(), TokioClock.now());
        drive(Arc::clone(self) as Arc<dyn Host>, begun, &TokioClock, requests).await
    }

    /// Every call and effect with its second, in order of time; those of one instant, which go side by side, by name.
    fn transcript(&self) -> Vec<String> {
        let mut lines: Vec<(Instant, String)> = self.notes.lock().unwrap().clone();
        for (name, module) in &self.modules {
            let calls = module.calls();
            lines.extend(calls.iter().map(|call| (call.at, format!("{name} {}", call.method))));
        }
        lines.sort();
        let line = |(at, text): &(Instant, String)| {
            format!("{:.1} {text}", (*at - self.began).as_secs_f64())
        };
        lines.iter().map(line).collect()
    }
}

#[async_trait]
impl Host for Stage {
    fn module(&self, name: &ModuleName) -> Option<Arc<dyn Module>> {
        self.modules.get(name).map(|module| Arc::clone(module) as Arc<dyn Module>)
    }

    async fn keep_state(&self, name: &ModuleName, _: SavedState) -> Result<(), String> {
        self.write_down(format!("{name}'s state is kept"));
        Ok(())
    }

    fn release(&self, _: &ModuleName) {}

    fn abandon(&self, name: &ModuleName) {
        self.write_down(format!("{name} is abandoned"));
    }

    async fn request_replacement(&self) -> Event {
        self.write_down("the replacement is requested".to_owned());
        self.replacement.clone()
    }

    fn report(&self, _: Progress) {}
}

fn no_requests() -> mpsc::Receiver<Event> {
    mpsc::channel(1).1
}

#[tokio::test(start_paused = true)]
async fn a_hung_module_delays_no_other_and_is_abandoned() {
    let hung = Script { stop: vec![Act::Hang], ..Script::default() };
    let stage = Stage::new(&[("fim", hung), ("sca", Script::default())], Event::Forced);
    let outcome = stage.run(Purpose::End, no_requests()).await;
    assert_eq!(outcome.ending, Ending::Ended);
    assert_eq!(
        stage.transcript(),
        [
            "0.0 fim ready_for_shutdown",
            "0.0 fim save_state",
            "0.0 fim stop",
            "0.0 fim's state is kept",
            "0.0 sca ready_for_shutdown",
            "0.0 sca save_state",
            "0.0 sca stop",
            "0.0 sca's state is kept",
            "5.0 fim stop",
            "10.0 fim is abandoned",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn all_modules_are_drained_before_the_replacement_is_requested() {
    let slow = Script { ready: vec![Act::Busy, Act::OkAfterMs(900)], ..Script::default() };
    let stage = Stage::new(&[("fim", slow)], Event::ReplacementUnconditional);
    let outcome = stage.run(Purpose::Replace, no_requests()).await;
    assert!(outcome.is_clean());
    assert_eq!(
        stage.transcript(),
        [
            "0.0 fim ready_for_shutdown",
            "0.1 fim ready_for_shutdown",
            "1.0 fim save_state",
            "1.0 fim stop",
            "1.0 fim's state is kept",
            "1.0 the replacement is requested",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_resumes_the_modules_and_stops_none() {
    let refusal = Event::ReplacementRefused("no helper could be started".to_owned());
    let stage = Stage::new(&[("fim", Script::default())], refusal);
    let outcome = stage.run(Purpose::Replace, no_requests()).await;
    assert_eq!(outcome.ending, Ending::CalledOff("no helper could be started".to_owned()));
    tokio::task::yield_now().await;
    assert_eq!(
        stage.transcript(),
        ["0.0 fim ready_for_shutdown", "0.0 fim resume", "0.0 the replacement is requested",]
    );
}

#[tokio::test(start_paused = true)]
async fn a_module_that_panics_is_a_note_in_the_outcome() {
    let script = Script { save: vec![Act::Panic], ..Script::default() };
    let stage = Stage::new(&[("fim", script)], Event::Forced);
    let outcome = stage.run(Purpose::End, no_requests()).await;
    assert_eq!(
        outcome.modules[0].notes,
        ["save_state failed: panicked: save_state panics as scripted"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_module_that_hangs_everywhere_is_over_within_its_budgets() {
    let acts = || vec![Act::Hang];
    let script = Script { ready: acts(), save: acts(), stop: acts(), ..Script::default() };
    let stage = Stage::new(&[("fim", script)], Event::Forced);
    let outcome = stage.run(Purpose::End, no_requests()).await;
    assert_eq!(outcome.took, Duration::from_secs(25));
    assert_eq!(
        stage.transcript(),
        [
            "0.0 fim ready_for_shutdown",
            "10.0 fim save_state",
            "15.0 fim stop",
            "20.0 fim stop",
            "25.0 fim is abandoned",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_forced_request_ends_a_hung_module_at_once() {
    let script = Script { stop: vec![Act::Hang], ..Script::default() };
    let stage = Stage::new(&[("fim", script)], Event::Forced);
    let (requests, receiver) = mpsc::channel(1);
    let running = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move { stage.run(Purpose::End, receiver).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    requests.send(Event::Forced).await.unwrap();
    assert_eq!(running.await.unwrap().modules[0].notes, ["abandoned: forced"]);
    assert_eq!(stage.transcript().last().unwrap(), "1.0 fim is abandoned");
}
