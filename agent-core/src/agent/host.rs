//! The shutdown loop's view of the agent: instances, state files, the ticket and the controller.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use command_manager::CommandId;
use module_api::{Module, ModuleName, SavedState};
use restart::{
    CallOff, CommittedTicket, Event, ExecPlan, ExecWatchdog, Host, Method, Progress, Requested,
    Stamp, TicketDraft, boottime,
};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};

use super::core::Core;
use crate::supervisor::ModuleState;

/// What is left to do when the loop has ended, found out while it ran.
#[derive(Default)]
pub(crate) struct HandOver {
    /// What goes into the ticket, until it is committed.
    pub(crate) draft: Option<TicketDraft>,
    /// The command that the restart is carried out for.
    pub(crate) command: Option<CommandId>,
    /// What has joined it: each ends with it.
    pub(crate) joined: Vec<CommandId>,
    /// The ticket on disk.
    pub(crate) ticket: Option<CommittedTicket>,
    /// How this process makes way.
    pub(crate) way: Option<Way>,
    /// Takes the request back, where that is possible.
    pub(crate) call_off: Option<CallOff>,
    /// When the order came, since boot.
    pub(crate) ordered_at: Duration,
    /// When the checks had passed, since boot.
    pub(crate) checked_at: Duration,
    /// When this process has to have ended, since boot.
    pub(crate) until: Duration,
}

/// How this process makes way for its successor.
pub(crate) enum Way {
    /// By ending: whoever sent SIGTERM starts the successor.
    End,
    /// By executing the successor itself; the watchdog, if one is armed, does it at the deadline if this process is stuck.
    Exec(ExecPlan, Option<ExecWatchdog>),
    /// By ending with status 75, upon which systemd starts the unit again.
    ExitWith75,
}

/// The host of one run of the loop.
pub(crate) struct LoopHost {
    pub(crate) core: Arc<Core>,
    /// Locked as long as the controller is being asked, so that whoever needs the result waits for it.
    pub(crate) hand_over: Arc<Mutex<HandOver>>,
    /// To the loop, for what the controller learns later.
    pub(crate) requests: mpsc::Sender<Event>,
    /// To whoever passes the steps on; `None` is the end.
    pub(crate) progress: mpsc::UnboundedSender<Option<Progress>>,
}

#[async_trait]
impl Host for LoopHost {
    fn module(&self, name: &ModuleName) -> Option<Arc<dyn Module>> {
        self.core.supervisor.instance(name)
    }

    fn runtime_of(&self, name: &ModuleName) -> Option<Handle> {
        self.core.supervisor.runtime_of(name)
    }

