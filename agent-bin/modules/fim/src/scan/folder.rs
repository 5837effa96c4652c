//! A folder whose names are being compared.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Finding, Shared};
use crate::path_bytes::PathBytes;

/// An open folder. The walker and every file of it that is still to be read hold it; the last of them says that it is done.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBytes,
    pub(super) fd: OwnedFd,
    shared: Arc<Shared>,
    /// Whether all its names were compared; else it is not done when nobody holds it any more.
    complete: AtomicBool,
}

impl Folder {
    pub(super) fn new(path: PathBytes, fd: OwnedFd, shared: &Arc<Shared>) -> Arc<Self> {
        let complete = AtomicBool::new(false);
        Arc::new(Self { path, fd, shared: Arc::clone(shared), complete })
    }

    /// All names have been compared, but for files that hold this folder.
    pub(super) fn is_complete(&self) {
        self.complete.store(true, Ordering::Release);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // After a stop files were dropped that had not been read.
        if self.complete.load(Ordering::Acquire) && !self.shared.stopped() {
            let (path, number) = (self.path.clone(), self.shared.plan.number);
            self.shared.tell(Finding::FolderDone { path, number });
        }
    }
}
