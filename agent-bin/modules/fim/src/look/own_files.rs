//! The agent's own files: closing any descriptor of one drops the locks that this process has on it, so none is opened.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use crate::clock;
use crate::entry::{Entry, Kind};
use crate::path_bytes::PathBytes;

/// Folders whose change is not older than this when they are listed (nanoseconds) may change again with the same time.
const FRESH: i64 = 1_000_000_000;

/// Knows the files of the agent's own folders, whatever names they have elsewhere: by device and inode. No file is opened
/// for that.
#[derive(Debug)]
pub(crate) struct OwnFiles {
    roots: Vec<PathBuf>,
    paths: Vec<PathBytes>,
    listed: RwLock<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    files: HashSet<(u64, u64)>,
    folders: HashSet<(u64, u64)>,
    devices: HashSet<u64>,
    /// Each folder and when it was changed last; `None`: so lately that it may have been changed once more.
    stamps: Vec<(PathBuf, Option<(i64, i64)>)>,
}

impl OwnFiles {
    /// Lists `folders` and all below them. One that does not exist yet is found later.
    pub(crate) fn new(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let roots: Vec<PathBuf> =
            folders.into_iter().map(|folder| fs::canonicalize(&folder).unwrap_or(folder)).collect();
        let paths = roots.iter().map(|path| PathBytes::new(path.as_os_str().as_bytes())).collect();
        let listed = RwLock::new(Listed::of(&roots));
        Self { roots, paths, listed }
    }

    /// Whether the path is one of the folders or below one.
    pub(crate) fn holds_path(&self, path: &PathBytes) -> bool {
        self.paths.iter().any(|own| path.below(own).is_some())
    }

    /// Whether it is one of the agent's own folders or files under whatever name. A regular file with one name only that is
    /// not known yet is none: its name would be in an own folder.
    pub(crate) fn holds(&self, entry: &Entry) -> bool {
        let id = (entry.device, entry.inode);
        let is_file = match entry.kind {
            Kind::File => true,
            Kind::Folder => false,
            Kind::Link | Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => {
                return false;
            }
        };
        {
            let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
            if !listed.devices.contains(&entry.device) && !listed.devices.is_empty() {
                return false;
            }
            if !is_file {
                return listed.folders.contains(&id);
            }
            let found = listed.files.contains(&id);
            if (!found && entry.links <= 1) || listed.is_current() {
                return found;
            }
            // The number of an own file that is gone may be that of another file by now.
        }
        let listed = Listed::of(&self.roots);
        let found = listed.files.contains(&id);
        *self.listed.write().unwrap_or_else(PoisonError::into_inner) = listed;
        found
    }
}

impl Listed {
    fn of(roots: &[PathBuf]) -> Self {
        let mut listed = Self::default();
        let mut folders = roots.to_vec();
        while let Some(folder) = folders.pop() {
            // Looked at before it is listed, so that what comes in between makes it listed again.
            let stamp = stamp_of(&folder);
            let settled = stamp.filter(|(seconds, nanos)| {
                let changed = seconds.saturating_mul(1_000_000_000).saturating_add(*nanos);
                changed.saturating_add(FRESH) < clock::now()
            });
            if let Ok(meta) = fs::symlink_metadata(&folder) {
                listed.devices.insert(meta.dev());
                listed.folders.insert((meta.dev(), meta.ino()));
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                    Ok(meta) => {
                        listed.devices.insert(meta.dev());
                        listed.files.insert((meta.dev(), meta.ino()));
                    }
                    // Gone again.
                    Err(_) => {}
                }
            }
            listed.stamps.push((folder, settled));
        }
        listed
    }

    /// Whether no folder has been changed since.
    fn is_current(&self) -> bool {
        self.stamps.iter().all(|(path, stamp)| stamp.is_some() && stamp_of(path) == *stamp)
    }
}

fn stamp_of(folder: &Path) -> Option<(i64, i64)> {
    fs::symlink_metadata(folder).ok().map(|meta| (meta.ctime(), meta.ctime_nsec()))
}
