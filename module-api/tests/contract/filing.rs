//! What the checks give a module that keeps files.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use module_api::contract::{Subject, check};
use module_api::{
    Module, ModuleError, ModuleName, Readiness, SavedState, Script, ScriptedModule, StartContext,
};

/// Builds modules that put a file into their folder at each start.
#[derive(Default)]
struct Filing {
    /// How many files were in each folder, start by start.
    found: Arc<Mutex<BTreeMap<PathBuf, Vec<usize>>>>,
}

#[async_trait]
impl Subject for Filing {
    fn build(&self) -> Arc<dyn Module> {
        let script = Script { publish_every_ms: Some(100), ..Script::default() };
        let module = ScriptedModule::new(ModuleName::new("filing").unwrap(), script);
        Arc::new(Files { module, found: Arc::clone(&self.found) })
    }

    async fn give_work(&self) {}
}

struct Files {
    module: ScriptedModule,
    found: Arc<Mutex<BTreeMap<PathBuf, Vec<usize>>>>,
}

#[async_trait]
impl Module for Files {
    fn name(&self) -> &ModuleName {
        self.module.name()
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        let folder = context.folder.clone();
        assert!(context.own_folders.iter().any(|own| folder.starts_with(own)), "{context:?}");
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let before = folder.read_dir().unwrap().count();
        std::fs::write(folder.join(format!("start-{before}")), "").unwrap();
        self.found.lock().unwrap().entry(folder).or_default().push(before);
        self.module.start(context).await
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        self.module.ready_for_shutdown().await
    }

    async fn resume(&self) {
        self.module.resume().await;
    }

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        self.module.save_state().await
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        self.module.stop().await
    }
}

#[tokio::test(start_paused = true)]
async fn instances_of_one_check_share_a_folder_that_is_gone_at_the_end() {
    let subject = Filing::default();
    check(&subject).await.unwrap();
    let found = subject.found.lock().unwrap();
    for (folder, starts) in &*found {
        assert_eq!(*starts, (0..starts.len()).collect::<Vec<_>>(), "{}", folder.display());
        assert!(!folder.exists(), "{}", folder.display());
    }
    assert!(found.values().any(|starts| starts.len() > 1), "{found:?}");
}
