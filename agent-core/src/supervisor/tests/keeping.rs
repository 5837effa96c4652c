//! What an instance has kept while it runs is what the next one gets, and nothing of one that has ended.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use module_api::{
    KeepSensorError, Module, ModuleError, ModuleKind, ModuleName, Readiness, SavedState,
    SectionError, SensorFd, SensorKeeper, StartContext,
};
use serde_json::json;

use super::super::scene::WITHIN;
use super::*;

/// The sensors of one start: name and content.
type Given = Vec<(String, Vec<u8>)>;

/// Modules that tell the test what they were given, and hand out the memory that it names.
#[derive(Default)]
struct Told {
    keepers: Mutex<Vec<Arc<dyn SensorKeeper>>>,
    given: Mutex<Vec<Given>>,
    answers: Mutex<Vec<(&'static str, &'static str)>>,
    /// What is kept while `start` runs.
    in_start: Mutex<Option<(&'static str, &'static str)>>,
}

struct Kind(Arc<Told>, ModuleName);
struct Instance(Arc<Told>, ModuleName);

impl ModuleKind for Kind {
    fn name(&self) -> &ModuleName {
        &self.1
    }

    fn build(&self, _: &serde_json::Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        Ok(Arc::new(Instance(Arc::clone(&self.0), self.1.clone())))
    }
}

#[async_trait]
impl Module for Instance {
    fn name(&self) -> &ModuleName {
        &self.1
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        let read = |sensor: &SensorFd| (sensor.name().to_owned(), content(sensor));
        self.0.given.lock().unwrap().push(context.sensors.iter().map(read).collect());
        let in_start = *self.0.in_start.lock().unwrap();
        if let Some((name, text)) = in_start {
            context.keeper.keep(memory(name, text)).await.unwrap();
        }
        self.0.keepers.lock().unwrap().push(context.keeper);
        Ok(())
    }

    async fn sensors(&self) -> Result<Vec<SensorFd>, ModuleError> {
        Ok(self.0.answers.lock().unwrap().iter().map(|(name, text)| memory(name, text)).collect())
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

fn content(sensor: &SensorFd) -> Vec<u8> {
    let Some(size) = sensor.size_of_recorder() else { return sensor.read_memory().unwrap() };
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    file_of(sensor).read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn file_of(sensor: &SensorFd) -> std::fs::File {
    sensor.as_fd().try_clone_to_owned().unwrap().into()
}

fn memory(name: &str, text: &str) -> SensorFd {
    SensorFd::memory(name, text.as_bytes()).unwrap()
}

struct Keeping {
    scene: Scene,
    told: Arc<Told>,
}

impl Keeping {
    /// A module that answers `map` with "from the start".
    fn new() -> Self {
        let told = Arc::<Told>::default();
        told.answers.lock().unwrap().push(("map", "from the start"));
        let kind = Kind(Arc::clone(&told), ModuleName::new("fim").unwrap());
        Self { scene: Scene::of(&[Arc::new(kind)], &json!({})), told }
    }

    async fn start(&self) {
        self.scene.supervisor.start(&self.scene.name, WITHIN).await.unwrap();
    }

    /// What the next instance is given, by name.
    async fn next_is_given(&self) -> Vec<(String, String)> {
        self.start().await;
        let given = self.told.given.lock().unwrap().last().unwrap().clone();
        given.into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
    }

    fn keeper(&self) -> Arc<dyn SensorKeeper> {
        Arc::clone(self.told.keepers.lock().unwrap().last().unwrap())
    }
}

fn pair(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

#[tokio::test]
async fn what_was_recorded_after_the_recorder_was_kept_is_what_the_next_instance_reads() {
    let keeping = Keeping::new();
    keeping.start().await;
    let recorder = SensorFd::recorder("pending", 4).unwrap();
    let file = file_of(&recorder);
    keeping.keeper().keep(recorder).await.unwrap();
    file.write_all_at(b"one", 0).unwrap();
    keeping.told.answers.lock().unwrap().push(("note", "of the second"));
    let given = keeping.next_is_given().await;
    assert_eq!(given, [pair("map", "from the start"), pair("pending", "one\0")]);
}

#[tokio::test]
async fn what_an_instance_replaces_while_it_runs_is_what_the_next_one_gets() {
    let keeping = Keeping::new();
    keeping.start().await;
    for text in ["one more", "two more"] {
        keeping.keeper().keep(memory("map", text)).await.unwrap();
    }
    keeping.keeper().keep(memory("new", "made later")).await.unwrap();
    let given = keeping.next_is_given().await;
    assert_eq!(given, [pair("map", "two more"), pair("new", "made later")]);
    // The second instance answers `map` anew and kept nothing: that alone is there for the third.
    assert_eq!(keeping.next_is_given().await, [pair("map", "from the start")]);
}

#[tokio::test]
async fn an_answer_that_is_older_than_what_was_kept_does_not_undo_it() {
    let keeping = Keeping::new();
    *keeping.told.in_start.lock().unwrap() = Some(("map", "already changed"));
    keeping.start().await;
    assert_eq!(keeping.next_is_given().await, [pair("map", "already changed")]);
}

#[tokio::test]
async fn an_instance_that_has_ended_changes_nothing_for_the_next_one() {
    let keeping = Keeping::new();
    keeping.start().await;
    let old = keeping.keeper();
    keeping.start().await;
    assert_eq!(old.keep(memory("map", "too late")).await, Err(KeepSensorError::Ended));
    assert_eq!(keeping.next_is_given().await, [pair("map", "from the start")]);
}

#[tokio::test]
async fn what_would_not_reach_the_next_process_is_refused_until_the_restart_is_called_off() {
    let keeping = Keeping::new();
    keeping.start().await;
    let supervisor = &keeping.scene.supervisor;
    supervisor.sensors_are_handed_over(true);
    let refused = keeping.keeper().keep(memory("map", "too late")).await;
    assert_eq!(refused, Err(KeepSensorError::HandedOver));
    supervisor.sensors_are_handed_over(false);
    keeping.keeper().keep(memory("map", "goes on")).await.unwrap();
    assert_eq!(keeping.next_is_given().await, [pair("map", "goes on")]);
}

#[tokio::test]
async fn the_sensors_of_a_module_that_is_not_to_run_again_are_gone_with_what_it_kept() {
    let keeping = Keeping::new();
    keeping.start().await;
    keeping.keeper().keep(memory("new", "made later")).await.unwrap();
    let (supervisor, name) = (&keeping.scene.supervisor, &keeping.scene.name);
    supervisor.end(name, ModuleState::Stopped);
    supervisor.forget_sensors(name);
    assert_eq!(keeping.next_is_given().await, []);
}
