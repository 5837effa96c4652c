//! The start of an agent: everything in its order, until the modules run and the control API answers.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use command_manager::{CommandManager, SystemWallClock};
use jiff::Timestamp;
use module_api::ModuleKind;
use restart::{
    DescriptorStore, Facts, LaunchPlan, MethodChoice, Notifier, ProcessController, ProcessIdentity,
    Stamp, StartEnvironment, Ticket, choose, controller_for,
};
use tokio::sync::{mpsc, watch};

use super::core::{Activity, Core, Paths};
use super::{RunError, TICKET, descriptors, reporters};
use crate::agent_lock::AgentLock;
use crate::composition;
use crate::config::{LoadedConfig, RestartMethod};
use crate::restart_history::RestartHistory;
use crate::run_record::{HowEnded, RunRecord};
use crate::spool::{Spool, SpoolLimits};
use crate::state_store::StateStore;
use crate::supervisor::{Failure, Supervisor};
use crate::wall_clock;

/// How long a start waits for a predecessor that is ending but still holds the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

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
    /// When `main` began, as [`boottime`](restart::boottime) says it, captured first thing in `main`.
    pub started: Duration,
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
    let started_at = wall_clock::now();
    let Setup { environment, launch, started, paths, kinds, version, config } = setup;
    let mut stamps = vec![Stamp::at("started", started)];
    composition::check(&kinds)?;
    let Taken { lock, run_record, ticket, mut warnings, before_ended, booted_since } =
        take(&paths, started_at)?;
    stamps.push(Stamp::now("locked"));

    warnings.extend(config.instead_of.as_deref().map(configuration_broken));
    let spool = open_spool(&paths, &config, booted_since, &mut warnings)?;
    let commands = open_journal(&paths, &config, &mut warnings)?;

    let notifier = Notifier::from(&environment);
    let descriptors = descriptors::take_over(&environment, &notifier, &paths, &config);
    let listener = descriptors::listener(&descriptors, &paths, &config)?;
    let controller = controller(&config, &environment, &launch, &descriptors).await;
    // From here on the agent works, so an end without a mark is a kill.
    run_record.store(&paths.state("run.json"))?;
    stamps.push(Stamp::now("opened"));
    ask_for_time_to_start(&notifier, &config);

    let (failures_to, failures) = mpsc::unbounded_channel();
    let (states, own) = (StateStore::new(paths.state("modules")), paths.own_folders());
    let supervisor =
        Supervisor::new(Arc::clone(&spool), states, own, descriptors.clone(), failures_to);
    make_known(&kinds, &config, &supervisor);
    let history = RestartHistory::new(paths.state("restarts.json"));
    let core = Arc::new(Core {
        version,
        paths,
        kinds,
        launch,
        notifier,
        descriptors,
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
        history,
        activity: Mutex::new(Activity { state: "starting", last_restart: None }),
        arbiter: Mutex::default(),
        preflights: Arc::default(),
        closed_at: OnceLock::new(),
        started: watch::Sender::new(false),
        ending: AtomicBool::new(false),
        leaves_unannounced: AtomicBool::new(false),
        stop_timeout: OnceLock::new(),
        limits_warning: Mutex::default(),
    });
    tokio::spawn(ask_the_manager(Arc::clone(&core)));
    Ok(Booted { core, lock, run_record, failures, ticket, stamps, warnings })
}

fn configuration_broken(why: &str) -> (&'static str, String) {
    let text = format!(
        "the agent goes on with the configuration that was checked before the restart, because it broke since: {why}"
    );
    ("configuration_broken", text)
}

/// After a boot, which may have been a power cut, the whole file is read before it is used, unless it is large. A process
/// that ends, even by SIGKILL, damages no file of SQLite, so its successor reads it after the start.
fn open_spool(
    paths: &Paths,
    config: &LoadedConfig,
    booted_since: bool,
    warnings: &mut Vec<(&'static str, String)>,
) -> Result<Arc<Spool>, RunError> {
    let check_up_to =
        if booted_since { SpoolLimits::THOROUGH_CHECK } else { SpoolLimits::QUICK_CHECK };
    let limits = SpoolLimits { max_events: config.config.events.max_stored, check_up_to };
    let opened = Spool::open(&paths.state("events.db"), limits, wall_clock::now)?;
    warnings.extend(opened.set_aside.map(|kept| ("spool_set_aside", kept.to_string())));
    Ok(opened.spool)
}

/// Tells the supervisor of each module that has a section.
fn make_known(kinds: &[Arc<dyn ModuleKind>], config: &LoadedConfig, supervisor: &Supervisor) {
    for section in &config.modules {
        if let Some(kind) = kinds.iter().find(|kind| kind.name() == &section.name) {
            supervisor.configure(Arc::clone(kind), section.section.clone(), section.enabled);
        }
    }
}

/// What follows is the start of the modules, side by side and each within its limit: the manager is to give at least that
/// much, however little the unit does. A start that hangs as a whole is still cut off.
fn ask_for_time_to_start(notifier: &Notifier, config: &LoadedConfig) {
    let most = config.config.restart.start_timeout.saturating_add(START_MARGIN);
    if let Err(error) = notifier.extend_timeout(most) {
        tracing::warn!(%error, "a slow start may be cut off by the service manager");
    }
}

/// Asks the service manager what the start does not wait for: whether it keeps the descriptors, and how long this process may
/// take to stop.
///
/// After the start, or beside one that takes long, so that it costs the start nothing. A shutdown that begins before the
/// answer has come has the configured budgets.
async fn ask_the_manager(core: Arc<Core>) {
    core.until_started().await;
    learn_stop_timeout(&core).await;
    descriptors::settle(&core).await;
}

/// Learns how long the service manager waits for the end, and warns when that is less than what is configured.
async fn learn_stop_timeout(core: &Core) {
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
    /// Whether the machine was booted since the process before, as far as is known.
    booted_since: bool,
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
    let booted_since =
        before.as_ref().is_none_or(|before| before.identity.boot_id != identity.boot_id);
    // The ticket counts as well, should the record be lost: no generation is ever used twice.
    let before_ended = before.as_ref().and_then(|before| before.ended);
    let counted = before.map(|before| before.generation);
    let counted = counted.max(ticket.as_ref().map(|ticket| ticket.generation));
    let generation = counted.map_or(1, |counted| counted + 1);
    let format = RunRecord::FORMAT;
    let run_record = RunRecord { format, generation, identity, started_at, ended: None };
    Ok(Taken { lock, run_record, ticket, warnings, before_ended, booted_since })
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
    config: &LoadedConfig,
    environment: &StartEnvironment,
    launch: &LaunchPlan,
    descriptors: &DescriptorStore,
) -> Arc<dyn ProcessController> {
    let choice = match config.config.restart.method {
        RestartMethod::Auto => MethodChoice::Auto,
        RestartMethod::Systemd => MethodChoice::Systemd,
        RestartMethod::Helper => MethodChoice::Helper,
        RestartMethod::Exec => MethodChoice::Exec,
    };
    let method = choose(choice, &Facts::gather(environment).await);
    controller_for(method, environment, launch, descriptors)
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
