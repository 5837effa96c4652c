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
//! With the feature `scripted` the crate offers `ScriptedModule`, a module whose answers and delays are written
//! down beforehand, so that others can test against slow, hanging, failing and lying modules. The feature `mock` offers
//! `MockModule`, made by mockall.

mod context;
mod error;
mod event;
mod kind;
mod module;
mod name;
mod readiness;
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
pub use readiness::Readiness;
pub use state::{Restored, SavedState, SensorFd};
pub use tasks::{Task, TaskSpawner};

#[cfg(feature = "scripted")]
pub use scripted::{Act, Call, Script, ScriptedKind, ScriptedModule};
