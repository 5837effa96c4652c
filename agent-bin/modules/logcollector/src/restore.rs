//! Puts together what earlier instances left: the saved state and the checkpoints, whichever is newer for each file.

use std::collections::BTreeMap;

use module_api::Restored;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::book::{FILE_KEY_PREFIX, LEDGER_KEY, Ledger, Saved, VERSION};
use crate::position::{FileId, Position};

/// What the new instance starts from.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    /// The newest position of every file that is not forgotten.
    pub(crate) files: Vec<Position>,
    /// The patterns that were watched; `None` if nothing was ever watched, or nobody knows.
    pub(crate) patterns: Option<Vec<String>>,
    /// The number of the last change.
    pub(crate) seq: u64,
    /// Files whose checkpoint is to be removed.
    pub(crate) stale: Vec<FileId>,
    /// What could not be used, for warning events.
    pub(crate) problems: Vec<String>,
}

/// Reads `state` and `checkpoints` and merges them; see `book` for the rule.
pub(crate) fn merge(state: &Restored, checkpoints: &BTreeMap<String, Vec<u8>>) -> Inheritance {
    let mut found = Inheritance::default();
    let saved = found.read_state(state);
    let ledger: Option<Ledger> = checkpoints
        .get(LEDGER_KEY)
        .and_then(|bytes| found.read(&format!("checkpoint {LEDGER_KEY}"), bytes));
    let stored = found.read_positions(checkpoints);
    let (state_seq, ledger_seq) =
        (saved.as_ref().map(|saved| saved.ledger.seq), ledger.as_ref().map(|ledger| ledger.seq));
    let mut kept: BTreeMap<FileId, Position> = BTreeMap::new();
    let from_state = saved.as_ref().map(|saved| saved.files.clone()).unwrap_or_default();
    for position in from_state {
        let newer_than_checkpoints = ledger_seq.is_none_or(|ledger| position.seq > ledger);
        // A checkpoint that cannot be read tells at least that the file was not forgotten.
        let has_checkpoint =
            stored.contains_key(&position.file_id) || found.stale.contains(&position.file_id);
        if newer_than_checkpoints || has_checkpoint {
            kept.insert(position.file_id, position);
        }
    }
    for (id, position) in stored {
        let newer_than_state = state_seq.is_none_or(|state| position.seq > state);
        match kept.get(&id) {
            Some(other) if other.seq >= position.seq => {}
            None if !newer_than_state => found.stale.push(id),
            Some(_) | None => drop(kept.insert(id, position)),
        }
    }
    found.stale.retain(|id| !kept.contains_key(id));
    let last = kept.values().map(|position| position.seq).max();
    found.seq = [last, state_seq, ledger_seq].into_iter().flatten().max().unwrap_or(0);
    found.patterns = [ledger, saved.map(|saved| saved.ledger)]
        .into_iter()
        .flatten()
        .max_by_key(|ledger| ledger.seq)
        .map(|ledger| ledger.patterns);
    found.files = kept.into_values().collect();
    found
}

impl Inheritance {
    fn read_state(&mut self, state: &Restored) -> Option<Saved> {
        match state {
            Restored::Nothing => None,
            Restored::Found { version: VERSION, bytes } => self.read("the saved state", bytes),
            Restored::Found { version, bytes: _ } => {
                self.problems.push(format!(
                    "the saved state has format {version}, this version of the module knows {VERSION}: it is not used and \
                     will be replaced; reading goes on from the checkpoints, without them as at the first start"
                ));
                None
            }
            Restored::Unreadable { kept_as, reason } => {
                self.problems.push(format!(
                    "the saved state cannot be read ({reason}) and is kept as {}; reading goes on from the checkpoints, \
                     without them as at the first start",
                    kept_as.display()
                ));
                None
            }
        }
    }

    fn read_positions(
        &mut self,
        checkpoints: &BTreeMap<String, Vec<u8>>,
    ) -> BTreeMap<FileId, Position> {
        let mut positions = BTreeMap::new();
        for (key, bytes) in checkpoints {
            let Some(id) = key.strip_prefix(FILE_KEY_PREFIX).and_then(|id| id.parse::<Uuid>().ok())
            else {
                continue;
            };
            match self.read::<Position>(&format!("checkpoint {key}"), bytes) {
                Some(position) => drop(positions.insert(FileId(id), position)),
                None => self.stale.push(FileId(id)),
            }
        }
        positions
    }

