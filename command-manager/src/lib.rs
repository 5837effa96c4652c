//! Commands to the agent: their wire form, their life, the durable journal they live in, and the queue that hands them
//! to an executor one at a time.
//!
//! ```text
//!  bytes ──parse_command───> Envelope ──accept──> row in the journal (durable) ──> answer "accepted"
//!                                                   │
//!                                         pending ──┤ oldest first, nothing else under way
//!                                                   v
//!             attempts + 1 made durable ──> in_progress ──execute──> success | failure | timeout
//!                                             ^    │
//!                        judged: again        │    └─ deferred: the process is replaced; the next one judges
//!                       (after a new start) ──┘       or finishes it, and nothing else runs before
//! ```
//!
//! What the crate promises:
//! - an accepted command is on disk before the acceptance is answered;
//! - one id has one effect: the same command again is answered with the record of the first, other content under the
//!   same id is refused;
//! - an attempt is counted on disk before it is made, so that a command which kills the agent is given up and not
//!   repeated for ever;
//! - a command found in progress after a start is judged by the executor, never by a blanket rule;
//! - a finished command never changes.
//!
//! The crate knows nothing of processes, modules or sockets, and none of the agent's other crates.

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
pub use scope::Scope;
pub use settings::{Settings, TimeToLive};
pub use status::{IllegalMove, Status, StatusEvent};
pub use wire::{Envelope, WireError, WireForm, parse_command, parse_document, parse_envelope};
