//! What each process leaves about itself in the state folder: its generation, its identity, and how it ended.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use restart::{ProcessIdentity, ReplaceFileError, replace_file};
use serde::{Deserialize, Serialize};

/// The file `run.json`. Internal format, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The format's version.
    pub(crate) format: u32,
    /// Counts the processes that worked on this state folder, from 1.
    pub(crate) generation: u64,
    /// Which process.
    pub(crate) identity: ProcessIdentity,
    /// When it started.
    pub(crate) started_at: Timestamp,
    /// How it ended; `None` while it runs, and for ever if it was killed.
    pub(crate) ended: Option<HowEnded>,
}

/// How a process said that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HowEnded {
    /// Stopped on request.
    Stopped,
    /// It made way for its successor.
    Replaced,
}

impl RunRecord {
    /// The format that this version writes.
    pub(crate) const FORMAT: u32 = 1;

    /// Reads the record of the process before. A record that cannot be understood counts as none, with the reason, since
    /// it only serves to count and to report.
    #[must_use]
    pub(crate) fn load(path: &Path) -> (Option<Self>, Option<String>) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (None, None),
            Err(error) => return (None, Some(format!("cannot read {}: {error}", path.display()))),
        };
        match serde_json::from_slice(&bytes) {
            Ok(record) => (Some(record), None),
            Err(error) => (None, Some(format!("{} is not understood: {error}", path.display()))),
        }
    }

    /// Replaces the record on disk.
    ///
    /// # Errors
    /// Names the file and the step.
    pub(crate) fn store(&self, path: &Path) -> Result<(), ReplaceFileError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        replace_file(path, &text, 0o600)
    }
}
