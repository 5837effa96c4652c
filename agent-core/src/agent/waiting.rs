//! The restarts that wait in the journal: which of them join the one under way, and their end when a stop overtakes them.

use std::collections::BTreeSet;

use command_manager::{CommandId, CommandRecord, CommandType, ErrorCode, Finish, Status};
use module_api::ModuleName;
use restart::{Decision, Denial};

use super::CLOSE_STEP;
use super::core::Core;
use super::order::scope;
use super::replace::{not_restarted, overtaken};

/// How many of the newest commands are looked at for restarts that wait.
const LOOKED_AT: usize = 1_000;

/// The modules that can be restarted now.
pub(super) fn known(core: &Core) -> BTreeSet<ModuleName> {
    core.supervisor.enabled().into_iter().collect()
}

/// Closes the restart under way to further ones, and returns those that wait and are covered by it, oldest first: its
/// outcome is theirs.
pub(super) async fn seal(core: &Core) -> Vec<CommandId> {
    let known = known(core);
    // Sealed first: what is accepted from now on is begun in its turn.
    let before = core.arbiter().seal();
    let joins = |record: &CommandRecord| {
        let decision = scope(record, &known).map(|scope| before.decide(&scope, &known));
        matches!(decision, Ok(Decision::Joined { .. }))
    };
    let waiting = restarts(core).await.into_iter().rev();
    waiting.filter(joins).map(|record| record.id).collect()
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
    let overtaking = async {
        for record in restarts(core).await {
            core.finish_command(&record.id, overtaken()).await;
        }
    };
    if tokio::time::timeout(CLOSE_STEP, overtaking).await.is_err() {
        tracing::error!(
            "the journal does not take in time that restarts are overtaken by the stop"
        );
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
    let records = newest(core).await;
    records.iter().any(|it| it.kind == CommandType::Reload && !it.status.is_finished())
}

/// The restarts that wait for their turn, newest first.
async fn restarts(core: &Core) -> Vec<CommandRecord> {
    let restarts = [CommandType::RestartAgent, CommandType::RestartModule];
    let waits = |it: &CommandRecord| it.status == Status::Pending && restarts.contains(&it.kind);
    newest(core).await.into_iter().filter(waits).collect()
}

/// The newest commands, newest first.
async fn newest(core: &Core) -> Vec<CommandRecord> {
    core.commands.list(LOOKED_AT).await.unwrap_or_else(|error| {
        tracing::error!(%error, "commands that wait cannot be looked at; each is carried out by itself");
        Vec::new()
    })
}
