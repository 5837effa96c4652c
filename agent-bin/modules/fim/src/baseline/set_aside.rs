//! Renames the file of a database that is of no use.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::BaselineError;

/// A file that was of no use and is kept under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetAside {
    /// Where it is now, with its log beside it.
    pub(crate) kept_as: PathBuf,
    /// What was wrong with it.
    pub(crate) reason: String,
}

/// Renames `path` and the files that SQLite keeps beside it. Nobody may have it open.
pub(super) fn set_aside(path: &Path, reason: &str) -> Result<SetAside, BaselineError> {
    let rename = || {
        let kept_as = free_name(path)?;
        for suffix in ["-wal", "-shm", ""] {
            match fs::rename(beside(path, suffix), beside(&kept_as, suffix)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(SetAside { kept_as, reason: reason.to_owned() })
    };
    rename().map_err(|source| BaselineError::SetAside {
        path: path.to_owned(),
        reason: reason.to_owned(),
        source,
    })
}

/// `path` with `suffix` at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn free_name(path: &Path) -> io::Result<PathBuf> {
    let names = (1..=10_000_u32).map(|number| beside(path, &format!(".damaged-{number}")));
    for name in names {
        let taken = [name.clone(), beside(&name, "-wal")].iter().any(|name| {
            !matches!(fs::symlink_metadata(name), Err(error) if error.kind() == io::ErrorKind::NotFound)
        });
        if !taken {
            return Ok(name);
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files were set aside"))
}
