//! Orders to the agent's main loop, and what a restart that is ordered covers.

use std::collections::BTreeSet;

use command_manager::{CommandId, CommandRecord, CommandType, Execution, Target};
use module_api::ModuleName;
use restart::{Denial, Scope};
use tokio::sync::oneshot;

/// Something that the main loop is to do for a command.
#[derive(Debug)]
pub(crate) struct Order {
    /// The command.
    pub(crate) record: CommandRecord,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<Execution>,
}

/// Something that does not wait in the queue behind what is under way.
#[derive(Debug, Clone)]
pub(crate) enum Urgent {
    /// An operator's stop, by this command.
    Stop(CommandId),
    /// A restart was accepted: it may join what is under way, or overtake it, before its turn comes.
    Arrived(Box<CommandRecord>),
}

/// What the restart that a command asks for covers.
///
/// # Errors
/// [`Denial::UnknownModules`] for a name that no module can have.
pub(crate) fn scope(record: &CommandRecord, known: &BTreeSet<ModuleName>) -> Result<Scope, Denial> {
    let names = match (record.kind, &record.target) {
        (CommandType::RestartModule, Target::Modules(names)) => names,
        (CommandType::RestartModule, Target::All) => return Ok(Scope::Modules(known.clone())),
        _ => return Ok(Scope::Agent),
    };
    let impossible = |name: &&String| ModuleName::new(name).is_err();
    let unknown: Vec<String> = names.iter().filter(impossible).cloned().collect();
    if unknown.is_empty() {
        return Ok(Scope::Modules(
            names.iter().filter_map(|name| ModuleName::new(name).ok()).collect(),
        ));
    }
    Err(Denial::UnknownModules { unknown, known: known.iter().cloned().collect() })
}
