//! The start of an agent: everything in its order, until the modules run and the control API answers.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use command_manager::{CommandManager, SystemWallClock};
use jiff::Timestamp;
use module_api::ModuleKind;
use restart::{
    Facts, LaunchPlan, MethodChoice, Notifier, ProcessController, ProcessIdentity, Stamp,
    StartEnvironment, Ticket, adopt, choose, controller_for, is_listening_unix_socket,
};
use tokio::sync::{Notify, mpsc};

use super::core::{Activity, Core, Paths};
use super::{CONTROL_FD, RunError, TICKET, reporters};
use crate::agent_lock::AgentLock;
use crate::composition;
use crate::config::{LoadedConfig, RestartMethod};
use crate::control;
use crate::run_record::{HowEnded, RunRecord};
use crate::spool::{Spool, SpoolLimits};
use crate::state_store::StateStore;
use crate::supervisor::{Failure, Supervisor};
use crate::wall_clock;

/// How long a start waits for a predecessor that is ending but still holds the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long the question how patient the service manager is waits for the end of the start. Asking takes about a
/// millisecond of processor time; a start that is longer than this does not notice it.
const ASK_AFTER: Duration = Duration::from_millis(250);

/// How long the service manager may take to say how patient it is. It answers in milliseconds; one that reloads its units
/// may take a second or two, and nothing waits for it.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

/// What a start may do after its files are open, besides starting the modules: recovering the journal, binding, warnings.
const START_MARGIN: Duration = Duration::from_secs(5);

/// What the binary gives to an agent.
#[expect(missing_debug_implementations, reason = "kinds of modules are trait objects without one")]
pub struct Setup {
    /// What systemd or a predecessor said in the environment, captured first thing in `main`.
    pub environment: StartEnvironment,
    /// How this process was started, captured first thing in `main`.
    pub launch: LaunchPlan,
    /// Where the files are.
    pub paths: Paths,
    /// The kinds of modules that this binary has.
    pub kinds: Vec<Arc<dyn ModuleKind>>,
    /// The version to show.
    pub version: &'static str,
    /// The configuration, loaded already (so that the log level was known).
    pub config: LoadedConfig,
}

/// A process that holds its folder and has opened its files, but runs no module yet.
pub(crate) struct Booted {
    pub(crate) core: Arc<Core>,
    pub(crate) lock: AgentLock,
    pub(crate) run_record: RunRecord,
    pub(crate) failures: mpsc::UnboundedReceiver<Failure>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) stamps: Vec<Stamp>,
    pub(crate) warnings: Vec<(&'static str, String)>,
}

/// Takes the state folder and opens everything in it.
pub(crate) async fn boot(setup: Setup) -> Result<Booted, RunError> {
    let mut stamps = vec![Stamp::now("started")];
    let started_at = wall_clock::now();
    let Setup { environment, launch, paths, kinds, version, config } = setup;
    composition::check(&kinds)?;
    let Taken { lock, run_record, ticket, mut warnings, before_ended } = take(&paths, started_at)?;

    let limits = SpoolLimits { max_events: config.config.events.max_stored };
    let opened = Spool::open(&paths.state("events.db"), limits, wall_clock::now)?;
    warnings.extend(opened.set_aside.map(|kept| ("spool_set_aside", kept.to_string())));
    let spool = opened.spool;
    let commands = open_journal(&paths, &config, &mut warnings)?;

    let notifier = Notifier::from(&environment);
    let listener = control_listener(&environment, &notifier, &config, &paths)?;
    let method = config.config.restart.method;
    let controller = controller(method, &environment, &launch, &notifier).await;
    // From here on the agent works, so an end without a mark is a kill.
    run_record.store(&paths.state("run.json"))?;
    stamps.push(Stamp::now("opened"));
    ask_for_time_to_start(&notifier, &config);

    let (failures_to, failures) = mpsc::unbounded_channel();
    let states = StateStore::new(paths.state("modules"));
    let supervisor = Supervisor::new(Arc::clone(&spool), states, failures_to);
    for section in &config.modules {
        if let Some(kind) = kinds.iter().find(|kind| kind.name() == &section.name) {
            supervisor.configure(Arc::clone(kind), section.section.clone(), section.enabled);
        }
    }
    let core = Arc::new(Core {
        version,
        paths,
        kinds,
        launch,
        notifier,
        controller,
        spool,
        supervisor,
        commands: Arc::new(commands),
        results: Arc::new(reporters::ResultStream::new()),
        identity: run_record.identity.clone(),
        generation: run_record.generation,
        started_at,
        before_ended,
        listener,
        config: RwLock::new(Arc::new(config)),
        activity: Mutex::new(Activity { state: "starting", last_restart: None }),
        arbiter: Mutex::default(),
        closed_at: OnceLock::new(),
        started: Notify::new(),
        ending: AtomicBool::new(false),
        stop_timeout: OnceLock::new(),
        limits_warning: Mutex::default(),
    });
    tokio::spawn(learn_stop_timeout(Arc::clone(&core)));
    Ok(Booted { core, lock, run_record, failures, ticket, stamps, warnings })
}

