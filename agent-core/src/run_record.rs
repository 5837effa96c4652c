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

    /// Reads the record of the process before. One that cannot be understood is set aside and counts as none, with the
    /// reason, since it only serves to count and to report.
    #[must_use]
    pub(crate) fn load(path: &Path) -> (Option<Self>, Option<String>) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (None, None),
            Err(error) => return (None, Some(format!("cannot read {}: {error}", path.display()))),
        };
        let error = match serde_json::from_slice(&bytes) {
            Ok(record) => return (Some(record), None),
            Err(error) => error,
        };
        let kept_as = path.with_extension("json.corrupt");
        let kept = match std::fs::rename(path, &kept_as) {
            Ok(()) => format!("it is kept as {}", kept_as.display()),
            Err(error) => format!("it could not be set aside: {error}"),
        };
        (None, Some(format!("{} is not understood ({error}); {kept}", path.display())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        assert_eq!(RunRecord::load(&path), (None, None));
        let record = RunRecord {
            format: RunRecord::FORMAT,
            generation: 7,
            identity: ProcessIdentity::own().unwrap(),
            started_at: Timestamp::UNIX_EPOCH,
            ended: Some(HowEnded::Replaced),
        };
        record.store(&path).unwrap();
        assert_eq!(RunRecord::load(&path), (Some(record), None));
        std::fs::write(&path, "{").unwrap();
        let (none, reason) = RunRecord::load(&path);
        assert_eq!(none, None);
        assert!(reason.unwrap().contains("run.json.corrupt"));
        assert_eq!(std::fs::read(folder.path().join("run.json.corrupt")).unwrap(), b"{");
    }
}
