//! What the main loop begins, tells and cuts off: one operation at a time, and a stop before everything else.

use std::sync::Arc;
use std::time::Duration;

use command_manager::{CommandId, CommandRecord, CommandType, ErrorCode, Execution, Finish, Step};
use restart::{Decision, Event, Scope};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Agent;
use crate::agent::order::{Order, scope};
use crate::agent::replace::{CalledOff, Ended, Grown};
use crate::agent::told::{Claim, Told};
use crate::agent::{modules, reload, replace, restart_modules, waiting};

/// How long a stop by command waits for the service manager. It answers in milliseconds; the watchdog is not served meanwhile.
const RENOUNCE_PATIENCE: Duration = Duration::from_secs(10);

/// The one thing that is under way.
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    /// The command that it is carried out for.
    pub(super) command: Option<CommandId>,
    pub(super) task: JoinHandle<Ended>,
    requests: mpsc::Sender<Event>,
    /// Tells it whom to make way for.
    make_way: watch::Sender<Claim>,
    /// To the loop of what was under way when the stop came, and that the stop waits for.
    before: Option<mpsc::Sender<Event>>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperationKind {
    /// The restart of the agent: told to stop, it stops by itself.
    Restart,
    /// The stop of the agent.
    Stop,
    /// Anything with modules while the agent goes on: makes way for a stop.
    Modules,
    /// The start of modules that had failed: makes way for everything.
    Retry,
}

/// How long systemd may take to say whose SIGTERM it was. Whoever sent it waits meanwhile.
const ASKED_FOR_THE_JOB: Duration = Duration::from_secs(2);

/// How many of the commands that were begun last are remembered.
const REMEMBERED: usize = 32;

impl Agent {
    pub(super) async fn reload_on_signal(&mut self) {
        self.end_retry().await;
        self.reload_wanted = self.operation.is_some();
        if self.reload_wanted {
            tracing::info!("SIGHUP while something else is under way; the reload follows it");
            return;
        }
        let core = Arc::clone(&self.core);
        self.begin(OperationKind::Modules, None, |told| async move {
            core.notify(core.notifier.reloading());
            let end = reload::reload(&core, None, told).await;
            core.notify(core.notifier.ready("reloaded"));
            tracing::info!(status = ?end.status, "reload: {}", end.text);
            Ended::GoOn
        });
    }

    /// Starts failed modules whose time has come. As an operation, so that nobody shuts down what is being started.
    pub(super) fn begin_retry(&mut self) {
        let due = self.retries.take_due(&self.core.supervisor, Instant::now());
        if due.is_empty() {
            return;
        }
        let core = Arc::clone(&self.core);
        self.begin(OperationKind::Retry, None, |told| modules::try_again(core, due, told));
    }

    /// A retry makes way: what it had begun to start is still due.
    async fn end_retry(&mut self) {
        let Some(retry) = self.operation.take_if(|it| it.kind == OperationKind::Retry) else {
            return;
        };
        retry.make_way.send_replace(Claim::AnOrder);
        match retry.task.await {
            Ok(Ended::StillDue(names)) => self.retries.still_due(names),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the start of failed modules was broken off"),
        }
    }

