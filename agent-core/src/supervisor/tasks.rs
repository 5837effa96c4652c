//! The background tasks of one instance of a module: watched, and aborted together.

use std::sync::{Arc, Mutex, PoisonError};

use module_api::{ModuleName, Task, TaskSpawner};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// A module whose background task ended with an error or a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which module.
    pub(crate) module: ModuleName,
    /// Which of its instances, counted from 1; a failure of an earlier instance means nothing any more.
    pub(crate) run: u64,
    /// Which task, and why.
    pub(crate) reason: String,
}

/// The tasks of one instance.
#[derive(Debug)]
pub(crate) struct WatchedTasks {
    module: ModuleName,
    run: u64,
    failures: mpsc::UnboundedSender<Failure>,
    /// Where the tasks run, and where they are watched: a module that blocks its threads must not blind its watcher.
    runs_on: Handle,
    watched_on: Handle,
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    ended: bool,
    handles: Vec<AbortHandle>,
}

impl WatchedTasks {
    /// Tasks run on `runs_on` and are watched from the runtime that this is called in.
    pub(crate) fn new(
        module: ModuleName,
        run: u64,
        failures: mpsc::UnboundedSender<Failure>,
        runs_on: Handle,
    ) -> Arc<Self> {
        let watched_on = Handle::current();
        Arc::new(Self { module, run, failures, runs_on, watched_on, tasks: Mutex::default() })
    }

    /// Aborts all tasks; what is spawned from now on is not run.
    pub(crate) fn end(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.ended = true;
        for task in tasks.handles.drain(..) {
            task.abort();
        }
    }
}

impl TaskSpawner for WatchedTasks {
    fn spawn(&self, label: &'static str, task: Task) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.ended {
            return;
        }
        tasks.handles.retain(|handle| !handle.is_finished());
        let work = self.runs_on.spawn(task);
        tasks.handles.push(work.abort_handle());
        let (module, run, failures) = (self.module.clone(), self.run, self.failures.clone());
        self.watched_on.spawn(async move {
            let reason = match work.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(ended) if ended.is_cancelled() => return,
                Err(panicked) => panicked.to_string(),
            };
            let failure = Failure { module, run, reason: format!("task {label}: {reason}") };
            // Without a receiver the agent is ending, and nothing is to be supervised.
            drop(failures.send(failure));
        });
    }
}
