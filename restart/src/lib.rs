//! Restarts an agent safely: the shutdown loop, process controllers, hand-over, ticket and confirmation.
//!
//! One place decides ([`Shutdown`], a value without I/O, time as an argument), one drives ([`drive`], the only place
//! that awaits a module), one touches the operating system (the controllers).
//!
//! The feature `mock` offers `MockProcessController` and `MockClock`, made by mockall. `examples/own_module.rs` shows a
//! component of somebody else that uses the loop.

mod clock;
mod controller;
mod driver;
mod durable_file;
mod event;
mod hand_over;
pub mod helper_main;
mod identity;
mod kernel_clock;
mod limits;
mod machine;
mod notify;
mod request;
mod ticket;

#[cfg(feature = "mock")]
pub use clock::MockClock;
pub use clock::{Clock, TokioClock};
#[cfg(feature = "mock")]
pub use controller::MockProcessController;
pub use controller::{
    CallOff, CaptureError, EXIT_RESTART, ExecController, ExecError, ExecPlan, ExecWatchdog, Facts,
    HelperController, LaunchPlan, Method, MethodChoice, ProcessController, Refusal, ReplaceError,
    Requested, StartEnvironment, StartLimit, SystemdController, SystemdError, Trial, TrialError,
    UnitFacts, choose, controller_for,
};
pub use driver::{Host, drive};
pub use durable_file::{ReplaceFileError, replace_file};
pub use event::{
    Answer, Call, Effect, Ending, Event, ModuleEnd, ModuleOutcome, Progress, Purpose,
    ShutdownOutcome,
};
pub use hand_over::{
    Adopted, DescriptorStore, KeepError, Rejected, adopt, is_listening_unix_socket, is_valid_name,
};
pub use identity::{IdentityError, ProcessIdentity};
pub use kernel_clock::{boottime, boottime_ms};
pub use limits::{Clamped, Limits, LimitsDoNotFit, StopTimeout};
pub use machine::Shutdown;
pub use notify::{Notifier, NotifyError};
pub use request::{Arbiter, Decision, Denial, Scope};
pub use ticket::{
    CommittedTicket, Outcome, Stage, Stamp, Ticket, TicketDraft, TicketError, Verdict, judge,
};
