//! What happens to the operations on the files of a folder: they are counted, and one of them is refused or the last.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard};

use nix::sys::signal::{Signal, raise};
use rusqlite::ffi;
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::fault::Fault;

/// An operation that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// A file is made by opening it.
    Create,
    Write,
    Truncate,
    Sync,
    Delete,
}

/// An end of the process at operation number `at`; the first has the number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) how: How,
    pub(crate) at: usize,
}

/// Which kind of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Killed before the operation.
    Before,
    /// Killed after the operation.
    After,
    /// Killed when half of the bytes of a write are written.
    Torn,
    /// The power fails before the operation, and all that was not synced is lost.
    Power,
    /// The power fails before the operation, and of what was not synced a part survives that chance chooses.
    PowerWithSurvivors,
}

/// Counts the operations on the files of a folder and does to them what a test wants.
///
/// Syncs are never passed on to the system: what a process has written survives its kill in memory, and what a power
/// cut takes away is the affair of [`Disk`].
#[derive(Debug, Default)]
pub(crate) struct Plan(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    done: Vec<Operation>,
    cut: Option<Cut>,
    fault: Option<Fault>,
    /// Holds all content where the power is to be cut.
    disk: Option<Disk>,
}

/// What is done with an operation.
enum Verdict {
    Perform,
    /// Answer with this code of SQLite; of a write, half is done first, as a disk does on which room ends.
    Refuse(i32),
    CutBefore,
    CutHalfway,
    CutAfter,
}

impl Plan {
    /// Ends the process; the number makes the choice of chance repeatable.
    pub(crate) fn cut(cut: Cut) -> Self {
        let disk = match cut.how {
            How::Before | How::After | How::Torn => None,
            How::Power => Some(Disk::new(None)),
            How::PowerWithSurvivors => Some(Disk::new(Some(cut.at as u64))),
        };
        Self(Mutex::new(State { cut: Some(cut), disk, ..State::default() }))
    }

    /// From now on the operations are refused that `fault` says.
    pub(crate) fn refuse(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Nothing is refused any more; says whether anything was.
    pub(crate) fn lift(&self) -> bool {
        self.state().fault.take().is_some_and(|fault| fault.has_struck())
    }

    /// The operations so far.
    pub(crate) fn done(&self) -> Vec<Operation> {
        self.state().done.clone()
    }

    /// Opens a file, and makes it if it may and there is none.
    pub(crate) fn open(&self, path: &Path, may_make: bool, real: impl Fn() -> i32) -> i32 {
        let mut state = self.state();
        let exists = match &mut state.disk {
            Some(disk) => disk.exists(path),
            None => path.exists(),
        };
        let open = |state: &mut State| {
            if let Some(disk) = &mut state.disk {
                disk.open(path, may_make);
            }
            real()
        };
        if exists || !may_make {
            return open(&mut state);
        }
        state.take(Operation::Create, open, |_| ())
    }

    pub(crate) fn write(
        &self,
        path: &Path,
        bytes: &[u8],
        offset: i64,
        real: impl Fn(&[u8]) -> i32,
    ) -> i32 {
        let write = |state: &mut State, bytes: &[u8]| match &mut state.disk {
            Some(disk) => disk.write(path, bytes, offset),
            None => real(bytes),
        };
        let half = &bytes[..bytes.len() / 2];
        self.state().take(
            Operation::Write,
            |state| write(state, bytes),
            |state| {
                assert_eq!(write(state, half), ffi::SQLITE_OK);
            },
        )
    }

    pub(crate) fn truncate(&self, path: &Path, size: i64, real: impl Fn() -> i32) -> i32 {
        let truncate = |state: &mut State| match &mut state.disk {
            Some(disk) => disk.truncate(path, size),
            None => real(),
        };
        self.state().take(Operation::Truncate, truncate, |_| ())
    }

    pub(crate) fn sync(&self, path: &Path) -> i32 {
        let sync = |state: &mut State| {
            if let Some(disk) = &mut state.disk {
                disk.sync(path);
            }
            ffi::SQLITE_OK
        };
        self.state().take(Operation::Sync, sync, |_| ())
    }

    pub(crate) fn delete(&self, path: &Path, sync_folder: bool, real: impl Fn() -> i32) -> i32 {
        let delete = |state: &mut State| match &mut state.disk {
            Some(disk) => disk.delete(path, sync_folder),
            None => real(),
        };
        self.state().take(Operation::Delete, delete, |_| ())
    }

    /// Reads, unless the system's file is to be read.
    pub(crate) fn read(&self, path: &Path, buffer: &mut [u8], offset: i64) -> Option<i32> {
        let mut state = self.state();
        let refused = state.fault.as_mut().and_then(Fault::refuses_read);
        refused.or_else(|| state.disk.as_ref().map(|disk| disk.read(path, buffer, offset)))
    }

    /// The size of a file, unless the system's file tells it.
    pub(crate) fn size(&self, path: &Path) -> Option<i64> {
        self.state().disk.as_ref().map(|disk| disk.size(path))
    }

    /// Whether there is a file with something in it, unless the system tells it.
    pub(crate) fn has_content(&self, path: &Path) -> Option<bool> {
        self.state().disk.as_mut().map(|disk| disk.exists(path) && disk.size(path) > 0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn take(
        &mut self,
        operation: Operation,
        whole: impl FnOnce(&mut Self) -> i32,
        half: impl FnOnce(&mut Self),
    ) -> i32 {
        self.done.push(operation);
        match self.verdict(operation) {
            Verdict::Perform => return whole(self),
            Verdict::Refuse(code) => {
                half(self);
                return code;
            }
            Verdict::CutBefore => (),
            Verdict::CutHalfway => half(self),
            Verdict::CutAfter => drop(whole(self)),
        }
        if let Some(disk) = &mut self.disk {
            disk.lose_power();
        }
        raise(Signal::SIGKILL).unwrap();
        unreachable!("nothing survives SIGKILL")
    }

    fn verdict(&mut self, operation: Operation) -> Verdict {
        if let Some(code) = self.fault.as_mut().and_then(|fault| fault.refuses(operation)) {
            return Verdict::Refuse(code);
        }
        match self.cut.filter(|cut| cut.at == self.done.len()) {
            None => Verdict::Perform,
            Some(cut) => match cut.how {
                How::Before | How::Power | How::PowerWithSurvivors => Verdict::CutBefore,
                How::Torn => Verdict::CutHalfway,
                How::After => Verdict::CutAfter,
            },
        }
    }
}

impl How {
    pub(crate) const ALL: [Self; 5] =
        [Self::Before, Self::After, Self::Torn, Self::Power, Self::PowerWithSurvivors];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Before => "killed before",
            Self::After => "killed after",
            Self::Torn => "killed within",
            Self::Power => "power lost before",
            Self::PowerWithSurvivors => "power lost, with survivors, before",
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operation {}", self.how.as_str(), self.at)
    }
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is no cut");
        let (how, at) = text.split_once(" operation ").ok_or_else(unknown)?;
        let how = How::ALL.into_iter().find(|one| one.as_str() == how).ok_or_else(unknown)?;
        Ok(Self { how, at: at.parse().map_err(|_| unknown())? })
    }
}
