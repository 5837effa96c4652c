//! Compares what is on the disk with the baseline, by threads of its own, in memory that does not grow with the tree.
//!
//! ```text
//!  folders ──> walkers: list, compare with the rows ──> findings ──> engine
//!     ^            │                └──> files to read ──> hashers ──^
//!     └────────────┘
//! ```

mod folder;
mod hashing;
mod list;
mod mount_points;
mod outbox;
mod pace;
mod queue;
mod walk;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::baseline::BaselineReader;
use crate::config::Config;
use crate::entry::Entry;
use crate::hash::Wanted;
use crate::look::Looker;
use crate::path_bytes::PathBytes;
use crate::rules::Rules;
use crate::sys::lower_io_priority;

use hashing::HashQueue;
use mount_points::MountPoints;
use outbox::Outbox;
use pace::Pace;
use queue::FolderQueue;

/// More threads of a sort are of no use: the disk or the database is the limit then.
const MOST_THREADS: usize = 4;

/// What a scan has found. All of it are hints: it may be different again by now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Finding {
    /// The path is new, or something of it is not as in the baseline; at the least that it is settled now.
    Differs { path: PathBytes, entry: Entry },
    /// The baseline has the path, the disk does not.
    Gone { path: PathBytes },
    /// The baseline has the path, and the configuration excludes it now.
    Excluded { path: PathBytes },
    /// Everything in the folder has been compared, and everything that was found in it (not below) was told before this.
    FolderDone { path: PathBytes, number: u64 },
    /// The path cannot be looked at, nor what is in it; nothing is known about that.
    Unreadable { path: PathBytes, error: String },
    /// Another file system is mounted at the path, and was entered or not.
    Mount { path: PathBytes, fstype: String, entered: bool },
    /// The last finding. `stopped`: it was cut short.
    End { stopped: bool },
}

/// What is to be scanned.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Above 0. A folder that was done by a scan of this number is not compared again, only what is below it.
    pub(crate) number: u64,
    /// Where to begin; nothing: at all roots.
    pub(crate) paths: Vec<PathBytes>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) config: Arc<Config>,
    /// The agent's own folders, which are not entered.
    pub(crate) own_folders: Vec<PathBuf>,
}

/// How far a scan is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Names that were looked at and are no folders.
    pub(crate) files: AtomicU64,
    pub(crate) folders: AtomicU64,
    /// Bytes of the files that were read.
    pub(crate) bytes: AtomicU64,
    /// Names that were not as in the baseline.
    pub(crate) changes: AtomicU64,
}

/// A scan under way. Dropped, it ends soon and alone.
#[derive(Debug)]
pub(crate) struct Scan {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads of a scan share.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    looker: Looker,
    mounts: MountPoints,
    stop: AtomicBool,
    progress: Arc<Progress>,
    folders: FolderQueue,
    files: HashQueue,
    outbox: Outbox,
    pace: Pace,
    /// Threads that have not ended; the last one says so.
    threads: AtomicUsize,
}

impl Scan {
    /// Begins a scan. The findings come in batches of some hundred, the last of them is [`Finding::End`], also after a
    /// stop as long as somebody receives. The scan waits while nobody does.
    ///
    /// # Errors
    /// Why there can be no thread, or no further connection to the database.
    pub(crate) fn begin(
        plan: Plan,
        reader: BaselineReader,
        to: mpsc::Sender<Vec<Finding>>,
    ) -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let mut readers = vec![reader];
        while let Some(first) = readers.first().filter(|_| readers.len() < count) {
            readers.push(first.another().map_err(io::Error::other)?);
        }
        let looker = Looker::new(&plan.config, plan.own_folders.clone());
        let mounts = MountPoints::new(plan.config.network_filesystems)?;
        let shared = Arc::new(Shared {
            pace: Pace::new(plan.config.max_files_per_second),
            folders: FolderQueue::new(count),
            files: HashQueue::default(),
            outbox: Outbox::new(to),
            threads: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            progress: Arc::default(),
            plan,
            looker,
            mounts,
        });
        shared.folders.push_starts(shared.starts());
        let mut scan = Self { shared, threads: Vec::new() };
        // Counted before any of them runs, so that the first to end is not taken for the last.
        scan.shared.threads.store(count * 2, Ordering::Release);
        for (index, reader) in (1..).zip(readers) {
            scan.spawn(format!("fim-scan-{index}"), move |shared| walk::run(shared, &reader))?;
        }
        for index in 1..=count {
            scan.spawn(format!("fim-hash-{index}"), hashing::run)?;
        }
        Ok(scan)
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.shared.progress
    }

    /// Ends the scan, within milliseconds unless the disk hangs, and waits for that. What was under way is not told.
    pub(crate) fn stop(mut self) {
        self.shared.stop();
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a thread of a scan has panicked");
            }
        }
    }

    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let run = move || {
            if let Err(error) = lower_io_priority() {
                tracing::debug!(%error, "a scan reads with the usual priority");
            }
            let ended = Ended(shared);
            work(&ended.0);
        };
        match std::thread::Builder::new().name(name).spawn(run) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                self.shared.stop();
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// Says that a thread has ended, also when it panics.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
        if self.0.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.outbox.end(self.0.stopped());
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.folders.wake();
        self.files.wake();
        self.pace.wake();
    }

    fn starts(&self) -> Vec<PathBytes> {
        if self.plan.paths.is_empty() {
            self.plan.rules.roots().cloned().collect()
        } else {
            self.plan.paths.clone()
        }
    }

    fn tell(&self, finding: Finding) {
        match finding {
            Finding::Differs { .. } | Finding::Gone { .. } => {
                self.progress.changes.fetch_add(1, Ordering::Relaxed);
            }
            Finding::Excluded { .. }
            | Finding::FolderDone { .. }
            | Finding::Unreadable { .. }
            | Finding::Mount { .. }
            | Finding::End { .. } => {}
        }
        self.outbox.push(finding, &self.stop);
    }

    fn wanted(&self) -> Wanted {
        self.looker.wanted
    }
}

#[cfg(test)]
mod tests;
