//! What the main loop begins, tells and cuts off: one operation at a time, and a stop before everything else.

use std::sync::Arc;

use command_manager::{CommandId, CommandRecord, CommandType, ErrorCode, Execution, Finish};
use restart::{Decision, Denial, Event, Scope};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Agent;
use crate::agent::order::{Order, scope};
use crate::agent::replace::{Ended, Grown, not_restarted, overtaken};
use crate::agent::restart_modules::{self, Told};
use crate::agent::{reload, replace, waiting};

/// The one thing that is under way.
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    /// The command that it is carried out for.
    pub(super) command: Option<CommandId>,
    pub(super) task: JoinHandle<Ended>,
    requests: mpsc::Sender<Event>,
    /// Tells a restart of modules that one of the whole agent overtakes it.
    make_way: watch::Sender<bool>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperationKind {
    /// The restart of the agent: told to stop, it stops by itself.
    Restart,
    /// The stop of the agent.
    Stop,
    /// Anything with modules while the agent goes on: cut off by a stop.
    Modules,
}

impl Agent {
    pub(super) fn reload_on_signal(&mut self) {
        self.reload_wanted = self.operation.is_some();
        if self.reload_wanted {
            tracing::info!("SIGHUP while something else is under way; the reload follows it");
            return;
        }
        let core = Arc::clone(&self.core);
        self.begin(OperationKind::Modules, None, |told| async move {
            core.notify(core.notifier.reloading());
            let end = reload::reload(&core, None, told.requests).await;
            core.notify(core.notifier.ready("reloaded"));
            tracing::info!(status = ?end.status, "reload: {}", end.text);
            Ended::GoOn
        });
    }

    pub(super) fn obey(&mut self, order: Order) {
        match order.record.kind {
            CommandType::RestartAgent | CommandType::RestartModule => self.begin_restart(order),
            CommandType::Reload | CommandType::CheckConfig => self.begin_configuration(order),
            // The executor does not hand stops on: they come past the queue.
            CommandType::Stop => drop(order.reply.send(Execution::Deferred)),
        }
    }

    fn begin_restart(&mut self, order: Order) {
        let core = Arc::clone(&self.core);
        let id = order.record.id.clone();
        let known = waiting::known(&core);
        let begun = scope(&order.record, &known).and_then(|scope| {
            core.arbiter().begin(id.clone(), scope.clone(), &known)?;
            Ok(scope)
        });
        match begun {
            Ok(Scope::Agent) => self.begin(OperationKind::Restart, Some(id), |told| {
                replace::restart(core, order, told.requests)
            }),
            Ok(Scope::Modules(names)) => {
                let names = names.into_iter().collect();
                self.begin(OperationKind::Modules, Some(id), |told| {
                    restart_modules::restart(core, order, names, told)
                });
            }
            Err(denial) => {
                if order.reply.send(Execution::Finished(denied(&denial))).is_err() {
                    tracing::error!(%id, "nobody takes the end of the command");
                }
            }
        }
    }

    fn begin_configuration(&mut self, Order { record, reply }: Order) {
        let core = Arc::clone(&self.core);
        self.begin(OperationKind::Modules, Some(record.id.clone()), |told| async move {
            let end = match record.kind {
                CommandType::Reload => reload::reload(&core, Some(&record.id), told.requests).await,
                CommandType::RestartAgent
                | CommandType::RestartModule
                | CommandType::Stop
                | CommandType::CheckConfig => reload::check_config(&core),
            };
            if reply.send(Execution::Finished(end)).is_err() {
                tracing::error!(id = %record.id, "nobody takes the end of the command");
            }
            Ended::GoOn
        });
    }

    /// The restart of modules under way has become one of the whole agent.
    pub(super) fn grow(&mut self, grown: Grown) {
        let core = Arc::clone(&self.core);
        let id = grown.order.record.id.clone();
        self.begin(OperationKind::Restart, Some(id), |told| {
            replace::grown(core, grown, told.requests)
        });
    }

