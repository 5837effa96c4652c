//! Applies changes to the tables, inside of a transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::counts::Counted;
use super::read::{place, roots, subfolder};
use super::row::{COLUMNS, bind, number_of};
use super::{Counts, FolderId, Op};
use crate::entry::{Entry, Kind};
use crate::path_bytes::PathBytes;

/// Lists of changes after which nobody can still ask for a folder that is gone: some minutes at the least.
const GHOSTS_STAY: u64 = 4_096;

/// Folders that are remembered; more than a scan is in at once.
const PARENTS: usize = 512;

/// The folders that were changed in last, and the roots: what every change has to know.
#[derive(Debug, Default)]
pub(super) struct Parents {
    ids: HashMap<Vec<u8>, FolderId>,
    roots: Option<Vec<PathBytes>>,
}

impl Parents {
    /// Forgets all, as some of it is not so any more.
    pub(super) fn forget(&mut self) {
        self.ids.clear();
        self.roots = None;
    }
}

/// A transaction's work.
pub(super) struct Changes<'a> {
    connection: &'a Connection,
    parents: &'a mut Parents,
    number: u64,
    counts: Counts,
    ignored: u64,
}

/// The folder of a row and its name there.
type Place = (FolderId, Vec<u8>);

type Result<T> = rusqlite::Result<T>;

impl<'a> Changes<'a> {
    pub(super) fn begin(connection: &'a Connection, parents: &'a mut Parents) -> Result<Self> {
        let (number, counts) = Counts::read(connection)?;
        Ok(Self { connection, parents, number, counts, ignored: 0 })
    }

    /// Of the last list that was applied.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Says how many changes were ignored.
    pub(super) fn finish(self, number: u64, meta: &[(&str, Vec<u8>)]) -> Result<u64> {
        let sql = "INSERT INTO meta(key, value) VALUES (?, ?)
                   ON CONFLICT(key) DO UPDATE SET value = excluded.value";
        for (key, value) in meta {
            self.connection.prepare_cached(sql)?.execute(params![key, value])?;
        }
        let sql = "DELETE FROM ghosts WHERE number < ?";
        let oldest = number.saturating_sub(GHOSTS_STAY).cast_signed();
        self.connection.prepare_cached(sql)?.execute([oldest])?;
        self.counts.write(self.connection, number)?;
        Ok(self.ignored)
    }

    pub(super) fn apply(&mut self, op: &Op) -> Result<()> {
        let known = match op {
            Op::Put { path, entry, handle, root } => {
                self.put(path, entry, handle.as_deref(), *root)?
            }
            Op::Remove { path } => match self.place(path)? {
                Some(place) => {
                    self.remember(&place, path)?;
                    self.remove(&place)?;
                    true
                }
                None => false,
            },
            Op::Move { from, to } => self.rename(from, to)?,
            Op::Scanned { path, number } => {
                let sql = "UPDATE folders SET scanned = ?3 WHERE parent = ?1 AND name = ?2";
                self.update_folder(path, sql, &number.cast_signed())?
            }
            Op::Watch { path, watch } => {
                if let Some((parent, name)) = self.place(path)? {
                    let sql = "INSERT INTO ghosts(number, watch, path)
                               SELECT ?3, watch, ?4 FROM folders
                               WHERE parent = ?1 AND name = ?2 AND watch IS NOT NULL AND watch IS NOT ?5";
                    let row = params![parent.0, name, self.next(), path.as_bytes(), watch];
                    self.connection.prepare_cached(sql)?.execute(row)?;
                }
                let sql = "UPDATE folders SET watch = ?3 WHERE parent = ?1 AND name = ?2";
                self.update_folder(path, sql, watch)?
            }
            Op::Ghost { path, handle } => {
                let sql = "INSERT INTO ghosts(number, handle, path) VALUES (?, ?, ?)";
                let row = params![self.next(), handle.to_bytes(), path.as_bytes()];
                self.connection.prepare_cached(sql)?.execute(row)?;
                true
            }
            Op::Text { path, text } => self.put_text(path, text.as_deref())?,
        };
        self.ignored += u64::from(!known);
        Ok(())
    }

    fn put(
        &mut self,
        path: &PathBytes,
        entry: &Entry,
        handle: Option<&[u8]>,
        root: bool,
    ) -> Result<bool> {
        let Some(place) = self.place_to_be(path, root)? else { return Ok(false) };
        let old = self.counted(&place)?;
        if let Some(old) = old {
            self.counts.subtract(old);
            if old.kind == Kind::Folder && entry.kind != Kind::Folder {
                self.remove_folder(&place)?;
            }
            if old.kind == Kind::File && entry.kind != Kind::File {
                self.delete_text(&place)?;
            }
        } else if place.0 == FolderId::TOP {
            self.parents.forget();
        }
        if entry.kind == Kind::Folder {
            if old.is_some() {
                self.remember_replaced(&place, path, handle)?;
            }
            let sql = "INSERT INTO folders(parent, name, handle) VALUES (?, ?, ?)
                       ON CONFLICT(parent, name) DO UPDATE SET handle = excluded.handle, watch =
                       CASE WHEN handle IS NULL OR handle IS excluded.handle THEN watch END";
            self.connection.prepare_cached(sql)?.execute(params![place.0.0, place.1, handle])?;
        }
        self.counts.add(Counted::of(entry));
        self.write_entry(&place, entry)?;
        Ok(true)
    }

