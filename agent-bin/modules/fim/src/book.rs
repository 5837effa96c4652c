//! Compares what is on the disk with the baseline: the one place where a change is found to be one.
//!
//! Blocks for disk I/O. It changes nothing itself: what it decided is published first, and then applied by
//! [`Book::apply`], so that a crash in between reports the same again or goes on where it was.

mod deciding;
mod reading;
mod text;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::baseline::{Baseline, BaselineError, Below, Op};
use crate::change::{Change, Detected};
use crate::entry::Entry;
use crate::gather::{Ended, Gathered, Hint, Known, Settled, Whereabouts};
use crate::look::{self, Looked, Looker};
use crate::path_bytes::PathBytes;
use crate::rules::Rules;
use crate::sys::Handle;
use crate::watch::filesystems::Filesystems;
use crate::watch::{Notice, Parent};

/// Rows that are read at once.
const PAGE: usize = 1_000;

/// The baseline, and all that is needed to compare with it.
pub(crate) struct Book {
    baseline: Baseline,
    rules: Arc<Rules>,
    looker: Looker,
    filesystems: Filesystems,
    diff_size_limit: u64,
    /// The roots of which there is no complete baseline yet, and since when it is being made.
    unfinished: Vec<(PathBytes, i64)>,
}

/// One decision: what to tell, and what to change in the baseline when that was told.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) detected: Detected,
    /// See [`Change::mark`].
    pub(crate) mark: String,
    pub(crate) change: Option<Change>,
    pub(crate) operations: Vec<Op>,
}

/// The comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BookError {
    /// The database.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
}

/// What a window of notices comes to.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Moves of what the baseline has, to be told and applied before anything is looked at.
    pub(crate) moves: Vec<Outcome>,
    /// What is to be looked at then.
    pub(crate) hints: BTreeMap<PathBytes, Hint>,
    /// Names that came and went, by what they were called first.
    pub(crate) ended: Ended,
    /// Where folders are that the baseline has elsewhere, or not yet.
    pub(crate) folders: Whereabouts,
}

/// How sure it is where things are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sure {
    /// The window before was not worked off.
    pub(crate) unfinished: bool,
    /// The kernel had nothing more to tell when the last notice was read.
    pub(crate) all_is_heard: bool,
}

impl Book {
    /// The book over this baseline.
    pub(crate) fn new(
        baseline: Baseline,
        rules: Arc<Rules>,
        looker: Looker,
        filesystems: Filesystems,
        diff_size_limit: u64,
    ) -> Self {
        Self { baseline, rules, looker, filesystems, diff_size_limit, unfinished: Vec::new() }
    }

    /// Sorts what was told, in its order, after what was told before: the `hints`, and where `folders` were then.
    pub(crate) fn sort(
        &mut self,
        notices: &[Notice],
        hints: BTreeMap<PathBytes, Hint>,
        folders: Whereabouts,
        sure: Sure,
    ) -> Result<Sorted, BookError> {
        let mut gathered = Gathered::default();
        gathered.told_before(hints, folders, sure.unfinished, self)?;
        gathered.all(notices, sure.all_is_heard, self)?;
        let Settled { changes, hints, ended, folders } = gathered.settle();
        let moves = changes.into_iter().map(Outcome::of_move).collect();
        Ok(Sorted { moves, hints, ended, folders })
    }

    /// Moves the baseline, in one transaction. Does nothing when it was moved by this number or a higher one before.
    ///
    /// With `lasting` not even a power cut takes it back, so that at most the last list has to be applied again.
    pub(crate) fn apply(
        &mut self,
        number: u64,
        operations: &[Op],
        lasting: bool,
    ) -> Result<(), BookError> {
        self.baseline.set_lasting(lasting)?;
        let applied = self.baseline.apply(number, operations, &[])?;
        if applied.ignored > 0 {
            tracing::debug!(ignored = applied.ignored, "rows had no folder in the baseline");
        }
        Ok(())
    }

    /// Moves the baseline by what no event belongs to.
    pub(crate) fn note(&mut self, operations: &[Op]) -> Result<(), BookError> {
        if operations.is_empty() {
            return Ok(());
        }
        let number = self.number()? + 1;
        self.apply(number, operations, false)
    }

    /// Notes what is no row.
    pub(crate) fn set_meta(&mut self, meta: &[(&str, Vec<u8>)]) -> Result<(), BookError> {
        let number = self.number()? + 1;
        self.baseline.apply(number, &[], meta)?;
        Ok(())
    }

    /// From now on no earlier instance can move the baseline.
    pub(crate) fn claim(&mut self, writer: u64) -> Result<(), BookError> {
        Ok(self.baseline.claim(writer)?)
    }

    /// The watches of an earlier instance are gone.
    pub(crate) fn forget_watches(&mut self) -> Result<(), BookError> {
        Ok(self.baseline.forget_watches()?)
    }

    /// The id of the recorders that belong to this baseline.
    pub(crate) fn watch_id(&self) -> Result<Option<u64>, BookError> {
        let bytes = self.baseline.meta("watch_id")?.and_then(|bytes| bytes.try_into().ok());
        Ok(bytes.map(u64::from_le_bytes))
    }