    /// A restart was accepted and waits for its turn in the queue; what is under way may be its answer already.
    pub(super) async fn arrived(&mut self, record: CommandRecord) {
        let id = &record.id;
        let under_way = self.operation.as_ref().and_then(|operation| operation.command.as_ref());
        if under_way == Some(id) {
            return;
        }
        let known = waiting::known(&self.core);
        let scope = scope(&record, &known);
        let decision = match scope {
            Ok(scope) => self.core.arbiter().decide(&scope, &known),
            Err(denial) => Decision::Denied(denial),
        };
        match decision {
            Decision::Accepted => {}
            Decision::Joined { to } => {
                let text = format!("it joins the restart under way, command {to}");
                self.core.progress(id, "joined", None, &text).await;
            }
            Decision::Overtakes { what } => {
                let text = format!("it overtakes the restart of modules, command {what}");
                self.core.progress(id, "overtakes", None, &text).await;
                self.make_way();
            }
            Decision::Denied(denial) => {
                tracing::info!(%id, %denial, "restart denied");
                self.core.finish_command(id, denied(&denial)).await;
            }
        }
        // During a stop a forced restart must not cost the modules their state, so that kind is not among these.
        if record.force && record.kind == CommandType::RestartAgent {
            self.force(&[OperationKind::Restart, OperationKind::Modules]);
        }
    }

    fn make_way(&self) {
        if let Some(operation) = &self.operation {
            operation.make_way.send_replace(true);
        }
    }

    /// A restart or stop under way is told; anything else is cut off, because a stop comes first.
    pub(super) async fn stop_or_pass_on(&mut self, event: Event) {
        self.stop_wanted = true;
        self.core.arbiter().stop();
        match self.operation.take() {
            Some(operation) if operation.kind != OperationKind::Modules => {
                // A loop that has ended, or is flooded, sees to the stop through `stop_wanted`.
                if operation.requests.try_send(event).is_err() {
                    tracing::debug!("the shutdown loop does not take the stop any more");
                }
                self.operation = Some(operation);
            }
            other => {
                if let Some(operation) = other {
                    operation.task.abort();
                    if operation.task.await.is_err() {
                        tracing::info!("what was under way is cut off by the stop");
                    }
                }
                self.begin_stop();
            }
        }
    }

    fn begin_stop(&mut self) {
        let core = Arc::clone(&self.core);
        let command = self.stop_commands.first().cloned();
        self.begin(OperationKind::Stop, None, |told| replace::stop(core, command, told.requests));
    }

    /// What came while something else was under way.
    pub(super) fn begin_what_is_wanted(&mut self) {
        if self.stop_wanted {
            self.begin_stop();
        } else if self.reload_wanted {
            self.reload_on_signal();
        }
    }

    /// A stop by command holds only if nobody starts the agent again.
    pub(super) async fn stop_ordered(&mut self, id: CommandId) {
        if let Err(reason) = self.core.controller.renounce().await {
            let text = format!(
                "the agent was not stopped, because it would be started again: {reason}; stop its unit with systemctl"
            );
            tracing::warn!(%id, "{text}");
            self.core.finish_command(&id, Finish::failure(ErrorCode::Refused, text)).await;
            return;
        }
        self.stop_commands.push(id);
        self.stop_or_pass_on(Event::StopRequested).await;
    }

    /// The first Ctrl-C stops, a further one does not wait any more.
    pub(super) async fn interrupted(&mut self) {
        if self.interrupted {
            self.force(&[OperationKind::Restart, OperationKind::Stop]);
        } else {
            self.interrupted = true;
            self.stop_or_pass_on(Event::StopRequested).await;
        }
    }

    /// Tells an operation of one of these kinds that it is not to wait any more.
    fn force(&self, kinds: &[OperationKind]) {
        if let Some(operation) = &self.operation
            && kinds.contains(&operation.kind)
            && operation.requests.try_send(Event::Forced).is_err()
        {
            tracing::debug!("the shutdown loop does not take the order any more");
        }
    }

    pub(super) fn begin<F>(
        &mut self,
        kind: OperationKind,
        command: Option<CommandId>,
        work: impl FnOnce(Told) -> F,
    ) where
        F: Future<Output = Ended> + Send + 'static,
    {
        let (requests, receiver) = mpsc::channel(8);
        let (make_way, told) = watch::channel(false);
        let told = Told { requests: (requests.clone(), receiver), make_way: told };
        let task = tokio::spawn(work(told));
        self.operation = Some(Operation { kind, command, task, requests, make_way });
    }
}

/// The end of a restart that is not begun.
fn denied(denial: &Denial) -> Finish {
    match denial {
        Denial::Stopping => overtaken(),
        Denial::UnknownModules { .. } | Denial::NoModules => {
            not_restarted(ErrorCode::Refused, denial.to_string())
        }
    }
}
