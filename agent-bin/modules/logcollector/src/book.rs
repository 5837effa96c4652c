//! All positions, and which checkpoints have to be stored so that the next instance finds the same.
//!
//! Positions are kept in two places: in the saved state, written at an orderly end, and in checkpoints, stored
//! with every batch. Each is complete as of a number: the state as of its `seq`, the checkpoints as of the
//! `seq` of the [`Ledger`]. A file that is in one and missing in the other was forgotten there, unless it is
//! newer than that number; `restore` relies on it. So whatever forgets a file also stores the ledger and every
//! position that is not stored yet.

use std::collections::{BTreeMap, BTreeSet};

use module_api::{Checkpoint, ModuleError, SavedState};
use serde::{Deserialize, Serialize};

use crate::position::{FileId, Position};

/// The format of the saved state and the ledger.
pub(crate) const VERSION: u32 = 1;
/// The checkpoint with the ledger; it holds the patterns, and how far the checkpoints are complete.
pub(crate) const LEDGER_KEY: &str = "patterns";
/// The checkpoint of a file is this and its id.
pub(crate) const FILE_KEY_PREFIX: &str = "file:";

/// What is kept beside the positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// The format.
    pub(crate) version: u32,
    /// Every change up to this number is included.
    pub(crate) seq: u64,
    /// The patterns that were watched.
    pub(crate) patterns: Vec<String>,
}

/// The saved state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The patterns, and as of which change the positions are complete.
    #[serde(flatten)]
    pub(crate) ledger: Ledger,
    /// The positions.
    pub(crate) files: Vec<Position>,
}

/// All positions. Only the collector's task changes it.
#[derive(Debug)]
pub(crate) struct Book {
    seq: u64,
    patterns: Vec<String>,
    files: BTreeMap<FileId, Position>,
    not_stored: BTreeSet<FileId>,
    ledger_stored: bool,
}

/// A change that takes place when its checkpoints are stored, and not before.
#[derive(Debug)]
#[must_use]
pub(crate) struct Change {
    set: Vec<Position>,
    forget: Vec<FileId>,
    /// Stores everything that is not stored yet, and the ledger.
    whole: bool,
    seq: u64,
    checkpoints: Vec<Checkpoint>,
}

impl Book {
    /// The book at the start of an instance: `files` as restored and the number of the last change known. Nothing
    /// counts as stored, because some of it may come from the saved state alone.
    pub(crate) fn open(seq: u64, files: Vec<Position>, patterns: Vec<String>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().map(|file| (file.file_id, file)).collect();
        let not_stored = files.keys().copied().collect();
        Self { seq, patterns, files, not_stored, ledger_stored: false }
    }

    /// The position of a file.
    pub(crate) fn get(&self, id: FileId) -> Option<&Position> {
        self.files.get(&id)
    }

    /// Every position, in order of the ids.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Position> {
        self.files.values()
    }

    /// Adds or replaces a position at once; its checkpoint goes with the next whole change.
    pub(crate) fn put(&mut self, position: Position) {
        self.seq += 1;
        self.not_stored.insert(position.file_id);
        self.files.insert(position.file_id, Position { seq: self.seq, ..position });
    }

    /// Whether something is known only in memory.
    pub(crate) fn has_unstored(&self) -> bool {
        !self.ledger_stored || !self.not_stored.is_empty()
    }

    /// The change that sets `set` and forgets `forget`.
    pub(crate) fn plan(
        &self,
        set: Vec<Position>,
        forget: Vec<FileId>,
    ) -> Result<Change, ModuleError> {
        let whole = self.has_unstored() || !forget.is_empty();
        let mut change = Change { set, forget, whole, seq: self.seq, checkpoints: Vec::new() };
        for position in &mut change.set {
            change.seq += 1;
            position.seq = change.seq;
        }
        let mut changed: BTreeSet<FileId> = change.forget.iter().copied().collect();
        changed.extend(change.set.iter().map(|position| position.file_id));
        let unstored = self.not_stored.iter().filter(|id| whole && !changed.contains(id));
        for position in change.set.iter().chain(unstored.filter_map(|id| self.files.get(id))) {
            change.checkpoints.push(checkpoint(&file_key(position.file_id), position)?);
        }
        let forgotten =
            change.forget.iter().map(|id| Checkpoint { key: file_key(*id), value: None });
        change.checkpoints.extend(forgotten);
        if whole {
            change.seq += 1;
            let ledger = self.ledger(change.seq);
            change.checkpoints.push(checkpoint(LEDGER_KEY, &ledger)?);
        }
        Ok(change)
    }

    /// Carries out a change whose checkpoints are stored.
    pub(crate) fn commit(&mut self, change: Change) {
        for id in &change.forget {
            self.files.remove(id);
        }
        for position in change.set {
            self.not_stored.remove(&position.file_id);
            self.files.insert(position.file_id, position);
        }
        if change.whole {
            self.not_stored.clear();
            self.ledger_stored = true;
        }
        self.seq = change.seq;
    }

    /// The state to save.
    pub(crate) fn save(&self) -> Result<SavedState, ModuleError> {
        let saved =
            Saved { ledger: self.ledger(self.seq), files: self.files.values().cloned().collect() };
        Ok(SavedState::new(VERSION, encode("the saved state", &saved)?))
    }

    fn ledger(&self, seq: u64) -> Ledger {
        Ledger { version: VERSION, seq, patterns: self.patterns.clone() }
    }
}

