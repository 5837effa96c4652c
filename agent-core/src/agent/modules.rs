//! Modules are shut down and started while the process stays: what their restart and a reload have in common.

use std::sync::Arc;

use command_manager::{CommandId, ErrorCode, Finish};
use module_api::ModuleName;
use restart::{Purpose, ShutdownOutcome};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::core::Core;
use super::replace::{Requests, run_loop};
use crate::supervisor::ModuleState;

/// Shuts down those of `stop` that run, starts `start`, and says how that went.
pub(super) async fn cycle(
    core: &Arc<Core>,
    command: Option<&CommandId>,
    stop: &[ModuleName],
    start: &[ModuleName],
    requests: Requests,
) -> Finish {
    let stopped = shut_down(core, command, stop, requests).await;
    for name in stop.iter().filter(|name| !start.contains(name)) {
        core.supervisor.end(name, ModuleState::Stopped);
    }
    let failures = start_all(core, start).await;
    summary(core, &stopped, start, &failures)
}

/// Modules that ran and were shut down.
pub(super) struct Stopped {
    pub(super) names: Vec<ModuleName>,
    pub(super) outcome: ShutdownOutcome,
}

/// Shuts down those of `names` that run.
pub(super) async fn shut_down(
    core: &Arc<Core>,
    command: Option<&CommandId>,
    names: &[ModuleName],
    requests: Requests,
) -> Stopped {
    let running = core.supervisor.running();
    let names: Vec<ModuleName> =
        names.iter().filter(|name| running.contains(name)).cloned().collect();
    let outcome =
        run_loop(core, Purpose::End, names.clone(), command, Arc::default(), requests).await;
    Stopped { names, outcome }
}

/// The end of an operation on modules; those that did not start are reported to the supervisor.
pub(super) fn summary(
    core: &Core,
    stopped: &Stopped,
    start: &[ModuleName],
    failures: &[(ModuleName, String)],
) -> Finish {
    for (name, reason) in failures {
        core.supervisor.report_failure(name, reason.clone());
    }
    let names = |names: &[ModuleName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let what = match (failures.is_empty(), stopped.outcome.is_clean()) {
        (false, _) => "degraded",
        (true, _) if start.is_empty() && stopped.names.is_empty() => "unchanged",
        (true, false) => "restarted_forced",
        (true, true) => "restarted",
    };
    let not_running: Vec<Value> =
        failures.iter().map(|(name, reason)| json!({"name": name, "reason": reason})).collect();
    let result = json!({
        "outcome": what,
        "method": "in_process",
        "restarted": names(start),
        "modules": stopped.outcome.modules,
        "not_running": not_running,
    });
    let end = if failures.is_empty() {
        Finish::success(what_was_done(&stopped.names, start))
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

/// Starts modules side by side because somebody wants them to run, whatever failures were before; returns those that failed,
/// with the reason.
pub(crate) async fn start_all(core: &Arc<Core>, names: &[ModuleName]) -> Vec<(ModuleName, String)> {
    let within = core.config().config.restart.start_timeout;
    let mut starts = JoinSet::new();
    for name in names.iter().cloned() {
        core.supervisor.forgive(&name);
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