    /// Where the row of `path` shall be. If it is elsewhere because the path became a root or ceases to be one, it is moved
    /// there with everything below.
    fn place_to_be(&mut self, path: &PathBytes, root: bool) -> Result<Option<Place>> {
        let is_root = self.roots()?.contains(path);
        if root {
            let place = (FolderId::TOP, path.as_bytes().to_vec());
            if !is_root
                && let Some(old) = self.place(path)?
                && self.counted(&old)?.is_some()
            {
                self.move_row(&old, &place)?;
            }
            return Ok(Some(place));
        }
        let Some(place) = self.place_in_parent(path)? else { return Ok(None) };
        if is_root {
            self.move_row(&(FolderId::TOP, path.as_bytes().to_vec()), &place)?;
        }
        Ok(Some(place))
    }

    fn write_entry(&self, place: &Place, entry: &Entry) -> Result<()> {
        // The same text each time, so that it is prepared once. An index is only written where its column changes.
        const UPSERT: &str =
            "INSERT INTO entries(parent, name, kind, size, mode, uid, gid, user, grp, mtime, ctime,
                inode, device, links, target, sha256, sha1, md5, unhashed, settled)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT(parent, name) DO UPDATE SET kind = excluded.kind, size = excluded.size,
                mode = excluded.mode, uid = excluded.uid, gid = excluded.gid, user = excluded.user,
                grp = excluded.grp, mtime = excluded.mtime, ctime = excluded.ctime,
                inode = excluded.inode, device = excluded.device, links = excluded.links,
                target = excluded.target, sha256 = excluded.sha256, sha1 = excluded.sha1,
                md5 = excluded.md5, unhashed = excluded.unhashed, settled = excluded.settled";
        debug_assert!(COLUMNS.ends_with("settled"), "the columns are those of the rows");
        let mut upsert = self.connection.prepare_cached(UPSERT)?;
        upsert.raw_bind_parameter(1, place.0.0)?;
        upsert.raw_bind_parameter(2, &place.1)?;
        bind(&mut upsert, 3, entry)?;
        upsert.raw_execute()?;
        Ok(())
    }

    /// Keeps in mind for a while where a folder was: the kernel may have more to tell of what was in it.
    fn remember(&self, (parent, name): &Place, path: &PathBytes) -> Result<()> {
        let sql = "INSERT INTO ghosts(number, handle, watch, path)
                   SELECT ?3, handle, watch, ?4 FROM folders WHERE parent = ?1 AND name = ?2";
        let row = params![parent.0, name, self.next(), path.as_bytes()];
        self.connection.prepare_cached(sql)?.execute(row).map(drop)
    }

    /// The same of a folder in whose place another one was found, with this handle. The watch is that of the one before.
    fn remember_replaced(&self, place: &Place, path: &PathBytes, now: Option<&[u8]>) -> Result<()> {
        let sql = "INSERT INTO ghosts(number, handle, watch, path)
                   SELECT ?3, handle, watch, ?4 FROM folders
                   WHERE parent = ?1 AND name = ?2 AND handle IS NOT NULL AND handle IS NOT ?5";
        let row = params![place.0.0, place.1, self.next(), path.as_bytes(), now];
        self.connection.prepare_cached(sql)?.execute(row).map(drop)
    }

    /// The number of this list as the database has it.
    fn next(&self) -> i64 {
        self.number().saturating_add(1).cast_signed()
    }

    /// Removes a row, if there is one, and everything below.
    fn remove(&mut self, place: &Place) -> Result<()> {
        let Some(old) = self.counted(place)? else { return Ok(()) };
        self.counts.subtract(old);
        match old.kind {
            Kind::Folder => self.remove_folder(place)?,
            Kind::File => self.delete_text(place)?,
            Kind::Link | Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => {}
        }
        if place.0 == FolderId::TOP {
            self.parents.forget();
        }
        self.execute("DELETE FROM entries WHERE parent = ? AND name = ?", place)
    }

    /// Removes everything below a folder, and that it is one; its own entry stays.
    fn remove_folder(&mut self, place: &Place) -> Result<()> {
        let Some(folder) = subfolder(self.connection, place.0, &place.1)? else { return Ok(()) };
        self.parents.forget();
        let mut folders = vec![folder];
        while let Some(FolderId(id)) = folders.pop() {
            let mut select = self.connection.prepare_cached(Counted::OF_FOLDER)?;
            let mut rows = select.query([id])?;
            while let Some(row) = rows.next()? {
                self.counts.subtract(Counted::of_row(row)?);
            }
            let mut select =
                self.connection.prepare_cached("SELECT id FROM folders WHERE parent = ?")?;
            for below in select.query_map([id], |row| row.get(0))? {
                folders.push(FolderId(below?));
            }
            for table in ["entries", "texts", "folders"] {
                let sql = format!("DELETE FROM {table} WHERE parent = ?");
                self.connection.prepare_cached(&sql)?.execute([id])?;
            }
        }
        self.execute("DELETE FROM folders WHERE parent = ? AND name = ?", place)
    }

    fn rename(&mut self, from: &PathBytes, to: &PathBytes) -> Result<bool> {
        if from.below(to).is_some() || to.below(from).is_some() {
            return Ok(from == to);
        }
        let (Some(old), Some(new)) = (self.place(from)?, self.place(to)?) else {
            return Ok(false);
        };
        if self.counted(&old)?.is_none() {
            return Ok(false);
        }
        self.remove(&new)?;
        self.move_row(&old, &new)?;
        self.give_way_to_roots(to)?;
        Ok(true)
    }

    /// Removes what came to be below `folder` under the path of a root: that has a row of its own.
    fn give_way_to_roots(&mut self, folder: &PathBytes) -> Result<()> {
        let roots = self.roots()?.to_vec();
        for root in roots.iter().filter(|root| *root != folder && root.below(folder).is_some()) {
            let others: Vec<_> = roots.iter().filter(|other| *other != root).cloned().collect();
            if let Some(hidden) = place(self.connection, &others, root)? {
                self.remove(&hidden)?;
            }
        }
        Ok(())
    }

    /// Gives a row another place, which is free. What is below it belongs to its number and comes along.
    fn move_row(&mut self, old: &Place, new: &Place) -> Result<()> {
        self.parents.forget();
        for table in ["entries", "texts", "folders"] {
            let sql = format!(
                "UPDATE {table} SET parent = ?3, name = ?4 WHERE parent = ?1 AND name = ?2"
            );
            let mut update = self.connection.prepare_cached(&sql)?;
            update.execute(params![old.0.0, old.1, new.0.0, new.1])?;
        }
        Ok(())
    }

    fn update_folder(
        &mut self,
        path: &PathBytes,
        sql: &str,
        value: &dyn rusqlite::ToSql,
    ) -> Result<bool> {
        let Some((folder, name)) = self.place(path)? else { return Ok(false) };
        let mut update = self.connection.prepare_cached(sql)?;
        Ok(update.execute(params![folder.0, name, value])? > 0)
    }

    fn put_text(&mut self, path: &PathBytes, text: Option<&str>) -> Result<bool> {
        let Some(place) = self.place(path)? else { return Ok(false) };
        let Some(text) = text else {
            self.delete_text(&place)?;
            return Ok(true);
        };
        let sql = "INSERT INTO texts(parent, name, text)
                   SELECT parent, name, ?3 FROM entries WHERE parent = ?1 AND name = ?2 AND kind = ?4
                   ON CONFLICT(parent, name) DO UPDATE SET text = excluded.text";
        let mut upsert = self.connection.prepare_cached(sql)?;
        Ok(upsert.execute(params![place.0.0, place.1, text, number_of(Kind::File)])? > 0)
    }

    fn delete_text(&self, place: &Place) -> Result<()> {
        self.execute("DELETE FROM texts WHERE parent = ? AND name = ?", place)
    }

    fn execute(&self, sql: &str, place: &Place) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute(params![place.0.0, place.1])?;
        Ok(())
    }

    fn counted(&self, place: &Place) -> Result<Option<Counted>> {
        let mut select = self.connection.prepare_cached(Counted::OF_NAME)?;
        select.query_row(params![place.0.0, place.1], Counted::of_row).optional()
    }

    fn roots(&mut self) -> Result<&[PathBytes]> {
        let roots = match self.parents.roots.take() {
            Some(roots) => roots,
            None => roots(self.connection)?,
        };
        Ok(self.parents.roots.insert(roots))
    }

    /// The folder that `path` is in, and its name there.
    fn place(&mut self, path: &PathBytes) -> Result<Option<Place>> {
        if self.roots()?.contains(path) {
            return Ok(Some((FolderId::TOP, path.as_bytes().to_vec())));
        }
        self.place_in_parent(path)
    }

    fn place_in_parent(&mut self, path: &PathBytes) -> Result<Option<Place>> {
        let Some((parent, name)) = path.split() else { return Ok(None) };
        if let Some(id) = self.parents.ids.get(parent.as_bytes()) {
            return Ok(Some((*id, name.to_vec())));
        }
        let connection = self.connection;
        let Some((folder, last)) = place(connection, self.roots()?, &parent)? else {
            return Ok(None);
        };
        let Some(id) = subfolder(connection, folder, &last)? else { return Ok(None) };
        if self.parents.ids.len() >= PARENTS {
            self.parents.ids.clear();
        }
        self.parents.ids.insert(parent.as_bytes().to_vec(), id);
        Ok(Some((id, name.to_vec())))
    }
}
