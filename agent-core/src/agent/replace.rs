//! The restart of the whole agent and its plain stop, up to the point where the process can end.

mod ends;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use command_manager::{CommandId, CommandRecord, ErrorCode, Execution, Step};
use module_api::ModuleName;
use restart::{
    CommittedTicket, Ending, Event, ExecController, Method, ModuleOutcome, ProcessController,
    Purpose, Requested, ShutdownOutcome, Stamp, TicketDraft,
};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::core::Core;
use super::host::{HandOver, Way};
use super::order::Order;
use super::run_loop::run_loop;
use crate::preflight::{self, Cleared};
use ends::{finish_at_the_end, helper_lost, log_unclean, true_ending, why_lost, withdraw};
pub(crate) use ends::{not_restarted, overtaken};

/// What the end of an operation means for the main loop.
pub(crate) enum Ended {
    /// All modules were started, or have failed.
    Started,
    /// These modules failed and are still to be started again: something else came first.
    StillDue(Vec<ModuleName>),
    /// The agent goes on.
    GoOn,
    /// The restart of modules becomes one of the whole agent, for which the checks have passed.
    Grow(Box<Grown>),
    /// The restart of the agent into which one of modules had grown was called off: those are to be started again.
    CalledOff(CalledOff),
    /// The process is to end.
    Leave(Leave),
}

/// A restart of modules that has become one of the whole agent.
pub(crate) struct Grown {
    pub(crate) order: Order,
    /// Kept until the process is replaced.
    pub(crate) cleared: Cleared,
    /// What became of the modules that were stopped before it grew.
    pub(crate) stopped: Vec<ModuleOutcome>,
    /// When the first order came, since boot: the time of the whole counts from there.
    pub(crate) ordered_at: Duration,
    /// Whether busy modules are not waited for.
    pub(crate) force: bool,
    /// What has joined it already.
    pub(crate) joined: Vec<CommandId>,
}

/// A restart of modules that had grown, and was called off.
pub(crate) struct CalledOff {
    pub(crate) id: CommandId,
    /// What became of the modules that were stopped before it grew.
    pub(crate) stopped: Vec<ModuleOutcome>,
    /// Why it was called off.
    pub(crate) reason: String,
}

/// How the process is to end.
pub(crate) struct Leave {
    pub(crate) way: Way,
    /// Whether a successor is expected: the restart goes on there.
    pub(crate) replaced: bool,
}

/// Both ends of what the loop is told from outside.
pub(crate) type Requests = (mpsc::Sender<Event>, mpsc::Receiver<Event>);

/// What a restart that has grown has at least, however long the restart of modules took before: less would abandon modules
/// that are well for the sake of one that hung.
const LEAST_FOR_GROWN: Duration = Duration::from_secs(5);

/// How long an ended loop waits for the controller's answer when SIGTERM was faster than it. Short, because whoever sent
/// SIGTERM waits.
const REQUEST_PATIENCE: Duration = Duration::from_secs(2);

/// The same when the request is to be taken back: a controller answers within this time, and what is not taken back would
/// replace an agent that works.
const TAKE_BACK_PATIENCE: Duration = Duration::from_secs(30);

/// Runs the whole-agent restart that an order asks for. It is answered as soon as it is clear whether the restart is
/// refused or under way.
pub(crate) async fn restart(core: Arc<Core>, order: Order, mut requests: Requests) -> Ended {
    let ordered_at = restart::boottime();
    let Order { record, reply } = order;
    let step = Step::new("preflight", "checking that the agent can come back");
    core.progress(&record.id, step).await;
    let force = record.force;
    let checking = preflight::check(&core, &record.id, force);
    let end = match unless_stopped(&mut requests, checking).await {
        Some(Ok(cleared)) => {
            let (order, stopped, joined) = (Order { record, reply }, Vec::new(), Vec::new());
            let restart = Grown { order, cleared, stopped, ordered_at, force, joined };
            return go(core, restart, requests).await;
        }
        Some(Err(reason)) => {
            tracing::warn!(id = %record.id, %reason, "restart refused");
            not_restarted(ErrorCode::Refused, reason)
        }
        None => overtaken(),
    };
    drop(reply.send(Execution::Finished(end)));
    Ended::GoOn
}

/// What `work` returns, or `None` when a stop comes first: it does not wait for a program that hangs while it is tried out.
/// Other requests are kept for whoever reads them next.
async fn unless_stopped<T>(requests: &mut Requests, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut kept = Vec::new();
    let done = loop {
        tokio::select! {
            done = &mut work => break Some(done),
            Some(event) = requests.1.recv() => {
                if matches!(event, Event::Terminated | Event::StopRequested) {
                    break None;
                }
                kept.push(event);
            }
        }
    };
    for event in kept {
        if requests.0.try_send(event).is_err() {
            tracing::debug!("the loop is told too much at once");
        }
    }
    done
}

