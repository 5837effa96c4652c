//! Takes over what a survey found: files to open, files that moved, files that left.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Collector, predecessors};
use crate::event;
use crate::position::{FileId, Position};
use crate::resume::Resumed;
use crate::survey::{Fresh, Survey};
use crate::tail::Tail;

impl Collector {
    /// Takes over what a survey found. Touches nothing but memory; what has to be stored is stored next.
    pub(crate) fn apply(&mut self, mut survey: Survey, now: Instant) {
        for (id, resumed) in std::mem::take(&mut survey.resumed) {
            self.take_up(id, resumed, now);
        }
        for fresh in std::mem::take(&mut survey.fresh) {
            self.open(fresh, now);
        }
        self.follow(&survey, now);
        for (path, reason) in &survey.troubles {
            if self.troubled.insert(path.clone()) {
                tracing::warn!(%path, %reason, "cannot be read");
                self.pending.events.push(event::unreadable(path, reason));
            }
        }
        self.troubled.retain(|path| survey.troubles.contains_key(path));
    }

    fn take_up(&mut self, id: FileId, resumed: Resumed, now: Instant) {
        match resumed {
            Resumed::Open { file, at_its_path } => {
                self.tails.push(Tail::new(id, Arc::new(file), at_its_path, now));
                let book = self.shared.book();
                self.tails.sort_by_key(|tail| predecessors(&book, tail.id).len());
            }
            Resumed::Lost(what) => {
                if let Some(position) = self.shared.book().get(id) {
                    tracing::warn!(path = %position.path, offset = position.offset, "{what}");
                    self.pending.events.push(event::gap(position, what));
                    self.pending.forget.push(id);
                }
            }
            Resumed::Unreachable(_) => {}
        }
    }

    /// Begins with an unknown file. Whoever has its path in the book has lost it to this one.
    fn open(&mut self, fresh: Fresh, now: Instant) {
        let mut book = self.shared.book();
        let has_its_path = |tail: &&Tail| {
            book.get(tail.id).is_some_and(|position| position.path == fresh.position.path)
        };
        let after = self.tails.iter().rev().find(has_its_path).map(|tail| tail.id);
        let position = Position { after, ..fresh.position };
        tracing::info!(path = %position.path, offset = position.offset, "a file was found");
        self.tails.push(Tail::new(position.file_id, Arc::new(fresh.file), true, now));
        book.put(position);
    }

    /// Notes under which paths the open files are found now, and which ones have left.
    fn follow(&mut self, survey: &Survey, now: Instant) {
        let mut book = self.shared.book();
        let replaced: BTreeSet<FileId> =
            book.files().filter_map(|position| position.after).collect();
        for tail in &mut self.tails {
            let Some(position) = book.get(tail.id) else { continue };
            match survey.matched.get(&position.key).map(Vec::as_slice) {
                Some(paths @ [first, ..]) => {
                    tail.matched = true;
                    if replaced.contains(&tail.id) {
                        tail.leaves(now);
                    } else {
                        tail.stays();
                    }
                    if !paths.contains(&position.path) {
                        let moved = Position { path: first.clone(), ..position.clone() };
                        book.put(moved);
                    }
                }
                Some([]) | None if survey.gone.contains(&tail.id) => {
                    tail.matched = false;
                    tail.leaves(now);
                }
                Some([]) | None => {}
            }
        }
    }
}
