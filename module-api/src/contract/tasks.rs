//! Starts the background tasks of an instance, counts those that live, and notes those that fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::attempt::caught;
use crate::{Task, TaskSpawner};

/// The tasks of one instance, on the runtime of the check.
#[derive(Debug)]
pub(super) struct CountedTasks {
    live: Arc<watch::Sender<usize>>,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    ended: bool,
    handles: Vec<AbortHandle>,
    failures: Vec<String>,
}

impl CountedTasks {
    pub(super) fn new() -> Self {
        Self { live: Arc::new(watch::Sender::new(0)), books: Arc::default() }
    }

    /// Aborts all tasks; what is started from now on does not run.
    pub(super) fn end(&self) {
        let mut books = lock(&self.books);
        books.ended = true;
        books.handles.drain(..).for_each(|task| task.abort());
    }

    /// Waits until no task lives any more, or says how many do.
    pub(super) async fn all_ended(&self, limit: Duration) -> Result<(), usize> {
        let mut live = self.live.subscribe();
        // The sender is here, so only the time can end the wait.
        let ended = tokio::time::timeout(limit, live.wait_for(|live| *live == 0)).await.is_ok();
        if ended { Ok(()) } else { Err(*self.live.borrow()) }
    }

    /// The tasks that ended with an error or a panic, and why.
    pub(super) fn failures(&self) -> Vec<String> {
        lock(&self.books).failures.clone()
    }
}

impl TaskSpawner for CountedTasks {
    fn spawn(&self, label: &'static str, task: Task) {
        let mut books = lock(&self.books);
        if books.ended {
            return;
        }
        let living = Living::new(&self.live);
        let failures = Arc::clone(&self.books);
        let work = tokio::spawn(async move {
            let _living = living;
            let failure = match caught(task).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => format!("failed: {error}"),
                Err(panic) => format!("panicked: {panic}"),
            };
            lock(&failures).failures.push(format!("task {label} {failure}"));
        });
        books.handles.push(work.abort_handle());
    }
}

/// Counted as long as it is there.
struct Living(Arc<watch::Sender<usize>>);

impl Living {
    fn new(live: &Arc<watch::Sender<usize>>) -> Self {
        live.send_modify(|live| *live += 1);
        Self(Arc::clone(live))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.send_modify(|live| *live -= 1);
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}
