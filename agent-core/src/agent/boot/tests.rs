//! What is refused before anything on disk is touched, and what is read before it is used.

use std::path::Path;
use std::sync::Arc;

use module_api::{ModuleKind, ModuleName, ScriptedKind};
use restart::{LaunchPlan, StartEnvironment};

use super::{Setup, boot, open_spool, take};
use crate::Paths;
use crate::config::Config;
use crate::run_record::{HowEnded, RunRecord};

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

/// Takes the folder, opens the spool in it, lets go of both, and says what had to be warned of.
fn warnings_of_a_start(folder: &Path) -> Vec<&'static str> {
    let Setup { paths, config, .. } = setup(folder, Vec::new());
    let taken = take(&paths, crate::wall_clock::now()).unwrap();
    taken.run_record.store(&paths.state("run.json")).unwrap();
    let mut warnings = taken.warnings;
    open_spool(&paths, &config, taken.booted_since, &mut warnings).unwrap().close();
    let stopped = RunRecord { ended: Some(HowEnded::Stopped), ..taken.run_record };
    stopped.store(&paths.state("run.json")).unwrap();
    drop(taken.lock);
    warnings.into_iter().map(|(kind, _)| kind).collect()
}

/// Destroys pages in the middle of a spool of about 2 MiB.
fn damaged_spool(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
             INSERT INTO events(module, id, at, body) SELECT 'fim', i, '', hex(randomblob(200)) FROM n;",
        )
        .unwrap();
    connection.close().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16_384].fill(0xAA);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn after_a_boot_the_spool_is_read_before_it_is_used_and_after_a_restart_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(warnings_of_a_start(folder.path()), [""; 0]);
    damaged_spool(&folder.path().join("state/events.db"));
    assert_eq!(warnings_of_a_start(folder.path()), [""; 0], "the successor does not wait for it");
    let record = folder.path().join("state/run.json");
    let (before, _) = RunRecord::load(&record);
    let mut before = before.unwrap();
    before.identity.boot_id = "another".to_owned();
    before.store(&record).unwrap();
    assert_eq!(warnings_of_a_start(folder.path()), ["spool_set_aside"]);
}
