//! Background work of a module, watched by the agent.

use std::future::Future;
use std::pin::Pin;

use crate::ModuleError;

/// A piece of background work.
pub type Task = Pin<Box<dyn Future<Output = Result<(), ModuleError>> + Send + 'static>>;

/// Starts background work that the agent watches.
///
/// Work that ends with `Ok` has simply finished. Work that ends with an error or a panic is the failure of the
/// module: all its other tasks are aborted, and a new instance is built and started after a back-off. An abandoned
/// module's tasks are aborted too. Blocking calls belong in `tokio::task::spawn_blocking` within a task; those
/// cannot be aborted, so they have to be short.
pub trait TaskSpawner: Send + Sync {
    /// Starts `task` at once. `label` names it in logs: "tail", "scan".
    fn spawn(&self, label: &'static str, task: Task);
}

impl dyn TaskSpawner {
    /// [`TaskSpawner::spawn`] for a future that is not boxed yet.
    pub fn run<F>(&self, label: &'static str, future: F)
    where
        F: Future<Output = Result<(), ModuleError>> + Send + 'static,
    {
        self.spawn(label, Box::pin(future));
    }
}
