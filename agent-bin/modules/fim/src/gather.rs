//! Turns what was told, in its order, into moves of what the baseline has and paths to look at: decides, and touches nothing.
//!
//! A path to look at is a hint and nothing more: whoever looks may find that nothing has changed. What cannot be found by
//! looking is what a hint carries: that a name was made (it may be gone again), and who did it.

mod folders;
mod hint;
mod lives;
mod moves;

use std::collections::BTreeMap;

use crate::change::{Change, Detected, What};
use crate::entry::Entry;
use crate::overlay::{Overlay, renamed};
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::watch::{Notice, Parent};
use folders::{Folders, is_aside};
use hint::hint_of;
use lives::Lives;
use moves::is_exchange;

pub(crate) use folders::{At, Whereabouts};
pub(crate) use hint::{Hint, Inside};
pub(crate) use lives::Life;

/// What the baseline and the kernel say when they are asked.
pub(crate) trait Known {
    type Error;
    /// Under which path the baseline has this folder.
    fn folder_row(&mut self, folder: &Parent) -> Result<Option<PathBytes>, Self::Error>;
    /// Under which paths it had it when its rows were removed lately, each with a number that grows with time; the latest first.
    fn folder_gone(&mut self, folder: &Parent) -> Result<Vec<(PathBytes, i64)>, Self::Error>;
    /// Under which path it has or had it.
    fn folder_in_baseline(&mut self, folder: &Parent) -> Result<Option<PathBytes>, Self::Error> {
        Ok(match self.folder_row(folder)? {
            Some(path) => Some(path),
            None => self.folder_gone(folder)?.into_iter().next().map(|(path, _)| path),
        })
    }
    /// Under which path it is found now.
    fn folder_on_disk(&mut self, folder: &Parent) -> Option<PathBytes>;
    /// What the baseline has under this path.
    fn row(&mut self, path: &PathBytes) -> Result<Option<Entry>, Self::Error>;
    /// All that it has below this path, what is deepest first.
    fn below(&mut self, path: &PathBytes) -> Result<Vec<(PathBytes, Entry)>, Self::Error>;
    /// Whether what the baseline has under this path may be this folder: it is, or nobody knows its handle.
    fn may_be_folder(&mut self, path: &PathBytes, folder: &Handle) -> Result<bool, Self::Error>;
    /// Whether this file may be the one that the baseline has as `entry`; one that is gone may have been any.
    fn may_be(&self, file: &Handle, entry: &Entry) -> bool;
    /// Whether the path is watched.
    fn watched(&self, path: &PathBytes) -> bool;
}

/// Names that came and went, by what they were called first.
pub(crate) type Ended = BTreeMap<PathBytes, Vec<Life>>;

/// What everything comes to that was told in one window.
pub(crate) struct Settled {
    pub(crate) changes: Vec<Change>,
    pub(crate) hints: BTreeMap<PathBytes, Hint>,
    pub(crate) ended: Ended,
    pub(crate) folders: Whereabouts,
}

/// Everything that was told in one window.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// What became of names that the baseline has, in order.
    pub(crate) changes: Vec<Change>,
    /// Where the rows of the baseline are after that.
    pub(crate) overlay: Overlay,
    /// What is to be looked at then.
    pub(crate) hints: BTreeMap<PathBytes, Hint>,
    /// Where folders are, whether or not their rows have moved along.
    folders: Folders,
    lives: Lives,
    /// What the baseline calls everything that was moved.
    moved: Vec<PathBytes>,
}

impl Gathered {
    /// Notes that `path` is to be looked at.
    pub(crate) fn hint(&mut self, path: PathBytes, hint: Hint) {
        hint.add_to(&mut self.hints, path);
    }

    /// Takes in what was told before, and came to this. `unfinished`: it was not worked off.
    pub(crate) fn told_before<K: Known>(
        &mut self,
        hints: BTreeMap<PathBytes, Hint>,
        folders: Whereabouts,
        unfinished: bool,
        known: &mut K,
    ) -> Result<(), K::Error> {
        self.folders.told_before(folders, unfinished, known)?;
        for (path, mut hint) in hints {
            if let Some(life) = hint.life.take() {
                self.lives.made_before(&path, life);
            }
            self.hint(path, hint);
        }
        Ok(())
    }

