//! What a scripted module does and records, as whole records under paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use module_api::{
    Act, Batch, EventSink, Lie, Module, ModuleName, NoKeeper, PublishError, Readiness, Restored,
    Script, ScriptedModule, StartContext, Task, TaskSpawner, parse_section,
};
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

const OPEN: u8 = 0;
const REFUSING: u8 = 1;
const CLOSED: u8 = 2;

/// A world for one module: its sink can refuse or be closed, its tasks can be aborted.
#[derive(Default)]
struct World {
    sink: AtomicU8,
    checkpoints: Mutex<BTreeMap<String, Vec<u8>>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

#[async_trait]
impl EventSink for World {
    async fn publish(&self, batch: Batch) -> Result<(), PublishError> {
        match self.sink.load(Ordering::Relaxed) {
            OPEN => {
                let checkpoints = batch.checkpoints.into_iter();
                let known = checkpoints.map(|point| (point.key, point.value.unwrap()));
                self.checkpoints.lock().unwrap().extend(known);
                Ok(())
            }
            REFUSING => Err(PublishError::Storage { reason: "full".to_owned() }),
            _ => Err(PublishError::Closed),
        }
    }
}

impl TaskSpawner for World {
    fn spawn(&self, _label: &'static str, task: Task) {
        self.tasks.lock().unwrap().push(tokio::spawn(task).abort_handle());
    }
}

/// A module in its world, since the second that it was built in.
struct Scene {
    module: Arc<ScriptedModule>,
    world: Arc<World>,
    began: Instant,
}

impl Scene {
    fn new(script: Script) -> Self {
        let name = ModuleName::new("scripted").unwrap();
        let module = Arc::new(ScriptedModule::new(name, script));
        Self { module, world: Arc::default(), began: Instant::now() }
    }

    async fn started(script: Script) -> Self {
        let scene = Self::new(script);
        scene.module.start(scene.context(Restored::Nothing)).await.unwrap();
        scene
    }

    fn context(&self, state: Restored) -> StartContext {
        StartContext {
            state,
            checkpoints: self.world.checkpoints.lock().unwrap().clone(),
            sensors: Vec::new(),
            keeper: Arc::new(NoKeeper),
            // Nothing here keeps files.
            folder: PathBuf::new(),
            own_folders: Vec::new(),
            events: Arc::<World>::clone(&self.world),
            tasks: Arc::<World>::clone(&self.world),
        }
    }

    fn seconds(&self, at: Instant) -> f64 {
        (at - self.began).as_secs_f64()
    }

    /// Each call as `method from-to how`.
    fn calls(&self) -> Vec<String> {
        let line = |call: &module_api::Call| {
            let (method, at) = (call.method, self.seconds(call.at));
            match call.ended {
                Some(end) => format!("{method} {at:.1}-{:.1} {:?}", self.seconds(end.at), end.how),
                None => format!("{method} {at:.1}- UnderWay"),
            }
        };
        self.module.calls().iter().map(line).collect()
    }

