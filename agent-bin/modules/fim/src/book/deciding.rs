//! One path after the other: what is on the disk, what the baseline has, and what follows from the two.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

use super::{Book, BookError, Outcome, reading, text};
use crate::baseline::Op;
use crate::change::{Change, Detected, What, differences};
use crate::entry::{Entry, Kind};
use crate::gather::{Ended, Hint, Inside, Known, Life};
use crate::look::{Looked, identity};
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::tell::MOST_AT_ONCE;
use crate::watch::Parent;

/// A new folder with more names than this is scanned instead of being listed here, so that its names need no memory.
const MOST_NAMES: usize = 4_096;

/// What one path leads to, as a rule, at most. Of a folder that is gone each row is an outcome.
const MARGIN: usize = 50;

/// What some hints came to.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    /// To be told and applied, in this order.
    pub(crate) outcomes: Vec<Outcome>,
    /// What was not looked at, because there were as many outcomes as become durable together.
    pub(crate) undecided: BTreeMap<PathBytes, Hint>,
    /// What is to be looked at after that.
    pub(crate) more: BTreeMap<PathBytes, Hint>,
    /// Folders of which too much is new to be looked at here.
    pub(crate) to_scan: Vec<PathBytes>,
    /// What could not be looked at, and why; the baseline keeps what it has.
    pub(crate) troubles: Vec<(PathBytes, io::Error)>,
}

/// The decisions of one slice of hints, on top of a baseline that does not have them yet.
struct Deciding<'a> {
    book: &'a mut Book,
    decided: Decided,
    /// What the baseline will have when all of this is applied.
    pending: HashMap<PathBytes, Option<Entry>>,
    /// Folders that are the ones that the baseline has.
    checked: HashSet<PathBytes>,
}

impl Book {
    /// Looks at each path and decides. Nothing of an earlier decision may be waiting to be applied.
    pub(crate) fn decide(
        &mut self,
        hints: BTreeMap<PathBytes, Hint>,
        ended: &mut Ended,
    ) -> Result<Decided, BookError> {
        let (decided, pending, checked) = Default::default();
        let mut deciding = Deciding { book: self, decided, pending, checked };
        for (path, hint) in hints {
            if deciding.decided.outcomes.len() >= MOST_AT_ONCE - MARGIN {
                deciding.decided.undecided.insert(path, hint);
                continue;
            }
            let lives = ended.remove(&path).unwrap_or_default();
            let own = deciding.decided.outcomes.len();
            deciding.one(path.clone(), &hint)?;
            deciding.others_of_files(&path, &hint)?;
            deciding.short_lives(lives, &path, own)?;
        }
        Ok(deciding.decided)
    }
}

impl Outcome {
    /// What follows from a change that the notices alone tell of.
    pub(super) fn of_move(change: Change) -> Self {
        let to = change.path.clone();
        let operation = match &change.what {
            What::Moved { from, .. } => Some(Op::Move { from: from.clone(), to }),
            What::Deleted(_) => Some(Op::Remove { path: to }),
            What::Created(_) | What::Modified { .. } | What::ShortLived { .. } => None,
        };
        Self::told(change, operation.into_iter().collect())
    }

    fn told(change: Change, operations: Vec<Op>) -> Self {
        let (detected, mark) = (change.detected, change.mark.clone());
        Self { detected, mark, change: Some(change), operations }
    }

    fn short_lived(life: Life) -> Self {
        let Life { path, folder, mark, by, target } = life;
        let ghost = |handle| Op::Ghost { path: path.clone(), handle };
        let operations = target.filter(|_| folder).map(ghost).into_iter().collect();
        let (what, detected) = (What::ShortLived { folder }, Detected::Realtime);
        Self::told(Change { path, what, detected, by, mark }, operations)
    }

    fn silent(hint: &Hint, operations: Vec<Op>) -> Self {
        let (detected, mark) = (hint.detected, hint.mark.clone());
        Self { detected, mark, change: None, operations }
    }
}

impl Book {
    /// Tells of the names that came and went and that nothing else was told of.
    pub(crate) fn rest(ended: Ended) -> Vec<Outcome> {
        ended.into_values().flatten().map(Outcome::short_lived).collect()
    }
}

