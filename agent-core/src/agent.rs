//! The agent: one main loop that takes signals, orders and failures, and decides nothing else than who acts on them.

pub(crate) mod api;
mod ask_module;
mod boot;
pub(crate) mod confirm;
pub(crate) mod core;
mod descriptors;
mod executors;
mod host;
mod main_loop;
mod modules;
mod order;
pub(crate) mod reload;
mod replace;
mod reporters;
mod restart_modules;
mod retries;
mod run_loop;
mod services;
mod signals;
mod told;
mod waiting;

use std::path::PathBuf;
use std::time::Duration;

use restart::{ExecPlan, ExecWatchdog, ReplaceFileError};

pub use boot::Setup;
pub use core::Paths;
pub use main_loop::run;

/// The name of the ticket in the state folder.
pub(crate) const TICKET: &str = "ticket.json";

/// How long each step of the end may take after the modules have ended: writing what is left of outputs, journal and
/// spool. Short, because systemd or the helper is waiting; a step that is cut off has lost nothing that was accepted.
pub(crate) const CLOSE_STEP: Duration = Duration::from_secs(1);

/// How the process is to end.
#[derive(Debug)]
pub enum Exit {
    /// With status 0: stopped, or making way for a successor that somebody else starts.
    Success,
    /// By executing the successor in place, first thing after the runtime has ended.
    Exec(ExecPlan, Option<ExecWatchdog>),
    /// With status 75, which the unit file maps to a restart.
    RestartByStatus,
}

/// Why an agent could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The modules of the program cannot live together.
    #[error(transparent)]
    Composition(#[from] crate::composition::CompositionError),
    /// The lock is held, or cannot be taken.
    #[error(transparent)]
    Lock(#[from] crate::agent_lock::LockError),
    /// A folder is not fit for use.
    #[error("the folder {path} {reason}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `/proc` does not tell who we are.
    #[error("cannot tell this process's own identity: {0}")]
    Identity(#[source] restart::IdentityError),
    /// A small file of the state folder cannot be written.
    #[error(transparent)]
    StateFile(#[from] ReplaceFileError),
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] crate::spool::SpoolError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] command_manager::OpenError),
    /// The control socket cannot be bound.
    #[error(transparent)]
    Control(#[from] crate::control::BindError),
    /// The control socket cannot be served.
    #[error("cannot serve the control socket: {0}")]
    Serve(#[source] std::io::Error),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(#[source] std::io::Error),
}
