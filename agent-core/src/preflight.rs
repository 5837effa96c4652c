//! Checks before a restart that the agent can come back; nothing is stopped when one of them fails.
//!
//! ```text
//! lock ──────────────┐
//! configuration ─────┤
//! program ─┐         ├──> findings ──decide (force?)──> go | overridden | refused
//!          ├─ a child each, only where another program lies on disk
//! program_configuration
//! state_folder ──────┤
//! controller ────────┘    side by side
//! ```
//!
//! A restart and `restart --dry-run` look at the same things. The trait of modules has no check of its own, so none is
//! asked of them.

mod dry_run;
mod program;
mod report;
mod state_folder;

use std::sync::Arc;
use std::time::Duration;

use command_manager::{CommandId, Step};
use restart::boottime;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::agent::core::Core;
use crate::agent::reload::load;
use crate::config::KeepError;

pub(crate) use dry_run::dry_run;
use report::{Finding, Grade, Looked, Report, Verdict};

/// One agent has its checks made one after the other: a restart must not find the children of a dry run still running.
pub(crate) type Turn = Arc<Mutex<()>>;

/// The checks have passed, or were overridden. As long as this is kept nobody else has a child tried out, so that none is
/// in the unit's control group when the process is replaced.
#[derive(Debug)]
pub(crate) struct Cleared {
    /// SHA-256 of the binary that will be started, for the ticket.
    pub(crate) binary: Option<String>,
    /// When, since boot.
    pub(crate) at: Duration,
    _turn: OwnedMutexGuard<()>,
}

/// Makes all checks for the command `id`, and tells its history each that warned or refused, and what was overridden.
///
/// Takes a few seconds at most. May be dropped at any await.
///
/// # Errors
/// What is in the way, and what to do.
pub(crate) async fn check(
    core: &Arc<Core>,
    id: &CommandId,
    force: bool,
) -> Result<Cleared, String> {
    let turn = Arc::clone(&core.preflights).lock_owned().await;
    let Checked { findings, binary } = of_agent(core).await;
    let report = Report::decide(findings, force);
    for finding in report.checks.iter().filter(|it| it.is_noteworthy()) {
        let text = format!("{}: {}", finding.name, finding.text);
        tracing::warn!(%id, "preflight: {text}");
        core.progress(id, Step::new("preflight", text)).await;
    }
    match report.verdict {
        Verdict::Go => {}
        Verdict::Refused => return Err(report.refusals()),
        Verdict::Overridden => {
            let text = format!("overridden by force: {}", report.refusals());
            core.progress(id, Step::new("preflight", text.clone())).await;
            core.warn("preflight_overridden", &format!("restart {id} goes on, {text}")).await;
        }
    }
    keep_configuration(core).await?;
    Ok(Cleared { binary, at: boottime(), _turn: turn })
}

/// Keeps the configuration for a new process that finds it broken.
///
/// # Errors
/// It is broken now, and this program is the one that will be started. That it cannot be kept is only logged.
async fn keep_configuration(core: &Arc<Core>) -> Result<(), String> {
    let another = program::is_another(core.launch.program());
    let shared = Arc::clone(core);
    let keeping = move || crate::config::keep(&shared.paths, &shared.kinds);
    match tokio::task::spawn_blocking(keeping).await.map_err(|error| error.to_string())? {
        Ok(()) => Ok(()),
        Err(KeepError::Configuration(error)) if !another => Err(format!(
            "the configuration broke while it was checked; correct it and try again: {error}"
        )),
        Err(error) => {
            tracing::warn!(%error, "the new process has nothing to go on with if the configuration breaks");
            Ok(())
        }
    }
}

/// What the checks of a whole agent have found.
struct Checked {
    findings: Vec<Finding>,
    binary: Option<String>,
}

/// Checks all that a restart of the whole agent needs, side by side.
async fn of_agent(core: &Arc<Core>) -> Checked {
    let another = program::is_another(core.launch.program());
    let (lock, configuration, (program, binary), state_folder, controller) = tokio::join!(
        timed("lock", lock(core)),
        timed("configuration", configuration(core, another)),
        the_program(core, another),
        timed("state_folder", state_folder(core)),
        timed("controller", controller(core)),
    );
    let [program, program_configuration] = program;
    let findings =
        vec![lock, configuration, program, program_configuration, state_folder, controller];
    Checked { findings, binary }
}

