//! Drives the shutdown loop: the only place that awaits a module while it is shut down.

use std::collections::HashMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use module_api::{Module, ModuleName, Readiness, SavedState};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::clock::Clock;
use crate::event::{Answer, Call, Effect, Event, Progress, ShutdownOutcome};
use crate::machine::Shutdown;

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
        if let Some(outcome) = shutdown.outcome() {
            let outcome = outcome.clone();
            // Modules that are told to resume do so on their own; one that hangs there is left to itself.
            calls.running.detach_all();
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

/// The calls under way.
struct Calls {
    host: Arc<dyn Host>,
    running: JoinSet<Option<Event>>,
    pending: HashMap<Id, Pending>,
    of_module: HashMap<ModuleName, Running>,
}

/// The one call that a module has.
struct Running {
    attempt: u32,
    task: AbortHandle,
    /// The call that follows one that was given up: a module is not called again before that has been dropped, which
    /// takes until its next await. One that blocks its thread is not called at all.
    next: Option<(Call, u32)>,
}

/// What a task works on, to name it when it panics.
#[derive(Debug)]
enum Pending {
    Call { module: ModuleName, attempt: u32 },
    Resume,
    Replacement,
}

impl Calls {
    fn of(host: Arc<dyn Host>) -> Self {
        Self { host, running: JoinSet::new(), pending: HashMap::new(), of_module: HashMap::new() }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Call { module, call, attempt } => self.call(module, call, attempt),
            Effect::GiveUp { module, attempt } => {
                if let Some(running) = self.of_module.get_mut(&module) {
                    running.next.take_if(|(_, number)| *number == attempt);
                    if running.attempt == attempt {
                        running.task.abort();
                    }
                }
            }
            Effect::Release { module } => self.host.release(&module),
            Effect::Abandon { module } => self.host.abandon(&module),
            Effect::Resume { module } => {
                let host = Arc::clone(&self.host);
                let runtime = host.runtime_of(&module);
                self.spawn(Pending::Resume, runtime, async move {
                    if let Some(module) = host.module(&module) {
                        module.resume().await;
                    }
                    None
                });
            }
            Effect::RequestReplacement => {
                let host = Arc::clone(&self.host);
                self.spawn(Pending::Replacement, None, async move {
                    Some(host.request_replacement().await)
                });
            }
            Effect::Report(progress) => self.host.report(progress),
        }
    }

    fn call(&mut self, module: ModuleName, call: Call, attempt: u32) {
        if let Some(running) = self.of_module.get_mut(&module) {
            running.next = Some((call, attempt));
            return;
        }
        let host = Arc::clone(&self.host);
        let runtime = host.runtime_of(&module);
        let pending = Pending::Call { module: module.clone(), attempt };
        let name = module.clone();
        let task = self.spawn(pending, runtime, async move {
            let answer = call_module(host.as_ref(), &module, call).await;
            Some(Event::Answered { module, attempt, answer })
        });
        self.of_module.insert(name, Running { attempt, task, next: None });
    }

    fn spawn(
        &mut self,
        pending: Pending,
        runtime: Option<Handle>,
        work: impl Future<Output = Option<Event>> + Send + 'static,
    ) -> AbortHandle {
        let task = match runtime {
            Some(runtime) => self.running.spawn_on(work, &runtime),
            None => self.running.spawn(work),
        };
        self.pending.insert(task.id(), pending);
        task
    }

    /// What the end of a task means to the machine; `None` if nothing.
    fn answer(&mut self, ended: Result<(Id, Option<Event>), JoinError>) -> Option<Event> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let pending = self.pending.remove(&id)?;
        if let Pending::Call { module, .. } = &pending
            && let Some(Running { next: Some((call, attempt)), .. }) = self.of_module.remove(module)
        {
            self.call(module.clone(), call, attempt);
        }
        let error = match ended {
            Ok((_, event)) => return event,
            Err(error) if error.is_cancelled() => return None,
            Err(error) => error,
        };
        let reason = panic_message(error);
        match pending {
            Pending::Call { module, attempt } => {
                Some(Event::Answered { module, attempt, answer: Answer::Failed(reason) })
            }
            Pending::Replacement => Some(Event::ReplacementRefused(reason)),
            Pending::Resume => {
                tracing::warn!(%reason, "a module failed to resume");
                None
            }
        }
    }
}

async fn call_module(host: &dyn Host, name: &ModuleName, call: Call) -> Answer {
    let Some(module) = host.module(name) else { return Answer::Done };
    match call {
        Call::Ask => match module.ready_for_shutdown().await {
            Readiness::Ready => Answer::Done,
            Readiness::Busy { reason } => Answer::Busy(reason),
        },
        Call::Save => match module.save_state().await {
            Ok(state) => match host.keep_state(name, state).await {
                Ok(()) => Answer::Done,
                Err(reason) => Answer::Failed(reason),
            },
            Err(error) => Answer::Failed(error.to_string()),
        },
        Call::Stop => match module.stop().await {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Failed(error.to_string()),
        },
    }
}

/// The message of a task's panic.
fn panic_message(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "the task was cancelled".to_owned() };
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("without a message");
    format!("panicked: {text}")
}
