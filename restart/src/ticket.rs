//! The note that the old process leaves for the new one, and the proof that it was on disk before anything was stopped.
//!
//! ```text
//!  TicketDraft ──commit──> CommittedTicket ──record_request──> (the replacement is asked for) ──stopped──> (exit or exec)
//!                               └──withdraw──> no ticket: the restart was called off
//! ```
//!
//! Only a [`CommittedTicket`] lets a controller replace the process. The new process reads the ticket with [`Ticket::load`],
//! compares it with itself with [`judge`] and takes it away with [`Ticket::close`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kernel_clock::boottime_ms;
use crate::{Method, ProcessIdentity, ReplaceFileError};

mod judge;
mod load;

pub use judge::{Outcome, Verdict, judge};
pub(crate) use load::amend;

/// The form of ticket that this version writes.
const FORMAT: u32 = 1;
/// The phase under which the moment of the request is noted.
pub(crate) const REQUESTED: &str = "requested";

/// What is on disk between the decision to restart and the confirmation by the next process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The form of the file; 1 so far.
    pub format: u32,
    /// The commands that get the outcome.
    pub command_ids: Vec<String>,
    /// Who asked, as the audit record has it.
    #[serde(default)]
    pub requester: Option<Value>,
    /// Why, in the words of whoever asked.
    #[serde(default)]
    pub reason: Option<String>,
    /// How the process is replaced.
    pub method: Method,
    /// The process that is to be replaced.
    pub old: ProcessIdentity,
    /// The generation of the old process; every start counts it up by one.
    pub generation: u64,
    /// Hash of the program's file as the old process saw it, in hex.
    #[serde(default)]
    pub binary: Option<String>,
    /// Hash of the configuration that the old process used, in hex.
    #[serde(default)]
    pub config: Option<String>,
    /// When each phase was reached, in order.
    #[serde(default)]
    pub stamps: Vec<Stamp>,
    /// How far the old process came.
    pub stage: Stage,
    /// The process that the new one will be, where it is known beforehand: the helper, or the old process itself when it
    /// execs in place. systemd does not say.
    #[serde(default)]
    pub successor: Option<ProcessIdentity>,
    /// What became of each module in the shutdown loop; null until it has ended.
    #[serde(default)]
    pub modules: Value,
    /// Whether every module saved and stopped by itself. Means nothing before [`Stage::Stopped`].
    #[serde(default)]
    pub clean: bool,
    /// When the old process took the last event of each module, in milliseconds since boot; a module of which it took none is
    /// not there. Empty before [`Stage::Stopped`].
    #[serde(default)]
    pub last_events: BTreeMap<String, u64>,
    /// The helper had to kill the old process.
    #[serde(default)]
    pub killed_by_helper: bool,
    /// Why the recorded executable could not be started.
    #[serde(default)]
    pub exec_failed: Option<String>,
}

/// The moment at which a phase was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The phase: `committed`, `requested`, `stopped`, and whatever the agent adds.
    pub phase: String,
    /// Milliseconds since boot, see [`boottime`](crate::boottime).
    pub at_ms: u64,
}

/// How far the old process came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The restart was decided. A ticket that stays here belongs to a process that was killed, crashed, or could not
    /// write any more.
    Committed,
    /// The shutdown loop has ended; the rest of the ticket says how.
    Stopped,
}

/// What is known when a restart is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketDraft {
    /// See [`Ticket::command_ids`].
    pub command_ids: Vec<String>,
    /// See [`Ticket::requester`].
    pub requester: Option<Value>,
    /// See [`Ticket::reason`].
    pub reason: Option<String>,
    /// See [`Ticket::method`].
    pub method: Method,
    /// See [`Ticket::old`].
    pub old: ProcessIdentity,
    /// See [`Ticket::generation`].
    pub generation: u64,
    /// See [`Ticket::binary`].
    pub binary: Option<String>,
    /// See [`Ticket::config`].
    pub config: Option<String>,
}

/// A ticket that is on disk: the proof that a controller asks for.
#[derive(Debug)]
#[must_use = "a committed ticket is either followed by a restart or withdrawn"]
pub struct CommittedTicket {
    path: PathBuf,
    ticket: Ticket,
}