/// The names of the checks of [`of_agent`], in its order.
const OF_AGENT: [&str; 6] =
    ["lock", "configuration", "program", "program_configuration", "state_folder", "controller"];

/// Makes a check and notes how long it took.
async fn timed(name: &'static str, check: impl Future<Output = Looked>) -> Finding {
    let begun = boottime();
    let looked = check.await;
    looked.of(name, boottime().saturating_sub(begun))
}

/// Runs a check that blocks.
async fn blocking(check: impl FnOnce() -> Looked + Send + 'static) -> Looked {
    let broken = |error| Looked::refused(format!("the check itself has failed: {error}"));
    tokio::task::spawn_blocking(check).await.unwrap_or_else(broken)
}

/// Whether the successor will find the lock as this process leaves it.
async fn lock(core: &Core) -> Looked {
    let (path, own) = (core.paths.state("agent.lock"), core.identity.pid);
    blocking(move || {
        let shown = path.display();
        match std::fs::read_to_string(&path).map(|text| text.trim().parse::<i32>().ok()) {
            Ok(Some(pid)) if pid == own => Looked::ok(format!("{shown} is held by this process")),
            Ok(Some(pid)) => Looked::refused(format!(
                "{shown} is held by process {pid}: two agents use this folder; stop one of them"
            )),
            Ok(None) => Looked::warning(format!("{shown} names no process; somebody wrote to it")),
            Err(error) => Looked::warning(format!(
                "{shown} cannot be read: {error}; nothing keeps a second agent out of this folder"
            )),
        }
    })
    .await
}

/// Whether this program would load the configuration. Only the last word where it is the one that will be started.
async fn configuration(core: &Arc<Core>, another: bool) -> Looked {
    let core = Arc::clone(core);
    blocking(move || match load(&core) {
        Ok(_) => Looked::ok(format!("{} is right", core.paths.config.display())),
        Err(error) if another => Looked::warning(format!(
            "the configuration would not load in the running program, which is what is left if the other one does not start: {error}"
        )),
        Err(error) => Looked::refused(format!(
            "the configuration would not load; correct it and try again: {error}"
        )),
    })
    .await
}

/// Whether the program can be started and takes the configuration; and its hash.
async fn the_program(core: &Core, another: bool) -> ([Finding; 2], Option<String>) {
    const NAMES: [&str; 2] = ["program", "program_configuration"];
    let launch = &core.launch;
    let begun = boottime();
    let path = launch.program().to_owned();
    let shown = path.display().to_string();
    let hashed = tokio::task::spawn_blocking(move || program::hash_executable(&path)).await;
    let hash = match hashed.map_err(std::io::Error::other).flatten() {
        Ok(hash) => hash,
        Err(error) => {
            let text = format!("{shown} cannot be executed: {error}; install it again");
            let program = Looked::refused(text).of(NAMES[0], boottime().saturating_sub(begun));
            return ([program, not_run(NAMES[1])], None);
        }
    };
    if !another {
        let program = Looked::ok(format!("{shown} is the running program"));
        let configuration = Looked::skipped("the running program has checked it itself, see above");
        let took = boottime().saturating_sub(begun);
        return ([program.of(NAMES[0], took), configuration.of(NAMES[1], took)], Some(hash));
    }
    let (program, configuration) = tokio::join!(
        timed(NAMES[0], program::says_its_version(launch)),
        timed(NAMES[1], program::takes_the_configuration(launch, &core.paths)),
    );
    // What does not run has not read anything; to say so twice helps nobody.
    let runs = program.result != Grade::Refused;
    let configuration = if runs { configuration } else { not_run(NAMES[1]) };
    ([program, configuration], Some(hash))
}

fn not_run(name: &'static str) -> Finding {
    Looked::skipped("the program does not run, see above").of(name, Duration::ZERO)
}

async fn state_folder(core: &Core) -> Looked {
    let folder = core.paths.state_dir.clone();
    blocking(move || state_folder::check(&folder)).await
}

/// What the controller says: of the unit, of the system, of the program's file.
async fn controller(core: &Core) -> Looked {
    let method = core.controller.method();
    match core.controller.preflight().await {
        Ok(warnings) if warnings.is_empty() => {
            Looked::ok(format!("nothing is in the way of a restart by {method}"))
        }
        Ok(warnings) => Looked::warning(warnings.join("; ")),
        Err(refusal) => Looked::refused(refusal.to_string()),
    }
}
