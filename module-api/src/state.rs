//! What a module leaves for its next instance, and what that instance finds.

use std::path::PathBuf;

/// What [`Module::save_state`](crate::Module::save_state) returns: versioned bytes.
///
/// The agent writes the bytes atomically, with a checksum, and keeps the previous generation. Kernel objects are not
/// among it: by the time of the last save the next process may have been given what it is to receive, and a module that is
/// killed saves nothing. They are handed out by [`Module::sensors`](crate::Module::sensors), once, after the start.
#[derive(Debug, Default)]
pub struct SavedState {
    payload: Option<(u32, Vec<u8>)>,
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
        Self { payload: Some((version, bytes)) }
    }

    /// The version and the bytes, if there are any.
    #[must_use]
    pub fn payload(&self) -> Option<(u32, &[u8])> {
        self.payload.as_ref().map(|(version, bytes)| (*version, bytes.as_slice()))
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
