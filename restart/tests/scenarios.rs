//! What the driver owes its host beyond the loop: dropping, foreign runtimes, and modules that block their thread.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test moves time by itself, from any instant"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use module_api::{Act, HowEnded, Module, ModuleName, SavedState, Script, ScriptedModule};
use restart::{
    Clock, Ending, Event, Host, Limits, ModuleEnd, Progress, Purpose, Shutdown, ShutdownOutcome,
    TokioClock, drive,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;

/// Runs scripted modules, on a runtime of their own if there is one.
struct Stage {
    modules: BTreeMap<ModuleName, Arc<ScriptedModule>>,
    runtime: Option<Handle>,
    released: Mutex<Vec<ModuleName>>,
}

#[async_trait]
impl Host for Stage {
    fn module(&self, name: &ModuleName) -> Option<Arc<dyn Module>> {
        self.modules.get(name).map(|module| Arc::clone(module) as Arc<dyn Module>)
    }

    fn runtime_of(&self, _: &ModuleName) -> Option<Handle> {
        self.runtime.clone()
    }

    async fn keep_state(&self, _: &ModuleName, _: SavedState) -> Result<(), String> {
        Ok(())
    }

    fn release(&self, name: &ModuleName) {
        self.released.lock().unwrap().push(name.clone());
    }

    fn abandon(&self, _: &ModuleName) {}

    async fn request_replacement(&self) -> Event {
        Event::ReplacementUnconditional
    }

    fn report(&self, _: Progress) {}
}

impl Stage {
    fn new(scripts: &[(&str, Script)]) -> Self {
        let build = |(name, script): &(&str, Script)| {
            let name = ModuleName::new(name).unwrap();
            (name.clone(), Arc::new(ScriptedModule::new(name, script.clone())))
        };
        Self {
            modules: scripts.iter().map(build).collect(),
            runtime: None,
            released: Mutex::default(),
        }
    }

    /// The methods that were called, and how each call ended.
    fn calls(&self, name: &str) -> Vec<(&'static str, Option<HowEnded>)> {
        let calls = self.modules[&ModuleName::new(name).unwrap()].calls();
        calls.iter().map(|call| (call.method, call.ended.map(|end| end.how))).collect()
    }
}

async fn run(
    stage: Arc<Stage>,
    limits: Limits,
    requests: mpsc::Receiver<Event>,
) -> ShutdownOutcome {
    run_by(&TokioClock, stage, limits, requests).await
}

async fn run_by(
    clock: &dyn Clock,
    stage: Arc<Stage>,
    limits: Limits,
    requests: mpsc::Receiver<Event>,
) -> ShutdownOutcome {
    let names = stage.modules.keys().cloned().collect();
    let begun = Shutdown::begin(Purpose::End, names, limits, clock.now());
    drive(stage, begun, clock, requests).await
}

/// A clock that stands still until something has happened, and then goes from deadline to deadline.
struct StoppedClock<F> {
    now: Mutex<Instant>,
    has_happened: F,
}

#[async_trait]
impl<F: Fn() -> bool + Send + Sync> Clock for StoppedClock<F> {
    fn now(&self) -> Instant {
        *self.now.lock().unwrap()
    }

    async fn sleep_until(&self, deadline: Instant) {
        while !(self.has_happened)() {
            tokio::task::yield_now().await;
        }
        *self.now.lock().unwrap() = deadline;
    }
}

/// The answered calls of one module.
fn answered(methods: &[&'static str]) -> Vec<(&'static str, Option<HowEnded>)> {
    methods.iter().map(|method| (*method, Some(HowEnded::Answered))).collect()
}

const ALL: [&str; 3] = ["ready_for_shutdown", "save_state", "stop"];

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_time().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_hear_from_the_loop_goes_on() {
    let slow = Script { stop: vec![Act::OkAfterMs(1_000)], ..Script::default() };
    let stage = Arc::new(Stage::new(&[("fim", slow)]));
    let nobody = mpsc::channel(1).1;
    let outcome = run(Arc::clone(&stage), Limits::default(), nobody).await;
    assert_eq!(outcome.took, Duration::from_secs(1));
    assert!(outcome.is_clean());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_loop_drops_the_calls_under_way() {
    let hung = Script { save: vec![Act::Hang], ..Script::default() };
    let stage = Arc::new(Stage::new(&[("fim", hung), ("sca", Script::default())]));
    let (_requests, receiver) = mpsc::channel(1);
    let running = run(Arc::clone(&stage), Limits::default(), receiver);
    assert!(tokio::time::timeout(Duration::from_secs(1), running).await.is_err());
    tokio::task::yield_now().await;
    let ended =
        [("ready_for_shutdown", Some(HowEnded::Answered)), ("save_state", Some(HowEnded::GivenUp))];
    assert_eq!(stage.calls("fim"), ended);
    assert_eq!(stage.calls("sca"), answered(&ALL));
}

#[test]
fn a_call_that_was_given_up_is_dropped_before_the_next_begins() {
    // One thread for driver and module: it runs what was spawned last first, so the next call would come first.
    let hung = Script { save: vec![Act::Hang], ..Script::default() };
    let stage = Arc::new(Stage::new(&[("fim", hung)]));
    let runtime = runtime(1);
    let (_requests, receiver) = mpsc::channel(1);
    let limits = Limits { save: Duration::from_millis(20), ..Limits::default() };
    let running = runtime.spawn(run(Arc::clone(&stage), limits, receiver));
    runtime.block_on(running).unwrap();
    let calls = stage.modules.values().next().unwrap().calls();
    let [_, save, stop] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(save.ended.unwrap().how, HowEnded::GivenUp);
    assert!(save.ended.unwrap().at < stop.at, "stop is called while save_state runs");
}

#[test]
fn a_module_that_blocks_its_thread_is_not_called_again_and_delays_nobody() {
    let blocking = Script { save: vec![Act::Block], ..Script::default() };
    let own = runtime(2);
    let mut stage = Stage::new(&[("fim", blocking), ("sca", Script::default())]);
    stage.runtime = Some(own.handle().clone());
    let stage = Arc::new(stage);
    let (_requests, receiver) = mpsc::channel(1);
    let seen = Arc::clone(&stage);
    let has_happened = move || {
        let sca_is_over = !seen.released.lock().unwrap().is_empty();
        sca_is_over && seen.calls("fim").len() == 2
    };
    let clock = StoppedClock { now: Mutex::new(Instant::now()), has_happened };
    let running = run_by(&clock, Arc::clone(&stage), Limits::default(), receiver);
    let outcome = Builder::new_current_thread().build().unwrap().block_on(running);
    assert_eq!(outcome.ending, Ending::Ended);
    let [fim, sca] = outcome.modules.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(fim.ended, ModuleEnd::Abandoned);
    assert_eq!(
        fim.notes,
        ["save timeout", "stop timeout", "stop timeout", "abandoned: it did not stop"]
    );
    assert_eq!(outcome.took, Duration::from_secs(15));
    assert_eq!(
        stage.calls("fim"),
        [("ready_for_shutdown", Some(HowEnded::Answered)), ("save_state", None)],
        "it is not called while it is in a call"
    );
    assert!(sca.notes.is_empty());
    assert_eq!(stage.calls("sca"), answered(&ALL));
    // Its thread never ends, so nobody waits for it.
    own.shutdown_background();
}
