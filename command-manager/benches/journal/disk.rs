//! A folder on a real disk, and what kind of disk it is.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder below `target/`, removed in the end.
pub(crate) struct Disk {
    folder: TempDir,
    file_system: String,
}

impl Disk {
    /// Fails where nothing that is written reaches a disk.
    pub(crate) fn below_target() -> Result<Self, String> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .map_err(|error| format!("no folder to work in: {error}"))?;
        let mounts = fs::read_to_string("/proc/self/mounts")
            .map_err(|error| format!("/proc/self/mounts: {error}"))?;
        let path = folder.path().canonicalize().map_err(|error| error.to_string())?;
        let file_system = kind_of(&path, &mounts).ok_or("no file system holds target/")?;
        if ["tmpfs", "ramfs"].contains(&file_system) {
            return Err(format!("target/ is on {file_system}: set CARGO_TARGET_DIR to a disk"));
        }
        Ok(Self { folder, file_system: file_system.to_owned() })
    }

    /// Its name, such as `ext4`.
    pub(crate) fn file_system(&self) -> &str {
        &self.file_system
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Of the mounts that `path` lies in, the kind of the innermost; the last of several on one point is the one in use.
fn kind_of<'a>(path: &Path, mounts: &'a str) -> Option<&'a str> {
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let around = fields.filter(|(point, _)| path.starts_with(point));
    around.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
}
