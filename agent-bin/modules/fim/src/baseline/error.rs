//! Why the baseline cannot be used.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the baseline cannot be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaselineError {
    /// An older agent must not write what it does not understand.
    #[error(
        "{path} has format {found}, this agent knows up to {known}: start the newer agent again, or move the file away to begin a new baseline"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// The file cannot be made or opened.
    #[error("cannot open {path}: {reason}")]
    Open { path: PathBuf, reason: String },
    /// A file that is of no use is in the way.
    #[error("{path} is of no use ({reason}) and cannot be renamed, move it away: {source}")]
    SetAside { path: PathBuf, reason: String, source: io::Error },
    /// A later instance of the module has claimed the database.
    #[error("another instance of the module has taken over the baseline")]
    Superseded,
    /// SQLite refuses.
    #[error("cannot use {path}: {source}")]
    Database { path: PathBuf, source: rusqlite::Error },
}

impl BaselineError {
    /// What is wrong with the file, if its content is.
    pub(crate) fn damage(&self) -> Option<String> {
        match self {
            Self::Database { source, .. } if is_damage(source) => Some(source.to_string()),
            Self::Newer { .. }
            | Self::Open { .. }
            | Self::SetAside { .. }
            | Self::Superseded
            | Self::Database { .. } => None,
        }
    }
}

/// Whether SQLite says that the content of the file is wrong.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
