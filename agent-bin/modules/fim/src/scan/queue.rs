//! The folders that are still to be walked: the last found first, so that there are few of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::baseline::KnownFolder;
use crate::path_bytes::PathBytes;

/// From so many folders on a walker goes into those it has found before it reads on.
const MANY: usize = 8_192;

/// Something to be walked.
#[derive(Debug)]
pub(super) enum Task {
    /// A path where the scan begins, file or folder.
    Start(PathBytes),
    /// A folder that was seen in its own folder, and what the baseline knew of it then.
    Folder { path: PathBytes, known: Option<KnownFolder> },
}

#[derive(Debug)]
pub(super) struct FolderQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    tasks: Vec<Task>,
    /// Walkers that may still find more.
    busy: usize,
}

impl FolderQueue {
    /// For so many walkers, each of them busy until it asks for the first time.
    pub(super) fn new(walkers: usize) -> Self {
        let state = State { tasks: Vec::new(), busy: walkers };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn push_starts(&self, paths: Vec<PathBytes>) {
        self.lock().tasks.extend(paths.into_iter().rev().map(Task::Start));
    }

    /// Adds a folder, and says whether there are many by now.
    pub(super) fn push(&self, path: PathBytes, known: Option<KnownFolder>) -> bool {
        let mut state = self.lock();
        state.tasks.push(Task::Folder { path, known });
        let many = state.tasks.len() > MANY;
        drop(state);
        self.changed.notify_one();
        many
    }

    /// The next one, without waiting, for a walker that is busy already.
    pub(super) fn try_pop(&self) -> Option<Task> {
        self.lock().tasks.pop()
    }

    /// The next one for a walker that is done with its last. `None`: there will be no more.
    pub(super) fn pop(&self, stop: &AtomicBool) -> Option<Task> {
        let mut state = self.lock();
        state.busy -= 1;
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(task) = state.tasks.pop() {
                state.busy += 1;
                return Some(task);
            }
            if state.busy == 0 {
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
