//! The calls to modules that are under way: one task for each, so that a module that panics or blocks harms nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use module_api::{ModuleName, Readiness};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::Host;
use crate::event::{Answer, Call, Effect, Event};

/// The calls under way.
///
/// With ten thousand modules it is the searching by name that takes the time, so it is avoided where the module can be
/// guessed: mostly it is the one that has just answered, or the one after the last.
pub(super) struct Calls {
    host: Arc<dyn Host>,
    pub(super) running: JoinSet<Option<Event>>,
    /// Set by whichever comes first: the request for the replacement, or the end of the loop, after which it must not go out.
    over: Arc<AtomicBool>,
    pending: HashMap<Id, Pending>,
    /// Every module that was called so far, in that order, and where it is in it.
    called: Vec<Called>,
    numbers: HashMap<ModuleName, usize>,
    last: usize,
}

/// A module that was called, and the one call that it has.
struct Called {
    module: ModuleName,
    running: Option<Running>,
}

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
    Call { number: usize, attempt: u32 },
    Resume,
    Replacement,
}

impl Calls {
    pub(super) fn of(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            running: JoinSet::new(),
            over: Arc::default(),
            pending: HashMap::new(),
            called: Vec::new(),
            numbers: HashMap::new(),
            last: 0,
        }
    }

    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Call { module, call, attempt } => self.call(module, call, attempt),
            Effect::GiveUp { module, attempt } => self.give_up(&module, attempt),
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
                let (host, over) = (Arc::clone(&self.host), Arc::clone(&self.over));
                self.spawn(Pending::Replacement, None, async move {
                    if over.swap(true, Ordering::AcqRel) {
                        return None;
                    }
                    Some(host.request_replacement().await)
                });
            }
            Effect::Report(progress) => self.host.report(progress),
        }
    }

    /// Leaves what still runs to itself: a module that hangs while it resumes, a controller that has not answered.
    ///
    /// Returns whether the replacement was about to be requested; now it never is.
    pub(super) fn leave(&mut self) -> bool {
        let unasked = !self.over.swap(true, Ordering::AcqRel);
        self.running.detach_all();
        unasked && self.pending.values().any(|task| matches!(task, Pending::Replacement))
    }

    fn call(&mut self, module: ModuleName, call: Call, attempt: u32) {
        let number = self.find(&module).unwrap_or_else(|| {
            let number = self.called.len();
            self.called.push(Called { module: module.clone(), running: None });
            self.numbers.insert(module.clone(), number);
            number
        });
        self.last = number;
        if let Some(Called { running: Some(running), .. }) = self.called.get_mut(number) {
            running.next = Some((call, attempt));
            return;
        }
        self.begin(number, module, call, attempt);
    }

    fn find(&self, module: &ModuleName) -> Option<usize> {
        let is_it =
            |number: &usize| self.called.get(*number).is_some_and(|it| it.module == *module);
        let guesses = [self.last, self.last + 1];
        guesses.into_iter().find(is_it).or_else(|| self.numbers.get(module).copied())
    }

    fn begin(&mut self, number: usize, module: ModuleName, call: Call, attempt: u32) {
        let host = Arc::clone(&self.host);
        let runtime = host.runtime_of(&module);
        let task = self.spawn(Pending::Call { number, attempt }, runtime, async move {
            let answer = call_module(host.as_ref(), &module, call).await;
            Some(Event::Answered { module, attempt, answer })
        });
        if let Some(called) = self.called.get_mut(number) {
            called.running = Some(Running { attempt, task, next: None });
        }
    }

    fn give_up(&mut self, module: &ModuleName, attempt: u32) {
        let number = self.find(module);
        let called = number.and_then(|number| self.called.get_mut(number));
        if let Some(running) = called.and_then(|called| called.running.as_mut()) {
            running.next.take_if(|(_, number)| *number == attempt);
            if running.attempt == attempt {
                running.task.abort();
            }
        }
    }

    /// The module's call has ended: the one that waited for that begins.
    fn ended(&mut self, number: usize) {
        self.last = number;
        let Some(called) = self.called.get_mut(number) else { return };
        if let Some(Running { next: Some((call, attempt)), .. }) = called.running.take() {
            let module = called.module.clone();
            self.begin(number, module, call, attempt);
        }
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
    pub(super) fn answer(
        &mut self,
        ended: Result<(Id, Option<Event>), JoinError>,
    ) -> Option<Event> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let pending = self.pending.remove(&id)?;
        if let Pending::Call { number, .. } = pending {
            self.ended(number);
        }
        let error = match ended {
            Ok((_, event)) => return event,
            Err(error) if error.is_cancelled() => return None,
            Err(error) => error,
        };
        let reason = panic_message(error);
        match pending {
            Pending::Call { number, attempt } => {
                let module = self.called.get(number)?.module.clone();
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use module_api::{Act, Module, SavedState, Script, ScriptedModule};

    use super::*;
    use crate::event::Progress;

    struct One(Arc<ScriptedModule>, Mutex<Vec<&'static str>>);

    #[async_trait]
    impl Host for One {
        fn module(&self, _: &ModuleName) -> Option<Arc<dyn Module>> {
            Some(Arc::clone(&self.0) as Arc<dyn Module>)
        }
        async fn keep_state(&self, _: &ModuleName, _: SavedState) -> Result<(), String> {
            Ok(())
        }
        fn release(&self, _: &ModuleName) {}
        fn abandon(&self, _: &ModuleName) {
            self.1.lock().unwrap().push("abandoned");
        }
        async fn request_replacement(&self) -> Event {
            Event::ReplacementUnconditional
        }
        fn report(&self, _: Progress) {}
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_before_it_began_is_never_made() {
        let name = ModuleName::new("fim").unwrap();
        let script = Script { save: vec![Act::Hang], ..Script::default() };
        let module = Arc::new(ScriptedModule::new(name.clone(), script));
        let mut calls = Calls::of(Arc::new(One(Arc::clone(&module), Mutex::default())));
        let call = |call, attempt| Effect::Call { module: name.clone(), call, attempt };
        let give_up = |attempt| Effect::GiveUp { module: name.clone(), attempt };
        calls.perform(call(Call::Save, 1));
        tokio::task::yield_now().await;
        for effect in [give_up(1), call(Call::Stop, 2), give_up(2)] {
            calls.perform(effect);
        }
        while let Some(ended) = calls.running.join_next_with_id().await {
            assert_eq!(calls.answer(ended), None, "nothing was answered");
        }
        let made: Vec<&str> = module.calls().iter().map(|call| call.method).collect();
        assert_eq!(made, ["save_state"]);
    }
}
