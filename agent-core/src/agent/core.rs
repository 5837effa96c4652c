//! What the main loop and its operations share.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use command_manager::{CommandId, CommandManager, Finish, Step};
use jiff::Timestamp;
use module_api::ModuleKind;
use restart::{
    Arbiter, Clamped, DescriptorStore, LaunchPlan, Limits, Notifier, NotifyError,
    ProcessController, ProcessIdentity, StopTimeout,
};
use serde_json::Value;
use tokio::sync::watch;

use super::CLOSE_STEP;
use super::reporters::ResultStream;
use crate::config::LoadedConfig;
use crate::preflight::Turn;
use crate::restart_history::RestartHistory;
use crate::run_record::HowEnded;
use crate::spool::Spool;
use crate::supervisor::Supervisor;

/// How long what a start need not wait for stays out of its way. The questions to the service manager and the first batch of
/// an output take milliseconds of processor time, which a start that is longer than this does not notice.
const LONG_START: Duration = Duration::from_millis(250);

/// How long to wait before a journal that refused is tried again: a full disk is not made empty faster.
const FINISH_AGAIN: Duration = Duration::from_secs(1);

/// What may follow the last step of a module until the process has ended: nine steps of [`CLOSE_STEP`] at most (the steps in
/// the journal, two for the controller's answer, three for ends of commands, the outputs, the clients, the queue) and one for
/// what only writes a file.
const AFTER_THE_MODULES: Duration = CLOSE_STEP.saturating_mul(10);

/// Where an agent's files are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The configuration.
    pub config: PathBuf,
    /// Whether somebody named the configuration; only one at the usual place may be missing.
    pub config_is_given: bool,
    /// Journal, spool, ticket, lock and module states.
    pub state_dir: PathBuf,
    /// The control socket, unless it is elsewhere.
    pub run_dir: PathBuf,
    /// The control socket, if somebody named it; it wins over the configuration.
    pub socket: Option<PathBuf>,
}

impl Paths {
    /// Where the control socket is, as named, as configured, or in the run folder.
    pub(crate) fn socket(&self, config: &LoadedConfig) -> PathBuf {
        let named = self.socket.clone().or_else(|| config.config.control.socket.clone());
        named.unwrap_or_else(|| self.run_dir.join("control.sock"))
    }

    /// The folders whose files no module may open, as they are and as they were given. The state folder exists by then.
    pub(crate) fn own_folders(&self) -> Vec<PathBuf> {
        let resolved = std::fs::canonicalize(&self.state_dir);
        let mut folders: Vec<PathBuf> =
            [resolved, std::path::absolute(&self.state_dir)].into_iter().flatten().collect();
        folders.dedup();
        folders
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.state_dir.join(name)
    }
}

/// Everything that lives as long as the process.
pub(crate) struct Core {
    pub(crate) version: &'static str,
    pub(crate) paths: Paths,
    pub(crate) kinds: Vec<Arc<dyn ModuleKind>>,
    pub(crate) launch: LaunchPlan,
    pub(crate) notifier: Notifier,
    /// What the next process is to receive.
    pub(crate) descriptors: DescriptorStore,
    pub(crate) controller: Arc<dyn ProcessController>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) supervisor: Supervisor,
    pub(crate) commands: Arc<CommandManager>,
    /// The results that wait for somebody who asks for them.
    pub(crate) results: Arc<ResultStream>,
    pub(crate) identity: ProcessIdentity,
    pub(crate) generation: u64,
    pub(crate) started_at: Timestamp,
    /// How the process before said that it ended; `None` if it did not, or there was none.
    pub(crate) before_ended: Option<HowEnded>,
    /// The control listener, from which those who serve it get copies.
    pub(crate) listener: UnixListener,
    pub(crate) config: RwLock<Arc<LoadedConfig>>,
    pub(crate) activity: Mutex<Activity>,
    /// The last restarts, with how long each took.
    pub(crate) history: RestartHistory,
    pub(crate) arbiter: Mutex<Arbiter<CommandId>>,
    /// Whose turn it is to make the checks before a restart.
    pub(crate) preflights: Turn,
    /// When the modules were closed for good, since boot.
    pub(crate) closed_at: OnceLock<Duration>,
    /// True when the start is over, for what must not get in its way.
    pub(crate) started: watch::Sender<bool>,
    /// Whether the service manager was told that this process is ending.
    pub(crate) ending: AtomicBool,
    /// Whether this process will leave by its exit status, of which the service manager must not know beforehand.
    pub(crate) leaves_unannounced: AtomicBool,
    /// How long the service manager lets this process stop, once it has said so.
    pub(crate) stop_timeout: OnceLock<StopTimeout>,
    /// The last warning about budgets that were cut; `None` while they fit.
    pub(crate) limits_warning: Mutex<Option<String>>,
}

