//! Who carries out which type of command in this agent, and what becomes of those that an earlier process left in progress.

use std::sync::Arc;

use async_trait::async_trait;
use command_manager::{
    CommandRecord, CommandType, ErrorCode, Execution, Executor, Executors, Finish, Judgement,
    ProgressSink,
};
use restart::{Outcome, Ticket};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::core::Core;
use super::order::Order;
use super::reload::check_config;
use super::replace::overtaken;
use crate::run_record::HowEnded;

/// The executors of an agent that found `ticket` at its start and takes orders through `orders`.
pub(crate) fn executors(
    core: &Arc<Core>,
    orders: mpsc::Sender<Order>,
    ticket: Option<&Ticket>,
) -> Executors {
    let restarts: Arc<dyn Executor> = Arc::new(RestartExecutor {
        orders: orders.clone(),
        tickets: ticket.map(|ticket| ticket.command_ids.clone()).unwrap_or_default(),
    });
    let reloads: Arc<dyn Executor> = Arc::new(ReloadExecutor { orders });
    let checks: Arc<dyn Executor> = Arc::new(CheckConfigExecutor { core: Arc::clone(core) });
    let replaced = ticket.is_some();
    let stops: Arc<dyn Executor> = Arc::new(StopExecutor { core: Arc::clone(core), replaced });
    Executors::new()
        .with(&[CommandType::RestartAgent, CommandType::RestartModule], &restarts)
        .with(&[CommandType::Reload], &reloads)
        .with(&[CommandType::CheckConfig], &checks)
        .with(&[CommandType::Stop], &stops)
}

/// Hands restarts of the agent and of modules to the main loop.
struct RestartExecutor {
    orders: mpsc::Sender<Order>,
    /// The commands of the ticket that was found at the start.
    tickets: Vec<String>,
}

#[async_trait]
impl Executor for RestartExecutor {
    async fn execute(&self, command: &CommandRecord, _: &ProgressSink) -> Execution {
        order(&self.orders, command).await.unwrap_or_else(|| Execution::Finished(overtaken()))
    }

    /// A restart with a ticket is judged by that: the confirmation finishes it. One of modules has a ticket if it grew into
    /// one of the whole agent.
    async fn judge(&self, command: &CommandRecord) -> Judgement {
        if self.tickets.iter().any(|id| id == command.id.as_str()) {
            return Judgement::Deferred;
        }
        if command.attempts == 0 {
            // It had joined a restart that did not take place.
            return Judgement::Again;
        }
        if command.kind == CommandType::RestartModule {
            return Judgement::Finished(cut_off());
        }
        // Something has started this process, but not for this order.
        let end = Finish::failure(
            ErrorCode::Interrupted,
            "the agent ended and left no ticket of this restart that can be read",
        );
        let outcome = json!({"outcome": Outcome::StartedBySomeoneElse});
        Judgement::Finished(end.with_result(outcome))
    }
}

/// Hands reloads to the main loop.
struct ReloadExecutor {
    orders: mpsc::Sender<Order>,
}

#[async_trait]
impl Executor for ReloadExecutor {
    async fn execute(&self, command: &CommandRecord, _: &ProgressSink) -> Execution {
        let stopped = || Finish::failure(ErrorCode::Interrupted, "the agent was stopped");
        let ordered = order(&self.orders, command).await;
        ordered.unwrap_or_else(|| Execution::Finished(stopped()))
    }

    async fn judge(&self, _: &CommandRecord) -> Judgement {
        Judgement::Finished(cut_off())
    }
}

/// Checks the configuration, beside whatever the main loop does.
struct CheckConfigExecutor {
    core: Arc<Core>,
}

#[async_trait]
impl Executor for CheckConfigExecutor {
    async fn execute(&self, _: &CommandRecord, _: &ProgressSink) -> Execution {
        let core = Arc::clone(&self.core);
        let checked = tokio::task::spawn_blocking(move || check_config(&core)).await;
        let broken =
            |error| Finish::failure(ErrorCode::Failed, format!("the check ended: {error}"));
        Execution::Finished(checked.unwrap_or_else(broken))
    }

    /// It changes nothing, so it is simply done again.
    async fn judge(&self, _: &CommandRecord) -> Judgement {
        Judgement::Again
    }
}

/// A stop comes past the queue, and its command is finished when the agent has stopped.
struct StopExecutor {
    /// Whether this process was started in place of the one that took the stop.
    replaced: bool,
    core: Arc<Core>,
}

#[async_trait]
impl Executor for StopExecutor {
    async fn execute(&self, command: &CommandRecord, _: &ProgressSink) -> Execution {
        // One that was meant for an earlier process, which has ended.
        if self.core.commands.is_inherited(&command.id) {
            return Execution::Finished(self.done());
        }
        Execution::Deferred
    }

    async fn judge(&self, _: &CommandRecord) -> Judgement {
        Judgement::Finished(self.done())
    }
}

impl StopExecutor {
    /// What became of a stop that an earlier process took: that one has ended, but it may have been replaced.
    fn done(&self) -> Finish {
        if self.replaced {
            let text = "the agent was being replaced when the stop came, and the new one runs; stop it again";
            return Finish::failure(ErrorCode::Interrupted, text);
        }
        if self.core.before_ended != Some(HowEnded::Stopped) {
            let text =
                "the agent was killed before it had stopped, and was started again; stop it again";
            return Finish::failure(ErrorCode::Interrupted, text);
        }
        Finish::success("the agent was stopped")
    }
}

/// What the main loop answers to the order to carry `command` out; `None` when nobody takes orders any more, because the
/// agent is being stopped.
async fn order(orders: &mpsc::Sender<Order>, command: &CommandRecord) -> Option<Execution> {
    let (reply, answer) = oneshot::channel();
    orders.send(Order { record: command.clone(), reply }).await.ok()?;
    answer.await.ok()
}

fn cut_off() -> Finish {
    Finish::failure(ErrorCode::Interrupted, "the agent ended while the command was under way")
}