    async fn keep_state(&self, name: &ModuleName, state: SavedState) -> Result<(), String> {
        let Some((version, bytes)) = state.payload() else { return Ok(()) };
        let (core, name, bytes) = (Arc::clone(&self.core), name.clone(), bytes.to_vec());
        let saving = move || core.supervisor.states().save(&name, version, &bytes);
        match tokio::task::spawn_blocking(saving).await {
            Ok(saved) => saved.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn release(&self, name: &ModuleName) {
        self.core.supervisor.end(name, ModuleState::Stopped);
    }

    fn abandon(&self, name: &ModuleName) {
        self.core.supervisor.end(name, ModuleState::Stopped);
    }

    async fn request_replacement(&self) -> Event {
        // In a task of its own: SIGTERM may come before the controller has answered, and the request that brought it
        // must not be dropped half-way.
        let hand_over = Arc::clone(&self.hand_over).lock_owned().await;
        let asking = ask(Arc::clone(&self.core), hand_over, self.requests.clone());
        tokio::spawn(asking)
            .await
            .unwrap_or_else(|error| Event::ReplacementRefused(error.to_string()))
    }

    fn report(&self, progress: Progress) {
        let core = &self.core;
        if progress.stage == "close" {
            core.closed_at.get_or_init(boottime);
        }
        // What execs in place does not end for the service manager, which would kill a process that said so. A plain stop
        // has no gate: there, the first sign of a module shows that the end has begun.
        // One that leaves by its exit status says nothing either: a unit that calls itself stopping gets no SIGTERM from
        // `systemctl stop` any more, and the stop would be taken for the restart.
        let unannounced = core.controller.method() == Method::Exec
            || core.leaves_unannounced.load(Ordering::Relaxed);
        let leaves = progress.stage == "close" && !unannounced;
        if leaves || core.activity().state == "stopping" {
            core.begin_ending();
        }
        // An answer that nobody waits for is no step forward.
        if progress.stage != "late" {
            core.extend_patience();
        }
        // Without a receiver nobody watches this run.
        drop(self.progress.send(Some(progress)));
    }
}

/// Commits the ticket and asks the controller. What is left to do is in `hand_over` when the lock is free again.
async fn ask(
    core: Arc<Core>,
    mut hand_over: OwnedMutexGuard<HandOver>,
    requests: mpsc::Sender<Event>,
) -> Event {
    let drained = Stamp::now("drained");
    let Some(mut draft) = hand_over.draft.take() else {
        return Event::ReplacementRefused("the replacement was asked for before".to_owned());
    };
    // Under systemd each sensor goes to its store by itself, until the end.
    core.supervisor.sensors_are_handed_over(core.controller.method() != Method::Systemd);
    let fds = match core.descriptors.descriptors() {
        Ok(fds) => fds,
        Err(error) => {
            let text = format!("the descriptors cannot be handed over: {error}");
            return Event::ReplacementRefused(text);
        }
    };
    if let Some(command) = hand_over.command.clone() {
        // Not cut short: what has joined and is not in the ticket would be under way for nobody.
        let joined = super::waiting::seal(&core, &command).await;
        hand_over.joined.extend(joined);
    }
    draft.command_ids.extend(hand_over.joined.iter().map(ToString::to_string));
    let mut ticket = match draft.commit(&core.paths.state(super::TICKET)) {
        Ok(ticket) => ticket,
        Err(error) => return Event::ReplacementRefused(error.to_string()),
    };
    ticket.add_stamp(Stamp::at("ordered", hand_over.ordered_at));
    ticket.add_stamp(Stamp::at("checked", hand_over.checked_at));
    ticket.add_stamp(drained);
    let remaining = hand_over.until.saturating_sub(boottime());
    let requested = core.controller.request(&mut ticket, fds, remaining).await;
    hand_over.ticket = Some(ticket);
    let (way, event) = match requested {
        Ok(requested) => follow(&core, requested, &mut hand_over, requests),
        Err(error) => (None, Event::ReplacementRefused(error.to_string())),
    };
    hand_over.way = way;
    event
}

/// What a request that was granted means for this process, and for the loop.
fn follow(
    core: &Core,
    requested: Requested,
    hand_over: &mut HandOver,
    requests: mpsc::Sender<Event>,
) -> (Option<Way>, Event) {
    match requested {
        Requested::SigtermWillCome { fate, call_off } => {
            hand_over.call_off = call_off;
            tokio::spawn(async move {
                if let Ok(reason) = fate.await {
                    // The loop may have ended by then; then nobody needs to know.
                    drop(requests.send(Event::ReplacementRefused(reason)).await);
                }
            });
            (Some(Way::End), Event::ReplacementAccepted)
        }
        Requested::ExecWhenStopped(plan) => {
            match plan.arm_watchdog(hand_over.until.saturating_sub(boottime())) {
                Ok(watchdog) => {
                    (Some(Way::Exec(plan, Some(watchdog))), Event::ReplacementUnconditional)
                }
                Err(error) => (None, Event::ReplacementRefused(error.to_string())),
            }
        }
        Requested::ExitWith75 => {
            core.leaves_unannounced.store(true, Ordering::Relaxed);
            (Some(Way::ExitWith75), Event::ReplacementUnconditional)
        }
    }
}