    /// Takes in notices of the kernel, in their order. `heard`: there were no more when the last of them was read.
    pub(crate) fn all<K: Known>(
        &mut self,
        notices: &[Notice],
        heard: bool,
        known: &mut K,
    ) -> Result<(), K::Error> {
        self.folders.expect(notices, heard, known)?;
        let mut rest = notices;
        while let [first, after @ ..] = rest {
            rest = after;
            if let [second, after @ ..] = after
                && is_exchange(first, second)
                && self.exchanged(first, second, known)?
            {
                self.folders.hear(second);
                rest = after;
            } else {
                self.told(first, known)?;
            }
            self.folders.hear(first);
        }
        Ok(())
    }

    fn told<K: Known>(&mut self, notice: &Notice, known: &mut K) -> Result<(), K::Error> {
        let at = self.place(&notice.parent, &notice.name, notice.seen_at.as_ref(), known)?;
        if let Some((parent, name)) = &notice.renamed_to {
            let to = self.place(parent, name, None, known)?;
            return self.renamed(at, to, notice, known);
        }
        let Some(at) = at else {
            let name = String::from_utf8_lossy(&notice.name);
            tracing::debug!(%name, parent = ?notice.parent, "what was told is in no folder that is known");
            return Ok(());
        };
        if let (true, true, Some(folder)) = (notice.created, notice.folder, &notice.target) {
            self.folders.is_at(folder, &at);
        }
        if is_aside(&at) {
            return Ok(());
        }
        if notice.created {
            let has_row = self.row(&at, known)?.is_some() || has_row_of(notice, known)?;
            self.lives.made(&at, notice, has_row);
        } else if notice.deleted {
            self.lives.removed(&at, notice);
        }
        self.hint_before(&at, notice, known)?;
        self.hint(at, hint_of(notice));
        Ok(())
    }

    /// The baseline may be ahead of what was told: what is told of a folder that is elsewhere by now is looked at there too.
    fn hint_before<K: Known>(
        &mut self,
        at: &PathBytes,
        notice: &Notice,
        known: &mut K,
    ) -> Result<(), K::Error> {
        if let Some(before) = known.folder_in_baseline(&notice.parent)? {
            let before = before.join(&notice.name);
            if !notice.name.is_empty() && before != *at && known.watched(&before) {
                self.hint(before, Hint { inside: Inside::Nothing, ..hint_of(notice) });
            }
        }
        Ok(())
    }

    /// Where the name is now, as far as what was told before says; `None` when its folder is unknown, or neither watched nor
    /// followed where nothing is watched.
    fn place<K: Known>(
        &self,
        parent: &Parent,
        name: &[u8],
        seen_at: Option<&PathBytes>,
        known: &mut K,
    ) -> Result<Option<PathBytes>, K::Error> {
        let folder = self.folders.place(parent, seen_at, known)?;
        let path = folder.map(|folder| if name.is_empty() { folder } else { folder.join(name) });
        Ok(path.filter(|path| known.watched(path) || is_aside(path)))
    }

    fn renamed<K: Known>(
        &mut self,
        from: Option<PathBytes>,
        to: Option<PathBytes>,
        notice: &Notice,
        known: &mut K,
    ) -> Result<(), K::Error> {
        let watched = |path: &Option<PathBytes>| path.clone().filter(|path| !is_aside(path));
        match (watched(&from), watched(&to)) {
            (Some(from), Some(to)) => self.moved_inside(from, to, notice, known)?,
            (Some(from), None) => self.leaves(from, to.as_ref(), notice, known)?,
            (None, Some(name)) => {
                if let (true, Some(folder)) = (notice.folder, &notice.target) {
                    self.folders.arrived(folder, &name, from);
                }
                let inside = if notice.folder { Inside::Everything } else { Inside::Nothing };
                self.hint(name, Hint { inside, ..hint_of(notice) });
            }
            (None, None) => {
                let folder = notice.target.as_ref().filter(|_| notice.folder);
                let followed = folder.and_then(|folder| self.folders.followed(folder));
                if let Some(from) = followed.or(from) {
                    self.folders.left(&from, to.as_ref(), folder, true);
                }
            }
        }
        Ok(())
    }

