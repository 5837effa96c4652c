//! What the engine does about each thing that has happened.

use std::sync::Arc;

use serde_json::json;
use tokio::time::Instant;

use super::flush::{Flushed, flush, in_book};
use super::folder_watches::FolderWatches;
use super::scanning::Done;
use super::{Engine, Problem};
use crate::baseline::Op;
use crate::book::{Book, BookError};
use crate::change::Detected;
use crate::clock;
use crate::event;
use crate::gather::Hint;
use crate::path_bytes::PathBytes;
use crate::phase::Phase;
use crate::scan::{Finding, Plan, Scan};
use crate::status::{ScanReason, ScanRecord};
use crate::tell::TellError;

/// Reads before a window is worked off: some megabytes.
const MOST_READS: usize = 64;

impl Engine {
    /// Pauses what is long while the module is drained, and takes it up again after a drain that was called off.
    pub(super) async fn settle_phase(&mut self) -> Result<(), TellError> {
        let phase = *self.phase.borrow();
        if phase != Phase::Open {
            self.watched_until.get_or_insert_with(clock::now);
            self.window.hurry(Instant::now());
            self.scanning.pause(self.teller.counts.found_by_scans()).await;
            return Ok(());
        }
        self.watched_until = None;
        self.say_gaps().await?;
        if self.flushing.is_none() && self.scanning.wants_to_go_on() {
            self.start_scan().await?;
        }
        Ok(())
    }

    /// Reads what the kernel has to tell, unless the module was asked meanwhile whether it is ready.
    ///
    /// Returns how many bytes there were, `None` when it has not read.
    pub(super) fn read(&mut self) -> Result<Option<usize>, TellError> {
        if !self.shared.begin("reading what the kernel tells", Phase::Open) {
            return Ok(None);
        }
        let now = Instant::now();
        let read = self.watching.read().map_err(TellError::Queue)?;
        for notice in read.notices {
            self.window.told(notice, now, self.config.settle);
        }
        if !self.watching.has_room() {
            self.window.hurry(now);
        }
        if read.overflowed {
            self.overflowed();
        }
        Ok(Some(read.bytes))
    }

    /// Begins to work off the window. What the kernel has told by now is part of it, so that nothing is looked at before it was
    /// heard what became of it.
    pub(super) fn begin_flush(&mut self) -> Result<(), TellError> {
        self.window.contents.all_is_heard = false;
        if *self.phase.borrow() == Phase::Open {
            // Not for ever: others may write faster than this reads.
            for _ in 0..MOST_READS {
                if !self.watching.has_room() {
                    break;
                }
                match self.read()? {
                    Some(0) => self.window.contents.all_is_heard = true,
                    Some(_) => continue,
                    None => {}
                }
                break;
            }
            // A scan gets on beside changes that never end.
            while let Some(findings) = self.scanning.waiting_findings() {
                self.take_in(findings);
            }
        }
        let Some(book) = self.book.take() else { return Ok(()) };
        self.watching.switch();
        let contents = self.window.take();
        let watches = self.watching.folder_watches();
        self.flushing = Some(Box::pin(flush(book, self.teller.clone(), contents, watches)));
        Ok(())
    }

    /// A window was worked off: what was read for it is not needed any more.
    pub(super) async fn flushed(&mut self, flushed: Flushed) -> Result<(), TellError> {
        let Flushed { book, to_scan, troubles, unwatched, folders } = flushed;
        self.book = Some(book);
        self.window.contents.folders = folders;
        self.watching.forget();
        self.check_waiting().await;
        for (path, error) in troubles {
            self.problem(path, error.to_string());
        }
        if let Some(problem) = unwatched {
            self.unwatched(problem).await?;
        }
        if !to_scan.is_empty() {
            self.scanning.want(ScanReason::Request, Detected::Realtime, to_scan);
        }
        if let Some(done) = self.scanning.finished(&self.rules) {
            self.scan_finished(done).await?;
        }
        Ok(())
    }

    /// Takes in what a scan has found. It is looked at again with everything that the kernel has told by then.
    pub(super) async fn found(&mut self, findings: Vec<Finding>) -> Result<(), TellError> {
        self.take_in(findings);
        if self.window.is_empty()
            && let Some(done) = self.scanning.finished(&self.rules)
        {
            self.scan_finished(done).await?;
        }
        Ok(())
    }

    fn take_in(&mut self, findings: Vec<Finding>) {
        let now = Instant::now();
        let hinted = Hint { mark: self.scanning.mark(), ..Hint::of(self.scanning.detected()) };
        for finding in findings {
            match finding {
                Finding::Differs { path, entry } => {
                    let hint = Hint { observed: Some(entry), ..hinted.clone() };
                    self.window.hint(path, hint, now);
                }
                Finding::Gone { path } => self.window.hint(path, hinted.clone(), now),
                Finding::Excluded { path } => self.window.after(Op::Remove { path }, now),
                Finding::FolderDone { path, number } => {
                    self.window.after(Op::Scanned { path, number }, now);
                }
                Finding::Unreadable { path, error } => self.problem(path, error),
                Finding::Mount { path, fstype, entered } => self.mount(path, &fstype, entered),
                Finding::End { stopped } => self.scanning.ended(stopped),
            }
        }
    }

