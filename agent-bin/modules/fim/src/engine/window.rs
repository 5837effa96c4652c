//! What was told and not looked at yet.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::baseline::Op;
use crate::gather::{Ended, Hint, Whereabouts};
use crate::path_bytes::PathBytes;
use crate::tell::Unfinished;
use crate::watch::Notice;

/// Gathers until it is time to look.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) contents: Contents,
    due: Option<Instant>,
}

/// What is to be looked at, and what is to be noted after that.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// In the order in which they were told.
    pub(crate) notices: Vec<Notice>,
    pub(crate) hints: BTreeMap<PathBytes, Hint>,
    /// Names that came and went, of a window that the instance before did not finish.
    pub(crate) ended: Ended,
    /// Where folders were when the window before had been heard.
    pub(crate) folders: Whereabouts,
    /// Whether such a window is among it, which is to be marked as done.
    pub(crate) left: bool,
    /// When the last notice of that window was read.
    pub(crate) read_at: (i64, u32),
    /// Something was not heard: where folders were says nothing any more.
    pub(crate) lost: bool,
    /// The kernel had nothing more to tell when the last notice was read.
    pub(crate) all_is_heard: bool,
    /// Applied when everything else was told: folders that a scan is through with, rows that are not watched any more.
    pub(crate) after: Vec<Op>,
}

impl Window {
    /// Takes in what the kernel told; it is looked at `settle` after the first of it.
    pub(crate) fn told(&mut self, notice: Notice, now: Instant, settle: Duration) {
        self.contents.notices.push(notice);
        self.due.get_or_insert(now + settle);
    }

    /// Takes in a path to look at as soon as possible.
    pub(crate) fn hint(&mut self, path: PathBytes, hint: Hint, now: Instant) {
        hint.add_to(&mut self.contents.hints, path);
        self.hurry(now);
    }

    /// Takes in what the instance before has left of a window.
    pub(crate) fn left(&mut self, rest: Unfinished, now: Instant) {
        self.contents.read_at = rest.read_at;
        let (hints, ended, folders) = rest.into_parts();
        self.contents.left = !hints.is_empty() || !ended.is_empty();
        for (path, hint) in hints {
            self.hint(path, hint, now);
        }
        self.contents.ended = ended;
        self.contents.folders = folders;
        self.hurry(now);
    }

    /// Takes in what is noted after the rest, as soon as possible.
    pub(crate) fn after(&mut self, operation: Op, now: Instant) {
        self.contents.after.push(operation);
        self.hurry(now);
    }

    /// What is there is looked at now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.min(now)));
    }

    /// When to look; `None` while there is nothing to look at.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Contents {
            notices,
            hints,
            after,
            ended,
            left,
            folders: _,
            lost: _,
            read_at: _,
            all_is_heard: _,
        } = &self.contents;
        notices.is_empty() && hints.is_empty() && after.is_empty() && ended.is_empty() && !left
    }

    /// Takes everything out.
    pub(crate) fn take(&mut self) -> Contents {
        self.due = None;
        std::mem::take(&mut self.contents)
    }
}
