//! A module whose answers and delays are written down beforehand, for tests of those who run modules.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Module, ModuleError, ModuleKind, ModuleName, Readiness, SavedState, SectionError, StartContext,
    parse_section,
};

/// What a scripted module does when one of its methods is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Answers well: started, ready, saved, stopped.
    Ok,
    /// Answers busy to `ready_for_shutdown`; the same as `Ok` elsewhere.
    Busy,
    /// Fails; `ready_for_shutdown` cannot fail and answers busy.
    Fail,
    /// Never answers, but lets the runtime go on.
    Hang,
    /// Panics.
    Panic,
    /// Never answers and keeps its runtime thread for itself.
    Block,
    /// Waits this many milliseconds, then answers well.
    OkAfterMs(u64),
}

/// The acts of each method, by number of the call. The last act is repeated; an empty list means `Ok`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Acts of `start`.
    pub start: Vec<Act>,
    /// Acts of `ready_for_shutdown`.
    pub ready: Vec<Act>,
    /// Acts of `save_state`.
    pub save: Vec<Act>,
    /// Acts of `stop`.
    pub stop: Vec<Act>,
    /// Acts of `resume`.
    pub resume: Vec<Act>,
    /// Fails, as a module whose background task ends with an error, this many milliseconds after each start.
    pub fail_after_ms: Option<u64>,
}

/// One call that a scripted module received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method's name.
    pub method: &'static str,
    /// When, on tokio's clock (which tests may pause).
    pub at: tokio::time::Instant,
}

/// A module that follows a [`Script`] and records every call.
#[derive(Debug)]
pub struct ScriptedModule {
    name: ModuleName,
    script: Script,
    calls: Mutex<Vec<Call>>,
}

impl ScriptedModule {
    /// A module that will act as written in `script`.
    #[must_use]
    pub fn new(name: ModuleName, script: Script) -> Self {
        Self { name, script, calls: Mutex::new(Vec::new()) }
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records the call and plays its act. `Err` is a failure, `Ok(false)` means busy.
    async fn play(&self, method: &'static str, acts: &[Act]) -> Result<bool, ModuleError> {
        let number = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(Call { method, at: tokio::time::Instant::now() });
            calls.iter().filter(|call| call.method == method).count() - 1
        };
        match acts.get(number).or_else(|| acts.last()) {
            None | Some(Act::Ok) => Ok(true),
            Some(Act::Busy) => Ok(false),
            Some(Act::Fail) => Err(ModuleError::new(format!("{method} fails as scripted"))),
            Some(Act::Hang) => std::future::pending().await,
            #[expect(clippy::panic, reason = "panicking is what the script asks for")]
            Some(Act::Panic) => panic!("{method} panics as scripted"),
            Some(Act::Block) => loop {
                std::thread::park();
            },
            Some(Act::OkAfterMs(millis)) => {
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                Ok(true)
            }
        }
    }
}

#[async_trait]
impl Module for ScriptedModule {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        self.play("start", &self.script.start).await?;
        if let Some(millis) = self.script.fail_after_ms {
            context.tasks.run("scripted failure", async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Err(ModuleError::new("the background task fails as scripted"))
            });
        }
        Ok(())
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        match self.play("ready_for_shutdown", &self.script.ready).await {
            Ok(true) => Readiness::Ready,
            Ok(false) => Readiness::busy("busy as scripted"),
            Err(error) => Readiness::busy(error.to_string()),
        }
    }

    async fn resume(&self) {
        // A failure to resume has no answer in the trait; the call itself is in the record.
        drop(self.play("resume", &self.script.resume).await);
    }

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        self.play("save_state", &self.script.save).await?;
        Ok(SavedState::new(1, b"scripted".to_vec()))
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        self.play("stop", &self.script.stop).await.map(drop)
    }
}

/// The kind of [`ScriptedModule`] whose script is its section of the configuration.
#[derive(Debug)]
pub struct ScriptedKind(pub ModuleName);

impl ModuleKind for ScriptedKind {
    fn name(&self) -> &ModuleName {
        &self.0
    }

    fn build(&self, section: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        let script: Script = parse_section(section)?;
        Ok(Arc::new(ScriptedModule::new(self.0.clone(), script)))
    }
}
