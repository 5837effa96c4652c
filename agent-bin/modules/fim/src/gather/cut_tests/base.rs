//! A baseline in memory, over a disk that can be asked.

use super::super::*;
use super::disk::Disk;
use super::is_watched;
use crate::entry::Kind;
use crate::entry::tests::{file, folder};

/// The rows, and the disk.
pub(super) struct Base<'a> {
    pub(super) rows: BTreeMap<PathBytes, Entry>,
    /// Where folders were that have no row any more.
    pub(super) ghosts: BTreeMap<u64, Vec<(PathBytes, i64)>>,
    /// How much has been done.
    pub(super) steps: i64,
    pub(super) disk: &'a Disk,
}

impl<'a> Base<'a> {
    pub(super) fn of(disk: &'a Disk) -> Self {
        let mut base = Self { rows: BTreeMap::new(), ghosts: BTreeMap::new(), steps: 0, disk };
        base.look_below(&PathBytes::new("/w"));
        base
    }

    fn found(&self, path: &PathBytes) -> Option<Entry> {
        let node = self.disk.at(path)?;
        Some(if self.disk.nodes[node].folder { folder(node as u64) } else { file(node as u64) })
    }

    fn remove(&mut self, path: &PathBytes) {
        let gone: Vec<_> =
            self.rows.keys().filter(|row| row.below(path).is_some()).cloned().collect();
        for path in gone {
            if let Some(row) = self.rows.remove(&path).filter(|row| row.kind == Kind::Folder) {
                self.ghosts.entry(row.inode).or_default().push((path, self.steps));
            }
        }
    }

    /// Gives the path its row, and everything in it when it is a folder that is new.
    pub(super) fn look(&mut self, path: &PathBytes, everything: bool) {
        self.steps += 1;
        if let Some((parent, _)) = path.split()
            && is_watched(&parent)
            && self.rows.get(&parent).map(|row| row.inode)
                != self.found(&parent).map(|row| row.inode)
        {
            self.look(&parent, false);
        }
        let (row, found) = (self.rows.get(path).cloned(), self.found(path));
        let same = row.as_ref().map(|row| row.inode) == found.as_ref().map(|row| row.inode);
        if !same || everything {
            if !same {
                self.remove(path);
            }
            self.look_below(path);
        }
    }

    fn look_below(&mut self, path: &PathBytes) {
        let there: BTreeMap<PathBytes, Entry> = self
            .disk
            .alive(|_| true)
            .into_iter()
            .filter_map(|node| self.disk.path(node))
            .filter(|found| found.below(path).is_some())
            .filter_map(|found| Some((found.clone(), self.found(&found)?)))
            .collect();
        let gone: Vec<_> = self
            .rows
            .keys()
            .filter(|row| row.below(path).is_some() && !there.contains_key(*row))
            .cloned()
            .collect();
        for path in gone {
            self.remove(&path);
        }
        for (path, entry) in there {
            if self.rows.get(&path).is_some_and(|row| row.inode != entry.inode) {
                self.remove(&path);
            }
            self.rows.insert(path, entry);
        }
    }

    pub(super) fn apply(&mut self, changes: &[Change]) {
        for Change { path, what, .. } in changes {
            match what {
                What::Moved { from, .. } => {
                    let moved: Vec<_> =
                        self.rows.keys().filter(|row| row.below(from).is_some()).cloned().collect();
                    for row in moved {
                        let entry = self.rows.remove(&row).unwrap();
                        self.rows.insert(renamed(&row, from, path).unwrap(), entry);
                    }
                }
                What::Deleted(_) => self.remove(path),
                What::Created(_) | What::Modified { .. } | What::ShortLived { .. } => {
                    unreachable!()
                }
            }
        }
    }
}

impl Known for Base<'_> {
    type Error = std::convert::Infallible;

    fn folder_row(&mut self, folder: &Parent) -> Result<Option<PathBytes>, Self::Error> {
        let Parent::Handle(handle) = folder else { return Ok(None) };
        let number = u64::from(handle.bytes[0]);
        let is_it = |entry: &Entry| entry.kind == Kind::Folder && entry.inode == number;
        Ok(self.rows.iter().find(|(_, entry)| is_it(entry)).map(|(path, _)| path.clone()))
    }

    fn folder_gone(&mut self, folder: &Parent) -> Result<Vec<(PathBytes, i64)>, Self::Error> {
        let Parent::Handle(handle) = folder else { return Ok(Vec::new()) };
        let ghosts = self.ghosts.get(&u64::from(handle.bytes[0])).into_iter().flatten();
        Ok(ghosts.rev().cloned().collect())
    }

    fn folder_on_disk(&mut self, folder: &Parent) -> Option<PathBytes> {
        let Parent::Handle(handle) = folder else { return None };
        self.disk.path(usize::from(handle.bytes[0]))
    }

    fn row(&mut self, path: &PathBytes) -> Result<Option<Entry>, Self::Error> {
        Ok(self.rows.get(path).cloned())
    }

    fn below(&mut self, path: &PathBytes) -> Result<Vec<(PathBytes, Entry)>, Self::Error> {
        let below =
            self.rows.iter().rev().filter(|(one, _)| *one != path && one.below(path).is_some());
        Ok(below.map(|(path, entry)| (path.clone(), entry.clone())).collect())
    }

    fn may_be_folder(&mut self, path: &PathBytes, folder: &Handle) -> Result<bool, Self::Error> {
        let number = u64::from(folder.bytes[0]);
        Ok(self.rows.get(path).is_some_and(|row| row.kind == Kind::Folder && row.inode == number))
    }

    fn may_be(&self, file: &Handle, entry: &Entry) -> bool {
        let node = usize::from(file.bytes[0]);
        self.disk.nodes[node].place.is_none() || entry.inode == node as u64
    }

    fn watched(&self, path: &PathBytes) -> bool {
        is_watched(path)
    }
}
