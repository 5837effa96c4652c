//! Where folders are as far as was told, while the baseline has them elsewhere or not at all: decides, and touches nothing.

use std::collections::{BTreeMap, HashMap};

use super::{Hint, Known};
use crate::overlay::{Overlay, renamed};
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::watch::{Notice, Parent};

/// Folders that may not be where the baseline has them, and where they are.
pub(crate) type Whereabouts = Vec<(Handle, PathBytes)>;

/// Where folders are.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Those that were made or moved.
    told: HashMap<Handle, PathBytes>,
    /// Where everything else is that the baseline has.
    places: Overlay,
    /// And where those are that it has no more since they were not found there.
    gone: Overlay,
    /// How many moves of folders are still to be heard, and how many of them to where nothing is watched.
    moves_to_come: usize,
    leaves_to_come: usize,
}

impl Folders {
    /// Takes in where they were when the instance before had heard a window and had not worked it off; `hints` are left of it.
    pub(super) fn told_before<K: Known>(
        &mut self,
        folders: Whereabouts,
        hints: &BTreeMap<PathBytes, Hint>,
        known: &mut K,
    ) -> Result<(), K::Error> {
        let (mut with_rows, mut gone) = (Vec::new(), Vec::new());
        for (folder, now) in &folders {
            let handle = Parent::Handle(folder.clone());
            let Some(before) = known.folder_in_baseline(&handle)? else { continue };
            let has_row = known.has_row(&handle)?;
            if has_row { &mut with_rows } else { &mut gone }.push((before, folder, now));
        }
        // What is above goes first.
        with_rows.sort();
        gone.sort();
        // Where a name was looked at, its row may be ahead of what is told next.
        with_rows.retain(|(before, folder, _)| {
            let folder = Parent::Handle((*folder).clone());
            hints.contains_key(before) || known.folder_on_disk(&folder).as_ref() != Some(before)
        });
        move_all(&mut self.places, &with_rows);
        move_all(&mut self.gone, &gone);
        self.told.extend(folders);
        Ok(())
    }

    /// The folder, where it is now; `None` when nobody knows.
    pub(super) fn place<K: Known>(
        &self,
        folder: &Parent,
        seen_at: Option<&PathBytes>,
        known: &mut K,
    ) -> Result<Option<PathBytes>, K::Error> {
        if let Some(told) = self.told(folder) {
            return Ok(Some(told.clone()));
        }
        let Some(before) = known.folder_in_baseline(folder)? else {
            return Ok(seen_at.cloned().or_else(|| known.folder_on_disk(folder)));
        };
        if known.has_row(folder)? {
            return Ok(self.places.last_known(&before));
        }
        let told = self.gone.last_known(&before);
        if told.as_ref().is_some_and(is_aside) {
            return Ok(told);
        }
        // It was looked for and not found there. Where it is, it was already, unless it is still to be told how it went there.
        Ok(match known.folder_on_disk(folder) {
            Some(now) if known.watched(&now) && self.moves_to_come == 0 => Some(now),
            Some(now) if !known.watched(&now) && self.leaves_to_come == 0 => None,
            Some(_) | None => told,
        })
    }

    /// These are to be heard, one after the other.
    pub(super) fn expect(&mut self, notices: &[Notice]) {
        let count = |is_it: fn(&Notice) -> bool| notices.iter().filter(|one| is_it(one)).count();
        self.moves_to_come = count(may_be_moved);
        self.leaves_to_come = count(may_leave);
    }

    /// This one is heard now.
    pub(super) fn hear(&mut self, notice: &Notice) {
        self.moves_to_come -= usize::from(may_be_moved(notice));
        self.leaves_to_come -= usize::from(may_leave(notice));
    }

    /// Where notices alone say that it is.
    pub(super) fn told(&self, folder: &Parent) -> Option<&PathBytes> {
        match folder {
            Parent::Handle(handle) => self.told.get(handle),
            Parent::Watch(_) => None,
        }
    }

