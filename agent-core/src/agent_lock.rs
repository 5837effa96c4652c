//! One agent per state folder: a lock on a file that names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// Why the state folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent works here.
    #[error(
        "another agent (pid {}) uses this state folder: it holds {path}; stop it first, or choose another folder with --state-dir",
        pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string())
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as the file tells.
        pid: Option<i32>,
    },
    /// The file cannot be used.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Holds the lock until it is dropped or the process ends. The file stays: removing it would let two agents hold
/// locks on two files of one name.
#[derive(Debug)]
pub(crate) struct AgentLock {
    _file: File,
}

impl AgentLock {
    /// Takes the lock, waiting up to `patience` for a holder that is ending, and writes `pid` into the file.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder's pid.
    pub(crate) fn acquire(path: &Path, pid: i32, patience: Duration) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(io(source)),
            Err(TryLockError::WouldBlock) => {
                let pid = holder(&mut file);
                file = wait(file, patience)
                    .map_err(io)?
                    .ok_or_else(|| LockError::Held { path: path.to_owned(), pid })?;
            }
        }
        file.set_len(0).map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        writeln!(file, "{pid}").map_err(io)?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Waits in a thread of its own, because a lock on a file has no timeout. A thread that waits in vain ends with the
/// process, which has nothing else to do then.
fn wait(file: File, patience: Duration) -> io::Result<Option<File>> {
    if patience.is_zero() {
        return Ok(None);
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("agent-lock".to_owned()).spawn(move || {
        let locked = file.lock().map(|()| file);
        // Nobody receives when the patience is over.
        drop(sender.send(locked));
    })?;
    receiver.recv_timeout(patience).map_or(Ok(None), |locked| locked.map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_and_told_the_pid_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.lock");
        let _first = AgentLock::acquire(&path, 4711, Duration::ZERO).unwrap();
        let refused = AgentLock::acquire(&path, 4712, Duration::ZERO).unwrap_err();
        assert!(matches!(refused, LockError::Held { pid: Some(4711), .. }), "{refused}");
    }

    #[test]
    fn a_dying_predecessor_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.lock");
        let first = AgentLock::acquire(&path, 1, Duration::ZERO).unwrap();
        let second = std::thread::spawn({
            let path = path.clone();
            move || AgentLock::acquire(&path, 2, Duration::from_secs(60)).map(drop)
        });
        drop(first);
        second.join().unwrap().unwrap();
    }
}
