//! Where folders are as far as was told, while the baseline has them elsewhere or not at all: decides, and touches nothing.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Known;
use crate::overlay::{Overlay, renamed};
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::watch::{Notice, Parent};

/// For so many windows what has left is followed, in case it comes back.
const MOST_QUIET: u32 = 20;

/// Folders that are kept in mind from window to window.
const MOST_KEPT: usize = 4_096;

/// Folders that may not be where the baseline has them, and where they are.
pub(crate) type Whereabouts = Vec<(Handle, At)>;

/// Where a folder is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct At {
    pub(crate) path: PathBytes,
    /// In so many windows nothing was told of it; 0 when it was told in this one.
    quiet: u32,
}

/// Where folders are.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Those that were made or moved, lately.
    told: HashMap<Handle, At>,
    /// Where those of them are in the beginning that the baseline has elsewhere.
    rows: BTreeMap<PathBytes, PathBytes>,
    /// Of those that it had elsewhere: until when, and where they are in the beginning.
    gone: BTreeMap<PathBytes, Vec<(i64, PathBytes)>>,
    /// What was moved since then.
    moves: Overlay,
    /// What moves of folders are still to be heard: where the baseline has or had these.
    to_come: VecDeque<Vec<PathBytes>>,
    /// Nothing more has happened, as far as the kernel says.
    all_is_heard: bool,
    /// What was told before was not worked off.
    unfinished: bool,
}

impl Folders {
    /// Takes in where they were after the window before, which may be `unfinished`. Looks may have missed some of them, or found
    /// them where they are to be told to have gone.
    pub(super) fn told_before<K: Known>(
        &mut self,
        folders: Whereabouts,
        unfinished: bool,
        known: &mut K,
    ) -> Result<(), K::Error> {
        self.unfinished = unfinished;
        let older = |(folder, at): (_, At)| (folder, At { quiet: at.quiet + 1, ..at });
        self.told.extend(folders.into_iter().map(older));
        self.put_right(known)
    }

    /// What is in the folders of which is told where they are is there as well, wherever the baseline has it.
    fn put_right<K: Known>(&mut self, known: &mut K) -> Result<(), K::Error> {
        (self.rows, self.gone) = Default::default();
        for (folder, at) in &self.told {
            let handle = Parent::Handle(folder.clone());
            self.rows.extend(known.folder_row(&handle)?.map(|row| (row, at.path.clone())));
            for (path, until) in known.folder_gone(&handle)? {
                self.gone.entry(path).or_default().push((until, at.path.clone()));
            }
        }
        Ok(())
    }

    /// Where something is in the beginning that has this row.
    fn of_row(&self, row: &PathBytes) -> PathBytes {
        self.with_above(row, |above| self.rows.get(above).cloned())
    }

    /// Where something is in the beginning that had this row `until` then: with a folder that was there for so long.
    fn of_gone(&self, row: &PathBytes, until: i64) -> PathBytes {
        self.with_above(row, |above| {
            let longer = self.gone.get(above)?.iter().filter(|(other, _)| *other >= until);
            longer.min().filter(|_| above != row).map(|(_, now)| now.clone())
        })
    }

    fn with_above(
        &self,
        row: &PathBytes,
        of: impl Fn(&PathBytes) -> Option<PathBytes>,
    ) -> PathBytes {
        let mut above = Some(row.clone());
        while let Some(folder) = above {
            if let Some(now) = of(&folder).and_then(|now| renamed(row, &folder, &now)) {
                return now;
            }
            above = folder.split().map(|(parent, _)| parent);
        }
        row.clone()
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
        if let Some(row) = known.folder_row(folder)? {
            return Ok(self.moves.last_known(&self.of_row(&row)));
        }
        let Some((before, until)) = known.folder_gone(folder)?.into_iter().next() else {
            return Ok(seen_at.cloned().or_else(|| known.folder_on_disk(folder)));
        };
        let told = self.moves.last_known(&self.of_gone(&before, until));
        if told.as_ref() != Some(&before) {
            return Ok(told);
        }
        // It was looked for and not found there. So it is where it went, unless that is still to be heard. Without handles nobody
        // says which folders are moved.
        let to_be_heard = match folder {
            Parent::Handle(_) => {
                self.to_come.iter().flatten().any(|moved| before.below(moved).is_some())
            }
            Parent::Watch(_) => !self.to_come.is_empty(),
        } || !self.all_is_heard;
        match known.folder_on_disk(folder) {
            Some(now) if !to_be_heard => Ok(known.watched(&now).then_some(now)),
            Some(_) | None => Ok(told),
        }
    }

    /// These are to be heard, one after the other. `all`: the kernel had nothing more to tell when the last of them was read.
    pub(super) fn expect<K: Known>(
        &mut self,
        notices: &[Notice],
        all: bool,
        known: &mut K,
    ) -> Result<(), K::Error> {
        self.all_is_heard = all;
        for moved in notices.iter().filter(|notice| may_be_moved(notice)) {
            let before = match &moved.target {
                Some(folder) => {
                    let folder = Parent::Handle(folder.clone());
                    let gone = known.folder_gone(&folder)?.into_iter().map(|(path, _)| path);
                    known.folder_row(&folder)?.into_iter().chain(gone).collect()
                }
                None => {
                    let parent = known.folder_in_baseline(&moved.parent)?;
                    parent.map(|parent| parent.join(&moved.name)).into_iter().collect()
                }
            };
            self.to_come.push_back(before);
        }
        self.rewind(notices, known)
    }

