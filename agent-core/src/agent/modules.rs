//! Modules are shut down and started while the process stays: what their restart, a reload and a retry have in common.

use std::sync::Arc;

use command_manager::{CommandId, ErrorCode, Finish};
use module_api::ModuleName;
use restart::{ModuleOutcome, Purpose};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::core::Core;
use super::replace::{Ended, Requests, overtaken};
use super::run_loop::run_loop;
use super::told::{Claim, Told, until};
use crate::supervisor::ModuleState;

/// Modules that did not start, each with the reason.
pub(crate) type Failures = Vec<(ModuleName, String)>;

/// Shuts down those of `stop` that run, starts `start`, and says how that went. A stop cuts it off before the start.
pub(super) async fn cycle(
    core: &Arc<Core>,
    command: Option<&CommandId>,
    stop: &[ModuleName],
    start: &[ModuleName],
    Told { requests, mut make_way }: Told,
) -> Finish {
    let stopped = shut_down(core, command, stop, requests).await;
    for name in stop.iter().filter(|name| !start.contains(name)) {
        core.supervisor.end(name, ModuleState::Stopped);
        core.supervisor.forget_sensors(name);
    }
    match start_all(core, start, &mut make_way, Claim::AStop).await {
        Some(failures) => summary(&stopped, start, &failures),
        None => overtaken(),
    }
}

/// Shuts down those of `names` that run.
pub(super) async fn shut_down(
    core: &Arc<Core>,
    command: Option<&CommandId>,
    names: &[ModuleName],
    requests: Requests,
) -> Vec<ModuleOutcome> {
    let at_work = core.supervisor.at_work();
    let names = names.iter().filter(|name| at_work.contains(name)).cloned().collect();
    let limits = core.limits();
    let hand_over = Arc::default();
    run_loop(core, Purpose::End, names, limits, command, hand_over, requests).await.modules
}

/// The end of an operation on modules: `stopped` ran before, `start` were started.
pub(super) fn summary(
    stopped: &[ModuleOutcome],
    start: &[ModuleName],
    failures: &[(ModuleName, String)],
) -> Finish {
    let names = |names: &[ModuleName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let clean = stopped.iter().all(|module| module.notes.is_empty());
    let what = match (failures.is_empty(), clean) {
        (false, _) => "degraded",
        (true, _) if start.is_empty() && stopped.is_empty() => "unchanged",
        (true, false) => "restarted_forced",
        (true, true) => "restarted",
    };
    let not_running: Vec<Value> =
        failures.iter().map(|(name, reason)| json!({"name": name, "reason": reason})).collect();
    let result = json!({
        "outcome": what,
        "method": "in_process",
        "restarted": names(start),
        "modules": stopped,
        "not_running": not_running,
    });
    let end = if failures.is_empty() {
        let stopped: Vec<&ModuleName> = stopped.iter().map(|module| &module.name).collect();
        Finish::success(what_was_done(&stopped, start))
    } else {
        let reasons: Vec<&str> = failures.iter().map(|(_, reason)| reason.as_str()).collect();
        Finish::failure(ErrorCode::Degraded, reasons.join("; "))
    };
    end.with_result(result)
}

/// "restarted fim, started sca, stopped inventory", or that nothing had to be done.
fn what_was_done(stopped: &[&ModuleName], started: &[ModuleName]) -> String {
    let list = |verb: &str, names: Vec<&ModuleName>| {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
    };
    let (again, anew) = started.iter().partition(|name| stopped.contains(name));
    let away = stopped.iter().copied().filter(|name| !started.contains(name)).collect();
    let parts = [list("restarted", again), list("started", anew), list("stopped", away)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "no module had to be restarted".to_owned() } else { parts.join(", ") }
}

/// Starts modules side by side because somebody wants them to run, whatever failures were before. Returns those that failed,
/// which the supervisor knows by then.
///
/// `None` when `claim`, or a stronger one, was made first: what was half started is ended then, what works goes on.
pub(super) async fn start_all(
    core: &Arc<Core>,
    names: &[ModuleName],
    make_way: &mut watch::Receiver<Claim>,
    claim: Claim,
) -> Option<Failures> {
    for name in names {
        core.supervisor.forgive(name);
    }
    start_each(core, names, make_way, claim).await
}

/// Starts failed modules again. What has to make way is still due.
pub(crate) async fn try_again(core: Arc<Core>, names: Vec<ModuleName>, mut told: Told) -> Ended {
    if start_each(&core, &names, &mut told.make_way, Claim::AnOrder).await.is_some() {
        return Ended::GoOn;
    }
    let stopped = core.supervisor.stopped();
    let names: Vec<ModuleName> = names.into_iter().filter(|name| stopped.contains(name)).collect();
    for name in &names {
        core.supervisor.end(name, ModuleState::Failed);
    }
    Ended::StillDue(names)
}

async fn start_each(
    core: &Arc<Core>,
    names: &[ModuleName],
    make_way: &mut watch::Receiver<Claim>,
    claim: Claim,
) -> Option<Failures> {
    let within = core.config().config.restart.start_timeout;
    let mut starts = JoinSet::new();
    for name in names.iter().cloned() {
        let core = Arc::clone(core);
        starts.spawn(async move {
            let reason = core.supervisor.start(&name, within).await.err()?.to_string();
            core.supervisor.report_failure(&name, reason.clone());
            Some((name, reason))
        });
    }
    let mut failures = Failures::new();
    loop {
        tokio::select! {
            biased;
            () = until(make_way, claim) => {
                // Waits until the aborted starts have ended what they had begun.
                starts.shutdown().await;
                return None;
            }
            started = starts.join_next() => match started {
                Some(Ok(failure)) => failures.extend(failure),
                Some(Err(error)) => tracing::error!(%error, "the start of a module was broken off"),
                None => break,
            },
        }
    }
    failures.sort();
    Some(failures)
}
