//! What a rename does to what the baseline has, and to what was told before.

use super::{Gathered, Hint, Inside, Known, hint_of, is_aside};
use crate::change::What;
use crate::entry::{Entry, Kind};
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::watch::{Notice, Parent};

impl Gathered {
    pub(super) fn is_known<K: Known>(
        &self,
        path: &PathBytes,
        known: &mut K,
    ) -> Result<bool, K::Error> {
        Ok(self.lives.is_alive(path) || self.row(path, known)?.is_some())
    }

    /// Two names have changed places. `false` when that is not sure, or when nothing is known of one of them.
    pub(super) fn exchanged<K: Known>(
        &mut self,
        first: &Notice,
        second: &Notice,
        known: &mut K,
    ) -> Result<bool, K::Error> {
        let Some((parent, name)) = &first.renamed_to else { return Ok(false) };
        let one = self.place(&first.parent, &first.name, first.seen_at.as_ref(), known)?;
        let other = self.place(parent, name, None, known)?;
        let (Some(one), Some(other)) = (&one, &other) else {
            // What leaves goes first, so that it does not take along what comes.
            let comes_first = one.is_none() && other.is_some() && first.target.is_some();
            if comes_first {
                self.told(second, known)?;
                self.told(first, known)?;
            }
            return Ok(comes_first);
        };
        // Without the files it may be one thing that was moved there and back. Then only one of the names is known.
        if first.target.is_none() && !(self.is_known(one, known)? && self.is_known(other, known)?) {
            return Ok(false);
        }
        let hint = || Hint { inside: Inside::Everything, ..hint_of(first) };
        // No name has a zero.
        let aside = PathBytes::new(*b"/\0");
        let three = [(one, &aside), (other, one), (&aside, other)];
        if first.target.is_some() && self.is_ahead(one, other, first, known)? {
            three.iter().for_each(|(from, to)| self.folders.follow(from, to));
            self.ahead(one, other, hint());
            return Ok(true);
        }
        let inside = !is_aside(one) && !is_aside(other);
        for (from, to) in three {
            if inside {
                self.follow(from, to);
            } else {
                self.folders.follow(from, to);
            }
            self.folders.moved(from.clone(), to.clone());
        }
        for (notice, now) in [(first, other), (second, one)] {
            if let (true, Some(folder)) = (notice.folder, &notice.target) {
                self.folders.is_at(folder, now);
            }
        }
        for path in [one, other].into_iter().filter(|path| !is_aside(path)) {
            if !inside {
                self.lives.left(path);
            }
            self.hint(path.clone(), hint());
        }
        Ok(true)
    }

    /// The row that a move takes along. None when what the baseline has under this name was removed before, or when the new
    /// name is in a folder that the baseline does not have yet: then it is gone here and new there.
    pub(super) fn row_to_move<K: Known>(
        &self,
        from: &PathBytes,
        to: &PathBytes,
        target: Option<&Handle>,
        known: &mut K,
    ) -> Result<Option<Entry>, K::Error> {
        let Some((folder, _)) = to.split() else { return Ok(None) };
        let folder = self.row(&folder, known)?;
        if self.lives.is_removed(from) || folder.is_none_or(|folder| folder.kind != Kind::Folder) {
            return Ok(None);
        }
        // A look may have been faster than this notice, and something else is called so by now.
        let Some(row) = self.row(from, known)? else { return Ok(None) };
        let is_it = match target {
            None => true,
            Some(folder) if row.kind == Kind::Folder => match self.overlay.before(from) {
                Some(before) => known.may_be_folder(&before, folder)?,
                None => false,
            },
            Some(file) => known.may_be(file, &row),
        };
        Ok(is_it.then_some(row))
    }

    /// Whether the baseline has another folder under `from` than what was moved: a look was faster than this notice.
    pub(super) fn is_taken_by_another<K: Known>(
        &self,
        from: &PathBytes,
        notice: &Notice,
        known: &mut K,
    ) -> Result<bool, K::Error> {
        let Some(moved) = notice.target.as_ref().filter(|_| self.folders.may_be_ahead()) else {
            return Ok(false);
        };
        if self.has_row_at(from, moved, known)? {
            return Ok(false);
        }
        let row = self.row(from, known)?.filter(|row| row.kind == Kind::Folder);
        let (Some(_), Some(before)) = (row, self.overlay.before(from)) else { return Ok(false) };
        Ok(!notice.folder || !known.may_be_folder(&before, moved)?)
    }

