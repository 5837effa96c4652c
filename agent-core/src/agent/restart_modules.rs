//! The restart of modules in process, and when it becomes one of the whole agent: the smallest means first.

use std::sync::Arc;
use std::time::Duration;

use command_manager::{CommandId, Execution};
use module_api::ModuleName;
use restart::{Event, ModuleEnd};
use tokio::sync::watch;

use super::core::Core;
use super::modules::{Stopped, shut_down, start_all, summary};
use super::order::Order;
use super::replace::{Ended, Grown, Requests};
use super::waiting;
use crate::preflight::{self, Hashes};

/// How long the threads of an abandoned module have to end by themselves before they count as hung: a task that is aborted
/// ends at its next await, which is a matter of milliseconds.
const LEFT_BEHIND_PATIENCE: Duration = Duration::from_secs(1);

/// Why a restart of modules grows when one of the whole agent comes.
const OVERTAKEN: &str = "a restart of the whole agent overtakes this one";

/// What the main loop tells an operation on modules while it is under way.
pub(crate) struct Told {
    /// Signals and orders for the shutdown loop.
    pub(crate) requests: Requests,
    /// True once a restart of the whole agent overtakes this one.
    pub(crate) make_way: watch::Receiver<bool>,
}

/// Restarts `names`, in process; others are not touched.
///
/// It grows into a restart of the whole agent when one overtakes it, or when something of a module cannot be stopped and
/// `restart.escalate` allows it; unless the checks before that restart say that the agent would not come back.
pub(crate) async fn restart(
    core: Arc<Core>,
    order: Order,
    names: Vec<ModuleName>,
    told: Told,
) -> Ended {
    let Told { requests, mut make_way } = told;
    let id = order.record.id.clone();
    if order.record.force && requests.0.send(Event::Forced).await.is_err() {
        tracing::debug!("the loop's receiver is gone");
    }
    let stopped = shut_down(&core, Some(&id), &names, requests).await;
    let mut why = why_grow(&core, &stopped, &make_way).await;
    let mut may_grow = true;
    let mut joined: Option<Vec<CommandId>> = None;
    let failures = loop {
        if let Some(why) = why.take() {
            if let Some(hashes) = may_go(&core, &id, &why).await {
                core.arbiter().grow();
                let stopped = stopped.outcome.modules;
                return Ended::Grow(Box::new(Grown { order, hashes, stopped }));
            }
            may_grow = false;
        }
        if joined.is_none() {
            joined = Some(waiting::seal(&core).await);
        }
        // Dropping the start ends what is half started.
        tokio::select! {
            failures = start_all(&core, &names) => break failures,
            Ok(_) = make_way.wait_for(|make_way| *make_way), if may_grow => why = Some(OVERTAKEN.to_owned()),
        }
    };
    let end = summary(&core, &stopped, &names, &failures);
    waiting::finish_joined(&core, &joined.unwrap_or_default(), &end).await;
    if order.reply.send(Execution::Finished(end)).is_err() {
        tracing::error!(%id, "nobody takes the end of the command");
    }
    Ended::GoOn
}

/// Why the restart of modules has to become one of the whole agent, now that they are stopped; `None` if it has not.
async fn why_grow(
    core: &Core,
    stopped: &Stopped,
    make_way: &watch::Receiver<bool>,
) -> Option<String> {
    if *make_way.borrow() {
        return Some(OVERTAKEN.to_owned());
    }
    for module in
        stopped.outcome.modules.iter().filter(|module| module.ended == ModuleEnd::Abandoned)
    {
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

/// Checks that the whole agent can be restarted instead, and says so in the journal.
async fn may_go(core: &Core, id: &CommandId, why: &str) -> Option<Hashes> {
    match preflight::check(core).await {
        Ok(hashes) => {
            core.progress(id, "grow", None, &format!("{why}; the whole agent is restarted")).await;
            Some(hashes)
        }
        Err(refusal) => {
            let text = format!(
                "{why}; the whole agent cannot be restarted, so the modules are started in process: {refusal}"
            );
            tracing::warn!(%id, "{text}");
            core.progress(id, "grow", None, &text).await;
            None
        }
    }
}
