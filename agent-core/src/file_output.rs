//! The file output: delivers the events of the spool into a rotated NDJSON file, each exactly once.
//!
//! Before a byte is written, the file (by inode) and its length are on record in the spool; after the bytes are synced,
//! the cursor moves in the spool. Whatever ends the process in between, what lies behind the recorded length tells
//! at the next start which events are in the file already. A failed write goes the same way.

mod delivery;
mod file;
mod plan;
mod position;
mod recovery;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::spool::{Spool, SpoolError};
use delivery::Delivery;

/// Waits after failures in a row: doubled from the first to the second. A full disk is not a matter of milliseconds.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// How long a stopping output goes on with what is in the spool. The rest is delivered after the start.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// Where events are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOutputConfig {
    /// The file; its folder must exist. Mode 0640 when it is made.
    pub path: PathBuf,
    /// In bytes: a file that would grow beyond it is rotated first. A single larger event still gets a file.
    pub rotate_bytes: u64,
    /// How many rotated files (`PATH.1` is the newest) are kept; with 0 a full file is deleted.
    pub keep: u32,
}

impl FileOutputConfig {
    /// Rotation at 100 MB, 5 files kept.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, rotate_bytes: 100_000_000, keep: 5 }
    }
}

/// Why events could not be written; they stay in the spool.
#[derive(Debug, thiserror::Error)]
pub enum FileOutputError {
    /// A step on a file failed.
    #[error("cannot {step} {path}: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Something else than a file has the name.
    #[error("{0} is not a regular file; move it away or configure another path")]
    NotAFile(PathBuf),
    /// The spool failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A stopping output was cut off.
    #[error("the file output was cut off after {} s; it goes on after the start", DRAIN_WITHIN.as_secs())]
    CutOff,
    /// The thread that writes has panicked, or the runtime is ending.
    #[error("the file output was interrupted: {0}")]
    Interrupted(String),
}

/// Delivers events into a file. Only one may run per spool and per path.
#[derive(Debug)]
pub struct FileOutput {
    spool: Arc<Spool>,
    delivery: Arc<Mutex<Delivery>>,
}

impl FileOutput {
    /// The name under which the output is registered with the spool.
    pub const NAME: &str = "file";

    /// An output that touches nothing before it is run.
    #[must_use]
    pub fn new(spool: Arc<Spool>, config: FileOutputConfig) -> Self {
        let delivery = Arc::new(Mutex::new(Delivery::new(Arc::clone(&spool), config)));
        Self { spool, delivery }
    }

    /// Delivers until `stop` turns true or its sender is gone, then what was committed until then (3 s at most).
    ///
    /// A failure is logged and tried again after a wait of 200 ms to 30 s, without end. A stop ends the wait and allows one
    /// more attempt. When the future is dropped, the batch under way is still finished in the background; another
    /// output for the same file must not be run in this process then.
    ///
    /// # Errors
    /// Only once stopped, or when the spool was closed: why not everything was delivered. Nothing is lost.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), FileOutputError> {
        let mut committed = self.spool.changed();
        let mut failures = 0_u32;
        while !*stop.borrow() && stop.has_changed().is_ok() {
            committed.borrow_and_update();
            match self.deliver_batch().await {
                Ok(Progress::Some) => failures = 0,
                Ok(Progress::UpToDate) => {
                    failures = 0;
                    tokio::select! {
                        changed = committed.changed() => changed.map_err(|_| SpoolError::Closed)?,
                        () = stopped(&mut stop) => {}
                    }
                }
                Err(FileOutputError::Spool(SpoolError::Closed)) => {
                    return Err(SpoolError::Closed.into());
                }
                Err(error) => {
                    let wait = backoff(failures);
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "the file output tries again in {wait:?}; events stay in the spool");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = stopped(&mut stop) => {}
                    }
                }
            }
        }
        let last = *committed.borrow();
        tokio::time::timeout(DRAIN_WITHIN, self.drain(last))
            .await
            .unwrap_or(Err(FileOutputError::CutOff))
    }

    async fn drain(&self, last: u64) -> Result<(), FileOutputError> {
        // At least one batch, because the first one after a kill finds out what is delivered already.
        while self.deliver_batch().await? == Progress::Some {
            if self.spool.cursor(Self::NAME)?.0 >= last {
                break;
            }
        }
        Ok(())
    }

    async fn deliver_batch(&self) -> Result<Progress, FileOutputError> {
        let delivery = Arc::clone(&self.delivery);
        let batch = tokio::task::spawn_blocking(move || {
            delivery.lock().unwrap_or_else(PoisonError::into_inner).deliver_batch()
        });
        batch.await.map_err(|error| FileOutputError::Interrupted(error.to_string()))?
    }
}

/// What one batch achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Something was delivered or put in order; there may be more.
    Some,
    /// The spool has nothing more for this output.
    UpToDate,
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone counts as a stop.
    drop(stop.wait_for(|stop| *stop).await);
}

fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod tests;
