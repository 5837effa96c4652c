//! Why the journal could not be opened, or did not do what it was asked.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the journal could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A newer agent wrote it; it is left as it is.
    #[error(
        "the command journal {path} has version {found}, this agent knows versions up to {known}: use the newer agent or move the file away"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// A database of something else; it is left as it is.
    #[error("{path} is a database but not a command journal: move it away or choose another place")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The system or the disk refused, or another process keeps it locked.
    #[error("the command journal {path} cannot be opened: {reason}")]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
}

/// Why the journal did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The disk refused. What was to be written may or may not be there after the next start.
    #[error("the command journal could not be read or written: {reason}")]
    Storage {
        /// What SQLite said.
        reason: String,
    },
    /// There is no room left on the disk.
    #[error("there is no room for the command journal: {reason}")]
    Full {
        /// What SQLite said.
        reason: String,
    },
    /// The file is damaged. It is looked at closely at the next start, and set aside then.
    #[error("the command journal is damaged, and is set aside at the next start: {reason}")]
    Corrupt {
        /// What SQLite said.
        reason: String,
    },
    /// A row holds what no version has written there.
    #[error("the command journal holds a damaged row for {id:?}: {reason}")]
    Damaged {
        /// The id in that row.
        id: String,
        /// Which column, and what is wrong with it.
        reason: String,
    },
    /// Its thread has ended; nothing more can be recorded by this process.
    #[error("the command journal is closed")]
    Closed,
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { reason },
            Some(ErrorCode::DiskFull) => Self::Full { reason },
            _ => Self::Storage { reason },
        }
    }
}
