//! The threads of one instance of a module: whatever it does to them, the agent and other modules have their own.

use std::io;

use module_api::ModuleName;
use tokio::runtime::{Builder, Handle, Runtime};

/// Two, so that one call that blocks leaves a thread for the next one.
const THREADS: usize = 2;

/// A runtime that is given up in the background when it is dropped: a thread that hangs is left behind, waited for by
/// nobody.
#[derive(Debug)]
pub(super) struct ModuleRuntime(Option<Runtime>);

impl ModuleRuntime {
    /// Starts the threads for `module`.
    pub(super) fn start(module: &ModuleName) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(module.as_str())
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where the module's calls and tasks are run; `None` never happens before the end of the instance.
    pub(super) fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for ModuleRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
