//! Looks things up in the baseline.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{COLUMNS, entry_of};
use super::{BaselineError, Counts, FolderId};
use crate::entry::Entry;
use crate::path_bytes::PathBytes;
use crate::sys::Handle;

/// A connection that reads. Each call sees what was applied before it; two calls may see different states.
#[derive(Debug)]
pub(crate) struct BaselineReader {
    connection: Connection,
    path: PathBuf,
}

/// What a scan has to know of a folder that the baseline has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownFolder {
    pub(crate) id: FolderId,
    /// The number of the last scan that has been through it; 0: none.
    pub(crate) scanned: u64,
}

fn known_of(id: i64, scanned: i64) -> KnownFolder {
    KnownFolder { id: FolderId(id), scanned: scanned.cast_unsigned() }
}

type Result<T> = std::result::Result<T, BaselineError>;

/// Each fails with [`BaselineError::Database`] when SQLite does.
/// A name with its row, and what a scan has to know of a folder.
pub(crate) type ToScan = (Vec<u8>, Entry, Option<KnownFolder>);

impl BaselineReader {
    pub(super) fn new(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn failed(&self, source: rusqlite::Error) -> BaselineError {
        BaselineError::Database { path: self.path.clone(), source }
    }

    /// Has a new baseline begun by whoever opens this one next for writing: its content is wrong.
    pub(crate) fn mark_damaged(&self, reason: &str) {
        if let Err(error) = super::open::mark_damaged(&self.path, reason) {
            tracing::error!(path = %self.path.display(), reason, %error, "a damaged baseline cannot be marked as such: move it away");
        }
    }

    /// One more reader, for another thread.
    ///
    /// # Errors
    /// Why the file cannot be opened once more.
    pub(crate) fn another(&self) -> Result<Self> {
        let connection = super::open::for_reading(&self.path)?;
        Ok(Self::new(connection, self.path.clone()))
    }

    /// What was last seen at `path`.
    pub(crate) fn find(&self, path: &PathBytes) -> Result<Option<Entry>> {
        let Some((folder, name)) = self.place(path)? else { return Ok(None) };
        self.entry_in(folder, &name)
    }

    /// What was last seen under `name` in `folder`.
    pub(crate) fn entry_in(&self, folder: FolderId, name: &[u8]) -> Result<Option<Entry>> {
        let sql = format!("SELECT {COLUMNS} FROM entries WHERE parent = ? AND name = ?");
        self.one(&sql, params![folder.0, name], |row| entry_of(row, 0))
    }

    /// The number of the folder at `path`.
    pub(crate) fn folder_id(&self, path: &PathBytes) -> Result<Option<FolderId>> {
        let Some((folder, name)) = self.place(path)? else { return Ok(None) };
        self.subfolder(folder, &name)
    }

    /// The number of the folder `name` in `folder`.
    pub(crate) fn subfolder(&self, folder: FolderId, name: &[u8]) -> Result<Option<FolderId>> {
        subfolder(&self.connection, folder, name).map_err(|error| self.failed(error))
    }

    /// Where the folder is now.
    pub(crate) fn path_of(&self, folder: FolderId) -> Result<Option<PathBytes>> {
        let sql = "SELECT parent, name FROM folders WHERE id = ?";
        let mut names = Vec::new();
        let mut at = folder;
        while at != FolderId::TOP {
            let found = self
                .one(sql, [at.0], |row| Ok((FolderId(row.get(0)?), row.get::<_, Vec<u8>>(1)?)))?;
            let Some((parent, name)) = found else { return Ok(None) };
            names.push(name);
            at = parent;
        }
        let mut names = names.into_iter().rev();
        let root = names.next().map(PathBytes::new);
        Ok(root.map(|root| names.fold(root, |path, name| path.join(&name))))
    }

    /// The handle that this folder had when it was looked at last, if it had one.
    pub(crate) fn handle_of(&self, folder: FolderId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT handle FROM folders WHERE id = ?";
        Ok(self.one(sql, [folder.0], |row| row.get(0))?.flatten())
    }

    /// The folder of this handle; of several the one that was found last.
    pub(crate) fn folder_by_handle(&self, handle: &Handle) -> Result<Option<FolderId>> {
        let sql = "SELECT id FROM folders WHERE handle = ? ORDER BY id DESC LIMIT 1";
        self.one(sql, [handle.to_bytes()], |row| Ok(FolderId(row.get(0)?)))
    }

    /// Where a folder was that has been removed lately, and the numbers of the lists that did it; the latest first.
    pub(crate) fn ghosts_by_handle(&self, handle: &Handle) -> Result<Vec<(PathBytes, i64)>> {
        let sql = "SELECT path, number FROM ghosts WHERE handle = ? ORDER BY number DESC LIMIT 16";
        self.all(sql, [handle.to_bytes()], ghost)
    }

    /// The same for the folder of this watch.
    pub(crate) fn ghosts_by_watch(&self, watch: i32) -> Result<Vec<(PathBytes, i64)>> {
        let sql = "SELECT path, number FROM ghosts WHERE watch = ? ORDER BY number DESC LIMIT 16";
        self.all(sql, [watch], ghost)
    }

    /// And the handle that it had.
    pub(crate) fn ghost_handle_by_watch(&self, watch: i32) -> Result<Option<Handle>> {
        let sql = "SELECT handle FROM ghosts WHERE watch = ? AND handle IS NOT NULL
                   ORDER BY number DESC LIMIT 1";
        let bytes: Option<Vec<u8>> = self.one(sql, [watch], |row| row.get(0))?;
        Ok(bytes.and_then(|bytes| Handle::from_bytes(&bytes)))
    }

    /// The folder of this watch; of several the one that was found last.
    pub(crate) fn folder_by_watch(&self, watch: i32) -> Result<Option<FolderId>> {
        let sql = "SELECT id FROM folders WHERE watch = ? ORDER BY id DESC LIMIT 1";
        self.one(sql, [watch], |row| Ok(FolderId(row.get(0)?)))
    }

    /// The watch of the folder.
    pub(crate) fn watch_of(&self, folder: FolderId) -> Result<Option<i32>> {
        let sql = "SELECT watch FROM folders WHERE id = ?";
        Ok(self.one(sql, [folder.0], |row| row.get(0))?.flatten())
    }

    /// Up to `limit` names in `folder` in the order of their bytes, those behind `after`.
    pub(crate) fn children(
        &self,
        folder: FolderId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Entry)>> {
        let sql = format!(
            "SELECT name, {COLUMNS} FROM entries WHERE parent = ? AND name > ? ORDER BY name LIMIT ?"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(&sql, params![folder.0, after.unwrap_or_default(), limit], |row| {
            Ok((row.get(0)?, entry_of(row, 1)?))
        })
    }

    /// As [`BaselineReader::children`], with what a scan has to know of those that are folders.
    pub(crate) fn children_to_scan(
        &self,
        folder: FolderId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ToScan>> {
        // 1 is a folder. As a parameter it would have SQLite prepare this anew each time: it could mean the rows of a partial index.
        let sql = "SELECT e.name, kind, size, mode, uid, gid, user, grp, mtime, ctime, inode, device, links, target,
                sha256, sha1, md5, unhashed, settled, f.id, f.scanned
            FROM entries e LEFT JOIN folders f ON kind = 1 AND f.parent = ?1 AND f.name = e.name
            WHERE e.parent = ?1 AND e.name > ?2 ORDER BY e.name LIMIT ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(sql, params![folder.0, after.unwrap_or_default(), limit], |row| {
            let id: Option<i64> = row.get(19)?;
            let known = match id {
                Some(id) => Some(known_of(id, row.get(20)?)),
                None => None,
            };
            Ok((row.get(0)?, entry_of(row, 1)?, known))
        })
    }

    /// The folders in `folder`, in the order of their names.
    pub(crate) fn subfolders(&self, folder: FolderId) -> Result<Vec<(Vec<u8>, KnownFolder)>> {
        let sql = "SELECT name, id, scanned FROM folders WHERE parent = ? ORDER BY name";
        self.all(sql, [folder.0], |row| Ok((row.get(0)?, known_of(row.get(1)?, row.get(2)?))))
    }

    /// What a scan has to know of the folder `name` in `folder`.
    pub(crate) fn known_in(&self, folder: FolderId, name: &[u8]) -> Result<Option<KnownFolder>> {
        let sql = "SELECT id, scanned FROM folders WHERE parent = ? AND name = ?";
        self.one(sql, params![folder.0, name], |row| Ok(known_of(row.get(0)?, row.get(1)?)))
    }

    /// As [`BaselineReader::known_in`], for a path.
    pub(crate) fn known_folder(&self, path: &PathBytes) -> Result<Option<KnownFolder>> {
        let Some((folder, name)) = self.place(path)? else { return Ok(None) };
        self.known_in(folder, &name)
    }

    /// The paths where scans began: everything else is below one of them.
    pub(crate) fn roots(&self) -> Result<Vec<PathBytes>> {
        roots(&self.connection).map_err(|error| self.failed(error))
    }

    /// All known names of a regular file.
    pub(crate) fn names_of_inode(&self, device: u64, inode: u64) -> Result<Vec<PathBytes>> {
        let sql = "SELECT parent, name FROM entries WHERE inode = ? AND kind = 0 AND device = ?";
        let rows = self.all(sql, [inode, device].map(u64::cast_signed), |row| {
            Ok((FolderId(row.get(0)?), row.get::<_, Vec<u8>>(1)?))
        })?;
        let mut paths = Vec::with_capacity(rows.len());
        for (folder, name) in rows {
            if folder == FolderId::TOP {
                paths.push(PathBytes::new(name));
            } else if let Some(folder) = self.path_of(folder)? {
                paths.push(folder.join(&name));
            }
        }
        Ok(paths)
    }

    /// The number of the last scan that has been through the folder; 0: none.
    #[cfg(test)]
    pub(crate) fn scanned(&self, folder: FolderId) -> Result<u64> {
        let sql = "SELECT scanned FROM folders WHERE id = ?";
        Ok(self.one(sql, [folder.0], |row| row.get::<_, i64>(0))?.unwrap_or(0).cast_unsigned())
    }

    /// The text of the file, if it is kept.
    pub(crate) fn text(&self, path: &PathBytes) -> Result<Option<String>> {
        let Some((folder, name)) = self.place(path)? else { return Ok(None) };
        let sql = "SELECT text FROM texts WHERE parent = ? AND name = ?";
        self.one(sql, params![folder.0, name], |row| row.get(0))
    }

    /// How much there is; takes no longer for more.
    pub(crate) fn counts(&self) -> Result<Counts> {
        let read = Counts::read(&self.connection);
        read.map(|(_, counts)| counts).map_err(|error| self.failed(error))
    }

    /// The number of the last list of changes that was applied; 0: none.
    pub(crate) fn number(&self) -> Result<u64> {
        let read = Counts::read(&self.connection);
        read.map(|(number, _)| number).map_err(|error| self.failed(error))
    }

    /// What was last set for `key`.
    pub(crate) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.one("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0))
    }

    /// The folder that `path` is in, and its name there. The folder is known, the name not always.
    fn place(&self, path: &PathBytes) -> Result<Option<(FolderId, Vec<u8>)>> {
        let roots = self.roots()?;
        place(&self.connection, &roots, path).map_err(|error| self.failed(error))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let query = || self.connection.prepare_cached(sql)?.query_row(params, read).optional();
        query().map_err(|error| self.failed(error))
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let query = || {
            let mut select = self.connection.prepare_cached(sql)?;
            let rows = select.query_map(params, read)?;
            rows.collect::<rusqlite::Result<Vec<T>>>()
        };
        query().map_err(|error| self.failed(error))
    }
}

pub(super) fn roots(connection: &Connection) -> rusqlite::Result<Vec<PathBytes>> {
    let mut select = connection.prepare_cached("SELECT name FROM entries WHERE parent = 0")?;
    let roots = select.query_map([], |row| row.get::<_, Vec<u8>>(0).map(PathBytes::new))?;
    roots.collect()
}

pub(super) fn subfolder(
    connection: &Connection,
    folder: FolderId,
    name: &[u8],
) -> rusqlite::Result<Option<FolderId>> {
    let sql = "SELECT id FROM folders WHERE parent = ? AND name = ?";
    let mut select = connection.prepare_cached(sql)?;
    select.query_row(params![folder.0, name], |row| Ok(FolderId(row.get(0)?))).optional()
}

/// Where the row of `path` is or would be. A root stands for itself, and everything else is in the longest root above it.
pub(super) fn place(
    connection: &Connection,
    roots: &[PathBytes],
    path: &PathBytes,
) -> rusqlite::Result<Option<(FolderId, Vec<u8>)>> {
    if roots.contains(path) {
        return Ok(Some((FolderId::TOP, path.as_bytes().to_vec())));
    }
    let above = roots.iter().filter_map(|root| Some((root, path.below(root)?)));
    let Some((root, rest)) = above.max_by_key(|(root, _)| root.as_bytes().len()) else {
        return Ok(None);
    };
    let mut folder = subfolder(connection, FolderId::TOP, root.as_bytes())?;
    let mut names = rest.split(|byte| *byte == b'/').peekable();
    while let (Some(name), Some(at)) = (names.next(), folder) {
        if names.peek().is_none() {
            return Ok(Some((at, name.to_vec())));
        }
        folder = subfolder(connection, at, name)?;
    }
    Ok(None)
}

fn ghost(row: &Row<'_>) -> rusqlite::Result<(PathBytes, i64)> {
    Ok((PathBytes::new(row.get::<_, Vec<u8>>(0)?), row.get(1)?))
}
