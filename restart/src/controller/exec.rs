//! Replaces the process by exec'ing its program again: same pid, nobody else needed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::launch::why_not_executable;
use super::successor::Successor;
use super::{
    EXIT_RESTART, ExecError, LaunchPlan, Method, ProcessController, Refusal, ReplaceError,
    Requested,
};
use crate::CommittedTicket;
use crate::hand_over::check_names;

/// The controller for PID 1 of a container, and for whoever configures `restart.method: exec`.
#[derive(Debug)]
pub struct ExecController {
    launch: LaunchPlan,
}

impl ExecController {
    /// A controller that will start the agent again as `launch` says.
    #[must_use]
    pub fn new(launch: LaunchPlan) -> Self {
        Self { launch }
    }
}

#[async_trait]
impl ProcessController for ExecController {
    fn method(&self) -> Method {
        Method::Exec
    }

    async fn preflight(&self) -> Result<Vec<String>, Refusal> {
        check_executable(&self.launch)
    }

    async fn request(
        &self,
        ticket: &mut CommittedTicket,
        fds: Vec<(String, OwnedFd)>,
        _remaining: Duration,
    ) -> Result<Requested, ReplaceError> {
        check_names(fds.iter().map(|(name, _)| name.as_str())).map_err(ReplaceError::HandOver)?;
        let own = ticket.ticket().old.clone();
        ticket.record_request(Some(own))?;
        let successor =
            Successor { launch: self.launch.clone(), fds, ticket: ticket.path().to_owned() };
        Ok(Requested::ExecWhenStopped(ExecPlan {
            successor: Arc::new(Mutex::new(Some(successor))),
        }))
    }
}

/// Warns if another file would be started than the path used at the start suggests.
pub(super) fn check_executable(launch: &LaunchPlan) -> Result<Vec<String>, Refusal> {
    let program = launch.program();
    match why_not_executable(program) {
        None => Ok(launch.detour().into_iter().collect()),
        Some(reason) => Err(Refusal::Executable { path: program.to_owned(), reason }),
    }
}

/// The next agent, ready to be exec'ed. Dropping it calls the restart off, unless a watchdog is armed.
#[derive(Debug)]
pub struct ExecPlan {
    /// Taken by whoever execs, who keeps the lock while doing so: the other one must not begin.
    successor: Arc<Mutex<Option<Successor>>>,
}

impl ExecPlan {
    /// Replaces this process. Returns only if that failed: then end the process with a failure, so that whoever started
    /// it notices. Blocks its thread.
    #[must_use = "a process that could not be replaced has to end"]
    pub fn exec(self) -> ExecError {
        let exec = move || {
            let mut slot = self.successor.lock().unwrap_or_else(PoisonError::into_inner);
            slot.take().map(|successor| successor.start(|message| tracing::error!("{message}")))
        };
        // On a thread of its own, so that this one keeps its descriptors if it fails.
        let outcome = std::thread::Builder::new()
            .name("exec".to_owned())
            .spawn(exec)
            .map_err(|error| error.to_string())
            .and_then(|thread| thread.join().map_err(|_| "the thread panicked".to_owned()));
        match outcome {
            Ok(Some(error)) => error,
            Ok(None) => ExecError("the watchdog has tried before".to_owned()),
            Err(reason) => ExecError(reason),
        }
    }

    /// Execs `after` this time even if the runtime and every one of its threads is stuck, unless it is disarmed before.
    /// What was not saved by then is lost; the ticket stays at its first stage and says so. If even the exec fails the
    /// process ends with status 75, since a stuck process that lingers would keep its supervisor from acting.
    ///
    /// # Errors
    /// No thread could be started; then there is no watchdog.
    pub fn arm_watchdog(&self, after: Duration) -> std::io::Result<ExecWatchdog> {
        let disarmed = Arc::new((Mutex::new(false), Condvar::new()));
        let successor = Arc::clone(&self.successor);
        let shared = Arc::clone(&disarmed);
        std::thread::Builder::new().name("exec-watchdog".to_owned()).spawn(move || {
            let (flag, changed) = &*shared;
            let guard = flag.lock().unwrap_or_else(PoisonError::into_inner);
            let (guard, _) = changed
                .wait_timeout_while(guard, after, |disarmed| !*disarmed)
                .unwrap_or_else(PoisonError::into_inner);
            if *guard {
                return;
            }
            let mut slot = successor.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(successor) = slot.take() {
                // No log record: the thread that is stuck may hold the log's lock. The ticket tells the story.
                drop(successor.start(|_| ()));
                end_at_once();
            }
        })?;
        Ok(ExecWatchdog { disarmed })
    }
}

/// Ends the process without running anything that could wait for a stuck thread.
#[expect(
    unsafe_code,
    reason = "std only offers an exit that runs handlers, which may wait for ever"
)]
fn end_at_once() -> ! {
    // SAFETY: `_exit` touches no memory of this process.
    unsafe { nix::libc::_exit(EXIT_RESTART.into()) }
}

/// A watchdog that will exec. Dropping it leaves it armed.
#[derive(Debug)]
pub struct ExecWatchdog {
    disarmed: Arc<(Mutex<bool>, Condvar)>,
}

impl ExecWatchdog {
    /// The restart was called off: the watchdog does nothing.
    pub fn disarm(self) {
        let (flag, changed) = &*self.disarmed;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }
}