/// Runs a whole-agent restart for which the checks have passed. Some modules are stopped already if one of modules has grown
/// into it.
pub(crate) async fn go(core: Arc<Core>, restart: Grown, requests: Requests) -> Ended {
    let Grown { order: Order { record, reply }, cleared, stopped, ordered_at, force, joined } =
        restart;
    if reply.send(Execution::Deferred).is_err() {
        tracing::error!(id = %record.id, "nobody waits for the restart any more; it is not begun");
        super::waiting::release(&core, &joined).await;
        if stopped.is_empty() {
            return Ended::GoOn;
        }
        let reason = "nobody waits for it".to_owned();
        return Ended::CalledOff(CalledOff { id: record.id, stopped, reason });
    }
    if force && requests.0.send(Event::Hurried).await.is_err() {
        tracing::debug!("the loop's receiver is gone");
    }
    core.set_state("restarting");
    let draft = draft(&core, &record, cleared.binary.clone());
    let begun_at = restart::boottime();
    let until = (ordered_at + core.limits().overall).max(begun_at + LEAST_FOR_GROWN);
    let command = Some(record.id.clone());
    let draft = Some(draft);
    let checked_at = cleared.at;
    let hand_over =
        HandOver { draft, ordered_at, checked_at, until, command, joined, ..HandOver::default() };
    let hand_over = Arc::new(Mutex::new(hand_over));
    let modules = core.supervisor.at_work();
    let limits = core.limits().within(until.saturating_sub(begun_at));
    let id = Some(&record.id);
    let shared = Arc::clone(&hand_over);
    let mut outcome =
        run_loop(&core, Purpose::Replace, modules, limits, id, shared, requests).await;
    let again: Vec<ModuleName> = outcome.modules.iter().map(|module| module.name.clone()).collect();
    let before = stopped.iter().filter(|module| !again.contains(&module.name)).cloned();
    outcome.modules.splice(..0, before);
    // What the controller answered decides how this process ends.
    let patience =
        if outcome.ending == Ending::Ended { REQUEST_PATIENCE } else { TAKE_BACK_PATIENCE };
    let taken = match tokio::time::timeout(patience, hand_over.lock()).await {
        Ok(mut hand_over) => std::mem::take(&mut *hand_over),
        Err(_) => {
            tracing::error!(
                "the controller does not answer; what it was asked for may still happen"
            );
            HandOver::default()
        }
    };
    let ended = conclude(&core, &record, stopped, outcome, taken).await;
    drop(cleared);
    ended
}

/// What is known of the restart before it begins.
fn draft(core: &Core, record: &CommandRecord, binary: Option<String>) -> TicketDraft {
    TicketDraft {
        command_ids: vec![record.id.to_string()],
        requester: serde_json::to_value(&record.requester).ok(),
        reason: record.reason.clone(),
        method: core.controller.method(),
        old: core.identity.clone(),
        generation: core.generation,
        binary,
        config: Some(core.config().digest.clone()),
    }
}

async fn conclude(
    core: &Arc<Core>,
    record: &CommandRecord,
    stopped: Vec<ModuleOutcome>,
    outcome: ShutdownOutcome,
    hand_over: HandOver,
) -> Ended {
    // The ticket comes back with the answer.
    match true_ending(&outcome, hand_over.way.as_ref(), hand_over.ticket.is_some()) {
        Ending::Ended => match why_lost(core, &outcome, hand_over.way.as_ref()).await {
            Some(reason) => replacement_lost(core, record, &outcome, hand_over, reason).await,
            None => {
                let mut hand_over = hand_over;
                if let Some(reason) = helper_lost(&mut hand_over).await {
                    return replacement_lost(core, record, &outcome, hand_over, reason).await;
                }
                if let Some(ticket) = hand_over.ticket {
                    close_ticket(core, ticket, &outcome);
                }
                leave(hand_over.way.unwrap_or(Way::End), true)
            }
        },
        Ending::StoppedInstead => {
            let joined = withdraw(hand_over);
            finish_at_the_end(core, &record.id, &joined).await;
            leave(Way::End, false)
        }
        Ending::CalledOff(reason) => {
            let joined = withdraw(hand_over);
            core.supervisor.sensors_are_handed_over(false);
            core.leaves_unannounced.store(false, Ordering::Relaxed);
            for name in core.supervisor.running() {
                core.supervisor.mark_running(&name);
            }
            core.set_state("running");
            if !stopped.is_empty() {
                // They asked for the whole agent, which this is not any more.
                super::waiting::release(core, &joined).await;
                let id = record.id.clone();
                return Ended::CalledOff(CalledOff { id, stopped, reason });
            }
            // In a task of its own: while the journal refuses, the agent goes on, and the queue waits.
            let (core, id) = (Arc::clone(core), record.id.clone());
            tokio::spawn(async move {
                let end = not_restarted(ErrorCode::Failed, reason);
                // Those that have joined first: when the restart itself is finished the queue goes on.
                for id in joined.into_iter().chain([id]) {
                    core.finish_for_sure(&id, end.clone()).await;
                }
            });
            Ended::GoOn
        }
    }
}

