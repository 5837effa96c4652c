//! The main loop: one select that builds happenings, one handler for each, and the order of start and end.

mod operations;

use std::collections::VecDeque;
use std::sync::Arc;

use command_manager::{CommandId, ErrorCode, Finish};
use restart::{Stamp, Ticket, judge};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::boot::{Setup, boot};
use super::core::Core;
use super::host::Way;
use super::order::{Order, Urgent};
use super::replace::{Ended, Leave};
use super::retries::Retries;
use super::services::Services;
use super::signals::Signals;
use super::told::Claim;
use super::{Exit, RunError, confirm, modules, waiting};
use crate::run_record::HowEnded;
use crate::spool::SpoolError;
use crate::supervisor::Failure;

use operations::{Operation, OperationKind};

/// Runs an agent until it is stopped or makes way for its successor.
///
/// Must be called within a tokio runtime with time and I/O; installs handlers for TERM, INT and HUP.
///
/// # Errors
/// [`RunError`] when the agent could not start; nothing of it runs then.
pub async fn run(setup: Setup) -> Result<Exit, RunError> {
    let signals = Signals::install().map_err(RunError::Signals)?;
    let booted = boot(setup).await?;
    let core = Arc::clone(&booted.core);
    for (kind, text) in &booted.warnings {
        core.warn(kind, text).await;
    }
    let (orders_to, orders) = mpsc::channel(4);
    let (urgent_to, urgent) = mpsc::channel(4);
    let services = Services::start(&booted, orders_to, urgent_to).await?;
    let mut agent = Agent {
        core: Arc::clone(&core),
        signals,
        orders,
        urgent,
        failures: booted.failures,
        retries: Retries::default(),
        operation: None,
        unconfirmed: booted.ticket,
        stamps: booted.stamps,
        confirmation: None,
        interrupted: false,
        stop_wanted: false,
        stop_commands: Vec::new(),
        reload_wanted: false,
        begun: VecDeque::new(),
    };
    let Leave { way, replaced } = agent.turn().await;
    agent.end_confirmation().await;
    if !replaced {
        waiting::overtake(&core).await;
    }
    let stop_commands = std::mem::take(&mut agent.stop_commands);
    services.refuse_more();
    // Orders that were not begun are answered by that: the agent is ending.
    drop(agent);
    core.supervisor.end_all();
    services.end(&core, stop_commands, replaced).await;
    let how = if replaced { HowEnded::Replaced } else { HowEnded::Stopped };
    let record = crate::run_record::RunRecord { ended: Some(how), ..booted.run_record };
    if let Err(error) = record.store(&core.paths.state("run.json")) {
        tracing::error!(%error, "the next start will take this end for a kill");
    }
    drop(booted.lock);
    Ok(match way {
        Way::End => Exit::Success,
        Way::Exec(plan, watchdog) => Exit::Exec(plan, watchdog),
        Way::ExitWith75 => Exit::RestartByStatus,
    })
}

/// The state of the main loop.
struct Agent {
    core: Arc<Core>,
    signals: Signals,
    orders: mpsc::Receiver<Order>,
    urgent: mpsc::Receiver<Urgent>,
    failures: mpsc::UnboundedReceiver<Failure>,
    retries: Retries,
    operation: Option<Operation>,
    /// The ticket of the restart that made this process, until it is confirmed.
    unconfirmed: Option<Ticket>,
    /// The phases of this start, for the confirmation.
    stamps: Vec<Stamp>,
    confirmation: Option<JoinHandle<()>>,
    /// Whether SIGINT has come before.
    interrupted: bool,
    /// Whether somebody wants the agent to stop: an operation that goes on all the same is followed by the stop.
    stop_wanted: bool,
    /// The commands that are finished by ending.
    stop_commands: Vec<CommandId>,
    /// Whether SIGHUP came while something else was under way.
    reload_wanted: bool,
    /// The commands that were begun last.
    begun: VecDeque<CommandId>,
}

/// What the main loop reacts to.
enum Happening {
    /// SIGTERM: from a controller or from an operator.
    Terminated,
    /// SIGINT: always from an operator.
    Interrupted,
    HangUp,
    Ordered(Box<Order>),
    Urgent(Urgent),
    Failed(Failure),
    RetryDue,
    OperationEnded(Result<Ended, JoinError>),
    WatchdogDue,
}

impl Agent {
    /// Turns until the process is to end.
    async fn turn(&mut self) -> Leave {
        self.start_modules();
        // Half the interval, as sd_notify(3) advises, so that one late ping kills nobody.
        let half = self.core.notifier.watchdog_interval().map(|whole| whole / 2);
        let mut watchdog = half.map(tokio::time::interval);
        loop {
            match self.next(&mut watchdog).await {
                Happening::WatchdogDue => self.core.notify(self.core.notifier.watchdog()),
                Happening::Terminated => self.terminated(),
                Happening::Urgent(Urgent::Stop(id)) => self.stop_ordered(id).await,
                Happening::Urgent(Urgent::Arrived(record)) => self.arrived(*record),
                Happening::Interrupted => self.interrupted(),
                Happening::HangUp => self.reload_on_signal().await,
                Happening::Ordered(order) => self.obey(*order).await,
                Happening::Failed(failure) => self.retries.failed(&self.core, &failure),
                Happening::RetryDue => self.begin_retry(),
                Happening::OperationEnded(ended) => {
                    if let Some(leave) = self.operation_ended(ended).await {
                        return leave;
                    }
                }
            }
        }
    }

