//! Has single folders watched, on file systems of which nothing tells as a whole.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::look::{For, open_folder};
use crate::path_bytes::PathBytes;
use crate::rules::Rules;
use crate::watch::filesystems::id_of;
use crate::watch::inotify::{AddWatchError, Inotify};

/// Adds watches for folders.
#[derive(Debug, Clone)]
pub(crate) struct FolderWatches {
    pub(super) inotify: Inotify,
    pub(super) rules: Arc<Rules>,
    /// The file systems that are watched as a whole.
    pub(super) whole: Arc<BTreeSet<u64>>,
}

/// A folder is not watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderWatchError {
    /// It cannot be opened.
    #[error("{path} cannot be watched: {source}")]
    Open {
        /// Which folder.
        path: PathBytes,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no watch for it.
    #[error("{path}: {source}")]
    Add {
        /// Which folder.
        path: PathBytes,
        /// Why.
        source: AddWatchError,
    },
}

impl FolderWatches {
    /// Whether the configuration wants to be told of this folder at once.
    pub(crate) fn wants(&self, folder: &PathBytes) -> bool {
        self.rules.of(folder).is_some_and(|rule| rule.realtime)
    }

    /// How many watches there are, as far as the kernel says.
    pub(crate) fn count(&self) -> Option<u64> {
        self.inotify.watches().ok()
    }

    /// Watches the folder: the number of its watch, or `None` when it is gone or watched as a part of its file system.
    pub(crate) fn add(&self, path: &PathBytes) -> Result<Option<i32>, FolderWatchError> {
        let folder = match open_folder(path, For::Passing) {
            Ok(folder) => folder,
            Err(error) if gone(&error) => return Ok(None),
            Err(source) => return Err(FolderWatchError::Open { path: path.clone(), source }),
        };
        if id_of(folder.as_fd()).is_ok_and(|id| self.whole.contains(&id)) {
            return Ok(None);
        }
        let added = self.inotify.add(folder.as_fd(), self.rules.is_root(path));
        added.map(Some).map_err(|source| FolderWatchError::Add { path: path.clone(), source })
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(libc::ELOOP)
}