/// What the agent is doing as a whole.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// `starting`, `running`, `restarting`, `reloading` or `stopping`.
    pub(crate) state: &'static str,
    /// The result object of the last restart that this or an earlier process confirmed.
    pub(crate) last_restart: Option<Value>,
}

impl Core {
    pub(crate) fn config(&self) -> Arc<LoadedConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_config(&self, config: LoadedConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(crate) fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about restarts; never held across an await.
    pub(crate) fn arbiter(&self) -> MutexGuard<'_, Arbiter<CommandId>> {
        self.arbiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_state(&self, state: &'static str) {
        self.activity().state = state;
        self.started.send_replace(true);
    }

    /// Waits until the start is over, [`LONG_START`] at most: for what the start need not wait for.
    pub(crate) async fn until_started(&self) {
        let mut started = self.started.subscribe();
        // The sender lives as long as this.
        if tokio::time::timeout(LONG_START, started.wait_for(|started| *started)).await.is_err() {
            tracing::debug!("the start takes long; what was to come after it begins");
        }
    }

    /// The budgets of the shutdown loop: as configured, and cut to what the service manager allows as soon as that is
    /// known. A shutdown that begins earlier has the configured ones.
    pub(crate) fn limits(&self) -> Limits {
        self.clamped_limits().0
    }

    fn clamped_limits(&self) -> (Limits, Option<Clamped>) {
        let configured = self.config().config.restart.limits();
        match self.stop_timeout.get() {
            Some(allowed) => configured.clamped_to(allowed),
            None => (configured, None),
        }
    }

    /// Warns that the configured budgets are cut, unless the last warning said the same. To be called whenever they may
    /// have changed: when the service manager has answered, and after a reload.
    pub(crate) async fn warn_about_limits(&self) {
        let warning = self.clamped_limits().1.map(|clamped| clamped.to_string());
        let before = {
            let mut last = self.limits_warning.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *last, warning.clone())
        };
        if let Some(text) = warning.filter(|text| before.as_ref() != Some(text)) {
            self.warn("limits_clamped", &text).await;
        }
    }

    /// From here on the process ends, and nothing calls that off: tells the service manager, once. Does not block.
    pub(crate) fn begin_ending(&self) {
        if !self.ending.swap(true, Ordering::Relaxed) {
            self.notify(self.notifier.stopping());
        }
    }

    /// Asks the service manager for the time that the next step of a process that is ending, and all that may follow it,
    /// may take at most. Called for each step that was made, so that a process which hangs is killed all the same. Before
    /// [`Core::begin_ending`] it does nothing. Does not block.
    pub(crate) fn extend_patience(&self) {
        if self.ending.load(Ordering::Relaxed) {
            let limits = self.limits();
            let next = limits.save.max(limits.stop);
            self.notify(self.notifier.extend_timeout(next.saturating_add(AFTER_THE_MODULES)));
        }
    }

    /// Logs a message to the service manager that could not be sent; the agent works without.
    pub(crate) fn notify(&self, sent: Result<(), NotifyError>) {
        if let Err(error) = sent {
            tracing::warn!(%error, "the service manager could not be told");
        }
    }

    /// Publishes a warning of the agent itself, and logs it.
    pub(crate) async fn warn(&self, kind: &str, text: &str) {
        tracing::warn!(kind, "{text}");
        if let Err(error) = self.spool.publish_agent_event(kind, text).await {
            tracing::error!(%error, kind, "the warning is not in the event spool");
        }
    }

    /// Writes one step of a command into the journal. A step that cannot be written is logged: the command goes on.
    pub(crate) async fn progress(&self, id: &CommandId, step: Step) {
        if let Err(error) = self.commands.progress(id, step).await {
            tracing::error!(%error, %id, "a step of the command is not in the journal");
        }
    }

    /// Finishes a command in the journal; `false` when that could not be written, which is logged. The next process judges
    /// the command then.
    pub(crate) async fn finish_command(&self, id: &CommandId, end: Finish) -> bool {
        let finished = self.commands.finish(id, end).await;
        if let Err(error) = &finished {
            tracing::error!(%error, %id, "the end of the command is not in the journal");
        }
        finished.is_ok()
    }

    /// Finishes a command when the process is about to end, which waits for the journal no longer than
    /// [`CLOSE_STEP`]. The next process judges what could not be written.
    pub(crate) async fn finish_at_the_end(&self, id: &CommandId, end: Finish) {
        if tokio::time::timeout(CLOSE_STEP, self.finish_command(id, end)).await.is_err() {
            tracing::error!(%id, "the journal does not take the end of the command in time");
        }
    }

    /// Tries to finish a command until the journal takes it: as long as it is in progress, the queue waits.
    pub(crate) async fn finish_for_sure(&self, id: &CommandId, end: Finish) {
        while !self.finish_command(id, end.clone()).await {
            tokio::time::sleep(FINISH_AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests;
