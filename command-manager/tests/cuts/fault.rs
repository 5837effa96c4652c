//! A disk that refuses: which operations, from when on, and for how long.

use rusqlite::ffi;

use crate::plan::Operation;

/// What a disk does not do any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `EIO` for everything that changes content or names.
    Changes,
    /// `EIO` for each sync.
    Syncs,
    /// `ENOSPC` for what takes room.
    Room,
    /// `EIO` for each read.
    Reads,
}

/// How long a disk refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
    Once,
    UntilLifted,
}

/// A refusal that begins with the operation number `at` of those that it concerns; the first has the number 1.
#[derive(Debug)]
pub(crate) struct Fault {
    refusal: Refusal,
    lasting: Lasting,
    at: usize,
    seen: usize,
}

impl Fault {
    pub(crate) fn new(refusal: Refusal, lasting: Lasting, at: usize) -> Self {
        Self { refusal, lasting, at, seen: 0 }
    }

    pub(crate) fn has_struck(&self) -> bool {
        self.seen >= self.at
    }

    /// What SQLite is answered, if this operation is refused.
    pub(crate) fn refuses(&mut self, operation: Operation) -> Option<i32> {
        let code = match (self.refusal, operation) {
            (Refusal::Changes, Operation::Write) => ffi::SQLITE_IOERR_WRITE,
            (Refusal::Changes, Operation::Truncate) => ffi::SQLITE_IOERR_TRUNCATE,
            (Refusal::Changes, Operation::Delete) => ffi::SQLITE_IOERR_DELETE,
            // SQLite has no other answer for a file that cannot be made.
            (Refusal::Changes | Refusal::Room, Operation::Create) => ffi::SQLITE_CANTOPEN,
            (Refusal::Syncs, Operation::Sync) => ffi::SQLITE_IOERR_FSYNC,
            (Refusal::Room, Operation::Write) => ffi::SQLITE_FULL,
            (Refusal::Changes, Operation::Sync)
            | (Refusal::Syncs | Refusal::Room | Refusal::Reads, _) => return None,
        };
        self.strikes().then_some(code)
    }

    /// What SQLite is answered, if a read is refused now.
    pub(crate) fn refuses_read(&mut self) -> Option<i32> {
        (self.refusal == Refusal::Reads && self.strikes()).then_some(ffi::SQLITE_IOERR_READ)
    }

    fn strikes(&mut self) -> bool {
        self.seen += 1;
        match self.lasting {
            Lasting::Once => self.seen == self.at,
            Lasting::UntilLifted => self.seen >= self.at,
        }
    }
}
