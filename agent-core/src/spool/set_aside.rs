//! Renames a spool that cannot be used, with its companions, so that nothing is deleted.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A spool that was corrupt and is kept under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is kept now; its `-wal` and `-shm`, if any, beside it.
    pub kept_as: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept_as.display();
        write!(
            f,
            "the event spool was unusable ({}) and is kept as {kept}; a new one was begun, and events that were not delivered yet are only in the kept file",
            self.reason
        )
    }
}

/// What SQLite puts beside its file. The file itself goes first: if the process is killed before the others have
/// followed, the next start finds a log without its file and moves that too.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

/// `path` with `suffix` behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames the spool to the first free `PATH.corrupt-N`.
pub(super) fn set_aside(path: &Path, reason: String) -> io::Result<SetAside> {
    let mut number = 1_u32;
    let kept_as = loop {
        let candidate = beside(path, &format!(".corrupt-{number}"));
        let taken =
            COMPANIONS.iter().any(|suffix| beside(&candidate, suffix).symlink_metadata().is_ok());
        if !taken {
            break candidate;
        }
        number += 1;
    };
    for suffix in COMPANIONS {
        match fs::rename(beside(path, suffix), beside(&kept_as, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new("."))).and_then(|folder| folder.sync_all())?;
    Ok(SetAside { kept_as, reason })
}
