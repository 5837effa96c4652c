//! The file systems that are watched, and where on them a folder is.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, open};

use crate::path_bytes::PathBytes;
use crate::sys::Handle;

/// Open file systems, by the ids that their handles bear.
#[derive(Debug, Default)]
pub(crate) struct Filesystems {
    open: BTreeMap<u64, OwnedFd>,
}

/// The id of the file system that `fd` is on, as its handles bear it.
pub(crate) fn id_of(fd: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    let id = rustix::fs::fstatvfs(fd)?.f_fsid;
    Ok(id)
}

impl Filesystems {
    /// Opens the file system at this mount point. An automount is not triggered by what is mounted already.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn open(&mut self, point: &PathBytes) -> rustix::io::Result<(u64, BorrowedFd<'_>)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let folder = open(point.as_path(), flags | OFlags::DIRECTORY, Mode::empty());
        // A mount point may be a file; opening that would be no better than any other path on its file system.
        let fd = folder.or_else(|_| open(point.as_path(), flags | OFlags::PATH, Mode::empty()))?;
        let id = id_of(fd.as_fd())?;
        let kept = self.open.entry(id).or_insert(fd);
        Ok((id, OwnedFd::as_fd(kept)))
    }

    /// Where the folder with this handle is found now; `None` when it is gone or cannot be reached from here.
    pub(crate) fn path_of(&self, handle: &Handle) -> Option<PathBytes> {
        let mount = self.open.get(&handle.filesystem)?;
        let folder = handle.open(mount.as_fd()).ok()?;
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
        let path = std::fs::read_link(link).ok()?;
        let path = path.as_os_str().as_bytes();
        // What cannot be reached from here has no slash in front. A name can look deleted too, so the number of links decides.
        let looks_gone = path.ends_with(b" (deleted)");
        let gone = looks_gone && rustix::fs::fstat(&folder).is_ok_and(|found| found.st_nlink == 0);
        (path.starts_with(b"/") && !gone).then(|| PathBytes::new(path))
    }

    /// Device and inode of the file with this handle; `None` when it is gone.
    pub(crate) fn identity_of(&self, handle: &Handle) -> Option<(u64, u64)> {
        let mount = self.open.get(&handle.filesystem)?;
        let file = handle.open(mount.as_fd()).ok()?;
        let found = rustix::fs::fstat(&file).ok()?;
        Some((found.st_dev, found.st_ino))
    }

    /// Another set of the same descriptors.
    pub(crate) fn try_clone(&self) -> std::io::Result<Self> {
        let copy = |(id, fd): (&u64, &OwnedFd)| Ok((*id, fd.try_clone()?));
        Ok(Self { open: self.open.iter().map(copy).collect::<std::io::Result<_>>()? })
    }
}

#[cfg(test)]
mod tests;