    fn read<T: DeserializeOwned>(&mut self, what: &str, bytes: &[u8]) -> Option<T> {
        match serde_json::from_slice(bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("{what} cannot be read and is not used: {error}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Book;
    use crate::position::FileKey;
    use module_api::SavedState;

    /// A book and the checkpoints that a spool would have kept for it.
    struct Kept {
        book: Book,
        checkpoints: BTreeMap<String, Vec<u8>>,
    }

    impl Kept {
        fn new() -> Self {
            Self {
                book: Book::open(0, Vec::new(), vec!["/*".to_owned()]),
                checkpoints: BTreeMap::new(),
            }
        }

        fn change(&mut self, set: Vec<Position>, forget: Vec<FileId>) {
            let change = self.book.plan(set, forget).unwrap();
            for checkpoint in change.checkpoints() {
                match checkpoint.value {
                    Some(value) => self.checkpoints.insert(checkpoint.key, value),
                    None => self.checkpoints.remove(&checkpoint.key),
                };
            }
            self.book.commit(change);
        }

        fn merge(&self, state: &SavedState) -> Inheritance {
            let (version, bytes) = state.payload().unwrap();
            merge(&Restored::Found { version, bytes: bytes.to_vec() }, &self.checkpoints)
        }

        fn all(&self) -> Vec<Position> {
            self.book.files().cloned().collect()
        }
    }

    fn position(inode: u64) -> Position {
        Position::at_start(FileKey { dev: 1, inode }, None, format!("/{inode}"))
    }

    #[test]
    fn nothing_at_all_is_a_first_start() {
        let found = merge(&Restored::Nothing, &BTreeMap::new());
        assert!(found.files.is_empty() && found.patterns.is_none() && found.problems.is_empty());
    }

    #[test]
    fn after_a_kill_the_newer_checkpoint_wins() {
        let mut kept = Kept::new();
        let file = position(1);
        kept.change(vec![file.clone()], Vec::new());
        let old = kept.book.save().unwrap();
        kept.change(vec![Position { offset: 9, ..file }], Vec::new());
        let found = kept.merge(&old);
        assert_eq!(found.files, kept.all());
        assert_eq!(found.files[0].offset, 9);
        assert_eq!(found.patterns, Some(vec!["/*".to_owned()]));
    }

    #[test]
    fn a_file_forgotten_after_the_save_does_not_come_back() {
        let mut kept = Kept::new();
        let (file, other) = (position(1), position(2));
        kept.change(vec![file.clone(), other], Vec::new());
        let old = kept.book.save().unwrap();
        kept.change(Vec::new(), vec![file.file_id]);
        assert_eq!(kept.merge(&old).files, kept.all());
    }

    #[test]
    fn a_file_known_to_the_saved_state_alone_is_kept() {
        let mut kept = Kept::new();
        kept.change(Vec::new(), Vec::new());
        kept.book.put(position(1));
        let found = kept.merge(&kept.book.save().unwrap());
        assert_eq!(found.files, kept.all());
        assert_eq!(found.files.len(), 1);
    }

    #[test]
    fn a_file_found_after_the_save_is_kept() {
        let mut kept = Kept::new();
        kept.change(Vec::new(), Vec::new());
        let old = kept.book.save().unwrap();
        kept.change(vec![position(1)], Vec::new());
        assert_eq!(kept.merge(&old).files, kept.all());
    }

    #[test]
    fn without_checkpoints_the_saved_state_is_enough_and_the_other_way_round() {
        let mut kept = Kept::new();
        kept.change(vec![position(1), position(2)], Vec::new());
        let state = kept.book.save().unwrap();
        let checkpoints = std::mem::take(&mut kept.checkpoints);
        assert_eq!(kept.merge(&state).files, kept.all());
        assert_eq!(merge(&Restored::Nothing, &checkpoints).files, kept.all());
    }

    #[test]
    fn a_state_of_a_newer_format_is_left_aside_and_said_so() {
        let mut kept = Kept::new();
        kept.change(vec![position(1)], Vec::new());
        let newer = Restored::Found { version: 2, bytes: b"?".to_vec() };
        let found = merge(&newer, &kept.checkpoints);
        assert_eq!(found.files, kept.all());
        assert!(found.problems[0].contains("format 2"), "{:?}", found.problems);
    }

    #[test]
    fn a_torn_checkpoint_leaves_the_saved_position() {
        let mut kept = Kept::new();
        kept.change(vec![position(1)], Vec::new());
        let state = kept.book.save().unwrap();
        let key = kept.checkpoints.keys().find(|key| key.starts_with("file:")).unwrap().clone();
        kept.checkpoints.insert(key, b"{".to_vec());
        let found = kept.merge(&state);
        assert_eq!((found.files, found.stale), (kept.all(), Vec::new()));
    }

    #[test]
    fn a_torn_checkpoint_is_said_and_removed() {
        let id = FileId::fresh();
        let checkpoints = BTreeMap::from([(format!("file:{id}"), b"{".to_vec())]);
        let found = merge(&Restored::Nothing, &checkpoints);
        assert_eq!(found.stale, [id]);
        assert_eq!(found.problems.len(), 1);
    }
}
