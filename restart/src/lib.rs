//! Restarts an agent safely: the shutdown loop, process controllers, hand-over, ticket and confirmation.
//!
//! One place decides ([`Shutdown`], a value without I/O, time as an argument), one drives ([`drive`], the only place
//! that awaits a module), one touches the operating system (the controllers).

mod clock;
mod driver;
mod durable_file;
mod event;
mod limits;
mod machine;

pub use clock::{Clock, TokioClock};
pub use driver::{Host, drive};
pub use durable_file::{ReplaceFileError, replace_file};
pub use event::{
    Answer, Call, Effect, Ending, Event, ModuleEnd, ModuleOutcome, Outcome, Progress, Purpose,
};
pub use limits::{Limits, LimitsDoNotFit};
pub use machine::Shutdown;