    pub(super) async fn obey(&mut self, order: Order) {
        if order.reply.is_closed() {
            tracing::warn!(id = %order.record.id, "the command has ended before its turn came; it is not carried out");
            return;
        }
        self.end_retry().await;
        self.begun.push_back(order.record.id.clone());
        if self.begun.len() > REMEMBERED {
            self.begun.pop_front();
        }
        match order.record.kind {
            CommandType::RestartAgent | CommandType::RestartModule => self.begin_restart(order),
            CommandType::Reload => self.begin_reload(order),
            // Not handed on by their executors: stops come past the queue, and a check needs nothing of the loop.
            CommandType::Stop | CommandType::CheckConfig => {
                let text = format!("the main loop carries out no {} commands", order.record.kind);
                let end = Finish::failure(ErrorCode::Failed, text);
                drop(order.reply.send(Execution::Finished(end)));
            }
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
                if order.reply.send(Execution::Finished(waiting::denied(&denial))).is_err() {
                    tracing::error!(%id, "nobody takes the end of the command");
                }
            }
        }
    }

    fn begin_reload(&mut self, Order { record, reply }: Order) {
        let core = Arc::clone(&self.core);
        self.begin(OperationKind::Modules, Some(record.id.clone()), |told| async move {
            let end = reload::reload(&core, Some(&record.id), told).await;
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
            replace::go(core, grown, told.requests)
        });
    }

    /// What had grown was called off: its modules are started in process after all.
    pub(super) fn back(&mut self, called_off: CalledOff) {
        let core = Arc::clone(&self.core);
        let id = called_off.id.clone();
        self.begin(OperationKind::Modules, Some(id), |told| {
            restart_modules::back(core, called_off, told)
        });
    }

    /// A restart was accepted and waits for its turn in the queue; what is under way may be its answer already.
    ///
    /// Nothing here waits for the journal, because SIGTERM must not.
    pub(super) fn arrived(&self, record: CommandRecord) {
        // The notice may come later than the turn.
        if self.begun.contains(&record.id) {
            return;
        }
        let known = waiting::known(&self.core);
        let decision = match scope(&record, &known) {
            Ok(scope) => self.core.arbiter().decide(&scope, &known),
            Err(denial) => Decision::Denied(denial),
        };
        let force = record.force && record.kind == CommandType::RestartAgent;
        let core = Arc::clone(&self.core);
        match decision {
            Decision::Accepted => self.hurry(force),
            Decision::Joined { to } => {
                let text = format!("it joins the restart under way, command {to}");
                tokio::spawn(
                    async move { core.progress(&record.id, Step::new("joined", text)).await },
                );
                self.hurry(force);
            }
            Decision::Overtakes { what } => {
                let text = format!("it overtakes the restart of modules, command {what}");
                tokio::spawn(async move {
                    core.progress(&record.id, Step::new("overtakes", text)).await;
                });
                if let Some(operation) = &self.operation {
                    operation.make_way.send_replace(Claim::ARestart { force });
                }
                self.tell(OperationKind::Modules, &Event::Hurried);
            }
            Decision::Denied(denial) => {
                tokio::spawn(async move { waiting::deny(&core, &record.id, &denial).await });
            }
        }
    }

    /// A forced restart does not wait for what is under way: a restart goes to the end of its ladder, any other operation ends
    /// its asking. A stop is not hurried by that, because it would cost the modules their state.
    fn hurry(&self, force: bool) {
        if force {
            self.tell(OperationKind::Restart, &Event::Forced);
            self.tell(OperationKind::Modules, &Event::Hurried);
        }
    }

    /// SIGTERM. Before the controller was asked it is an operator's stop, unless it comes from a restart of the unit that
    /// somebody else has ordered: then the restart under way goes the same way, without waiting for busy modules, and is
    /// answered by the next process.
    pub(super) fn terminated(&mut self) {
        let requests = match &self.operation {
            Some(it) if it.kind == OperationKind::Restart && !self.core.arbiter().is_sealed() => {
                it.requests.clone()
            }
            Some(_) | None => return self.stop_or_pass_on(Event::Terminated),
        };
        self.stop_wanted = true;
        let core = Arc::clone(&self.core);
        // Beside the main loop, which goes on with signs of life while systemd is asked.
        tokio::spawn(async move {
            let asked =
                tokio::time::timeout(ASKED_FOR_THE_JOB, core.controller.is_being_restarted());
            if asked.await == Ok(true) {
                tracing::info!(
                    "somebody else restarts the agent; the restart under way joins that"
                );
                tell_loop(&requests, Event::Hurried);
            }
            tell_loop(&requests, Event::Terminated);
        });
    }

    /// A restart or stop under way is told. Anything else makes way, and ends beside the stop.
    pub(super) fn stop_or_pass_on(&mut self, event: Event) {
        self.stop_wanted = true;
        let restart = self.operation.as_ref().is_some_and(|it| it.kind == OperationKind::Restart);
        // SIGTERM during a restart may be the controller's own.
        if !restart || event == Event::StopRequested {
            self.core.arbiter().stop();
        }
        match self.operation.take() {
            Some(operation)
                if matches!(operation.kind, OperationKind::Restart | OperationKind::Stop) =>
            {
                tell_loop(&operation.requests, event);
                self.operation = Some(operation);
            }
            previous => self.begin_stop(previous),
        }
    }

    fn begin_stop(&mut self, previous: Option<Operation>) {
        let core = Arc::clone(&self.core);
        let command = self.stop_commands.first().cloned();
        let before = previous.as_ref().map(|previous| previous.requests.clone());
        let previous = previous.map(|previous| {
            previous.make_way.send_replace(Claim::AStop);
            previous.task
        });
        self.begin(OperationKind::Stop, None, |told| {
            replace::stop(core, command, previous, told.requests)
        });
        if let Some(operation) = &mut self.operation {
            operation.before = before;
        }
    }

    /// What came while something else was under way.
    pub(super) async fn begin_what_is_wanted(&mut self) {
        if self.stop_wanted {
            self.core.arbiter().stop();
            let previous = self.operation.take();
            self.begin_stop(previous);
        } else if self.reload_wanted {
            self.reload_on_signal().await;
        }
    }

    /// A stop by command holds only if nobody starts the agent again.
    pub(super) async fn stop_ordered(&mut self, id: CommandId) {
        // The main loop waits meanwhile, so not for as long as all ways together may take.
        let renounced =
            tokio::time::timeout(RENOUNCE_PATIENCE, self.core.controller.renounce()).await;
        let late = |_| {
            let time = RENOUNCE_PATIENCE;
            Err(format!("the service manager did not answer in {time:?}, and may stop it yet"))
        };
        if let Err(reason) = renounced.unwrap_or_else(late) {
            let text = format!(
                "the agent was not stopped, because it would be started again: {reason}; stop its unit with systemctl"
            );
            tracing::warn!(%id, "{text}");
            let (core, end) = (Arc::clone(&self.core), Finish::failure(ErrorCode::Refused, text));
            tokio::spawn(async move { core.finish_for_sure(&id, end).await });
            return;
        }
        self.stop_commands.push(id);
        self.stop_or_pass_on(Event::StopRequested);
    }

    /// The first Ctrl-C stops, a further one does not wait any more.
    pub(super) fn interrupted(&mut self) {
        if self.interrupted {
            self.tell(OperationKind::Restart, &Event::Forced);
            self.tell(OperationKind::Stop, &Event::Forced);
        } else {
            self.interrupted = true;
            self.stop_or_pass_on(Event::StopRequested);
        }
    }

    /// Tells what is under way, if it is of this kind, and what that waits for.
    fn tell(&self, kind: OperationKind, event: &Event) {
        let Some(operation) = self.operation.as_ref().filter(|it| it.kind == kind) else { return };
        for requests in std::iter::once(&operation.requests).chain(&operation.before) {
            if requests.try_send(event.clone()).is_err() {
                tracing::debug!("the shutdown loop does not take the order any more");
            }
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
        let (make_way, told) = watch::channel(Claim::default());
        let told = Told { requests: (requests.clone(), receiver), make_way: told };
        let task = tokio::spawn(work(told));
        let before = None;
        self.operation = Some(Operation { kind, command, task, requests, make_way, before });
    }
}

/// A loop that has ended, or is flooded, sees to the stop through `stop_wanted`.
fn tell_loop(requests: &mpsc::Sender<Event>, event: Event) {
    if requests.try_send(event).is_err() {
        tracing::debug!("the shutdown loop does not take the stop any more");
    }
}