impl Change {
    /// What to store with it.
    pub(crate) fn checkpoints(&self) -> Vec<Checkpoint> {
        self.checkpoints.clone()
    }
}

fn file_key(id: FileId) -> String {
    format!("{FILE_KEY_PREFIX}{id}")
}

fn checkpoint(key: &str, value: &impl Serialize) -> Result<Checkpoint, ModuleError> {
    Ok(Checkpoint { key: key.to_owned(), value: Some(encode(key, value)?) })
}

fn encode(what: &str, value: &impl Serialize) -> Result<Vec<u8>, ModuleError> {
    serde_json::to_vec(value)
        .map_err(|error| ModuleError::caused_by(format!("{what} cannot be written"), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::FileKey;

    fn position(inode: u64) -> Position {
        Position::at_start(FileKey { dev: 1, inode }, None, format!("/{inode}"))
    }

    fn keys(change: &Change) -> Vec<(String, bool)> {
        change.checkpoints().into_iter().map(|item| (item.key, item.value.is_some())).collect()
    }

    /// A book with one stored file.
    fn book() -> (Book, Position) {
        let file = position(1);
        let mut book = Book::open(10, vec![file.clone()], vec!["/*".to_owned()]);
        let change = book.plan(Vec::new(), Vec::new()).unwrap();
        book.commit(change);
        (book, file)
    }

    #[test]
    fn the_first_change_stores_everything_that_was_restored() {
        let file = position(1);
        let book = Book::open(10, vec![file.clone()], Vec::new());
        let change = book.plan(Vec::new(), Vec::new()).unwrap();
        assert_eq!(keys(&change), [(file_key(file.file_id), true), (LEDGER_KEY.to_owned(), true)]);
    }

    #[test]
    fn progress_in_one_file_stores_that_file_alone() {
        let (mut book, file) = book();
        let change = book.plan(vec![Position { offset: 7, ..file.clone() }], Vec::new()).unwrap();
        assert_eq!(keys(&change), [(file_key(file.file_id), true)]);
        assert_eq!(book.get(file.file_id).unwrap().offset, 0, "not before it is stored");
        book.commit(change);
        let now = book.get(file.file_id).unwrap();
        assert_eq!((now.offset, now.seq), (7, 12));
        assert!(!book.has_unstored());
    }

    #[test]
    fn forgetting_a_file_stores_the_ledger_and_all_that_was_not_stored() {
        let (mut book, file) = book();
        let fresh = position(2);
        book.put(fresh.clone());
        let change = book.plan(Vec::new(), vec![file.file_id]).unwrap();
        assert_eq!(
            keys(&change),
            [
                (file_key(fresh.file_id), true),
                (file_key(file.file_id), false),
                (LEDGER_KEY.to_owned(), true),
            ]
        );
        book.commit(change);
        assert_eq!(book.files().map(|file| file.key.inode).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn every_change_gets_a_higher_number() {
        let (mut book, file) = book();
        book.put(file.clone());
        let put = book.get(file.file_id).unwrap().seq;
        let change = book.plan(vec![file.clone()], Vec::new()).unwrap();
        book.commit(change);
        assert!(book.get(file.file_id).unwrap().seq > put);
    }
}
