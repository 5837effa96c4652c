//! Assembles an agent: configuration, supervision of modules, event spool, outputs, control API, and the main loop.
//!
//! The crate never names a concrete module: a binary gives the kinds of modules that it has in a [`Setup`] and calls
//! [`run`]. It touches processes only through the controllers of the `restart` crate.

mod agent;
mod agent_lock;
mod composition;
pub mod config;
pub mod control;
mod file_output;
mod preflight;
mod restart_history;
mod run_record;
mod spool;
mod state_store;
mod supervisor;
mod wall_clock;

pub use agent::{Exit, Paths, RunError, Setup, run};
pub use agent_lock::LockError;
pub use composition::CompositionError;
pub use file_output::{FileOutput, FileOutputConfig, FileOutputError};
pub use spool::{
    OpenedSpool, SetAside, SinkHandle, Spool, SpoolError, SpoolLimits, SpoolStats, StoredEvent,
    WallClock,
};
pub use state_store::{Fallback, Loaded, StateStore, StateStoreError};
