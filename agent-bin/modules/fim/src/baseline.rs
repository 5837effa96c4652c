//! What the file system looked like when it was last looked at: a database in the module's folder.
//!
//! One writer moves it, by lists of [`Op`] with a number each; a list that it has had already changes nothing, so that a list
//! can be kept elsewhere and applied again after a crash. Any number of readers look at it meanwhile.

mod below;
mod counts;
mod error;
mod op;
mod open;
mod read;
mod row;
mod set_aside;
mod write;

use std::ops::Deref;
use std::path::Path;

pub(crate) use below::Below;
pub(crate) use counts::Counts;
pub(crate) use error::BaselineError;
pub(crate) use op::Op;
pub(crate) use read::{BaselineReader, KnownFolder};
pub(crate) use set_aside::SetAside;

use write::{Changes, Parents};

/// The key of the writer's mark.
const WRITER: &str = "writer";

/// The number of a folder in the database. It stays the same when the folder is renamed, and may be used again when the
/// folder is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FolderId(i64);

impl FolderId {
    /// Where the roots are.
    const TOP: Self = Self(0);
}

/// The database, and the right to change it. Reading is as with [`BaselineReader`].
#[derive(Debug)]
pub(crate) struct Baseline {
    reader: BaselineReader,
    parents: Parents,
    /// The mark of this writer in the database, once it has claimed it.
    writer: Option<u64>,
    lasting: bool,
}

/// A database that was opened, and what happened to the file before it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) baseline: Baseline,
    /// The damaged or foreign file that was there instead, kept under another name.
    pub(crate) set_aside: Option<SetAside>,
}

/// What became of a list of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// How many meant a path in a folder that is not known.
    pub(crate) ignored: u64,
    /// Whether the list had been applied before, so that nothing was done.
    pub(crate) repeated: bool,
}

impl Baseline {
    /// Opens `baseline.db` in `folder`, which exists, or makes it for its owner alone. A damaged or foreign file is renamed
    /// and kept, and an empty database is begun.
    ///
    /// # Errors
    /// [`BaselineError::Newer`] for the file of a newer agent, which stays as it is; otherwise why there can be no database.
    pub(crate) fn open(folder: &Path) -> Result<Opened, BaselineError> {
        let path = folder.join("baseline.db");
        let (connection, set_aside) = open::for_writing(&path)?;
        let reader = BaselineReader::new(connection, path);
        let baseline = Self { reader, parents: Parents::default(), writer: None, lasting: false };
        Ok(Opened { baseline, set_aside })
    }

    /// A reader for another thread. It sees what was applied before each of its calls.
    ///
    /// # Errors
    /// Why the file cannot be opened once more.
    pub(crate) fn reader(&self) -> Result<BaselineReader, BaselineError> {
        self.reader.another()
    }

    /// Applies `ops` in their order and sets `meta`, all or nothing. Nothing is done when the database has had a list of this
    /// number or a higher one: a list may be given twice.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(crate) fn apply(
        &mut self,
        number: u64,
        ops: &[Op],
        meta: &[(&str, Vec<u8>)],
    ) -> Result<Applied, BaselineError> {
        let result = self.apply_at_once(number, ops, meta);
        if result.is_err() {
            self.parents.forget();
        }
        match result {
            Ok(Some(applied)) => Ok(applied),
            Ok(None) => Err(BaselineError::Superseded),
            Err(error) => Err(self.reader.failed(error)),
        }
    }

    /// Whether what is applied from now on is on the disk before [`Baseline::apply`] returns, with all that was applied before.
    /// Otherwise a power cut may take back the last of it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn set_lasting(&mut self, lasting: bool) -> Result<(), BaselineError> {
        if self.lasting != lasting {
            let mode = if lasting { "FULL" } else { "NORMAL" };
            let set = self.reader.connection().pragma_update(None, "synchronous", mode);
            set.map_err(|error| self.reader.failed(error))?;
            self.lasting = lasting;
        }
        Ok(())
    }

    /// From now on nobody who claimed it before can change the database: an instance that was given up may still be at work.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn claim(&mut self, writer: u64) -> Result<(), BaselineError> {
        let number = self.number()? + 1;
        self.apply(number, &[], &[(WRITER, writer.to_le_bytes().to_vec())])?;
        self.writer = Some(writer);
        Ok(())
    }

    /// No folder has a watch any more: those of another inotify instance mean nothing.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn forget_watches(&mut self) -> Result<(), BaselineError> {
        let sql = "UPDATE folders SET watch = NULL WHERE watch IS NOT NULL";
        let forgotten = self.reader.connection().execute(sql, []);
        forgotten.map(drop).map_err(|error| self.reader.failed(error))
    }

    fn apply_at_once(
        &mut self,
        number: u64,
        ops: &[Op],
        meta: &[(&str, Vec<u8>)],
    ) -> rusqlite::Result<Option<Applied>> {
        let connection = self.reader.connection();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let rollback = Rollback(connection);
        if let Some(writer) = self.writer {
            let sql = "SELECT value FROM meta WHERE key = ?";
            let found: Vec<u8> =
                connection.prepare_cached(sql)?.query_row([WRITER], |row| row.get(0))?;
            if found != writer.to_le_bytes() {
                return Ok(None);
            }
        }
        let mut changes = Changes::begin(connection, &mut self.parents)?;
        if number <= changes.number() {
            return Ok(Some(Applied { ignored: 0, repeated: true }));
        }
        for op in ops {
            changes.apply(op)?;
        }
        let ignored = changes.finish(number, meta)?;
        connection.execute_batch("COMMIT")?;
        drop(rollback);
        Ok(Some(Applied { ignored, repeated: false }))
    }
}

impl Deref for Baseline {
    type Target = BaselineReader;

    fn deref(&self) -> &BaselineReader {
        &self.reader
    }
}

/// Ends a transaction that was not committed.
struct Rollback<'a>(&'a rusqlite::Connection);

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction of the baseline cannot be rolled back");
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
