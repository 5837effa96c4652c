//! The modules that are measured: they do nothing, each at its pace.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use module_api::{Module, ModuleError, ModuleName, Readiness, SavedState, StartContext};

/// How a module answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Without an await.
    AtOnce,
    /// After it has let others run once, at each call.
    Yields,
    /// After this time, at each call.
    Waits(Duration),
    /// At once, but `save_state` after this time.
    SavesFor(Duration),
}

struct Idle {
    name: ModuleName,
    pace: Pace,
}

impl Idle {
    async fn call(&self) {
        match self.pace {
            Pace::AtOnce | Pace::SavesFor(_) => {}
            Pace::Yields => tokio::task::yield_now().await,
            Pace::Waits(time) => tokio::time::sleep(time).await,
        }
    }
}

#[async_trait]
impl Module for Idle {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, _context: StartContext) -> Result<(), ModuleError> {
        Ok(())
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        self.call().await;
        Readiness::Ready
    }

    async fn resume(&self) {}

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        self.call().await;
        if let Pace::SavesFor(time) = self.pace {
            tokio::time::sleep(time).await;
        }
        Ok(SavedState::none())
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        self.call().await;
        Ok(())
    }
}

/// `count` modules with names of the length of real ones.
pub(crate) fn modules(
    prefix: &str,
    count: usize,
    pace: Pace,
) -> Result<Vec<Arc<dyn Module>>, String> {
    let named = names(prefix, count)?.into_iter();
    Ok(named.map(|name| -> Arc<dyn Module> { Arc::new(Idle { name, pace }) }).collect())
}

pub(crate) fn names(prefix: &str, count: usize) -> Result<Vec<ModuleName>, String> {
    let name = |number| ModuleName::new(&format!("{prefix}-{number}"));
    (0..count).map(name).collect::<Result<_, _>>().map_err(|error| error.to_string())
}
