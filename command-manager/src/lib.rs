//! Commands to the agent: their wire forms, their life, the durable journal they live in, the queue that hands them to
//! executors, and the outbox that brings their results to whoever wants them.
//!
//! ```text
//!  bytes ──parse_command──> Envelope ──accept──> row in the journal (durable) ──> answer "accepted"
//!                                                  │
//!                                        pending ──┤ its turn: the oldest that excludes nothing under way
//!                        cancelled, expired <──────┤ and nothing that was accepted before it
//!                                                  v
//!            attempts + 1 made durable ──> in_progress ──execute──> success | failure | timeout ──> outbox ──> reporters
//!                                            ^    │ steps                                                  (until
//!                       judged: again        │    └─ deferred: the process is replaced; the next one         acknowledged)
//!                      (after a new start) ──┘       judges or finishes it
//! ```
//!
//! What the crate promises:
//! - an accepted command is on disk before the acceptance is answered;
//! - one id has one effect: the same command again is answered with the record of the first, other content under the
//!   same id is refused, for [`Settings::remember_ids_for`] after its end;
//! - an attempt is counted on disk before it is made, so that a command which kills the agent is given up and not
//!   repeated for ever;
//! - a command whose time has passed is never begun, one that takes too long ends as `timeout`, one that waits can be
//!   cancelled;
//! - commands that exclude each other ([`Scope`]) are never under way together, and none overtakes one that it excludes;
//! - a command found in progress after a start is judged by its executor, never by a blanket rule;
//! - a finished command never changes, and its result is sent to each [`Reporter`] until that acknowledges it;
//! - every change has a number that goes on in the next process, so a subscriber misses nothing.
//!
//! The crate knows nothing of processes, modules or sockets, and none of the agent's other crates. A program links it by
//! opening a [`CommandManager`], and spawning [`CommandManager::run`] with its [`Executors`] and one
//! [`CommandManager::report_to`] for each reporter.

mod audit;
mod backoff;
mod clock;
mod command;
mod error_code;
mod executor;
mod executors;
mod id;
mod journal;
mod manager;
mod panics;
mod progress;
mod record;
mod report;
mod reporting;
mod restart_limit;
mod runner;
mod scope;
mod settings;
pub mod status;
mod stopping;
pub mod wire;

pub use audit::audit_refused;
pub use clock::{SystemWallClock, WallClock};
pub use command::{CommandType, Origin, Peer, Target};
pub use error_code::{ErrorCode, UnknownErrorCode};
pub use executor::{Execution, Executor, FinalStatus, Finish, Judgement};
pub use executors::Executors;
pub use id::{CommandId, InvalidCommandId};
pub use journal::{Acceptance, Cancelling, Change, JournalError, OpenError, SetAside};
pub use manager::{AcceptError, CommandManager};
pub use progress::{Count, ProgressSink, Step};
pub use record::{Changes, CommandRecord, HistoryEntry, StatusChange};
pub use report::{Report, ReportError, Reporter};
pub use restart_limit::RestartRoom;
pub use scope::Scope;
pub use settings::{Settings, TimeToLive};
pub use status::{IllegalMove, Status, StatusEvent};
pub use wire::{Envelope, WireError, WireForm, parse_command, parse_document, parse_envelope};