    /// Where the rows are now that the baseline has under `before`.
    pub(super) fn now(&self, before: &PathBytes) -> Option<PathBytes> {
        self.places.now(before)
    }

    /// A folder was made here, or has come here.
    pub(super) fn is_at(&mut self, folder: &Handle, path: &PathBytes) {
        self.told.insert(folder.clone(), path.clone());
    }

    /// Folders of which only notices tell follow one that is moved.
    pub(super) fn follow(&mut self, from: &PathBytes, to: &PathBytes) {
        for path in self.told.values_mut() {
            if let Some(now) = renamed(path, from, to) {
                *path = now;
            }
        }
    }

    /// And so do those that the baseline has.
    pub(super) fn moved(&mut self, from: PathBytes, to: PathBytes) {
        self.gone.moved(from.clone(), to.clone());
        self.places.moved(from, to);
    }

    /// What was at `from` is moved with all that is in it: this folder, if it is one and the kernel says which. `to` is where
    /// nothing is watched, and known only in what is followed there. `rows`: what the baseline has there goes along.
    pub(super) fn left(
        &mut self,
        from: &PathBytes,
        to: Option<&PathBytes>,
        folder: Option<&Handle>,
        rows: bool,
    ) {
        let Some(folder) = folder else {
            self.told.retain(|_, path| path.below(from).is_none());
            if rows {
                self.places.removed(from.clone());
                self.gone.removed(from.clone());
            }
            return;
        };
        // It may come back.
        let to = to.cloned().unwrap_or_else(|| aside("left", folder));
        self.follow(from, &to);
        if rows {
            self.moved(from.clone(), to.clone());
        }
        self.is_at(folder, &to);
    }

    /// A folder has come from where nothing is watched; what is in it has come back, if it had left.
    pub(super) fn arrived(&mut self, folder: &Handle, to: &PathBytes, from: Option<PathBytes>) {
        if let Some(from) = self.followed(folder).or(from) {
            self.follow(&from, to);
            self.moved(from, to.clone());
        }
        self.is_at(folder, to);
    }

    /// Where a folder is that has left.
    pub(super) fn followed(&self, folder: &Handle) -> Option<PathBytes> {
        self.told.get(folder).filter(|path| is_aside(path)).cloned()
    }

    /// What the next instance is to know, should this one end before the window is worked off.
    pub(super) fn whereabouts(self) -> Whereabouts {
        self.told.into_iter().collect()
    }
}

/// Where the baseline has or had a folder, and where it is.
type Moved<'a> = (PathBytes, &'a Handle, &'a PathBytes);

/// All go aside first: one may be where another has been.
fn move_all(places: &mut Overlay, folders: &[Moved<'_>]) {
    for (before, folder, _) in folders {
        let last = places.last_known(before).unwrap_or_else(|| before.clone());
        places.moved(last, aside("before", folder));
    }
    for (_, folder, now) in folders {
        places.moved(aside("before", folder), (*now).clone());
    }
}

/// Inotify says of a folder that leaves no more than that its name is gone.
fn may_be_moved(notice: &Notice) -> bool {
    let by_watch = matches!(notice.parent, Parent::Watch(_));
    notice.folder && (notice.renamed_to.is_some() || by_watch && notice.deleted)
}

fn may_leave(notice: &Notice) -> bool {
    let outside = match notice.parent {
        Parent::Handle(_) => !notice.stays,
        Parent::Watch(_) => notice.renamed_to.is_none(),
    };
    outside && may_be_moved(notice)
}

/// Whether this is where what has left is followed, in case it comes back.
pub(super) fn is_aside(path: &PathBytes) -> bool {
    path.as_bytes().starts_with(b"/\0")
}

/// A place that no watched name can have, since no name has a zero in it.
fn aside(why: &str, folder: &Handle) -> PathBytes {
    let Handle { filesystem, sort, bytes } = folder;
    PathBytes::new(format!("/\0{why} {filesystem} {sort} {bytes:?}").into_bytes())
}
