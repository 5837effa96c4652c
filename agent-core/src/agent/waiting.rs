//! The restarts that wait in the journal: which of them join the one under way, and their end when a stop overtakes them.

use std::collections::BTreeSet;

use command_manager::{CommandId, CommandRecord, CommandType, ErrorCode, Finish};
use module_api::ModuleName;
use restart::{Decision, Denial};

use super::CLOSE_STEP;
use super::core::Core;
use super::order::scope;
use super::replace::{not_restarted, overtaken};

/// The types of commands that are restarts.
const RESTARTS: &[CommandType] = &[CommandType::RestartAgent, CommandType::RestartModule];

/// The modules that can be restarted now.
pub(super) fn known(core: &Core) -> BTreeSet<ModuleName> {
    core.supervisor.enabled().into_iter().collect()
}

/// Closes the restart under way, command `id`, to further ones, and has those that wait and are covered by it join it, oldest
/// first: its outcome is theirs. Whoever seals has to finish or release each.
pub(super) async fn seal(core: &Core, id: &CommandId) -> Vec<CommandId> {
    let known = known(core);
    // Sealed first: what is accepted from now on is begun in its turn.
    let before = core.arbiter().seal();
    let joins = |record: &CommandRecord| {
        let decision = scope(record, &known).map(|scope| before.decide(&scope, &known));
        matches!(decision, Ok(Decision::Joined { .. }))
    };
    let waiting = restarts(core).await.into_iter();
    let joining = waiting.filter(joins).map(|record| record.id).collect();
    join(core, joining, id).await
}

/// Has the restarts of the agent that still wait join the restart of modules `id`, which grows for them. None is left when
/// they were cancelled or have expired meanwhile.
pub(super) async fn overtaking(core: &Core, id: &CommandId) -> Vec<CommandId> {
    let is_of_agent = |record: &CommandRecord| record.kind == CommandType::RestartAgent;
    let waiting = restarts(core).await.into_iter().filter(is_of_agent);
    join(core, waiting.map(|record| record.id).collect(), id).await
}

async fn join(core: &Core, joining: Vec<CommandId>, to: &CommandId) -> Vec<CommandId> {
    if joining.is_empty() {
        return joining;
    }
    let joined =
        core.commands.join(joining, format!("it joins the restart under way, command {to}"));
    joined.await.unwrap_or_else(|error| {
        tracing::error!(%error, "restarts that wait cannot join the one under way; each is carried out by itself");
        Vec::new()
    })
}

/// Lets what had joined a restart wait for its own turn again.
pub(super) async fn release(core: &Core, joined: &[CommandId]) {
    for id in joined {
        if let Err(error) = core.commands.release(id).await {
            tracing::error!(%error, %id, "a command that had joined cannot wait again; it is judged at the next start");
        }
    }
}

/// Finishes what joined a restart with the end of that. Before the restart itself is finished: the queue goes on then, and
/// must not find them still waiting.
pub(super) async fn finish_joined(core: &Core, joined: &[CommandId], end: &Finish) {
    for id in joined {
        core.finish_command(id, end.clone()).await;
    }
}

/// Finishes the restarts that wait behind an operator's stop: they must not be carried out after the next start.
pub(super) async fn overtake(core: &Core) {
    let ended = core.commands.finish_waiting(RESTARTS, overtaken());
    match tokio::time::timeout(CLOSE_STEP, ended).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "the journal does not take that restarts are overtaken by the stop");
        }
        Err(_) => tracing::error!(
            "the journal does not take in time that restarts are overtaken by the stop"
        ),
    }
}

/// Ends a restart that is denied before its turn. One of an unknown module keeps its turn if a reload waits that may bring
/// the module in.
pub(super) async fn deny(core: &Core, id: &CommandId, denial: &Denial) {
    if matches!(denial, Denial::UnknownModules { .. }) && reload_waits(core).await {
        return;
    }
    tracing::info!(%id, %denial, "restart denied");
    core.finish_command(id, denied(denial)).await;
}

/// The end of a restart that is not begun.
pub(super) fn denied(denial: &Denial) -> Finish {
    match denial {
        Denial::Stopping => overtaken(),
        Denial::UnknownModules { .. } | Denial::NoModules => {
            not_restarted(ErrorCode::Refused, denial.to_string())
        }
    }
}

async fn reload_waits(core: &Core) -> bool {
    let reloads = core.commands.waiting(&[CommandType::Reload]).await;
    reloads.is_ok_and(|reloads| !reloads.is_empty())
}

/// The restarts that wait for their turn, oldest first.
async fn restarts(core: &Core) -> Vec<CommandRecord> {
    core.commands.waiting(RESTARTS).await.unwrap_or_else(|error| {
        tracing::error!(%error, "commands that wait cannot be looked at; each is carried out by itself");
        Vec::new()
    })
}
