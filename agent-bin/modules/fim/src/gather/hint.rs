//! What is known of a path that is to be looked at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Life;
use crate::change::Detected;
use crate::entry::Entry;
use crate::path_bytes::PathBytes;
use crate::sys::Handle;
use crate::watch::{Notice, Process};

/// Files of which is remembered that they had one name in a window.
const MOST_FILES: usize = 16;

/// What is known of a path that is to be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hint {
    /// The name was made, so if there is nothing it came and went.
    pub(crate) life: Option<Life>,
    /// What of its inside is to be looked at too, because nobody told of that.
    pub(crate) inside: Inside,
    pub(crate) detected: Detected,
    pub(crate) by: Option<Process>,
    /// See [`Change::mark`].
    pub(crate) mark: String,
    /// What a scan saw there, content included.
    pub(crate) observed: Option<Entry>,
    /// It is another name of a file that was looked at.
    pub(crate) linked: bool,
    /// The files that were told of under this name, where the kernel says which: they may have other names.
    pub(crate) files: Vec<Handle>,
}

/// How much of a folder is looked at besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Inside {
    /// Nothing.
    Nothing,
    /// The names in it. Of a folder that is new everything is looked at in any case.
    Names,
    /// Everything below it.
    Everything,
}

impl Hint {
    /// A path that `detected` says to look at.
    pub(crate) fn of(detected: Detected) -> Self {
        Self {
            life: None,
            inside: Inside::Nothing,
            detected,
            by: None,
            mark: String::new(),
            observed: None,
            linked: false,
            files: Vec::new(),
        }
    }

    /// A hint to another path that this one has led to.
    pub(crate) fn onwards(&self) -> Self {
        Self { by: self.by.clone(), mark: self.mark.clone(), ..Self::of(self.detected) }
    }

    /// Adds a hint to those that there are; what an earlier one to the same path asks for is asked for still.
    pub(crate) fn add_to(self, hints: &mut BTreeMap<PathBytes, Self>, path: PathBytes) {
        match hints.get_mut(&path) {
            Some(known) => known.merge(self),
            None => drop(hints.insert(path, self)),
        }
    }

    fn merge(&mut self, newer: Self) {
        // The kernel's word says more than a scan's, which sees the same later. Of several the first is heard again in any case.
        if newer.detected < self.detected {
            self.mark = newer.mark;
        }
        self.detected = self.detected.min(newer.detected);
        self.inside = self.inside.max(newer.inside);
        self.by = newer.by.or_else(|| self.by.take());
        self.life = newer.life.or_else(|| self.life.take());
        self.observed = newer.observed;
        self.linked &= newer.linked;
        for file in newer.files {
            if !self.files.contains(&file) && self.files.len() < MOST_FILES {
                self.files.push(file);
            }
        }
    }
}

/// The hint that a notice is.
pub(super) fn hint_of(notice: &Notice) -> Hint {
    Hint {
        life: None,
        inside: if notice.folder && notice.created { Inside::Names } else { Inside::Nothing },
        detected: Detected::Realtime,
        by: notice.process.clone(),
        mark: notice.read_mark(),
        observed: None,
        linked: false,
        files: notice.target.iter().filter(|_| !notice.folder).cloned().collect(),
    }
}