    /// Closes the scan that has ended. It is told first and noted then: who is killed in between ends the same scan again, and
    /// tells the same.
    async fn scan_finished(&mut self, done: Done) -> Result<(), TellError> {
        let Some(book) = self.book.take() else { return Ok(()) };
        let (book, counted) =
            in_book(book, move |book| book.baseline().counts().map_err(Into::into)).await?;
        let found = self.teller.counts.found_by_scans().saturating_sub(done.found_before);
        let changes = done.record.changes + found;
        for event in self.scan_events(&done, changes, &counted) {
            self.teller.say(event).await?;
        }
        let meta = self.scanning.close(&self.rules, &done, changes);
        // What the scan has not met again is over. What is said of all has no path.
        self.problems.retain(|path, problem| {
            problem.at >= done.record.started_at
                || !done.record.covers(path)
                || *path == PathBytes::new("/")
        });
        let (mut book, ()) = in_book(book, move |book| book.set_meta(&meta)).await?;
        if self.scanning.has_found_lost() {
            self.watching.found_lost();
        }
        book.set_unfinished(self.scanning.unfinished_roots(&self.rules));
        self.book = Some(book);
        Ok(())
    }

    /// Begins the scan that is wanted next, or takes it up again.
    async fn start_scan(&mut self) -> Result<(), TellError> {
        let Some(book) = self.book.take() else { return Ok(()) };
        let watches = self.watching.folder_watches();
        let gap =
            self.scanning.wanted.front().is_some_and(|wanted| wanted.detected == Detected::GapScan);
        let found = self.teller.counts.found_by_scans();
        let (book, reader) = in_book(book, move |book| {
            if let Some(watches) = watches.filter(|_| gap) {
                watch_again(book, &watches)?;
            }
            book.baseline().reader().map_err(Into::into)
        })
        .await?;
        let (config, rules) = (Arc::clone(&self.config), Arc::clone(&self.rules));
        let own_folders = self.watching.scope.own_folders.clone();
        let begin = |record: &ScanRecord, findings| {
            let plan = Plan {
                number: record.number,
                paths: record.paths.clone(),
                rules,
                config,
                own_folders,
            };
            Scan::begin(plan, reader, findings)
        };
        self.scanning.run(begin, found).map_err(TellError::Scan)?;
        let meta = self.scanning.meta();
        let (book, ()) = in_book(book, move |book| book.set_meta(&meta)).await?;
        self.book = Some(book);
        Ok(())
    }

    /// A regular scan is due.
    pub(super) async fn scan_due(&mut self) -> Result<(), TellError> {
        self.scanning.want_regular(&self.rules);
        self.start_scan().await
    }

    /// Some folders are not watched; that is said once.
    async fn unwatched(&mut self, problem: String) -> Result<(), TellError> {
        let path = PathBytes::new("/");
        if self.problems.get(&path).is_none_or(|known| known.text != problem) {
            // Each instance says it: it may have been different in between.
            let mark = format!("{problem} {}", clock::now());
            let event = event::state("not_watched", &mark, problem.clone(), json!({}));
            self.teller.say(event).await?;
        }
        self.problem(path, problem);
        Ok(())
    }

    /// Something is lost in the kernel's queue: everything that is watched may have changed.
    fn overflowed(&mut self) {
        self.window.contents.lost = true;
        if self.scanning.overflow_is_due() {
            return;
        }
        let paths = self.rules.realtime_roots();
        let scan = self.scanning.want(ScanReason::Overflow, Detected::OverflowScan, paths);
        self.scanning.gap(self.watching.last_read, "the kernel's queue overflowed", scan);
    }

    pub(super) fn problem(&mut self, path: PathBytes, text: String) {
        /// Problems that are kept for the status.
        const MOST: usize = 100;
        if !self.problems.contains_key(&path) {
            tracing::warn!(%path, problem = %text, "cannot be watched as it should be");
        }
        if self.problems.len() < MOST || self.problems.contains_key(&path) {
            self.problems.insert(path, Problem { text, at: clock::now() });
        }
    }

    /// Notes until when this instance has watched: should nobody adopt its queues, a gap begins there.
    pub(super) async fn note_end(&mut self) {
        let Some(book) = self.book.take() else { return };
        let until = serde_json::to_vec(&self.watched_until.unwrap_or_else(clock::now));
        let meta = [("watched_until", until.unwrap_or_default())];
        if let Err(error) = in_book(book, move |book| book.set_meta(&meta)).await {
            tracing::warn!(%error, "until when files were watched is not noted");
        }
    }

    fn mount(&mut self, path: PathBytes, fstype: &str, entered: bool) {
        let what = if entered { "is looked at" } else { "is not looked at" };
        tracing::info!(%path, fstype, "a file system is mounted below what is watched; it {what}");
        self.scanning.mounts.insert(path, (fstype.to_owned(), entered));
    }
}

/// Has every folder of the baseline watched: the watches of the instance before are gone.
fn watch_again(book: &mut Book, watches: &FolderWatches) -> Result<(), BookError> {
    let mut left = book.baseline().roots()?;
    while let Some(folder) = left.pop() {
        let Some(id) = book.baseline().folder_id(&folder)? else { continue };
        left.extend(book.baseline().subfolders(id)?.iter().map(|(name, _)| folder.join(name)));
        if !watches.wants(&folder) {
            continue;
        }
        match watches.add(&folder) {
            Ok(Some(watch)) => book.note(&[Op::Watch { path: folder, watch: Some(watch) }])?,
            Ok(None) => {}
            // It is said for those that come later as well.
            Err(error) => tracing::warn!(%error, "a folder is only scanned"),
        }
    }
    Ok(())
}