    fn moved_inside<K: Known>(
        &mut self,
        from: PathBytes,
        to: PathBytes,
        notice: &Notice,
        known: &mut K,
    ) -> Result<(), K::Error> {
        let plain = Hint { inside: Inside::Nothing, ..hint_of(notice) };
        // Nothing goes into itself: where one of the names is, is not known any more.
        let unsure = from != to && to.below(&from).is_some();
        if unsure {
            self.ahead(&from, &to, plain);
            return Ok(());
        }
        if notice.target.is_some() && self.is_ahead(&from, &to, notice, known)? {
            self.folders.follow(&from, &to);
            self.ahead(&from, &to, plain);
            return Ok(());
        }
        let moved_row = self.row_to_move(&from, &to, notice.target.as_ref(), known)?;
        // Without the folder's handle only the rows say that, and only where none has to move.
        if moved_row.is_none()
            && notice.target.is_none()
            && self.is_ahead(&from, &to, notice, known)?
        {
            self.folders.follow(&from, &to);
            self.ahead(&from, &to, plain);
            return Ok(());
        }
        self.arrives(moved_row.as_ref().map(|row| (row, &from)), &to, notice, known)?;
        self.follow(&from, &to);
        if !self.is_taken_by_another(&from, notice, known)? {
            self.folders.moved(from.clone(), to.clone());
        }
        if let (true, Some(folder)) = (notice.folder, &notice.target) {
            self.folders.is_at(folder, &to);
        }
        self.hint(from, plain.clone());
        let inside = match moved_row {
            None if notice.folder => Inside::Everything,
            None | Some(_) => Inside::Nothing,
        };
        self.hint(to, Hint { inside, ..plain });
        Ok(())
    }

    fn change(&mut self, path: PathBytes, what: What, notice: &Notice) {
        let by = notice.process.clone();
        let (detected, mark) = (Detected::Realtime, notice.read_mark());
        self.changes.push(Change { path, what, detected, by, mark });
    }

    /// What is known of names below `from` holds for those below `to` from now on.
    fn follow(&mut self, from: &PathBytes, to: &PathBytes) {
        self.lives.moved(from, to);
        let followers: Vec<PathBytes> =
            self.hints.keys().filter(|path| path.below(from).is_some()).cloned().collect();
        for path in followers {
            if let (Some(hint), Some(now)) = (self.hints.remove(&path), renamed(&path, from, to)) {
                self.hint(now, hint);
            }
        }
        self.folders.follow(from, to);
    }

    /// Says which names were made and are there as far as was told, which are gone again, by what they were called first, and
    /// where folders are.
    pub(crate) fn settle(mut self) -> Settled {
        for (path, hint) in &mut self.hints {
            hint.life = self.lives.take(path);
        }
        Settled {
            changes: self.changes,
            hints: self.hints,
            ended: self.lives.ended,
            folders: self.folders.whereabouts(),
        }
    }

    /// What the baseline has under a path of now.
    pub(crate) fn row<K: Known>(
        &self,
        path: &PathBytes,
        known: &mut K,
    ) -> Result<Option<Entry>, K::Error> {
        match self.overlay.before(path) {
            Some(before) => known.row(&before),
            None => Ok(None),
        }
    }

    /// All that the baseline has below a path of now, what is deepest first.
    pub(crate) fn rows_below<K: Known>(
        &self,
        path: &PathBytes,
        known: &mut K,
    ) -> Result<Vec<(PathBytes, Entry)>, K::Error> {
        let mut rows = match self.overlay.before(path) {
            Some(before) => known.below(&before)?,
            None => Vec::new(),
        };
        for moved in &self.moved {
            if self.overlay.now(moved).is_some_and(|now| now.below(path).is_some()) {
                rows.extend(known.below(moved)?);
                rows.extend(known.row(moved)?.map(|row| (moved.clone(), row)));
            }
        }
        // A part of it may be elsewhere by now, and what was moved here may have been here before.
        let still = |(before, entry): (PathBytes, Entry)| {
            let now = self.overlay.now(&before)?;
            (now != *path && now.below(path).is_some()).then_some((now, entry))
        };
        let found: BTreeMap<PathBytes, Entry> = rows.into_iter().filter_map(still).collect();
        Ok(found.into_iter().rev().collect())
    }
}

/// Whether the baseline has the name in its folder, wherever it has that.
fn has_row_of<K: Known>(notice: &Notice, known: &mut K) -> Result<bool, K::Error> {
    Ok(match known.folder_row(&notice.parent)? {
        Some(folder) => known.row(&folder.join(&notice.name))?.is_some(),
        None => false,
    })
}

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod tests;
