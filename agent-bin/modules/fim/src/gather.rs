//! Turns what was told, in its order, into moves of what the baseline has and paths to look at: decides, and touches nothing.
//!
//! A path to look at is a hint and nothing more: whoever looks may find that nothing has changed. What cannot be found by
//! looking is what a hint carries: that a name was made (it may be gone again), and who did it.

mod hint;
mod lives;
mod moves;

use std::collections::{BTreeMap, HashMap};

use crate::change::{Change, Detected, What};
use crate::entry::Entry;
use crate::overlay::{Overlay, renamed};
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::watch::{Notice, Parent};
use hint::hint_of;
use lives::Lives;
use moves::is_exchange;

pub(crate) use hint::{Hint, Inside};
pub(crate) use lives::Life;

/// What the baseline and the kernel say when they are asked.
pub(crate) trait Known {
    type Error;
    /// Under which path the baseline has this folder.
    fn folder_in_baseline(&mut self, folder: &Parent) -> Result<Option<PathBytes>, Self::Error>;
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

/// Everything that was told in one window.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// What became of names that the baseline has, in order.
    pub(crate) changes: Vec<Change>,
    /// Where the rows of the baseline are after that.
    pub(crate) overlay: Overlay,
    /// Where folders are, whether or not their rows have moved along.
    places: Overlay,
    /// What is to be looked at then.
    pub(crate) hints: BTreeMap<PathBytes, Hint>,
    /// Folders that were made or came in meanwhile, by their handles.
    made: HashMap<Handle, PathBytes>,
    lives: Lives,
    /// What the baseline calls everything that was moved.
    moved: Vec<PathBytes>,
}

impl Gathered {
    /// Notes that `path` is to be looked at.
    pub(crate) fn hint(&mut self, path: PathBytes, hint: Hint) {
        hint.add_to(&mut self.hints, path);
    }

    /// Takes in what was told before, and came to this.
    pub(crate) fn told_before(&mut self, hints: BTreeMap<PathBytes, Hint>, ended: &Ended) {
        let is_folder = |life: &&Life| life.folder;
        for life in ended.values().flatten().filter(is_folder) {
            self.made.extend(life.target.clone().map(|folder| (folder, life.path.clone())));
        }
        for (path, mut hint) in hints {
            if let Some(life) = hint.life.take() {
                let folder = Some(&life).filter(is_folder).and_then(|life| life.target.clone());
                self.made.extend(folder.map(|folder| (folder, path.clone())));
                self.lives.made_before(&path, life);
            }
            self.hint(path, hint);
        }
    }

    /// Takes in notices of the kernel, in their order.
    pub(crate) fn all<K: Known>(
        &mut self,
        notices: &[Notice],
        known: &mut K,
    ) -> Result<(), K::Error> {
        let mut rest = notices;
        while let [first, after @ ..] = rest {
            rest = after;
            if let [second, after @ ..] = after
                && is_exchange(first, second)
                && self.exchanged(first, known)?
            {
                rest = after;
            } else {
                self.told(first, known)?;
            }
        }
        Ok(())
    }

    fn told<K: Known>(&mut self, notice: &Notice, known: &mut K) -> Result<(), K::Error> {
        let at = self.place(&notice.parent, &notice.name, notice.seen_at.as_ref(), known)?;
        match &notice.renamed_to {
            None => {
                let Some(at) = at else {
                    let name = String::from_utf8_lossy(&notice.name);
                    tracing::debug!(%name, parent = ?notice.parent, "what was told is in no folder that is known");
                    return Ok(());
                };
                if let (true, true, Some(handle)) = (notice.created, notice.folder, &notice.target)
                {
                    self.made.insert(handle.clone(), at.clone());
                }
                if notice.created {
                    let row = self.row(&at, known)?;
                    self.lives.made(&at, notice, row.is_some());
                } else if notice.deleted {
                    self.lives.removed(&at, notice);
                }
                self.hint_before(&at, notice, known)?;
                self.hint(at, hint_of(notice));
            }
            Some((parent, name)) => {
                let to = self.place(parent, name, None, known)?;
                self.renamed(at, to, notice, known)?;
            }
        }
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

    /// Where the name is now, as far as what was told before says; `None` when its folder is unknown or not watched.
    fn place<K: Known>(
        &self,
        parent: &Parent,
        name: &[u8],
        seen_at: Option<&PathBytes>,
        known: &mut K,
    ) -> Result<Option<PathBytes>, K::Error> {
        let made = match parent {
            Parent::Handle(handle) => self.made.get(handle).cloned(),
            Parent::Watch(_) => None,
        };
        let folder = match made {
            Some(folder) => Some(folder),
            None => match known.folder_in_baseline(parent)? {
                Some(before) => self.places.last_known(&before),
                None => seen_at.cloned().or_else(|| known.folder_on_disk(parent)),
            },
        };
        let path = folder.map(|folder| if name.is_empty() { folder } else { folder.join(name) });
        Ok(path.filter(|path| known.watched(path)))
    }

    fn renamed<K: Known>(
        &mut self,
        from: Option<PathBytes>,
        to: Option<PathBytes>,
        notice: &Notice,
        known: &mut K,
    ) -> Result<(), K::Error> {
        let plain = Hint { inside: Inside::Nothing, ..hint_of(notice) };
        if let (Some(from), Some(to)) = (&from, &to)
            && notice.target.is_some()
            && self.is_ahead(from, to, notice, known)?
        {
            self.ahead(from, to, plain);
            return Ok(());
        }
        let moved_row = match (&from, &to) {
            (Some(from), Some(to)) => self.row_to_move(from, to, notice.target.as_ref(), known)?,
            (Some(_) | None, _) => None,
        };
        // Without the folder's handle only the rows say that, and only where none has to move.
        if let (Some(from), Some(to), None) = (&from, &to, &moved_row)
            && notice.target.is_none()
            && self.is_ahead(from, to, notice, known)?
        {
            self.ahead(from, to, plain);
            return Ok(());
        }
        if let Some(to) = &to {
            let row = moved_row.as_ref().zip(from.as_ref());
            self.arrives(row, to, notice, known)?;
        }
        match (from, to) {
            (Some(from), Some(to)) => {
                self.follow(&from, &to);
                match self.taken_by_another(&from, notice, known)? {
                    Some(folder) => drop(self.made.insert(folder, to.clone())),
                    None => self.places.moved(from.clone(), to.clone()),
                }
                self.hint(from, plain.clone());
                let inside = match moved_row {
                    None if notice.folder => Inside::Everything,
                    None | Some(_) => Inside::Nothing,
                };
                self.hint(to, Hint { inside, ..plain });
            }
            (None, Some(to)) => {
                if let (true, Some(handle)) = (notice.folder, &notice.target) {
                    self.made.insert(handle.clone(), to.clone());
                }
                let inside = if notice.folder { Inside::Everything } else { Inside::Nothing };
                self.hint(to, Hint { inside, ..plain });
            }
            (Some(from), None) => self.leaves(from, notice, known)?,
            (None, None) => {}
        }
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
        for path in self.made.values_mut() {
            if let Some(now) = renamed(path, from, to) {
                *path = now;
            }
        }
    }

    /// Says which names were made and are there as far as was told, and which are gone again, by what they were called first.
    pub(crate) fn settle(mut self) -> (Vec<Change>, BTreeMap<PathBytes, Hint>, Ended) {
        for (path, hint) in &mut self.hints {
            hint.life = self.lives.take(path);
        }
        (self.changes, self.hints, self.lives.ended)
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

#[cfg(test)]
mod tests;
