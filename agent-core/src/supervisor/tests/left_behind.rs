//! The threads of ended instances: those that end are forgotten, those that hang are known.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use module_api::{
    Module, ModuleKind, ModuleName, Script, ScriptedModule, SectionError, parse_section,
};
use serde_json::{Value, json};

use super::super::scene::Scene;

/// Only a defect makes anybody wait so long.
const AN_HOUR: Duration = Duration::from_secs(3_600);

/// Scripted modules whose instances the test can look at.
#[derive(Default)]
struct Watched(Mutex<Vec<Arc<ScriptedModule>>>, Option<ModuleName>);

impl ModuleKind for Watched {
    fn name(&self) -> &ModuleName {
        self.1.as_ref().unwrap()
    }

    fn build(&self, section: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        let script: Script = parse_section(section)?;
        let module = Arc::new(ScriptedModule::new(self.name().clone(), script));
        self.0.lock().unwrap().push(Arc::clone(&module));
        Ok(module)
    }
}

impl Watched {
    /// Returns once the last of `instances` instances is in the call of a method.
    async fn until_called(&self, instances: usize) {
        let called = || {
            let built = self.0.lock().unwrap();
            built.len() == instances && built.last().is_some_and(|last| !last.calls().is_empty())
        };
        while !called() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn scene(script: Value) -> (Scene, Arc<Watched>) {
    let kind = Watched(Mutex::default(), Some(ModuleName::new("scripted").unwrap()));
    let kind = Arc::new(kind);
    (Scene::of(&[Arc::clone(&kind) as Arc<dyn ModuleKind>], &script), kind)
}

#[tokio::test]
async fn a_module_that_ends_leaves_nothing_behind() {
    let (scene, _) = scene(json!({}));
    assert_eq!(scene.supervisor.left_behind(&scene.name, AN_HOUR).await, 0, "none was started");
    for _ in 0..3 {
        scene.start().await.unwrap();
    }
    assert_eq!(scene.supervisor.left_behind(&scene.name, AN_HOUR).await, 0, "one still runs");
    scene.supervisor.end_all();
    assert_eq!(scene.supervisor.left_behind(&scene.name, AN_HOUR).await, 0);
    assert_eq!(scene.status().threads_left, 0);
}

#[tokio::test]
async fn a_thread_that_hangs_is_left_behind_by_each_instance() {
    let (scene, kind) = scene(json!({"start": ["block"]}));
    for instance in 1..=2 {
        // Dropping the start gives the instance up.
        tokio::select! {
            _ = scene.start() => unreachable!("it blocks"),
            () = kind.until_called(instance) => {}
        }
        // The thread that does not block ends when it gets to it; the others stay.
        while scene.supervisor.left_behind(&scene.name, Duration::from_millis(1)).await > instance {
        }
        let left = scene.supervisor.left_behind(&scene.name, Duration::from_millis(1)).await;
        assert_eq!((left, scene.status().threads_left as usize), (instance, instance));
    }
    scene.configure_watched(&kind, json!({}));
    scene.start().await.unwrap();
    scene.supervisor.end_all();
    while scene.supervisor.left_behind(&scene.name, Duration::from_millis(1)).await > 2 {}
    assert_eq!(scene.status().threads_left, 2, "what hangs is not forgotten by a good instance");
}

impl Scene {
    fn configure_watched(&self, kind: &Arc<Watched>, script: Value) {
        self.supervisor.configure(Arc::clone(kind) as Arc<dyn ModuleKind>, script, true);
    }
}
