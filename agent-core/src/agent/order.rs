//! Orders to the agent's main loop, and the executor that turns commands into them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use command_manager::{
    CommandId, CommandRecord, CommandType, ErrorCode, Execution, Executor, Finish, Judgement,
    Target,
};
use jiff::Timestamp;
use module_api::ModuleName;
use restart::{Denial, Scope, Ticket};
use tokio::sync::{mpsc, oneshot};

use super::replace::overtaken;

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

/// Hands commands to the main loop, and judges those that an earlier process left in progress.
#[derive(Debug)]
pub(crate) struct LoopExecutor {
    /// To the main loop.
    pub(crate) orders: mpsc::Sender<Order>,
    /// The ticket that was found at the start, if any.
    pub(crate) ticket: Option<Ticket>,
    /// When this process started.
    pub(crate) started_at: Timestamp,
}

#[async_trait]
impl Executor for LoopExecutor {
    async fn execute(&self, command: &CommandRecord) -> Execution {
        if command.kind == CommandType::Stop {
            // The stop came past the queue, and the command is finished when the agent has stopped; unless it was
            // meant for an earlier process, which has ended.
            return if command.accepted_at < self.started_at {
                Execution::Finished(self.judge_stop())
            } else {
                Execution::Deferred
            };
        }
        let (reply, answer) = oneshot::channel();
        let order = Order { record: command.clone(), reply };
        // Nobody takes orders any more, because the agent is being stopped.
        let ending = || {
            Execution::Finished(match command.kind {
                CommandType::RestartAgent | CommandType::RestartModule => overtaken(),
                CommandType::Reload | CommandType::Stop | CommandType::CheckConfig => {
                    Finish::failure(ErrorCode::Interrupted, "the agent was stopped")
                }
            })
        };
        if self.orders.send(order).await.is_err() {
            return ending();
        }
        answer.await.unwrap_or_else(|_| ending())
    }

    /// A restart is judged by its ticket: the confirmation finishes it. A stop is done when its process is gone.
    /// Anything else was cut off, and what it did is not known.
    async fn judge(&self, command: &CommandRecord) -> Judgement {
        let id = command.id.to_string();
        let has_ticket =
            self.ticket.as_ref().is_some_and(|ticket| ticket.command_ids.contains(&id));
        match command.kind {
            // A restart of modules has a ticket if it grew into one of the whole agent.
            CommandType::RestartAgent | CommandType::RestartModule if has_ticket => {
                Judgement::Deferred
            }
            CommandType::RestartAgent => Judgement::Finished(Finish::failure(
                ErrorCode::Interrupted,
                "the agent ended and left no ticket of this restart that can be read",
            )),
            CommandType::Stop => Judgement::Finished(self.judge_stop()),
            CommandType::RestartModule | CommandType::Reload | CommandType::CheckConfig => {
                Judgement::Finished(Finish::failure(
                    ErrorCode::Interrupted,
                    "the agent ended while the command was under way",
                ))
            }
        }
    }
}

impl LoopExecutor {
    /// What became of a stop that an earlier process took: that one has ended, but it may have been replaced.
    fn judge_stop(&self) -> Finish {
        if self.ticket.is_some() {
            let text = "the agent was being replaced when the stop came, and the new one runs; stop it again";
            return Finish::failure(ErrorCode::Interrupted, text);
        }
        Finish::success("the agent was stopped")
    }
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
