//! Operations on single modules while the agent runs: their restart, and the reload of the configuration.

use std::sync::Arc;

use command_manager::{CommandId, CommandRecord, ErrorCode, Finish};
use module_api::ModuleName;
use restart::Purpose;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::core::Core;
use super::order::named;
use super::replace::run_loop;
use crate::config::{Config, ConfigError, LoadedConfig};
use crate::supervisor::ModuleState;

/// Restarts the modules that `record` names, in process; others are not touched.
pub(crate) async fn restart(core: &Arc<Core>, record: &CommandRecord) -> Finish {
    let known: Vec<ModuleName> = core.supervisor.enabled();
    let wanted = match named(&record.target) {
        None => known.clone(),
        Some(names) => {
            let unknown: Vec<&String> = names
                .iter()
                .filter(|name| !known.iter().any(|known| known.as_str() == name.as_str()))
                .collect();
            if !unknown.is_empty() {
                let unknown: Vec<&str> = unknown.into_iter().map(String::as_str).collect();
                let known: Vec<&str> = known.iter().map(ModuleName::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let text = format!(
                    "no enabled module {}; the enabled modules are: {known}",
                    unknown.join(", ")
                );
                return Finish::failure(ErrorCode::Refused, text);
            }
            known
                .into_iter()
                .filter(|known| names.iter().any(|name| name == known.as_str()))
                .collect()
        }
    };
    cycle(core, Some(&record.id), wanted.clone(), wanted).await
}

/// Reads the configuration again and restarts only the modules whose section changed. A configuration that does not
/// load changes nothing.
pub(crate) async fn reload(core: &Arc<Core>, command: Option<&CommandId>) -> Finish {
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
    core.set_config(loaded);
    let mut end = cycle(core, command, stop, start).await;
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

/// Shuts down those of `stop` that run, starts `start`, and says how that went.
async fn cycle(
    core: &Arc<Core>,
    command: Option<&CommandId>,
    mut stop: Vec<ModuleName>,
    start: Vec<ModuleName>,
) -> Finish {
    let running = core.supervisor.running();
    let changed: Vec<ModuleName> =
        stop.iter().filter(|name| !start.contains(name)).cloned().collect();
    stop.retain(|name| running.contains(name));
    let requests = mpsc::channel(1);
    let outcome =
        run_loop(core, Purpose::End, stop.clone(), command, Arc::default(), requests).await;
    for name in &changed {
        core.supervisor.end(name, ModuleState::Stopped);
    }
    let failures = start_all(core, &start).await;
    for (name, reason) in &failures {
        core.supervisor.report_failure(name, reason.clone());
    }
    let names = |names: &[ModuleName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let what = match (failures.is_empty(), outcome.is_clean()) {
        (false, _) => "degraded",
        (true, _) if start.is_empty() && stop.is_empty() => "unchanged",
        (true, false) => "restarted_forced",
        (true, true) => "restarted",
    };
    let not_running: Vec<Value> =
        failures.iter().map(|(name, reason)| json!({"name": name, "reason": reason})).collect();
    let result = json!({
        "outcome": what,
        "method": "in_process",
        "restarted": names(&start),
        "modules": outcome.modules,
        "not_running": not_running,
    });
    let end = if failures.is_empty() {
        Finish::success(what_was_done(&stop, &start))
    } else {
        let reasons: Vec<&str> = failures.iter().map(|(_, reason)| reason.as_str()).collect();
        Finish::failure(ErrorCode::Degraded, reasons.join("; "))
    };
    end.with_result(result)
}

/// "restarted fim, started sca, stopped inventory", or that nothing had to be done.
fn what_was_done(stopped: &[ModuleName], started: &[ModuleName]) -> String {
    let list = |verb: &str, names: Vec<&ModuleName>| {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
    };
    let (again, anew) = started.iter().partition(|name| stopped.contains(name));
    let away = stopped.iter().filter(|name| !started.contains(name)).collect();
    let parts = [list("restarted", again), list("started", anew), list("stopped", away)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "no module had to be restarted".to_owned() } else { parts.join(", ") }
}

/// Starts modules side by side; returns those that failed, with the reason.
pub(crate) async fn start_all(core: &Arc<Core>, names: &[ModuleName]) -> Vec<(ModuleName, String)> {
    let within = core.config().config.restart.start_timeout;
    let mut starts = JoinSet::new();
    for name in names.iter().cloned() {
        let core = Arc::clone(core);
        starts.spawn(async move {
            let started = core.supervisor.start(&name, within).await;
            started.err().map(|error| (name, error.to_string()))
        });
    }
    let mut failures: Vec<_> = starts.join_all().await.into_iter().flatten().collect();
    failures.sort();
    failures
}
