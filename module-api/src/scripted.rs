//! A module whose answers and delays are written down beforehand, for tests of those who run modules.

mod act;
mod kind;
mod publisher;
mod record;
mod script;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    AskError, Module, ModuleError, ModuleName, Question, Readiness, SavedState, SensorFd,
    StartContext,
};

pub use act::Act;
pub use kind::ScriptedKind;
pub use publisher::Publication;
pub use record::{Call, CallEnd, HowEnded};
pub use script::{Lie, Script};

use publisher::{Phase, Publisher};
use record::Record;
use watcher::Watcher;

/// A module that follows a [`Script`] and records every call and every event that it publishes.
///
/// Nothing in it is left to chance: the same calls at the same times give the same answers. All waiting is on tokio's
/// clock, so under paused time hours pass in milliseconds.
#[derive(Debug)]
pub struct ScriptedModule {
    name: ModuleName,
    script: Script,
    record: Record,
    publisher: Arc<Publisher>,
    watcher: Arc<Watcher>,
}

impl ScriptedModule {
    /// A module that will act as written in `script`.
    #[must_use]
    pub fn new(name: ModuleName, script: Script) -> Self {
        let publisher = Publisher::new(name.clone(), &script);
        let watcher = Watcher::new(name.clone(), &script);
        Self { name, script, record: Record::default(), publisher, watcher }
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.record.calls()
    }

    /// Every event that this instance tried to publish, and what it was told, in order. An attempt that was given up or
    /// is still under way is not among them.
    #[must_use]
    pub fn publications(&self) -> Vec<Publication> {
        self.publisher.publications()
    }

    /// How many events this instance has published. The number of a module that nobody touches keeps growing.
    #[must_use]
    pub fn published(&self) -> usize {
        self.publications().iter().filter(|publication| publication.told.is_ok()).count()
    }

    /// Records the call and plays its act. `Err` is a failure, `Ok(false)` means busy.
    async fn play(&self, method: &'static str, acts: &[Act]) -> Result<bool, ModuleError> {
        let call = self.record.begin(method);
        let act = acts.get(call.number).or_else(|| acts.last());
        let (delay, act) = act.map_or((Duration::ZERO, &Act::Ok), Act::unfold);
        let delay = delay.saturating_add(Duration::from_millis(self.script.slow_by_ms));
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let answer = match act {
            Act::Busy => Ok(false),
            Act::Fail => Err(ModuleError::new(format!("{method} fails as scripted"))),
            Act::Hang => std::future::pending().await,
            #[expect(clippy::panic, reason = "panicking is what the script asks for")]
            Act::Panic => {
                call.panicking();
                panic!("{method} panics as scripted");
            }
            Act::Block => loop {
                std::thread::park();
            },
            // Delays were waited for above.
            Act::Ok | Act::OkAfterMs(_) | Act::AfterMs(..) => Ok(true),
        };
        call.answered();
        answer
    }
}

#[async_trait]
impl Module for ScriptedModule {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, mut context: StartContext) -> Result<(), ModuleError> {
        self.play("start", &self.script.start).await?;
        if let Some(millis) = self.script.fail_after_ms {
            context.tasks.run("scripted failure", async move {
                sleep(Duration::from_millis(millis)).await;
                Err(ModuleError::new("the background task fails as scripted"))
            });
        }
        self.watcher.start(&mut context)?;
        self.publisher.start(context)
    }

    async fn sensors(&self) -> Result<Vec<SensorFd>, ModuleError> {
        self.watcher.sensors()
    }

    async fn ask(&self, question: Question) -> Result<Value, AskError> {
        match self.play("ask", &self.script.ask).await {
            Ok(true) if question.verb == "echo" => Ok(Value::Object(question.arguments)),
            Ok(true) => Err(AskError::UnknownVerb { verb: question.verb, known: vec!["echo"] }),
            Ok(false) => Err(AskError::Invalid("invalid as scripted".to_owned())),
            Err(error) => Err(AskError::Failed(error.to_string())),
        }
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        self.publisher.enter(Phase::Asked);
        match self.play("ready_for_shutdown", &self.script.ready).await {
            Ok(true) => Readiness::Ready,
            Ok(false) => Readiness::busy("busy as scripted"),
            Err(error) => Readiness::busy(error.to_string()),
        }
    }

    async fn resume(&self) {
        // A failure to resume has no answer in the trait; the call itself is in the record.
        drop(self.play("resume", &self.script.resume).await);
        self.publisher.enter(Phase::Working);
    }

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        self.publisher.enter(Phase::Saved);
        self.play("save_state", &self.script.save).await?;
        Ok(SavedState::new(1, self.publisher.state()))
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        self.play("stop", &self.script.stop).await?;
        self.watcher.stop().await;
        self.publisher.stop().await;
        Ok(())
    }
}
