//! The folder that a module gets, and those that it must keep out of.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use module_api::{
    Module, ModuleError, ModuleKind, ModuleName, Readiness, SavedState, SectionError, StartContext,
};
use serde_json::{Value, json};

use super::super::ModuleState;
use super::super::scene::Scene;

/// Its folder, and those that it must keep out of.
type Told = (PathBuf, Vec<PathBuf>);

/// Counts its starts in a file in its folder, and remembers what it was told.
#[derive(Clone)]
struct Filing {
    name: ModuleName,
    told: Arc<Mutex<Vec<Told>>>,
}

#[async_trait]
impl Module for Filing {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        let file = context.folder.join("starts");
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::write(&file, before + "x").map_err(|error| ModuleError::new(error.to_string()))?;
        self.told.lock().unwrap().push((context.folder, context.own_folders));
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

impl ModuleKind for Filing {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    fn build(&self, _: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        Ok(Arc::new(self.clone()))
    }
}

fn filing() -> Filing {
    Filing { name: ModuleName::new("filing").unwrap(), told: Arc::default() }
}

#[tokio::test]
async fn every_instance_of_a_module_gets_the_same_private_folder_beside_its_state() {
    let filing = filing();
    let scene = Scene::of(&[Arc::new(filing.clone())], &json!({}));
    for _ in 0..2 {
        scene.start().await.unwrap();
        scene.supervisor.end(&scene.name, ModuleState::Stopped);
    }
    let told = filing.told.lock().unwrap().clone();
    let folder = scene.folder.path().join("modules/filing");
    let own = vec![scene.folder.path().to_owned()];
    assert_eq!(told, [(folder.clone(), own.clone()), (folder.clone(), own)]);
    assert_eq!(std::fs::read_to_string(folder.join("starts")).unwrap(), "xx");
    assert_eq!(std::fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_module_whose_folder_cannot_be_made_is_not_started() {
    let filing = filing();
    let scene = Scene::of(&[Arc::new(filing.clone())], &json!({}));
    std::fs::write(scene.folder.path().join("modules"), "in the way").unwrap();
    let error = scene.start().await.unwrap_err().to_string();
    assert!(error.starts_with("module filing has no folder for its files: cannot "), "{error}");
    assert!(filing.told.lock().unwrap().is_empty());
    assert_eq!(scene.state(), ModuleState::Failed);
}
