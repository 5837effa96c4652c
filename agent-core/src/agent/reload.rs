//! The reload of the configuration: only the modules whose section changed are restarted.

use std::sync::Arc;

use command_manager::{CommandId, ErrorCode, Finish};
use serde_json::{Value, json};

use super::core::Core;
use super::modules::cycle;
use super::told::Told;
use crate::config::{Config, ConfigError, LoadedConfig};

/// Reads the configuration again and restarts only the modules whose section changed. A configuration that does not
/// load changes nothing.
pub(crate) async fn reload(core: &Arc<Core>, command: Option<&CommandId>, told: Told) -> Finish {
    let loaded = match load(core) {
        Ok(loaded) => loaded,
        Err(error) => return Finish::failure(ErrorCode::Refused, error.to_string()),
    };
    let before = core.config();
    let mut stop = Vec::new();
    let mut start = Vec::new();
    for section in &loaded.modules {
        let old = before.modules.iter().find(|old| old.name == section.name);
        let unchanged =
            old.is_some_and(|old| old.digest == section.digest && old.enabled == section.enabled);
        if unchanged {
            continue;
        }
        let Some(kind) = core.kinds.iter().find(|kind| kind.name() == &section.name) else {
            continue;
        };
        core.supervisor.configure(Arc::clone(kind), section.section.clone(), section.enabled);
        stop.push(section.name.clone());
        if section.enabled {
            start.push(section.name.clone());
        }
    }
    let needs_restart = need_restart(&before.config, &loaded.config);
    let changed = before.digest != loaded.digest;
    core.set_config(loaded);
    core.warn_about_limits().await;
    let mut end = cycle(core, command, &stop, &start, told).await;
    if let Some(outcome) = end.result.as_mut().and_then(|result| result.get_mut("outcome"))
        && changed
        && outcome == "unchanged"
    {
        *outcome = json!("reloaded");
        end.text = "the configuration has changed; no module had to be restarted".to_owned();
    }
    if !needs_restart.is_empty() {
        end.text = format!(
            "{}; changes of {} need a restart of the agent",
            end.text,
            needs_restart.join(", ")
        );
        if let Some(Value::Object(result)) = &mut end.result {
            result.insert("needs_restart".to_owned(), json!(needs_restart));
        }
    }
    end
}

/// Reads and checks the configuration that the agent was started with.
pub(crate) fn load(core: &Core) -> Result<LoadedConfig, ConfigError> {
    let paths = &core.paths;
    if paths.config_is_given {
        Config::load(&paths.config, &core.kinds)
    } else {
        Config::load_if_present(&paths.config, &core.kinds)
    }
}

/// Says whether the configuration would load.
pub(crate) fn check_config(core: &Core) -> Finish {
    match load(core) {
        Ok(_) => Finish::success("the configuration is right"),
        Err(error) => Finish::failure(ErrorCode::Failed, error.to_string()),
    }
}

/// The sections of the agent itself that differ and that are read at the start only.
fn need_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let mut sections = Vec::new();
    if before.control != after.control {
        sections.push("control");
    }
    // How long a command may be under way follows from the budgets of a restart as well.
    if before.commands.settings(&before.restart) != after.commands.settings(&after.restart) {
        sections.push("commands");
    }
    if before.events != after.events {
        sections.push("events");
    }
    if before.restart.method != after.restart.method {
        sections.push("restart.method");
    }
    if before.agent != after.agent {
        sections.push("agent");
    }
    sections
}
