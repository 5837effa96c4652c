//! When the agent warns about budgets that were cut, and which hold.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use restart::{LaunchPlan, StartEnvironment, StopTimeout};
use serde_json::Value;

use super::{Core, Paths};
use crate::agent::boot::{Setup, boot};
use crate::config::{Config, LoadedConfig};

fn config(text: &str) -> LoadedConfig {
    Config::parse(text, Path::new("agent.yml"), &[]).unwrap()
}

/// The core of an agent by hand, which no service manager limits by itself.
async fn core(folder: &Path) -> Arc<Core> {
    let setup = Setup {
        environment: StartEnvironment::default(),
        launch: LaunchPlan::capture().unwrap(),
        started: restart::boottime(),
        paths: Paths {
            config: folder.join("agent.yml"),
            config_is_given: false,
            state_dir: folder.join("state"),
            run_dir: folder.join("run"),
            socket: None,
        },
        kinds: Vec::new(),
        version: "0",
        config: config(""),
    };
    boot(setup).await.unwrap().core
}

/// The budgets named in each warning so far.
fn warnings(core: &Core) -> Vec<String> {
    let events = core.spool.read_after(0, 100).unwrap();
    let events = events.iter().map(|event| serde_json::from_str::<Value>(&event.body).unwrap());
    let clamped = events.filter(|fields| fields["event"]["action"] == "limits_clamped");
    clamped
        .map(|fields| {
            let text = fields["message"].as_str().unwrap();
            text.split(" is more than ").next().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn cut_budgets_hold_at_once_and_are_warned_about_whenever_they_have_changed() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path()).await;
    let overall = |core: &Core| core.limits().overall;

    core.warn_about_limits().await;
    assert_eq!(overall(&core), Duration::from_secs(30), "nobody has said anything yet");
    assert_eq!(warnings(&core), [""; 0]);

    let unit = "wazuh-agent.service".to_owned();
    core.stop_timeout.set(StopTimeout { unit, after: Duration::from_secs(25) }).unwrap();
    core.warn_about_limits().await;
    core.warn_about_limits().await;
    assert_eq!(overall(&core), Duration::from_secs(25));
    assert_eq!(warnings(&core), ["restart.timeout 30s"]);

    core.set_config(config("restart: {timeout: 45s}"));
    core.warn_about_limits().await;
    assert_eq!(overall(&core), Duration::from_secs(25));
    core.set_config(config("restart: {timeout: 25s}"));
    core.warn_about_limits().await;
    core.set_config(config("restart: {timeout: 45s}"));
    core.warn_about_limits().await;
    let expected = ["restart.timeout 30s", "restart.timeout 45s", "restart.timeout 45s"];
    assert_eq!(warnings(&core), expected, "what fits is no reason to warn, but what follows it");
}

#[test]
fn the_folders_of_the_agent_are_known_as_they_are_and_as_they_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("disk")).unwrap();
    std::os::unix::fs::symlink("disk", root.join("state")).unwrap();
    let own = |state: &str| {
        let paths = Paths {
            config: root.join("agent.yml"),
            config_is_given: false,
            state_dir: root.join(state),
            run_dir: root.join("run"),
            socket: None,
        };
        paths.own_folders()
    };
    assert_eq!(own("disk"), [root.join("disk")]);
    assert_eq!(own("state"), [root.join("disk"), root.join("state")]);
}
