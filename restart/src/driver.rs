//! Drives the shutdown loop: the only place that awaits a module while it is shut down.

mod calls;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use module_api::{Module, ModuleName, SavedState};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::event::{Effect, Ending, Event, Progress, ShutdownOutcome};
use crate::machine::Shutdown;
use calls::Calls;

/// What the driver needs from whoever runs the modules.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// The running instance, or `None` when the module does not run (then it counts as ready, saved and stopped).
    fn module(&self, name: &ModuleName) -> Option<Arc<dyn Module>>;

    /// Where calls to the module are run, if not on the runtime of the driver. A module that blocks its thread
    /// should have a runtime of its own: then it harms nobody else.
    fn runtime_of(&self, _name: &ModuleName) -> Option<Handle> {
        None
    }

    /// Makes what `save_state` returned durable. Runs within the module's save budget; may be dropped at any await.
    ///
    /// # Errors
    /// Why the state could not be kept, naming the file.
    async fn keep_state(&self, name: &ModuleName, state: SavedState) -> Result<(), String>;

    /// The module has stopped by itself: lets go of the instance, so that nothing calls it any more. Does not wait.
    fn release(&self, name: &ModuleName);

    /// Aborts what the module still runs and closes its sink; does not wait.
    fn abandon(&self, name: &ModuleName);

    /// Commits the ticket and asks the controller. Answers with [`Event::ReplacementAccepted`],
    /// [`Event::ReplacementUnconditional`] or [`Event::ReplacementRefused`].
    async fn request_replacement(&self) -> Event;

    /// Takes one step of progress; must not block.
    fn report(&self, progress: Progress);
}

/// Runs the loop to its end and returns the outcome.
///
/// `requests` brings signals and orders (SIGTERM, stop, force); when it is closed the loop goes on without. Dropping
/// the future drops all running calls to modules. It ends by time alone, no later than `Limits::overall` plus the time
/// that the runtime needs to run it.
pub async fn drive(
    host: Arc<dyn Host>,
    (mut shutdown, mut effects): (Shutdown, Vec<Effect>),
    clock: &dyn Clock,
    mut requests: mpsc::Receiver<Event>,
) -> ShutdownOutcome {
    let mut calls = Calls::of(host);
    let mut alarm = Alarm { clock, set: None };
    let mut requests_open = true;
    loop {
        for effect in effects {
            calls.perform(effect);
        }
        if let Some(mut outcome) = shutdown.take_outcome() {
            // No controller knew of the restart yet, so the SIGTERM that ended it was an operator's.
            if calls.leave() {
                outcome.unanswered_sigterm = false;
                if outcome.ending == Ending::Ended {
                    outcome.ending = Ending::StoppedInstead;
                }
            }
            return outcome;
        }
        alarm.set(shutdown.next_deadline());
        let event = loop {
            // Always in this order, so that the same happenings lead to the same end: an answer that came in time counts,
            // and each call has only one, so that answers cannot keep the others waiting.
            tokio::select! {
                biased;
                Some(ended) = calls.running.join_next_with_id() => {
                    if let Some(event) = calls.answer(ended) {
                        break event;
                    }
                }
                () = alarm.rings() => break Event::DeadlinePassed,
                request = requests.recv(), if requests_open => match request {
                    Some(event) => break event,
                    None => requests_open = false,
                },
            }
        };
        effects = shutdown.step(clock.now(), event);
    }
}

/// The next deadline, waited for by one sleep as long as it stays the same.
struct Alarm<'a> {
    clock: &'a dyn Clock,
    set: Option<(Instant, Sleep<'a>)>,
}

type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl<'a> Alarm<'a> {
    fn set(&mut self, deadline: Option<Instant>) {
        if self.set.as_ref().map(|(at, _)| *at) != deadline {
            let clock: &'a dyn Clock = self.clock;
            self.set = deadline.map(|at| (at, clock.sleep_until(at)));
        }
    }

    /// Returns at the deadline, and never without one. Cancel safe. The alarm is off afterwards.
    async fn rings(&mut self) {
        match &mut self.set {
            Some((_, sleep)) => sleep.await,
            None => pending().await,
        }
        self.set = None;
    }
}
