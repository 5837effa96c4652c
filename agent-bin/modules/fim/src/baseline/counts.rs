//! How much is in the baseline, kept up to date with each change.

use rusqlite::{Connection, Row};

use crate::entry::{Entry, Kind};

/// How much is in the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Names of regular files.
    pub(crate) files: u64,
    pub(crate) folders: u64,
    /// Links, pipes, sockets and devices.
    pub(crate) others: u64,
    /// The sizes of the regular files together.
    pub(crate) bytes: u64,
    /// Regular files without a digest.
    pub(crate) unhashed: u64,
}

/// What of a row is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) kind: Kind,
    size: u64,
    unhashed: bool,
}

impl Counted {
    /// Of one row.
    pub(super) const OF_NAME: &str =
        "SELECT kind, size, unhashed IS NOT NULL FROM entries WHERE parent = ? AND name = ?";

    /// Of all rows of a folder.
    pub(super) const OF_FOLDER: &str =
        "SELECT kind, size, unhashed IS NOT NULL FROM entries WHERE parent = ?";

    /// A row of the answer to one of these.
    pub(super) fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            kind: super::row::kind_of(row.get(0)?, 0)?,
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            unhashed: row.get(2)?,
        })
    }

    pub(super) fn of(entry: &Entry) -> Self {
        Self { kind: entry.kind, size: entry.size, unhashed: entry.unhashed.is_some() }
    }
}

impl Counts {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<(u64, Self)> {
        let sql = "SELECT number, files, folders, others, bytes, unhashed FROM state";
        connection.prepare_cached(sql)?.query_row([], |row| {
            let get = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
            let counts = Self {
                files: get(1)?,
                folders: get(2)?,
                others: get(3)?,
                bytes: get(4)?,
                unhashed: get(5)?,
            };
            Ok((get(0)?, counts))
        })
    }

    pub(super) fn write(self, connection: &Connection, number: u64) -> rusqlite::Result<()> {
        let sql = "UPDATE state SET number = ?, files = ?, folders = ?, others = ?, bytes = ?, unhashed = ?";
        let Self { files, folders, others, bytes, unhashed } = self;
        let values = [number, files, folders, others, bytes, unhashed].map(u64::cast_signed);
        connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    pub(super) fn add(&mut self, row: Counted) {
        self.change(row, u64::wrapping_add);
    }

    pub(super) fn subtract(&mut self, row: Counted) {
        self.change(row, u64::wrapping_sub);
    }

    /// Wrapping, so that sizes which are together more than can be counted are taken off again rightly.
    fn change(&mut self, row: Counted, by: fn(u64, u64) -> u64) {
        match row.kind {
            Kind::File => {
                self.files = by(self.files, 1);
                self.bytes = by(self.bytes, row.size);
                self.unhashed = by(self.unhashed, u64::from(row.unhashed));
            }
            Kind::Folder => self.folders = by(self.folders, 1),
            Kind::Link | Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => {
                self.others = by(self.others, 1);
            }
        }
    }
}