    /// Whether the baseline has this folder, and where it had it is called `path` now.
    fn has_row_at<K: Known>(
        &self,
        path: &PathBytes,
        folder: &Handle,
        known: &mut K,
    ) -> Result<bool, K::Error> {
        let folder = Parent::Handle(folder.clone());
        let now = known.folder_row(&folder)?.and_then(|row| self.folders.now(&row));
        Ok(now.as_ref() == Some(path))
    }

    /// Whether the new name is in a watched folder of which nothing is known.
    pub(super) fn is_in_unknown<K: Known>(
        &self,
        notice: &Notice,
        known: &mut K,
    ) -> Result<bool, K::Error> {
        let Some((parent, _)) = notice.renamed_to.as_ref().filter(|_| notice.stays) else {
            return Ok(false);
        };
        Ok(self.folders.told(parent).is_none()
            && known.folder_in_baseline(parent)?.is_none()
            && known.folder_on_disk(parent).is_none())
    }

    /// The name is moved to where nothing is watched.
    pub(super) fn leaves<K: Known>(
        &mut self,
        from: PathBytes,
        to: Option<&PathBytes>,
        notice: &Notice,
        known: &mut K,
    ) -> Result<(), K::Error> {
        // In a watched folder of which nobody knows where it was, and which is gone by now, it is told of where it was.
        if !self.is_in_unknown(notice, known)? {
            // What was made before it left came and went, as far as these folders are concerned.
            self.lives.left(&from);
            let folder = notice.target.as_ref().filter(|_| notice.folder);
            let taken = self.is_taken_by_another(&from, notice, known)?;
            self.folders.left(&from, to, folder, !taken);
        }
        self.hint(from, Hint { inside: Inside::Nothing, ..hint_of(notice) });
        Ok(())
    }

    /// Has both names looked at of a folder that the baseline has under its new name already.
    pub(super) fn ahead(&mut self, from: &PathBytes, to: &PathBytes, plain: Hint) {
        self.hint(from.clone(), plain.clone());
        self.hint(to.clone(), Hint { inside: Inside::Everything, ..plain });
    }

    /// Whether the baseline has the folder under its new name already: a look was faster than this notice.
    pub(super) fn is_ahead<K: Known>(
        &self,
        from: &PathBytes,
        to: &PathBytes,
        notice: &Notice,
        known: &mut K,
    ) -> Result<bool, K::Error> {
        if !notice.folder || self.lives.is_alive(from) {
            return Ok(false);
        }
        if let Some(target) = &notice.target {
            return self.has_row_at(to, target, known);
        }
        Ok(self.row(to, known)?.is_some_and(|row| row.kind == Kind::Folder))
    }

    /// A row of the baseline is called `to` now, and what was called so before is gone.
    pub(super) fn arrives<K: Known>(
        &mut self,
        row: Option<(&Entry, &PathBytes)>,
        to: &PathBytes,
        notice: &Notice,
        known: &mut K,
    ) -> Result<(), K::Error> {
        let Some((entry, from)) = row else { return Ok(()) };
        if from == to {
            return Ok(());
        }
        let replaced = self.row(to, known)?;
        if let Some(replaced) = replaced {
            let mut gone = Vec::new();
            if replaced.kind == Kind::Folder {
                gone = self.rows_below(to, known)?;
            }
            gone.push((to.clone(), replaced));
            for (path, entry) in gone {
                self.change(path, What::Deleted(entry), notice);
            }
            self.overlay.removed(to.clone());
        }
        let what = What::Moved { from: from.clone(), entry: entry.clone() };
        self.change(to.clone(), what, notice);
        self.moved.extend(self.overlay.before(from));
        self.overlay.moved(from.clone(), to.clone());
        Ok(())
    }
}

/// Whether the second notice takes back the first: what one system call does that exchanges two names. Where the kernel says
/// which files they were, these are two.
pub(super) fn is_exchange(first: &Notice, second: &Notice) -> bool {
    let reverse =
        |to: &(Parent, Vec<u8>), notice: &Notice| to.0 == notice.parent && to.1 == notice.name;
    let (Some(there), Some(back)) = (&first.renamed_to, &second.renamed_to) else { return false };
    let two = first.target.is_none() || first.target != second.target;
    two && reverse(there, second) && reverse(back, first)
}
