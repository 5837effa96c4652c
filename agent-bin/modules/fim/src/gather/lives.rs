//! Names that were made in a window, and what became of them: decides, and touches nothing.
//!
//! Who looks at a name sees what is there now. What came and went before that is known from notices alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::overlay::renamed;
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::watch::{Notice, Process};

/// A name from when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// What it was called then.
    pub(crate) path: PathBytes,
    pub(crate) folder: bool,
    /// Tells this life of the name from others.
    pub(crate) mark: String,
    pub(crate) by: Option<Process>,
    /// The file, where the kernel says which one.
    pub(crate) target: Option<Handle>,
}

/// All names that were made.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// Those that are there as far as was told, by what they are called now.
    alive: BTreeMap<PathBytes, Life>,
    /// Those that are gone, by what they were called when they were made.
    pub(super) ended: BTreeMap<PathBytes, Vec<Life>>,
    /// Names of the baseline that were removed, so that what is called so now is something else.
    removed: BTreeSet<PathBytes>,
}

impl Lives {
    /// A name was made. `known`: the baseline has it, so if it was not removed meanwhile a scan was faster than this notice.
    pub(super) fn made(&mut self, path: &PathBytes, notice: &Notice, known: bool) {
        if known && !self.removed.contains(path) && !self.alive.contains_key(path) {
            return;
        }
        self.end(path);
        let life = Life {
            path: path.clone(),
            folder: notice.folder,
            mark: notice.read_mark(),
            by: notice.process.clone(),
            target: notice.target.clone(),
        };
        // With both words about one file it is clear which came first.
        if notice.deleted && notice.target.is_some() {
            self.ended.entry(path.clone()).or_default().push(life);
        } else {
            self.alive.insert(path.clone(), life);
        }
    }

    /// A name was made before this window, and is there as far as was told.
    pub(super) fn made_before(&mut self, path: &PathBytes, life: Life) {
        self.alive.insert(path.clone(), life);
    }

    /// A name was removed.
    pub(super) fn removed(&mut self, path: &PathBytes, notice: &Notice) {
        match self.alive.get(path) {
            Some(life) if notice.target.is_none() || life.target == notice.target => self.end(path),
            // The notice about another file that had this name before.
            Some(_) => {}
            None => drop(self.removed.insert(path.clone())),
        }
    }

    /// Whether what is called so now was made in this window.
    pub(super) fn is_alive(&self, path: &PathBytes) -> bool {
        self.alive.contains_key(path)
    }

    /// Whether what the baseline has under this name is gone.
    pub(super) fn is_removed(&self, path: &PathBytes) -> bool {
        self.removed.contains(path)
    }

    /// A name and everything below it is called otherwise now; what was called so is gone.
    pub(super) fn moved(&mut self, from: &PathBytes, to: &PathBytes) {
        self.end_below(to);
        for path in below(self.alive.keys(), from) {
            if let (Some(life), Some(now)) = (self.alive.remove(&path), renamed(&path, from, to)) {
                self.alive.insert(now, life);
            }
        }
        for path in below(self.removed.iter(), from) {
            self.removed.remove(&path);
            self.removed.extend(renamed(&path, from, to));
        }
    }

    /// A name and everything below it is somewhere else now, where nothing is watched.
    pub(super) fn left(&mut self, path: &PathBytes) {
        self.end_below(path);
        self.removed.insert(path.clone());
    }

    /// Takes out what is alive under this name.
    pub(super) fn take(&mut self, path: &PathBytes) -> Option<Life> {
        self.alive.remove(path)
    }

    fn end_below(&mut self, path: &PathBytes) {
        for path in below(self.alive.keys(), path) {
            self.end(&path);
        }
    }

    fn end(&mut self, path: &PathBytes) {
        if let Some(life) = self.alive.remove(path) {
            self.ended.entry(life.path.clone()).or_default().push(life);
        }
    }
}

fn below<'a>(paths: impl Iterator<Item = &'a PathBytes>, folder: &PathBytes) -> Vec<PathBytes> {
    paths.filter(|path| path.below(folder).is_some()).cloned().collect()
}
