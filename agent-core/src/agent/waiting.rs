//! The restarts that wait in the journal: which of them join the one under way, and their end when a stop overtakes them.

use std::collections::BTreeSet;

use command_manager::{CommandId, CommandRecord, CommandType, Finish, Status};
use module_api::ModuleName;
use restart::Decision;

use super::core::Core;
use super::order::scope;
use super::replace::overtaken;

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
    for record in restarts(core).await {
        core.finish_command(&record.id, overtaken()).await;
    }
}

/// The restarts that wait for their turn, newest first.
async fn restarts(core: &Core) -> Vec<CommandRecord> {
    let records = core.commands.list(LOOKED_AT).await.unwrap_or_else(|error| {
        tracing::error!(%error, "restarts that wait cannot be looked at; each is carried out by itself");
        Vec::new()
    });
    let restarts = [CommandType::RestartAgent, CommandType::RestartModule];
    records
        .into_iter()
        .filter(|record| record.status == Status::Pending && restarts.contains(&record.kind))
        .collect()
}