/// What follows is the start of the modules, side by side and each within its limit: the manager is to give at least that
/// much, however little the unit does. A start that hangs as a whole is still cut off.
fn ask_for_time_to_start(notifier: &Notifier, config: &LoadedConfig) {
    let most = config.config.restart.start_timeout.saturating_add(START_MARGIN);
    if let Err(error) = notifier.extend_timeout(most) {
        tracing::warn!(%error, "a slow start may be cut off by the service manager");
    }
}

/// Asks the service manager how long this process may take to stop, and warns when that is less than what is configured.
///
/// After the start, or beside one that takes long, so that it costs the start nothing. A shutdown that begins before the
/// answer has come has the configured budgets.
async fn learn_stop_timeout(core: Arc<Core>) {
    if tokio::time::timeout(ASK_AFTER, core.started.notified()).await.is_err() {
        tracing::debug!("the start takes long; the service manager is asked meanwhile");
    }
    match tokio::time::timeout(ASK_PATIENCE, core.controller.stop_timeout()).await {
        Ok(Some(stop_timeout)) => {
            let known = core.stop_timeout.get_or_init(|| stop_timeout);
            core.warn_about_limits().await;
            tracing::debug!(unit = known.unit, after = ?known.after, "the unit's stop timeout is known");
        }
        Ok(None) => {}
        Err(_) => tracing::warn!(
            "the service manager did not say within {ASK_PATIENCE:?} how long the agent may take to stop; restart.timeout holds as it is"
        ),
    }
}