/// A ticket could not be kept, read or taken away.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// The file could not be replaced; the earlier ticket, or none, is still there.
    #[error("cannot keep the restart ticket: {0}")]
    Write(#[from] ReplaceFileError),
    /// What it should say has no form as JSON.
    #[error("cannot put the restart ticket into words: {0}")]
    Encode(#[from] serde_json::Error),
    /// The file is there but cannot be read.
    #[error("cannot read the restart ticket {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is damaged or of a newer form. It was set aside; go on without a ticket, and report this.
    #[error("the restart ticket {path} is not usable ({reason}); it is kept as {kept_as}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where it is now.
        kept_as: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file could not be moved or removed.
    #[error("cannot take the restart ticket {path} away: {source}")]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Stamp {
    /// `phase` was reached at `at` since boot.
    #[must_use]
    pub fn at(phase: &str, at: Duration) -> Self {
        Self { phase: phase.to_owned(), at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX) }
    }

    /// `phase` is reached now.
    #[must_use]
    pub fn now(phase: &str) -> Self {
        Self { phase: phase.to_owned(), at_ms: boottime_ms() }
    }
}

impl TicketDraft {
    /// Writes the ticket to `path` and returns once it would survive a power cut. An earlier ticket is replaced.
    ///
    /// # Errors
    /// [`TicketError::Write`]; then there must be no restart.
    pub fn commit(self, path: &Path) -> Result<CommittedTicket, TicketError> {
        let ticket = Ticket {
            format: FORMAT,
            command_ids: self.command_ids,
            requester: self.requester,
            reason: self.reason,
            method: self.method,
            old: self.old,
            generation: self.generation,
            binary: self.binary,
            config: self.config,
            stamps: Vec::new(),
            stage: Stage::Committed,
            successor: None,
            modules: Value::Null,
            clean: false,
            last_events: BTreeMap::new(),
            killed_by_helper: false,
            exec_failed: None,
        };
        let mut committed = CommittedTicket { path: path.to_owned(), ticket };
        committed.stamp("committed");
        committed.write()?;
        Ok(committed)
    }
}

impl CommittedTicket {
    /// Where the ticket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says.
    #[must_use]
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Adds a phase that was reached before the ticket was there, or is known from elsewhere, in its order of time; kept as by
    /// [`CommittedTicket::stamp`].
    pub fn add_stamp(&mut self, stamp: Stamp) {
        let place = self.ticket.stamps.partition_point(|other| other.at_ms < stamp.at_ms);
        self.ticket.stamps.insert(place, stamp);
    }

    /// Notes that `phase` is reached now. Kept in memory until the ticket is written next, at the latest by
    /// [`CommittedTicket::stopped`]: stamps are worth no disk access while the agent is down.
    pub fn stamp(&mut self, phase: &str) {
        self.ticket.stamps.push(Stamp { phase: phase.to_owned(), at_ms: boottime_ms() });
    }

    /// Writes down, durably, that the replacement is being asked for now and which process it will be if that is known.
    /// For controllers: it comes right before the step that cannot be taken back.
    ///
    /// # Errors
    /// [`TicketError::Write`]; then nothing may be asked for.
    pub fn record_request(
        &mut self,
        successor: Option<ProcessIdentity>,
    ) -> Result<(), TicketError> {
        self.ticket.successor = successor;
        self.stamp(REQUESTED);
        self.write()
    }

    /// When the old process took the last event of each module ([`Ticket::last_events`]); kept as by
    /// [`CommittedTicket::stamp`].
    pub fn note_last_events(&mut self, last_events: BTreeMap<String, u64>) {
        self.ticket.last_events = last_events;
    }

    /// Writes down that the shutdown loop has ended: with these results per module, and `clean` when none was late,
    /// failed or was abandoned. The process exits, or execs, next.
    ///
    /// # Errors
    /// [`TicketError::Write`]; the next process will then say that the old one did not stop in an orderly way.
    pub fn stopped(mut self, modules: Value, clean: bool) -> Result<(), TicketError> {
        self.ticket.modules = modules;
        self.ticket.clean = clean;
        self.ticket.stage = Stage::Stopped;
        self.stamp("stopped");
        self.write()
    }

    /// The restart was called off: takes the ticket away.
    ///
    /// # Errors
    /// [`TicketError::Remove`]; a later start may then take its start for the restart that was called off.
    pub fn withdraw(self) -> Result<(), TicketError> {
        Ticket::close(&self.path)
    }

    fn write(&self) -> Result<(), TicketError> {
        load::write(&self.path, &self.ticket)
    }
}

#[cfg(test)]
mod tests;
