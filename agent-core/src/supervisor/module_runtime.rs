//! The threads of one instance of a module: whatever it does to them, the agent and other modules have their own.

use std::io;

use module_api::ModuleName;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

/// Two, so that one call that blocks leaves a thread for the next one.
const THREADS: usize = 2;

/// A runtime that is given up in the background when it is dropped: a thread that hangs is left behind, waited for by
/// nobody.
#[derive(Debug)]
pub(super) struct ModuleRuntime {
    runtime: Option<Runtime>,
    threads: Threads,
}

/// Counts the threads of one instance that live: those that run its calls and tasks, and those of its blocking calls.
/// Threads that the module starts by other means are not known.
#[derive(Debug, Clone)]
pub(super) struct Threads(watch::Sender<usize>);

impl ModuleRuntime {
    /// Starts the threads for `module`.
    pub(super) fn start(module: &ModuleName) -> io::Result<Self> {
        let threads = Threads(watch::Sender::new(0));
        let (started, ended) = (threads.clone(), threads.clone());
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(module.as_str())
            .on_thread_start(move || started.0.send_modify(|count| *count += 1))
            .on_thread_stop(move || ended.0.send_modify(|count| *count = count.saturating_sub(1)))
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime), threads })
    }

    /// Where the module's calls and tasks are run; `None` never happens before the end of the instance.
    pub(super) fn handle(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }

    /// The count of its threads, which goes on after the runtime has been dropped.
    pub(super) fn threads(&self) -> Threads {
        self.threads.clone()
    }
}

impl Threads {
    /// How many live now.
    pub(super) fn alive(&self) -> usize {
        *self.0.borrow()
    }

    /// Returns once none lives. Cancel safe.
    pub(super) async fn until_none(&self) {
        let mut alive = self.0.subscribe();
        // The sender is borrowed, so the channel cannot be closed.
        drop(alive.wait_for(|alive| *alive == 0).await);
    }
}

impl Drop for ModuleRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
