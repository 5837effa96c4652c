//! The restart of modules in process, and when it becomes one of the whole agent: the smallest means first.

use std::sync::Arc;
use std::time::Duration;

use command_manager::{CommandId, Execution, Step};
use module_api::ModuleName;
use restart::{Event, ModuleEnd, ModuleOutcome, boottime};

use super::core::Core;
use super::modules::{shut_down, start_all, summary};
use super::order::Order;
use super::replace::{CalledOff, Ended, Grown, overtaken};
use super::told::{Claim, Told};
use super::waiting;
use crate::preflight::{self, Cleared};

/// How long the threads of an abandoned module have to end by themselves before they count as hung: a task that is aborted
/// ends at its next await, which is a matter of milliseconds.
const LEFT_BEHIND_PATIENCE: Duration = Duration::from_secs(1);

/// Why a restart of modules grows when one of the whole agent comes.
const OVERTAKEN: &str = "a restart of the whole agent overtakes this one";

/// Restarts `names`, in process; others are not touched.
///
/// It grows into a restart of the whole agent when one overtakes it, or when something of a module cannot be stopped and
/// `restart.escalate` allows it; unless the checks before that restart say that the agent would not come back. A stop
/// ends it when the modules are shut down.
pub(crate) async fn restart(
    core: Arc<Core>,
    order: Order,
    names: Vec<ModuleName>,
    told: Told,
) -> Ended {
    let ordered_at = boottime();
    let Told { requests, mut make_way } = told;
    let id = order.record.id.clone();
    if order.record.force && requests.0.send(Event::Hurried).await.is_err() {
        tracing::debug!("the loop's receiver is gone");
    }
    let stopped = shut_down(&core, Some(&id), &names, requests).await;
    let mut why = hung(&core, &stopped).await;
    let mut claim = Claim::ARestart { force: false };
    let mut joined = None;
    let end = loop {
        let made = *make_way.borrow();
        if made == Claim::AStop {
            break overtaken();
        }
        if claim == Claim::AStop {
            // It has been tried.
        } else if let Claim::ARestart { .. } = made {
            why = Some(OVERTAKEN.to_owned());
        }
        if let Some(why) = why.take() {
            claim = Claim::AStop;
            let overtaken = why == OVERTAKEN;
            let force = order.record.force || made == Claim::ARestart { force: true };
            if let Some((cleared, joined)) = may_go(&core, &id, &why, (overtaken, force)).await {
                core.arbiter().grow();
                let grown = Grown { order, cleared, stopped, ordered_at, force, joined };
                return Ended::Grow(Box::new(grown));
            }
        }
        if joined.is_none() {
            joined = Some(waiting::seal(&core, &id).await);
        }
        let at_work = core.supervisor.at_work();
        let start: Vec<ModuleName> =
            names.iter().filter(|name| !at_work.contains(name)).cloned().collect();
        if let Some(failures) = start_all(&core, &start, &mut make_way, claim).await {
            break summary(&stopped, &names, &failures);
        }
    };
    waiting::finish_joined(&core, &joined.unwrap_or_default(), &end).await;
    if order.reply.send(Execution::Finished(end)).is_err() {
        tracing::error!(%id, "nobody takes the end of the command");
    }
    Ended::GoOn
}

/// The restart of the whole agent, into which one of modules had grown, was called off: the modules are started in process
/// after all, and the command ends with what became of them.
pub(crate) async fn back(core: Arc<Core>, called_off: CalledOff, mut told: Told) -> Ended {
    let CalledOff { id, stopped, reason } = called_off;
    let enabled = core.supervisor.enabled();
    let names: Vec<ModuleName> = stopped
        .iter()
        .map(|module| module.name.clone())
        .filter(|name| enabled.contains(name))
        .collect();
    let started = start_all(&core, &names, &mut told.make_way, Claim::AStop).await;
    let end = started.map_or_else(overtaken, |failures| {
        let mut end = summary(&stopped, &names, &failures);
        end.text = format!("{}; the restart of the whole agent was called off: {reason}", end.text);
        end
    });
    // In a task of its own: while the journal refuses, the agent goes on, and the queue waits.
    tokio::spawn(async move { core.finish_for_sure(&id, end).await });
    Ended::GoOn
}

/// What of the modules cannot be stopped, if the restart is to grow for that.
async fn hung(core: &Core, stopped: &[ModuleOutcome]) -> Option<String> {
    for module in stopped.iter().filter(|module| module.ended == ModuleEnd::Abandoned) {
        let threads = core.supervisor.left_behind(&module.name, LEFT_BEHIND_PATIENCE).await;
        if threads > 0 {
            let text =
                format!("module {} cannot be stopped, {threads} of its threads hang", module.name);
            tracing::warn!("{text}");
            return core.config().config.restart.escalate.then_some(text);
        }
    }
    None
}

/// Checks that the whole agent can be restarted instead, and says so in the journal. What waits for that joins it; if
/// nothing does any more, a restart that is only to make way for it goes on as it is.
async fn may_go(
    core: &Arc<Core>,
    id: &CommandId,
    why: &str,
    (overtaken, force): (bool, bool),
) -> Option<(Cleared, Vec<CommandId>)> {
    match preflight::check(core, id, force).await {
        Ok(cleared) => {
            let joined = waiting::overtaking(core, id).await;
            if overtaken && joined.is_empty() {
                let text = "the restart of the whole agent that came is not wanted any more";
                core.progress(id, Step::new("grow", text)).await;
                return None;
            }
            let text = format!("{why}; the whole agent is restarted");
            core.progress(id, Step::new("grow", text)).await;
            Some((cleared, joined))
        }
        Err(refusal) => {
            let text = format!(
                "{why}; the whole agent cannot be restarted, so the modules are started in process: {refusal}"
            );
            tracing::warn!(%id, "{text}");
            core.progress(id, Step::new("grow", text)).await;
            None
        }
    }
}
