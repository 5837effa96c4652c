//! Questions to running modules, each on the threads of its instance and to the harm of nobody but the asker.

use std::sync::Arc;
use std::time::Duration;

use module_api::{AskError, Module, ModuleName, Question};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{ModuleState, Supervisor};

/// Why a module has not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskModuleError {
    /// No such module.
    #[error("there is no module {0}")]
    Unknown(ModuleName),
    /// It cannot be asked now.
    #[error("module {module} does not run now, it is {state}")]
    NotRunning {
        /// Which module.
        module: ModuleName,
        /// Where it is in its life.
        state: ModuleState,
    },
    /// Its instance was ended before it had answered.
    #[error("module {0} was ended before it had answered")]
    Ended(ModuleName),
    /// It does not answer this question.
    #[error("module {module}: {error}")]
    Refused {
        /// Which module.
        module: ModuleName,
        /// What it said.
        error: AskError,
    },
    /// Its answer panicked.
    #[error("module {module} failed while it answered: {reason}")]
    Panicked {
        /// Which module.
        module: ModuleName,
        /// What it said.
        reason: String,
    },
    /// It took longer than it may.
    #[error("module {module} has not answered within {within:?}")]
    TookTooLong {
        /// Which module.
        module: ModuleName,
        /// What it had.
        within: Duration,
    },
}

impl Supervisor {
    /// Asks the running instance of a module. Dropping this gives the question up.
    ///
    /// # Errors
    /// [`AskModuleError`]. Whatever goes wrong, the module is as it was to the supervisor.
    pub(crate) async fn ask(
        &self,
        name: &ModuleName,
        question: Question,
        within: Duration,
    ) -> Result<Value, AskModuleError> {
        let (module, handle) = self.who_answers(name)?;
        // In a task of its own on the module's threads, so that a panic is an error and nothing else; dropped with this call.
        let mut asking = JoinSet::new();
        asking.spawn_on(async move { module.ask(question).await }, &handle);
        let module = name.clone();
        match tokio::time::timeout(within, asking.join_next()).await {
            Ok(Some(Ok(Ok(answer)))) => Ok(answer),
            Ok(Some(Ok(Err(error)))) => Err(AskModuleError::Refused { module, error }),
            Ok(Some(Err(error))) if error.is_panic() => {
                Err(AskModuleError::Panicked { module, reason: error.to_string() })
            }
            Ok(Some(Err(_)) | None) => Err(AskModuleError::Ended(module)),
            Err(_) => Err(AskModuleError::TookTooLong { module, within }),
        }
    }

    fn who_answers(&self, name: &ModuleName) -> Result<(Arc<dyn Module>, Handle), AskModuleError> {
        let slots = self.lock();
        let slot = slots.get(name).ok_or_else(|| AskModuleError::Unknown(name.clone()))?;
        let running = slot.running.as_ref().filter(|_| slot.state == ModuleState::Running);
        running
            .and_then(|it| Some((Arc::clone(&it.module), it.runtime.handle()?.clone())))
            .ok_or_else(|| AskModuleError::NotRunning { module: name.clone(), state: slot.state })
    }
}
