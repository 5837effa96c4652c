//! Why the spool could not be opened or asked.

use std::io;
use std::path::PathBuf;

/// A failure of the event spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file cannot be opened or made; it is left as it is.
    #[error("cannot open the event spool {path}: {reason}; check owner, mode and free space")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite or the system said.
        reason: String,
    },
    /// A newer agent wrote the file; it is left as it is.
    #[error(
        "the event spool {path} has format {found}, this agent knows up to {known}; install the newer agent again, or move the file away"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: i64,
        /// The newest format that this agent reads.
        known: i64,
    },
    /// A corrupt file could not be renamed.
    #[error("the event spool {path} is corrupt ({reason}) and cannot be set aside: {source}")]
    SetAside {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Why the rename failed.
        source: io::Error,
    },
    /// SQLite failed; nothing was changed.
    #[error("the event spool cannot {action}: {reason}")]
    Storage {
        /// What was asked.
        action: &'static str,
        /// What SQLite said.
        reason: String,
    },
    /// An output that was never registered.
    #[error("output {0:?} is not registered with the event spool")]
    UnknownOutput(String),
    /// An output claims events that do not exist yet; believing it would lose them.
    #[error("output {output:?} claims to have delivered event {seq}, but the last one is {last}")]
    NotStored {
        /// Which output.
        output: String,
        /// The claimed event.
        seq: u64,
        /// The last event of the spool.
        last: u64,
    },
    /// The spool was closed.
    #[error("the event spool is closed")]
    Closed,
    /// The spool's thread does not answer; the disk may hang.
    #[error("the event spool did not {action} within {seconds} s; the disk may hang")]
    NoAnswer {
        /// What was asked.
        action: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
}