fn leave(way: Way, replaced: bool) -> Ended {
    Ended::Leave(Leave { way, replaced })
}

/// The modules have ended, and then it turned out that nobody starts the successor. Under systemd that is an operator's
/// stop, which cancels the restart; by hand the helper is gone, and this process takes its place.
async fn replacement_lost(
    core: &Arc<Core>,
    record: &CommandRecord,
    outcome: &ShutdownOutcome,
    hand_over: HandOver,
    reason: String,
) -> Ended {
    tracing::warn!(%reason, "the restart is not carried out by whoever was asked");
    let HandOver { ticket: Some(mut ticket), joined, .. } = hand_over else {
        return leave(Way::End, true);
    };
    if core.controller.method() == Method::Systemd {
        let joined = withdraw(HandOver { ticket: Some(ticket), joined, ..HandOver::default() });
        finish_at_the_end(core, &record.id, &joined).await;
        return leave(Way::End, false);
    }
    let in_place = ExecController::new(core.launch.clone());
    let fds = core.descriptors.descriptors().unwrap_or_default();
    let remaining = core.limits().stop;
    match in_place.request(&mut ticket, fds, remaining).await {
        Ok(Requested::ExecWhenStopped(plan)) => {
            close_ticket(core, ticket, outcome);
            let watchdog = plan.arm_watchdog(remaining).inspect_err(
                |error| tracing::warn!(%error, "nobody ends this process if it hangs now"),
            );
            leave(Way::Exec(plan, watchdog.ok()), true)
        }
        other => {
            let error = other.err().map(|error| error.to_string()).unwrap_or_default();
            tracing::error!(%error, "the successor cannot be started in place either; start the agent by hand");
            leave(Way::End, true)
        }
    }
}

/// Stops all modules, for good. `previous` is what was under way when the stop came: it shuts down its own modules to the end,
/// beside the others, and starts none.
pub(crate) async fn stop(
    core: Arc<Core>,
    command: Option<CommandId>,
    previous: Option<JoinHandle<Ended>>,
    requests: Requests,
) -> Ended {
    core.set_state("stopping");
    core.begin_ending();
    let previous = async {
        if let Some(Err(error)) = match previous {
            Some(previous) => Some(previous.await),
            None => None,
        } {
            tracing::error!(%error, "what was under way when the stop came has failed");
        }
    };
    let limits = core.limits();
    let at_work = core.supervisor.at_work();
    let command = command.as_ref();
    let others = run_loop(&core, Purpose::End, at_work, limits, command, Arc::default(), requests);
    let (outcome, ()) = tokio::join!(others, previous);
    log_unclean(&outcome);
    // What had just been started when the stop came.
    let late = core.supervisor.at_work();
    if !late.is_empty() {
        let requests = mpsc::channel(1);
        let outcome =
            run_loop(&core, Purpose::End, late, limits, command, Arc::default(), requests).await;
        log_unclean(&outcome);
    }
    leave(Way::End, false)
}

/// Marks the ticket as the work of a process that ended by itself, with what happened to each module.
fn close_ticket(core: &Core, mut ticket: CommittedTicket, outcome: &ShutdownOutcome) {
    log_unclean(outcome);
    if let Some(at) = core.closed_at.get() {
        ticket.add_stamp(Stamp::at("closed", *at));
    }
    let taken = core.spool.times().all();
    ticket.note_last_events(taken.into_iter().map(|(name, taken)| (name, taken.last_ms)).collect());
    let modules = serde_json::to_value(&outcome.modules).unwrap_or(Value::Null);
    if let Err(error) = ticket.stopped(modules, outcome.is_clean()) {
        let file = core.paths.state(super::TICKET);
        tracing::error!(%error, file = %file.display(), "the successor will take this shutdown for a kill");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_ends_the_checks_at_once_and_what_else_came_is_kept() {
        let mut requests = mpsc::channel(4);
        for event in [Event::Hurried, Event::Terminated] {
            requests.0.send(event).await.unwrap();
        }
        let hangs = std::future::pending::<()>();
        assert_eq!(unless_stopped(&mut requests, hangs).await, None);
        assert!(matches!(requests.1.try_recv(), Ok(Event::Hurried)));
        assert_eq!(unless_stopped(&mut requests, async { 7 }).await, Some(7));
    }
}
