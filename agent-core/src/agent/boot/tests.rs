//! What is refused before anything on disk is touched.

use std::path::Path;
use std::sync::Arc;

use module_api::{ModuleKind, ModuleName, ScriptedKind};
use restart::{LaunchPlan, StartEnvironment};

use super::{Setup, boot};
use crate::Paths;
use crate::config::Config;

fn setup(folder: &Path, kinds: Vec<Arc<dyn ModuleKind>>) -> Setup {
    let config = folder.join("agent.yml");
    Setup {
        environment: StartEnvironment::default(),
        launch: LaunchPlan::capture().unwrap(),
        started: restart::boottime(),
        config: Config::load_if_present(&config, &kinds).unwrap(),
        paths: Paths {
            config,
            config_is_given: false,
            state_dir: folder.join("state"),
            run_dir: folder.join("run"),
            socket: None,
        },
        kinds,
        version: "0",
    }
}

#[tokio::test]
async fn two_modules_of_one_name_are_refused_before_the_state_folder_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let kind = || Arc::new(ScriptedKind(ModuleName::new("fim").unwrap())) as Arc<dyn ModuleKind>;
    let refused = boot(setup(folder.path(), vec![kind(), kind()])).await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        "two modules are named fim; give each module of the program a name of its own"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
