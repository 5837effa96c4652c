//! What a module leaves for its next instance, and what that instance finds.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What [`Module::save_state`](crate::Module::save_state) returns: versioned bytes, and kernel objects that go on
/// collecting while nobody reads them.
///
/// The agent writes the bytes atomically, with a checksum, and keeps the previous generation. The descriptors are
/// handed to the next process where the method of the restart allows it, under `MODULE.NAME`.
#[derive(Debug, Default)]
pub struct SavedState {
    payload: Option<(u32, Vec<u8>)>,
    sensors: Vec<SensorFd>,
}

/// A kernel object that goes on watching for a module while no process reads it: an inotify instance or a
/// notification-class fanotify group. Never a permission-class fanotify group: opens would block.
#[derive(Debug)]
pub struct SensorFd {
    /// The name under which the next instance receives it: a-z, 0-9 and `-`, at most 32 characters.
    pub name: String,
    /// The descriptor. The agent sets close-on-exec and hands it over by itself.
    pub fd: OwnedFd,
}

impl SavedState {
    /// The state of a module that keeps none. What an earlier instance saved stays as it is.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// State in the module's own format `version` (1 and up).
    #[must_use]
    pub fn new(version: u32, bytes: Vec<u8>) -> Self {
        Self { payload: Some((version, bytes)), sensors: Vec::new() }
    }

    /// Adds a kernel object to hand over.
    #[must_use]
    pub fn with_sensor(mut self, sensor: SensorFd) -> Self {
        self.sensors.push(sensor);
        self
    }

    /// The version and the bytes, if there are any.
    #[must_use]
    pub fn payload(&self) -> Option<(u32, &[u8])> {
        self.payload.as_ref().map(|(version, bytes)| (*version, bytes.as_slice()))
    }

    /// Takes the kernel objects out.
    #[must_use]
    pub fn take_sensors(&mut self) -> Vec<SensorFd> {
        std::mem::take(&mut self.sensors)
    }
}

/// What the agent found of the state that this module saved before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Nothing: the module never saved state here.
    Nothing,
    /// The bytes exactly as the module returned them.
    Found {
        /// The module's own format version. A version newer than the module knows must not be overwritten
        /// silently: refuse to start, or start afresh and say so in an event.
        version: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file was there but its checksum or format was wrong and no earlier generation could be read either. It
    /// was set aside, not deleted; the module starts afresh.
    Unreadable {
        /// Where the file is kept now.
        kept_as: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
}