/// The state folder, held by this process and marked as its own.
struct Taken {
    lock: AgentLock,
    run_record: RunRecord,
    ticket: Option<Ticket>,
    warnings: Vec<(&'static str, String)>,
    before_ended: Option<HowEnded>,
}

/// Locks the folder and looks at what the process before left.
fn take(paths: &Paths, started_at: Timestamp) -> Result<Taken, RunError> {
    let identity = ProcessIdentity::own().map_err(RunError::Identity)?;
    private_folder(&paths.state_dir, 0o700)?;
    let lock = AgentLock::acquire(&paths.state("agent.lock"), identity.pid, patience(paths))?;
    private_folder(&paths.run_dir, 0o755)?;

    let mut warnings = Vec::new();
    let (before, unreadable) = RunRecord::load(&paths.state("run.json"));
    warnings.extend(unreadable.map(|text| ("run_record_unreadable", text)));
    let ticket = load_ticket(paths, &mut warnings);
    if ticket.is_none()
        && let Some(before) = before.as_ref().filter(|before| before.ended.is_none())
    {
        let text = format!(
            "the agent before (pid {}, generation {}) ended without a clean stop: it was killed, or the machine went down",
            before.identity.pid, before.generation
        );
        warnings.push(("unclean_stop", text));
    }
    // The ticket counts as well, should the record be lost: no generation is ever used twice.
    let before_ended = before.as_ref().and_then(|before| before.ended);
    let counted = before.map(|before| before.generation);
    let counted = counted.max(ticket.as_ref().map(|ticket| ticket.generation));
    let generation = counted.map_or(1, |counted| counted + 1);
    let format = RunRecord::FORMAT;
    let run_record = RunRecord { format, generation, identity, started_at, ended: None };
    Ok(Taken { lock, run_record, ticket, warnings, before_ended })
}

fn open_journal(
    paths: &Paths,
    config: &LoadedConfig,
    warnings: &mut Vec<(&'static str, String)>,
) -> Result<CommandManager, RunError> {
    let settings = reporters::kept_for(config.config.commands.settings(&config.config.restart));
    let (commands, set_aside) =
        CommandManager::open(&paths.state("commands.db"), Arc::new(SystemWallClock), settings)?;
    warnings.extend(set_aside.map(|kept| ("journal_set_aside", journal_set_aside(&kept))));
    Ok(commands)
}

fn journal_set_aside(kept: &command_manager::SetAside) -> String {
    let path = kept.kept_as.display();
    format!("the command journal was not usable ({}); it is kept as {path}", kept.reason)
}

/// The controller that fits this very process, or the configured one.
async fn controller(
    configured: RestartMethod,
    environment: &StartEnvironment,
    launch: &LaunchPlan,
    notifier: &Notifier,
) -> Arc<dyn ProcessController> {
    let choice = match configured {
        RestartMethod::Auto => MethodChoice::Auto,
        RestartMethod::Systemd => MethodChoice::Systemd,
        RestartMethod::Helper => MethodChoice::Helper,
        RestartMethod::Exec => MethodChoice::Exec,
    };
    let method = choose(choice, &Facts::gather(environment).await);
    controller_for(method, environment, launch, notifier)
}

/// A restart that is under way leaves a ticket; only then a held lock is that of a dying predecessor.
fn patience(paths: &Paths) -> Duration {
    if paths.state(TICKET).exists() { LOCK_PATIENCE } else { Duration::ZERO }
}

fn load_ticket(paths: &Paths, warnings: &mut Vec<(&'static str, String)>) -> Option<Ticket> {
    match Ticket::load(&paths.state(TICKET)) {
        Ok(ticket) => ticket,
        Err(error) => {
            warnings.push(("ticket_set_aside", error.to_string()));
            None
        }
    }
}

/// The listener that was handed over if it is the one that the configuration asks for, or a new one.
fn control_listener(
    environment: &StartEnvironment,
    notifier: &Notifier,
    config: &LoadedConfig,
    paths: &Paths,
) -> Result<UnixListener, RunError> {
    let wanted = &config.config.control;
    let socket = paths.socket(config);
    let adopted = adopt(environment);
    let mut ours: Option<OwnedFd> = None;
    for reason in adopted.rejected {
        tracing::warn!(%reason, "a descriptor that was handed over is not used");
    }
    for (name, fd) in adopted.fds {
        if name == CONTROL_FD && ours.is_none() && leads_to(&fd, &socket) {
            ours = Some(fd);
        } else {
            tracing::warn!(name, "closing a descriptor that was handed over and is not wanted");
            forget(notifier, &name);
        }
    }
    let listener = match ours {
        Some(fd) => {
            tracing::info!(socket = %socket.display(), "control socket adopted");
            UnixListener::from(fd)
        }
        None => control::bind(&socket, wanted.mode)?,
    };
    // Kept by systemd from now on, so that not even SIGKILL closes it.
    if let Err(error) = notifier.store_fd(CONTROL_FD, std::os::fd::AsFd::as_fd(&listener)) {
        tracing::warn!(%error, "systemd does not keep the control socket; it is closed for a moment when the agent is killed");
    }
    Ok(listener)
}

/// Whether `fd` is the listener that clients reach at `socket`. A socket whose file somebody has removed is bound anew.
fn leads_to(fd: &OwnedFd, socket: &Path) -> bool {
    let is_there = std::fs::symlink_metadata(socket).is_ok_and(|file| file.file_type().is_socket());
    is_there && is_listening_unix_socket(fd, socket)
}

fn forget(notifier: &Notifier, name: &str) {
    if let Err(error) = notifier.remove_fd(name) {
        tracing::warn!(%error, name, "systemd keeps a descriptor that nobody wants");
    }
}

/// Makes sure that `path` is a folder of ours which others cannot write.
fn private_folder(path: &Path, mode: u32) -> Result<(), RunError> {
    let wrong = |reason: String| RunError::Folder { path: PathBuf::from(path), reason };
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|error| wrong(format!("cannot be made: {error}")))?;
    let meta = std::fs::metadata(path).map_err(|error: io::Error| wrong(error.to_string()))?;
    let own = nix::unistd::geteuid().as_raw();
    if meta.uid() != own && own != 0 {
        return Err(wrong(format!("belongs to uid {}, expected {own}", meta.uid())));
    }
    if meta.mode() & 0o002 != 0 {
        return Err(wrong(format!(
            "may be written by everybody (mode {:o}); chmod it to {mode:o}",
            meta.mode() & 0o7777
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
