//! The file systems that are watched: where they are mounted, and what the kernel calls them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, open};

use crate::path_bytes::PathBytes;
use crate::sys::Handle;

/// One mount, as `/proc/self/mountinfo` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: PathBytes,
    pub(crate) fstype: String,
}

/// Open file systems, by the ids that their handles bear.
#[derive(Debug, Default)]
pub(crate) struct Filesystems {
    open: BTreeMap<u64, OwnedFd>,
}

/// A line of mountinfo.
struct Line {
    mount: Mount,
    id: u32,
    /// The mount that it is mounted on.
    parent: u32,
}

/// The mounts in `text` that can be seen: their order says nothing about which one covers which.
pub(crate) fn mounts(text: &[u8]) -> Vec<Mount> {
    let lines: Vec<Line> = text.split(|byte| *byte == b'\n').filter_map(line).collect();
    let on_top = |line: &&Line| {
        let mut others = lines.iter().filter(|other| other.id != line.id);
        !others.any(|other| other.parent == line.id && other.mount.point == line.mount.point)
    };
    let seen = lines.iter().filter(on_top).filter(|line| is_reachable(&lines, line));
    seen.map(|line| line.mount.clone()).collect()
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS`.
fn line(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let point = PathBytes::new(unescaped(fields.nth(2)?));
    let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
    let fstype = String::from_utf8_lossy(fstype).into_owned();
    Some(Line { mount: Mount { point, fstype }, id, parent })
}

/// Whether nothing that is mounted on the same mount covers the place of `line`, nor that of a mount it is on.
fn is_reachable(lines: &[Line], line: &Line) -> bool {
    let mut line = line;
    // As many steps as there are mounts, if a text should have them in a circle.
    for _ in lines {
        // The first mount of all may be its own parent.
        if line.id == line.parent {
            return true;
        }
        let point = &line.mount.point;
        let covered = lines.iter().any(|other| {
            other.parent == line.parent
                && other.id != line.parent
                && other.id != line.id
                && (other.mount.point != *point || other.id > line.id)
                && point.below(&other.mount.point).is_some()
        });
        if covered {
            return false;
        }
        match lines.iter().find(|other| other.id == line.parent && other.id != line.id) {
            Some(parent) => line = parent,
            None => return true,
        }
    }
    false
}

/// The mounts of which something is seen below `roots`: those that hold a root, and those below one.
pub(crate) fn concerning<'a>(
    mounts: &'a [Mount],
    roots: &[PathBytes],
) -> impl Iterator<Item = &'a Mount> {
    let holder = |root: &PathBytes| {
        let holding = mounts.iter().filter(|mount| root.below(&mount.point).is_some());
        holding.max_by_key(|mount| mount.point.as_bytes().len())
    };
    let holders: Vec<&Mount> = roots.iter().filter_map(holder).collect();
    let roots = roots.to_vec();
    mounts.iter().filter(move |mount| {
        holders.contains(mount) || roots.iter().any(|root| mount.point.below(root).is_some())
    })
}

/// `\040` and the like are bytes.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *byte == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(value) => {
                bytes.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
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

/// The mounts of this process.
///
/// # Errors
/// `/proc` is not mounted.
pub(crate) fn own_mounts() -> std::io::Result<Vec<Mount>> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut File::open("/proc/self/mountinfo")?, &mut text)?;
    Ok(mounts(&text))
}

#[cfg(test)]
mod tests;