impl Deciding<'_> {
    fn one(&mut self, path: PathBytes, hint: &Hint) -> Result<(), BookError> {
        if self.book.rules.of(&path).is_none() {
            return Ok(());
        }
        self.parents_first(&path, hint)?;
        self.one_alone(path, hint)
    }

    /// The path itself, when the folders above it were looked at.
    fn one_alone(&mut self, path: PathBytes, hint: &Hint) -> Result<(), BookError> {
        let row = self.row(&path)?;
        let now = match self.book.look(&path, row.as_ref(), hint) {
            Ok(now) => now,
            Err(error) => {
                self.decided.troubles.push((path, error));
                return Ok(());
            }
        };
        match (row, now) {
            (None, None) => hint.life.iter().for_each(|life| self.short_lived(life)),
            (None, Some(now)) => self.created(path, now, hint)?,
            (Some(row), None) => {
                self.deleted(path, row, hint)?;
                hint.life.iter().for_each(|life| self.short_lived(life));
            }
            (Some(row), Some(now)) if row.kind == now.entry.kind => {
                self.compared(path, row, now, hint)?;
            }
            (Some(row), Some(now)) => {
                self.deleted(path.clone(), row, hint)?;
                self.created(path, now, hint)?;
            }
        }
        Ok(())
    }

    /// A row needs the rows of the folders above it, and is one of these very folders: of those that are missing or were replaced
    /// nobody may have told yet.
    fn parents_first(&mut self, path: &PathBytes, hint: &Hint) -> Result<(), BookError> {
        let mut unchecked = Vec::new();
        let mut above = path.split().map(|(folder, _)| folder);
        while let Some(folder) = above.filter(|folder| !self.checked.contains(folder)) {
            if self.book.rules.of(&folder).is_none() {
                break;
            }
            above = folder.split().map(|(folder, _)| folder);
            unchecked.push(folder);
        }
        for folder in unchecked.into_iter().rev() {
            let row = self.row(&folder)?.filter(|row| row.kind == Kind::Folder);
            let row = row.map(|row| (row.device, row.inode));
            if row.is_none() || row != identity(&folder) {
                self.one_alone(folder.clone(), &hint.onwards())?;
            }
            self.checked.insert(folder);
        }
        Ok(())
    }

    fn row(&mut self, path: &PathBytes) -> Result<Option<Entry>, BookError> {
        match self.pending.get(path) {
            Some(pending) => Ok(pending.clone()),
            None => self.book.row(path),
        }
    }

    fn short_lived(&mut self, life: &Life) {
        self.decided.outcomes.push(Outcome::short_lived(life.clone()));
    }

    /// Tells of what came and went under a name before what is there now, or after what was there before. `own` is where the
    /// outcomes about the name itself begin.
    fn short_lives(
        &mut self,
        lives: Vec<Life>,
        path: &PathBytes,
        own: usize,
    ) -> Result<(), BookError> {
        let begin = self.decided.outcomes.len();
        for life in lives {
            self.others_of(&life)?;
            self.short_lived(&life);
        }
        if self.row(path)?.is_some()
            && let Some(outcomes) = self.decided.outcomes.get_mut(own..)
        {
            outcomes.rotate_left(begin - own);
        }
        Ok(())
    }

    /// What came and went may have been another name of a file that is still there, and was changed under it.
    fn others_of(&mut self, life: &Life) -> Result<(), BookError> {
        let (by, mark) = (life.by.clone(), life.mark.clone());
        let hint = Hint { by, mark, ..Hint::of(Detected::Realtime) };
        if let Some(file) = life.target.as_ref().and_then(|file| self.book.file_of(file)) {
            self.names_of(file, &life.path, &hint)?;
        }
        Ok(())
    }

    /// The same of files that were told of under a name which is another one's by now.
    fn others_of_files(&mut self, path: &PathBytes, hint: &Hint) -> Result<(), BookError> {
        for file in &hint.files {
            let row = self.row(path)?.map(|row| (row.device, row.inode));
            if let Some(file) = self.book.file_of(file).filter(|file| row != Some(*file)) {
                self.names_of(file, path, &hint.onwards())?;
            }
        }
        Ok(())
    }

    /// Has all names of a file but this one looked at that the baseline has, or will have.
    fn names_of(
        &mut self,
        file: (u64, u64),
        but: &PathBytes,
        hint: &Hint,
    ) -> Result<(), BookError> {
        let known = self.book.baseline.names_of_inode(file.0, file.1)?;
        let is_it = |one: &Entry| (one.device, one.inode) == file;
        let decided = self.pending.iter().filter(|(_, one)| one.as_ref().is_some_and(is_it));
        let names: BTreeSet<PathBytes> =
            known.into_iter().chain(decided.map(|(name, _)| name.clone())).collect();
        for name in names.into_iter().filter(|name| name != but) {
            hint.clone().add_to(&mut self.decided.more, name);
        }
        Ok(())
    }

    fn created(&mut self, path: PathBytes, now: Looked, hint: &Hint) -> Result<(), BookError> {
        let silent = hint.life.is_none() && self.book.was_there(&path);
        if now.entry.kind == Kind::Folder && !silent {
            self.list(&path, Inside::Nothing, hint);
        }
        self.elsewhere(&path, &now, hint);
        let mut operations = vec![self.put(&path, &now)];
        operations.extend(self.book.first_text(&path, &now.entry));
        if now.entry.links > 1 && !silent {
            self.other_names(&path, &now.entry, hint)?;
        }
        self.pending.insert(path.clone(), Some(now.entry.clone()));
        match silent {
            true => self.decided.outcomes.push(Outcome::silent(hint, operations)),
            false => self.tell(path, What::Created(now.entry), hint, operations),
        }
        Ok(())
    }

    /// A folder that is new here may be the one that the baseline has elsewhere: it was moved, and nobody told yet.
    fn elsewhere(&mut self, path: &PathBytes, now: &Looked, hint: &Hint) {
        let Some(handle) = &now.handle else { return };
        match self.book.folder_in_baseline(&Parent::Handle(handle.clone())) {
            Ok(Some(other)) if other != *path => self.later(other, Inside::Nothing, hint),
            Ok(_) => {}
            Err(error) => {
                let error = io::Error::other(error.to_string());
                self.decided.troubles.push((path.clone(), error));
            }
        }
    }

    fn deleted(&mut self, path: PathBytes, row: Entry, hint: &Hint) -> Result<(), BookError> {
        let mut gone = Vec::new();
        if row.kind == Kind::Folder {
            gone = self.book.below(&path)?;
        }
        gone.push((path, row));
        for (path, entry) in gone {
            // Decided about already, in this slice.
            if self.pending.get(&path).is_some_and(Option::is_none) {
                continue;
            }
            if entry.links > 1 {
                self.other_names(&path, &entry, hint)?;
            }
            self.pending.insert(path.clone(), None);
            let operation = Op::Remove { path: path.clone() };
            self.tell(path, What::Deleted(entry), hint, vec![operation]);
        }
        Ok(())
    }

    fn compared(
        &mut self,
        path: PathBytes,
        row: Entry,
        now: Looked,
        hint: &Hint,
    ) -> Result<(), BookError> {
        let replaced = row.kind == Kind::Folder && row.inode != now.entry.inode;
        let inside = if replaced { Inside::Everything } else { hint.inside };
        if row.kind == Kind::Folder && inside != Inside::Nothing {
            let deeper = if inside == Inside::Names { Inside::Nothing } else { inside };
            self.list(&path, deeper, hint);
            for name in self.book.names_in(&path)? {
                self.later(path.join(&name), deeper, hint);
            }
        }
        // Also of what is as the row says: it may have been looked at when the others had been already.
        if row.links.max(now.entry.links) > 1 && row.kind == Kind::File {
            self.other_names(&path, &now.entry, hint)?;
        }
        if row == now.entry {
            return Ok(());
        }
        let mut operations = vec![self.put(&path, &now)];
        let watched = self.book.rules.of(&path).map(|rule| rule.attributes.as_slice());
        let silent = differences(&row, &now.entry, watched.unwrap_or_default()).is_empty();
        self.pending.insert(path.clone(), Some(now.entry.clone()));
        if silent {
            self.decided.outcomes.push(Outcome::silent(hint, operations));
            return Ok(());
        }
        let text::Compared { diff, operation } =
            self.book.compare_texts(&path, &row, &now.entry)?;
        operations.extend(operation);
        self.tell(path, What::Modified { old: row, new: now.entry, diff }, hint, operations);
        Ok(())
    }

    /// A change under one name of a file is one under all its names, and the kernel tells of one.
    fn other_names(
        &mut self,
        path: &PathBytes,
        entry: &Entry,
        hint: &Hint,
    ) -> Result<(), BookError> {
        if hint.linked {
            return Ok(());
        }
        let hint = Hint { linked: true, ..hint.onwards() };
        self.names_of((entry.device, entry.inode), path, &hint)
    }

    /// Has the names in a folder looked at, and as much of their `inside`.
    fn list(&mut self, path: &PathBytes, inside: Inside, hint: &Hint) {
        match reading::names_in(path, MOST_NAMES) {
            Ok(Some(names)) => {
                for name in names {
                    self.later(path.join(&name), inside, hint);
                }
            }
            Ok(None) => self.decided.to_scan.push(path.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.decided.troubles.push((path.clone(), error)),
        }
    }

    fn later(&mut self, path: PathBytes, inside: Inside, hint: &Hint) {
        let hint = Hint { inside, ..hint.onwards() };
        hint.add_to(&mut self.decided.more, path);
    }

    fn put(&self, path: &PathBytes, now: &Looked) -> Op {
        let handle = now.handle.as_ref().map(Handle::to_bytes);
        let root = self.book.rules.is_root(path);
        Op::Put { path: path.clone(), entry: now.entry.clone(), handle, root }
    }

    fn tell(&mut self, path: PathBytes, what: What, hint: &Hint, operations: Vec<Op>) {
        let (detected, by, mark) = (hint.detected, hint.by.clone(), hint.mark.clone());
        let change = Change { path, what, detected, by, mark };
        self.decided.outcomes.push(Outcome::told(change, operations));
    }
}

#[cfg(test)]
mod tests;