    /// Each event as `second number what-the-sink-said`.
    fn publications(&self) -> Vec<String> {
        let line = |one: &module_api::Publication| {
            let told = match &one.told {
                Ok(()) => "stored",
                Err(PublishError::Storage { .. }) => "refused",
                Err(PublishError::Closed) => "closed",
            };
            format!("{:.1} {} {told}", self.seconds(one.at), one.number)
        };
        self.module.publications().iter().map(line).collect()
    }
}

fn publishing(lies: &[Lie]) -> Script {
    Script { publish_every_ms: Some(1_000), lies: lies.to_vec(), ..Script::default() }
}

async fn seconds(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

/// Working for 2.5 s, asked at 2.5, saved at 4.5, stopped at 6.5, watched until 8.6.
async fn life(lies: &[Lie]) -> Scene {
    let scene = Scene::started(publishing(lies)).await;
    seconds(2.5).await;
    assert_eq!(scene.module.ready_for_shutdown().await, Readiness::Ready);
    seconds(2.0).await;
    drop(scene.module.save_state().await.unwrap());
    seconds(2.0).await;
    scene.module.stop().await.unwrap();
    seconds(2.1).await;
    scene
}

#[tokio::test(start_paused = true)]
async fn each_call_plays_its_own_act_and_the_last_one_is_repeated() {
    let script = Script {
        ready: vec![Act::Busy.after_ms(500), Act::Fail, Act::OkAfterMs(2_000)],
        save: Act::fail_until(3),
        stop: vec![Act::Fail.after_ms(1_000), Act::Ok],
        ..Script::default()
    };
    let Scene { module, .. } = &Scene::new(script);
    let began = Instant::now();
    let mut lines = Vec::new();
    let mut line = |text: String| {
        lines.push(format!("{:.1} {text}", (Instant::now() - began).as_secs_f64()));
    };
    for _ in 0..4 {
        line(format!("{:?}", module.ready_for_shutdown().await));
    }
    for _ in 0..4 {
        line(format!("{:?}", module.save_state().await.map(drop).map_err(|e| e.to_string())));
    }
    for _ in 0..3 {
        line(format!("{:?}", module.stop().await.map_err(|error| error.to_string())));
    }
    assert_eq!(
        lines,
        [
            r#"0.5 Busy { reason: "busy as scripted" }"#,
            r#"0.5 Busy { reason: "ready_for_shutdown fails as scripted" }"#,
            "2.5 Ready",
            "4.5 Ready",
            r#"4.5 Err("save_state fails as scripted")"#,
            r#"4.5 Err("save_state fails as scripted")"#,
            "4.5 Ok(())",
            "4.5 Ok(())",
            r#"5.5 Err("stop fails as scripted")"#,
            "5.5 Ok(())",
            "5.5 Ok(())",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_record_tells_answers_from_calls_that_were_given_up_or_panicked() {
    let script = Script {
        slow_by_ms: 1_000,
        ready: vec![Act::Hang],
        save: vec![Act::Panic],
        stop: vec![Act::Fail, Act::Hang, Act::OkAfterMs(500)],
        ..Script::default()
    };
    let scene = Scene::new(script);
    let module = Arc::clone(&scene.module);
    let limit = Duration::from_secs(3);
    assert!(timeout(limit, module.ready_for_shutdown()).await.is_err());
    let saving = Arc::clone(&module);
    let saved = tokio::spawn(async move { saving.save_state().await }).await;
    assert!(saved.unwrap_err().is_panic());
    assert!(module.stop().await.is_err());
    assert!(timeout(limit, module.stop()).await.is_err());
    module.stop().await.unwrap();
    let mut under_way = Box::pin(module.resume());
    assert!(timeout(Duration::from_millis(500), under_way.as_mut()).await.is_err());
    assert_eq!(
        scene.calls(),
        [
            "ready_for_shutdown 0.0-3.0 GivenUp",
            "save_state 3.0-4.0 Panicked",
            "stop 4.0-5.0 Answered",
            "stop 5.0-8.0 GivenUp",
            "stop 8.0-9.5 Answered",
            "resume 9.5- UnderWay",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_truthful_module_publishes_nothing_from_the_question_on_and_its_task_ends_with_stop() {
    let scene = life(&[]).await;
    assert_eq!(scene.publications(), ["1.0 1 stored", "2.0 2 stored"]);
    assert!(scene.world.tasks.lock().unwrap().iter().all(AbortHandle::is_finished));
}

#[tokio::test(start_paused = true)]
async fn each_lie_goes_on_publishing_after_its_own_answer_only() {
    let worked = ["1.0 1 stored", "2.0 2 stored"];
    let lives = [
        (Lie::Ready, ["3.0 3 stored", "4.0 4 stored"].as_slice()),
        // What waited to be published goes out with the answer; the next one follows a second later.
        (Lie::Save, &["4.5 3 stored", "5.5 4 stored"]),
        (Lie::Stop, &["6.5 3 stored", "7.5 4 stored", "8.5 5 stored"]),
    ];
    for (lie, lied) in lives {
        assert_eq!(life(&[lie]).await.publications(), [&worked, lied].concat(), "{lie:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_published_after_a_false_save_has_no_checkpoint() {
    let scene = life(&[Lie::Save]).await;
    assert_eq!(scene.world.checkpoints.lock().unwrap()["published"], b"2");
    assert_eq!(scene.module.published(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_false_stop_survives_the_abort_of_its_tasks_and_is_told_that_its_sink_is_closed() {
    let scene = life(&[Lie::Stop]).await;
    scene.world.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
    scene.world.sink.store(CLOSED, Ordering::Relaxed);
    seconds(2.0).await;
    assert_eq!(scene.publications()[4..], ["8.5 5 stored", "9.5 6 closed", "10.5 6 closed"]);
    assert_eq!(scene.module.published(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_published_again_and_a_closed_sink_ends_the_work() {
    let scene = Scene::started(publishing(&[])).await;
    scene.world.sink.store(REFUSING, Ordering::Relaxed);
    seconds(2.5).await;
    scene.world.sink.store(OPEN, Ordering::Relaxed);
    seconds(2.0).await;
    scene.world.sink.store(CLOSED, Ordering::Relaxed);
    seconds(60.0).await;
    assert_eq!(
        scene.publications(),
        ["1.0 1 refused", "2.0 1 refused", "3.0 1 stored", "4.0 2 stored", "5.0 3 closed"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_resumed_module_works_on_and_the_next_instance_goes_on_counting() {
    let scene = Scene::started(publishing(&[])).await;
    seconds(1.5).await;
    assert_eq!(scene.module.ready_for_shutdown().await, Readiness::Ready);
    seconds(10.0).await;
    scene.module.resume().await;
    seconds(1.1).await;
    let saved = scene.module.save_state().await.unwrap();
    let (version, bytes) = saved.payload().unwrap();
    scene.module.stop().await.unwrap();
    assert_eq!(scene.publications(), ["1.0 1 stored", "11.5 2 stored", "12.5 3 stored"]);

    let state = Restored::Found { version, bytes: bytes.to_vec() };
    let next = Scene::new(publishing(&[]));
    next.module.start(next.context(state)).await.unwrap();
    seconds(1.1).await;
    assert_eq!(next.publications(), ["1.0 4 stored"]);
}

#[test]
fn a_script_is_a_section_of_the_configuration() {
    let section = json!({
        "start": ["fail", "ok"],
        "stop": [{"ok-after-ms": 2_000}, {"after-ms": 500, "then": "hang"}],
        "slow_by_ms": 200,
        "publish_every_ms": 50,
        "lies": ["ready", "save", "stop"],
    });
    let script = Script {
        start: vec![Act::Fail, Act::Ok],
        stop: vec![Act::OkAfterMs(2_000), Act::Hang.after_ms(500)],
        slow_by_ms: 200,
        publish_every_ms: Some(50),
        lies: vec![Lie::Ready, Lie::Save, Lie::Stop],
        ..Script::default()
    };
    assert_eq!(parse_section::<Script>(&section), Ok(script));
}

#[test]
fn a_wrong_word_in_a_script_is_refused_with_its_place() {
    let message = |section| parse_section::<Script>(&section).unwrap_err()[0].to_string();
    let names = "expected one of `ok`, `busy`, `fail`, `hang`, `panic`, `block`";
    assert_eq!(
        message(json!({"stop": ["ok", "hnag"]})),
        format!("stop[1]: unknown variant `hnag`, {names}")
    );
    assert_eq!(
        message(json!({"stop": [{"after-ms": 5, "then": "hnag"}]})),
        format!("stop[0].then: unknown variant `hnag`, {names}")
    );
    assert_eq!(
        message(json!({"lies": ["start"]})),
        "lies[0]: unknown variant `start`, expected one of `ready`, `save`, `stop`"
    );
    assert!(message(json!({"slow": 5})).contains("unknown field `slow`"));
}