    /// From now on recorders of this id belong to this baseline, and these queues tell: fanotify, inotify.
    pub(crate) fn begin_to_watch(&mut self, id: u64, queues: [bool; 2]) -> Result<(), BookError> {
        let queues = queues.map(u8::from).to_vec();
        self.set_meta(&[("watch_id", id.to_le_bytes().to_vec()), ("queues", queues)])
    }

    /// The queues that told the instance before.
    pub(crate) fn queues(&self) -> Result<[bool; 2], BookError> {
        let bytes = self.baseline.meta("queues")?.and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        Ok(bytes.unwrap_or_default().map(|byte| byte != 0))
    }

    /// The number by which the baseline was moved last.
    pub(crate) fn number(&self) -> Result<u64, BookError> {
        Ok(self.baseline.number()?)
    }

    /// The names that the baseline has in this folder.
    fn names_in(&self, path: &PathBytes) -> Result<Vec<Vec<u8>>, BookError> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let Some(folder) = self.baseline.folder_id(path)? else { return Ok(names) };
        loop {
            let page = self.baseline.children(folder, names.last().map(Vec::as_slice), PAGE)?;
            if page.is_empty() {
                return Ok(names);
            }
            names.extend(page.into_iter().map(|(name, _)| name));
        }
    }

    /// What is at this path now. A digest is taken over from the row, or from what a scan has seen, where nothing can have
    /// changed since.
    fn look(
        &self,
        path: &PathBytes,
        row: Option<&Entry>,
        hint: &Hint,
    ) -> io::Result<Option<Looked>> {
        let Some(rule) = self.rules.of(path) else { return Ok(None) };
        // A scan has read it just now, and whatever has changed since is told by the next scan if not before.
        let observed = hint.observed.clone().map(|seen| Entry { settled: true, ..seen });
        let mut examined = self.looker.examine(path, rule, observed.as_ref().or(row))?;
        if let (Some(examined), Some(seen)) = (&mut examined, &hint.observed) {
            examined.entry.settled &= seen.settled;
        }
        Ok(examined)
    }

    /// What is at this path now, all of it read again.
    pub(crate) fn look_again(&self, path: &PathBytes) -> io::Result<Option<Entry>> {
        let looked = self.look(path, None, &Hint::of(Detected::Realtime))?;
        Ok(looked.map(|looked| looked.entry))
    }

    /// Device and inode of a file that has any name still.
    fn file_of(&self, file: &Handle) -> Option<(u64, u64)> {
        self.filesystems.identity_of(file)
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules)
    }

    pub(crate) fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Says which roots have no complete baseline yet, and since when it is being made: what was there before is no change.
    pub(crate) fn set_unfinished(&mut self, roots: Vec<(PathBytes, i64)>) {
        self.unfinished = roots;
    }

    /// Whether what is new to the baseline at `path` was there when the first baseline was begun, as far as can be told.
    fn was_there(&self, path: &PathBytes) -> bool {
        let since = self.unfinished.iter().find(|(root, _)| path.below(root).is_some());
        since.is_some_and(|(_, since)| look::born(path).is_none_or(|born| born < *since))
    }
}

impl Known for Book {
    type Error = BookError;

    fn folder_row(&mut self, folder: &Parent) -> Result<Option<PathBytes>, BookError> {
        let row = match folder {
            Parent::Handle(handle) => self.baseline.folder_by_handle(handle)?,
            Parent::Watch(watch) => self.baseline.folder_by_watch(*watch)?,
        };
        Ok(match row {
            Some(row) => self.baseline.path_of(row)?,
            None => None,
        })
    }

    fn folder_gone(&mut self, folder: &Parent) -> Result<Vec<(PathBytes, i64)>, BookError> {
        // A look was faster than what the kernel has to tell of the time before.
        Ok(match folder {
            Parent::Handle(handle) => self.baseline.ghosts_by_handle(handle)?,
            Parent::Watch(watch) => self.baseline.ghosts_by_watch(*watch)?,
        })
    }

    fn folder_on_disk(&mut self, folder: &Parent) -> Option<PathBytes> {
        match folder {
            Parent::Handle(handle) => self.filesystems.path_of(handle),
            Parent::Watch(watch) => {
                let ghost = self.baseline.ghost_handle_by_watch(*watch);
                let handle = ghost.inspect_err(
                    |error| tracing::warn!(%error, "the baseline cannot be asked which folder a watch was of"),
                );
                self.filesystems.path_of(&handle.ok()??)
            }
        }
    }

    fn row(&mut self, path: &PathBytes) -> Result<Option<Entry>, BookError> {
        Ok(self.baseline.find(path)?)
    }

    fn may_be_folder(&mut self, path: &PathBytes, folder: &Handle) -> Result<bool, BookError> {
        let Some(found) = self.baseline.folder_id(path)? else { return Ok(false) };
        Ok(self.baseline.handle_of(found)?.is_none_or(|handle| handle == folder.to_bytes()))
    }

    fn below(&mut self, path: &PathBytes) -> Result<Vec<(PathBytes, Entry)>, BookError> {
        let mut walk = Below::new(&self.baseline, path)?;
        let mut all = Vec::new();
        loop {
            let page = walk.next(&self.baseline, PAGE)?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    fn may_be(&self, file: &Handle, entry: &Entry) -> bool {
        self.file_of(file).is_none_or(|found| found == (entry.device, entry.inode))
    }

    fn watched(&self, path: &PathBytes) -> bool {
        self.rules.of(path).is_some_and(|rule| rule.realtime)
    }
}
