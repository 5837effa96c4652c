//! What it means to replace this process, whoever does it: the trait, its answers and its errors.
//!
//! The order that every caller keeps: `preflight`, drain the modules while they still work, commit the ticket, `request`.
//! If `request` fails, withdraw the ticket and resume. If it succeeds, do what [`Requested`] says.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{CommittedTicket, KeepError, StopTimeout, TicketError};

mod choose;
mod exec;
mod helper;
pub(crate) mod inherited;
pub(crate) mod launch;
pub(crate) mod link;
mod program;
pub(crate) mod same_file;
mod start_environment;
pub(crate) mod successor;
mod systemd;
mod trial;
pub(crate) mod watched;

pub use choose::{Facts, MethodChoice, choose, controller_for};
pub use exec::{ExecController, ExecPlan, ExecWatchdog};
pub use helper::{CallOff, HelperController};
pub use launch::{CaptureError, LaunchPlan};
pub use start_environment::StartEnvironment;
pub use successor::ExecError;
pub use systemd::{StartLimit, SystemdController, SystemdError, UnitFacts};
pub use trial::{Trial, TrialError};

/// The exit status that asks systemd for a restart (`RestartForceExitStatus=75` in the unit).
pub const EXIT_RESTART: u8 = 75;

/// How the process is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// systemd restarts the unit that this process is the main process of.
    Systemd,
    /// A helper process outlives the agent and becomes the next one.
    Helper,
    /// The process execs its program again and keeps its pid.
    Exec,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systemd => "systemd",
            Self::Helper => "helper",
            Self::Exec => "exec",
        })
    }
}

/// One way of replacing this process.
// async_trait has to come first: below automock a mock could not hang.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait ProcessController: Send + Sync {
    /// Which way it is.
    fn method(&self) -> Method;

    /// Says whether a restart can work, before anything is drained, and returns what somebody should know about it all
    /// the same: warnings, each a lower-case sentence. Changes nothing; takes a few seconds at most.
    ///
    /// # Errors
    /// [`Refusal`]: with this in the way the agent would not come back, so it must not go.
    async fn preflight(&self) -> Result<Vec<String>, Refusal>;

    /// Asks for the replacement of this process.
    ///
    /// `ticket` is the proof that the next process will know what happened; the request is noted in it. `fds` are copies
    /// of what the next process is to receive, each name once (see [`is_valid_name`](crate::is_valid_name)); the modules
    /// keep theirs until they stop. `remaining` is how long this process may still take to stop: what is left of
    /// `restart.timeout` since the order. The helper enforces it; systemd has its own limits, and with
    /// [`Requested::ExecWhenStopped`] the caller arms the watchdog with it.
    ///
    /// SIGTERM may arrive before this returns. Dropping the call before it returns takes the request back if it was
    /// not yet made, which is then not known: wait for the answer.
    ///
    /// # Errors
    /// [`ReplaceError`]: nothing will happen to this process. Withdraw the ticket and resume.
    async fn request(
        &self,
        ticket: &mut CommittedTicket,
        fds: Vec<(String, OwnedFd)>,
        remaining: Duration,
    ) -> Result<Requested, ReplaceError>;

    /// Makes sure that nobody starts the agent again when this process ends by itself, because an operator wants it
    /// stopped. A replacement that was requested is taken back by that where the controller can do so alone.
    ///
    /// # Errors
    /// Who would start it again, and why that could not be prevented; the process had better not end then.
    async fn renounce(&self) -> Result<(), String> {
        Ok(())
    }

    /// Why the replacement that was requested will not take place, if it will not; asked when the modules have ended. For a way in
    /// which nobody tells of it by the `fate` of [`Requested::SigtermWillCome`]. Takes a second at most.
    async fn why_lost(&self) -> Option<String> {
        None
    }

    /// Whether the service manager has a restart of this process under way that somebody else has asked it for, which
    /// tells a SIGTERM that comes from an operator's stop. Without an answer it is none. Takes a few milliseconds, and a
    /// few seconds at most; may be dropped at any await.
    async fn is_being_restarted(&self) -> bool {
        false
    }

    /// How long the service manager lets this process stop before it kills it; `None` when nobody does, or when it
    /// cannot be learned, which is logged. Takes a few seconds at most; may be dropped at any await.
    ///
    /// A helper has a limit of its own, which it is given with the request.
    async fn stop_timeout(&self) -> Option<StopTimeout> {
        None
    }

    /// Makes sure that whoever keeps descriptors while no process of the agent lives has all that are in the store, each
    /// once. Where nobody does, there is nothing to do. Takes some milliseconds, and a few seconds at most; may be dropped
    /// at any await.
    ///
    /// # Errors
    /// What is not kept, and what to do about it: after a kill the next process has to do without.
    async fn settle_descriptors(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a successful request leaves to the caller.
#[derive(Debug)]
pub enum Requested {
    /// SIGTERM will come, if it has not come yet. On it: save, stop, write `stopped` into the ticket, exit.
    SigtermWillCome {
        /// Receives a message if the replacement will not take place after all: it says why. With no SIGTERM so far the
        /// agent goes on; else it has to find another way to come back, or stops. That the sender is dropped
        /// without a message means only that nothing more can be learned.
        fate: oneshot::Receiver<String>,
        /// Takes the replacement back, for an operator's stop. Absent under systemd, where `systemctl stop` does it.
        call_off: Option<CallOff>,
    },
    /// Nobody will come: save, stop, write `stopped` into the ticket, then call [`ExecPlan::exec`]. Arm the watchdog now.
    ExecWhenStopped(ExecPlan),
    /// systemd could not be asked, but restarts the unit on this exit status: save, stop, write `stopped` into the
    /// ticket, exit with [`EXIT_RESTART`].
    ExitWith75,
}

/// A restart that would not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The program that would be started cannot be.
    #[error("cannot start {path}: {reason}; install the agent's program again")]
    Executable {
        /// The program's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// systemd would stop the unit and not start it.
    #[error("systemd cannot start unit {unit}: {reason}")]
    Unit {
        /// The unit's name.
        unit: String,
        /// What is in the way, and what to do.
        reason: String,
    },
    /// This process was not started by systemd.
    #[error(
        "restart.method is systemd, but this process is not the main process of a unit ({reason}); set it to auto"
    )]
    NotAUnit {
        /// What systemd, or the lack of it, said.
        reason: String,
    },
    /// The machine, or the user's session, is going down.
    #[error("the system is being shut down")]
    ShuttingDown,
    /// An operator's stop of the unit is under way.
    #[error("unit {unit} is being stopped")]
    BeingStopped {
        /// The unit's name.
        unit: String,
    },
}

/// A replacement that could not be asked for. Nothing happens to this process.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The request could not be noted.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// A descriptor cannot be handed over.
    #[error("cannot hand over the descriptors: {0}")]
    HandOver(std::io::Error),
    /// systemd could not be given the descriptors to keep.
    #[error("cannot hand over the descriptors: {0}")]
    Store(#[from] KeepError),
    /// The helper could not be started.
    #[error("cannot start the restart helper {path}: {source}")]
    Spawn {
        /// The program's file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The helper was started and did not take over.
    #[error("the restart helper did not take over: {0}")]
    Helper(String),
    /// Every way to ask systemd failed.
    #[error("cannot ask systemd for the restart: {0}")]
    Systemd(String),
}