    /// Puts folders back to where they are before their first move, should a look have found them where they are after it.
    fn rewind<K: Known>(&mut self, notices: &[Notice], known: &mut K) -> Result<(), K::Error> {
        let mut first = HashMap::new();
        for notice in notices.iter().filter(|notice| may_be_moved(notice)) {
            if let Some(folder) = &notice.target {
                first.entry(folder).or_insert(notice);
            }
        }
        let told_before: HashSet<Handle> = self.told.keys().cloned().collect();
        first.retain(|folder, _| !told_before.contains(*folder));
        if first.is_empty() {
            return Ok(());
        }
        // Once more, since where one of them is may depend on where others are.
        for _ in 0..2 {
            let mut told = Vec::new();
            for folder in first.keys() {
                let handle = Parent::Handle((*folder).clone());
                let path = self.first_place(&handle, &first, known)?;
                told.extend(path.map(|path| ((*folder).clone(), At { path, quiet: 1 })));
            }
            self.told.extend(told);
            self.put_right(known)?;
        }
        Ok(())
    }

    /// Where a folder is before anything is heard; the first moves of those that are moved say that. `None` also where they
    /// contradict each other, which they can when some were lost.
    fn first_place<K: Known>(
        &self,
        folder: &Parent,
        first: &HashMap<&Handle, &Notice>,
        known: &mut K,
    ) -> Result<Option<PathBytes>, K::Error> {
        let (mut folder, mut seen_at, mut names) = (folder, None, Vec::new());
        while let Some(moved) = match folder {
            Parent::Handle(handle) => first.get(handle),
            Parent::Watch(_) => None,
        } {
            if names.len() > first.len() {
                return Ok(None);
            }
            names.push(moved.name.as_slice());
            (folder, seen_at) = (&moved.parent, moved.seen_at.as_ref());
        }
        let above = self.place(folder, seen_at, known)?;
        let path = above.map(|above| names.iter().rev().fold(above, |path, name| path.join(name)));
        Ok(path.filter(|path| known.watched(path)))
    }

    /// This one is heard now.
    pub(super) fn hear(&mut self, notice: &Notice) {
        if may_be_moved(notice) {
            self.to_come.pop_front();
        }
    }

    /// Whether where the baseline has something can be ahead of all that is heard in this window.
    pub(super) fn may_be_ahead(&self) -> bool {
        !self.all_is_heard
    }

    /// Where notices alone say that it is.
    pub(super) fn told(&self, folder: &Parent) -> Option<&PathBytes> {
        match folder {
            Parent::Handle(handle) => self.told.get(handle).map(|at| &at.path),
            Parent::Watch(_) => None,
        }
    }

    /// Where the rows are now that the baseline has under `before`.
    pub(super) fn now(&self, before: &PathBytes) -> Option<PathBytes> {
        self.moves.now(&self.of_row(before))
    }

    /// A folder was made here, or has come here.
    pub(super) fn is_at(&mut self, folder: &Handle, path: &PathBytes) {
        self.told.insert(folder.clone(), At { path: path.clone(), quiet: 0 });
    }

    /// Folders of which only notices tell follow one that is moved.
    pub(super) fn follow(&mut self, from: &PathBytes, to: &PathBytes) {
        for at in self.told.values_mut() {
            if let Some(path) = renamed(&at.path, from, to) {
                *at = At { path, quiet: 0 };
            }
        }
    }

    /// And so do those that the baseline has.
    pub(super) fn moved(&mut self, from: PathBytes, to: PathBytes) {
        self.moves.moved(from, to);
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
            self.told.retain(|_, at| at.path.below(from).is_none());
            if rows {
                self.moves.removed(from.clone());
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
        self.told.get(folder).map(|at| at.path.clone()).filter(is_aside)
    }

    /// What is to be known when the next window is heard, also by another instance. Where nothing was told of one for a whole
    /// window, looks have found it where it was.
    pub(super) fn whereabouts(self) -> Whereabouts {
        let all = self.unfinished || !self.all_is_heard;
        let most = |at: &At| if is_aside(&at.path) { MOST_QUIET } else { 0 };
        let mut kept: Whereabouts =
            self.told.into_iter().filter(|(_, at)| all || at.quiet <= most(at)).collect();
        kept.sort_by_key(|(_, at)| at.quiet);
        kept.truncate(MOST_KEPT);
        kept
    }
}

/// Inotify says of a folder that leaves no more than that its name is gone.
fn may_be_moved(notice: &Notice) -> bool {
    let by_watch = matches!(notice.parent, Parent::Watch(_));
    notice.folder && (notice.renamed_to.is_some() || by_watch && notice.deleted)
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
