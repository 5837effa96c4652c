//! The `Module` trait of the agent and its vocabulary: what a module owes the agent, and what it may rely on.
//!
//! ```text
//!             start                    ready_for_shutdown        save_state         stop
//!  (built) ──────────> running ──────────────────────> draining ──────────> saved ──────> stopped
//!                        ^ │ a task fails or panics       │
//!                        │ └──> failed: a new instance    │ resume (the shutdown was called off)
//!                        │      is built and started      │
//!                        └────────────────────────────────┘
//! ```
//!
//! A module knows this crate and nothing else of the agent: not other modules, not the journal, not the process.
//! The agent knows modules through [`Module`] and [`ModuleKind`] only.
//!
//! # For tests of those who run modules
//!
//! Feature `scripted`: `ScriptedModule` does what was written down beforehand, call by call, in Rust or as its section of
//! the configuration (`ScriptedKind`): it answers well, late, busy or not at all, fails until the k-th try, panics,
//! blocks its thread, and lies: it says that it stopped, and goes on publishing. It records when each call came and how
//! it ended, and what its publisher was told. Under tokio's paused time nothing of it waits for real.
//!
//! Feature `mock`: `MockModule`, made by mockall, for tests that check single calls; a mocked method can hang.
//!
//! # For tests of those who write modules
//!
//! Feature `contract`: `contract::check` runs a module through starts, drains, saves, stops, refused batches, kills and
//! dropped calls, and names each rule of [`Module`] that it breaks. Every real module has a `tests/contract.rs` that does
//! this; it implements `contract::Subject`, which is a way to build an instance and a way to give it work.

mod context;
#[cfg(feature = "contract")]
pub mod contract;
mod error;
mod event;
mod kind;
mod module;
mod name;
mod question;
mod readiness;
mod sensor;
mod sensor_keeper;
mod state;
mod tasks;
pub mod units;

#[cfg(feature = "scripted")]
mod scripted;

pub use context::StartContext;
pub use error::ModuleError;
pub use event::{Batch, Checkpoint, Event, EventId, EventSink, PublishError};
pub use kind::{ModuleKind, SectionError, parse_section};
#[cfg(feature = "mock")]
pub use module::MockModule;
pub use module::Module;
pub use name::{InvalidModuleName, ModuleName};
pub use question::{AskError, Question};
pub use readiness::Readiness;
pub use sensor::{SensorError, SensorFd};
pub use sensor_keeper::{KeepSensorError, NoKeeper, SensorKeeper};
pub use state::{Restored, SavedState};
pub use tasks::{Task, TaskSpawner};

#[cfg(feature = "scripted")]
pub use scripted::{
    Act, Call, CallEnd, HowEnded, Lie, Publication, Script, ScriptedKind, ScriptedModule,
};