    /// Begins what follows; `Some` when the process is to end.
    async fn operation_ended(&mut self, ended: Result<Ended, JoinError>) -> Option<Leave> {
        let operation = self.operation.take();
        match ended {
            Ok(Ended::Grow(grown)) if !self.stop_wanted => {
                self.grow(*grown);
                return None;
            }
            Ok(Ended::CalledOff(called_off)) => {
                self.back(called_off);
                // Its command waits for this operation, whatever else is wanted.
                if self.stop_wanted {
                    self.begin_what_is_wanted().await;
                }
                return None;
            }
            Ok(Ended::GoOn | Ended::Grow(..)) => {}
            Ok(Ended::Started) => self.modules_started(),
            Ok(Ended::StillDue(names)) => self.retries.still_due(names),
            Ok(Ended::Leave(leave)) => return Some(leave),
            Err(error) => {
                let was_stop = operation.as_ref().is_some_and(|it| it.kind == OperationKind::Stop);
                self.operation_failed(operation, &error);
                if was_stop {
                    return Some(Leave { way: Way::End, replaced: false });
                }
            }
        }
        self.core.arbiter().end();
        self.begin_what_is_wanted().await;
        None
    }

    async fn next(&mut self, watchdog: &mut Option<tokio::time::Interval>) -> Happening {
        // A retry makes way for an order.
        let takes_orders = self.operation.as_ref().is_none_or(|it| it.kind == OperationKind::Retry);
        let retry_at = self.retries.next_at();
        let retry = retry_at.is_some() && self.operation.is_none();
        tokio::select! {
            _ = self.signals.terminate.recv() => Happening::Terminated,
            _ = self.signals.interrupt.recv() => Happening::Interrupted,
            _ = self.signals.hang_up.recv() => Happening::HangUp,
            Some(order) = self.orders.recv(), if takes_orders => Happening::Ordered(Box::new(order)),
            Some(urgent) = self.urgent.recv() => Happening::Urgent(urgent),
            Some(failure) = self.failures.recv() => Happening::Failed(failure),
            () = tokio::time::sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry => Happening::RetryDue,
            ended = async { match &mut self.operation {
                Some(operation) => (&mut operation.task).await,
                None => std::future::pending().await,
            } } => Happening::OperationEnded(ended),
            _ = async { match watchdog {
                Some(watchdog) => watchdog.tick().await,
                None => std::future::pending().await,
            } } => Happening::WatchdogDue,
        }
    }

    /// Starts all modules side by side, while signals are already answered.
    fn start_modules(&mut self) {
        let core = Arc::clone(&self.core);
        self.begin(OperationKind::Modules, None, |mut told| async move {
            let names = core.supervisor.enabled();
            match modules::start_all(&core, &names, &mut told.make_way, Claim::AStop).await {
                Some(_) => Ended::Started,
                None => Ended::GoOn,
            }
        });
    }

    /// From here on the agent works: says so, and confirms the restart that brought it here.
    fn modules_started(&mut self) {
        let core = Arc::clone(&self.core);
        core.set_state("running");
        self.stamps.push(Stamp::now("running"));
        core.notify(core.notifier.ready("all modules were started"));
        let method = core.controller.method();
        tracing::info!(pid = core.identity.pid, generation = core.generation, %method, "agent is running");
        tokio::spawn(verify(Arc::clone(&core)));
        if let Some(ticket) = self.unconfirmed.clone() {
            let stamps = std::mem::take(&mut self.stamps);
            let started_ms = stamps.first().map_or(0, |stamp| stamp.at_ms);
            let verdict = judge(&ticket, &core.identity, core.generation, started_ms);
            self.confirmation = Some(tokio::spawn(confirm::confirm(core, ticket, verdict, stamps)));
        }
    }

    /// A stop that comes before the confirmation is its end: the restart was overtaken.
    async fn end_confirmation(&mut self) {
        let Some(ticket) = self.unconfirmed.take() else { return };
        if let Some(confirmation) = self.confirmation.take() {
            if confirmation.is_finished() {
                return;
            }
            confirmation.abort();
            // Cut off or just finished: what it has written stands, the rest is written below.
            if confirmation.await.is_ok() {
                return;
            }
        }
        confirm::overtaken(&self.core, &ticket).await;
    }

    /// An operation that panicked: its command must not stay in progress, because the queue waits for it.
    fn operation_failed(&mut self, operation: Option<Operation>, error: &JoinError) {
        tracing::error!(%error, "an operation of the agent failed");
        self.core.set_state("running");
        if let Some(id) = operation.and_then(|operation| operation.command) {
            let text = format!("the agent failed to carry the command out: {error}");
            let (core, end) = (Arc::clone(&self.core), Finish::failure(ErrorCode::Failed, text));
            tokio::spawn(async move { core.finish_for_sure(&id, end).await });
        }
    }
}

/// Reads journal and spool as a whole, if they were too large for that to be done before the start.
async fn verify(core: Arc<Core>) {
    let damaged = |what: &str, damage: &str| {
        format!(
            "the {what} is damaged: {damage}; it is set aside at the next start, so restart the agent"
        )
    };
    match core.commands.verify().await {
        Ok(None) => {}
        Ok(Some(damage)) => {
            core.warn("journal_damaged", &damaged("command journal", &damage)).await;
        }
        Err(error) => tracing::warn!(%error, "the command journal could not be checked"),
    }
    match core.spool.verify().await {
        Ok(None) => {}
        Ok(Some(damage)) => core.warn("spool_damaged", &damaged("event spool", &damage)).await,
        Err(SpoolError::Closed) => {}
        Err(error) => tracing::warn!(%error, "the event spool could not be checked"),
    }
}
