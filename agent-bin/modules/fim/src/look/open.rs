//! Opens folders and regular files, and never anything else by mistake: names may be swapped at any moment.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::entry::Entry;
use crate::path_bytes::PathBytes;
use crate::sys::Handle;

/// Bytes of a path that the kernel takes at once are fewer than 4,096; a name has up to 255.
const PIECE: usize = 4_000;

/// What a folder is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Looking at names in it; needs no right to read it.
    Passing,
    /// Listing its names too.
    Listing,
}

impl For {
    fn flags(self) -> OFlags {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self {
            Self::Passing => flags | OFlags::PATH,
            Self::Listing => flags | OFlags::RDONLY | OFlags::NONBLOCK,
        }
    }
}

/// Opens the folder at `path`, of any length, without following a symbolic link anywhere.
///
/// # Errors
/// `ELOOP` or `ENOTDIR` for a link on the way; what else the kernel says.
pub(crate) fn open_folder(path: &PathBytes, purpose: For) -> io::Result<OwnedFd> {
    let mut rest = path.as_bytes().strip_prefix(b"/").unwrap_or(path.as_bytes());
    let first = if rest.is_empty() { purpose } else { For::Passing };
    let mut folder = fs::openat(CWD, c"/", first.flags(), Mode::empty())?;
    while !rest.is_empty() {
        let piece = piece_of(rest);
        let (now, later) = rest.split_at(piece);
        rest = later.strip_prefix(b"/").unwrap_or(later);
        let flags = if rest.is_empty() { purpose } else { For::Passing }.flags();
        folder = open_without_links(folder.as_fd(), now, flags)?;
    }
    Ok(folder)
}

/// Opens the folder `name` in `parent`, if it is none that a link leads to; tests make paths with it that are too long for one
/// call.
///
/// # Errors
/// `ENOTDIR` when it is no folder; what else the kernel says.
#[cfg(test)]
pub(crate) fn open_subfolder(
    parent: BorrowedFd<'_>,
    name: &[u8],
    purpose: For,
) -> io::Result<OwnedFd> {
    Ok(fs::openat(parent, name, purpose.flags(), Mode::empty())?)
}

/// How many bytes of `rest` are taken at once, ending before a slash.
fn piece_of(rest: &[u8]) -> usize {
    match rest.get(..PIECE) {
        None => rest.len(),
        Some(start) => start.iter().rposition(|byte| *byte == b'/').unwrap_or(rest.len()),
    }
}

fn open_without_links(folder: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match fs::openat2(folder, path, flags, Mode::empty(), resolve) {
        // Not known to kernels before 5.6; forbidden by the filters of some containers.
        Err(Errno::NOSYS | Errno::PERM) => open_by_steps(folder, path, flags),
        result => Ok(result?),
    }
}

fn open_by_steps(folder: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let mut names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).peekable();
    let mut at = folder.try_clone_to_owned()?;
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { For::Passing.flags() } else { flags };
        at = fs::openat(&at, name, flags, Mode::empty())?;
    }
    Ok(at)
}

/// Opens the regular file that `entry` was made of, if `name` still leads to it. The time of its last access stays as it is
/// where that is allowed.
///
/// # Errors
/// `ESTALE` when the name leads to something else by now, which is not opened; what else the kernel says.
pub(crate) fn open_regular(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = fs::openat(parent, name, flags, Mode::empty())?;
    let stat = fs::fstat(&path)?;
    let same = stat.st_dev == entry.device
        && stat.st_ino == entry.inode
        && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !same {
        return Err(Errno::STALE.into());
    }
    let link = format!("/proc/self/fd/{}", path.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match fs::openat(CWD, &link, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => fs::openat(CWD, &link, flags, Mode::empty())?,
        result => result?,
    };
    Ok(File::from(file))
}

/// Whether the file still is as `entry` says, so that what was read of it belongs to that.
///
/// # Errors
/// What the kernel says.
pub(crate) fn is_unchanged(file: BorrowedFd<'_>, entry: &Entry) -> io::Result<bool> {
    let stat = fs::fstat(file)?;
    let (mtime, ctime) = super::times_of(&stat);
    Ok(stat.st_size.cast_unsigned() == entry.size && mtime == entry.mtime && ctime == entry.ctime)
}

/// The handle of a folder, where its file system has handles.
pub(crate) fn handle_of(folder: BorrowedFd<'_>) -> Option<Handle> {
    // `f_fsid`: its two numbers as they lie in memory, the first one low.
    let filesystem = fs::fstatvfs(folder).ok()?.f_fsid;
    Handle::of(folder, filesystem).ok()
}

/// Whether the error says that the name does not lead there any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::STALE, Errno::NOTDIR, Errno::LOOP];
    Errno::from_io_error(error).is_some_and(|error| gone.contains(&error))
}

/// The flag that lets a look go through a descriptor instead of a name.
pub(super) fn at_flags(name: &[u8]) -> AtFlags {
    if name.is_empty() {
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    }
}

/// [`open_folder`] as on an old kernel.
#[cfg(test)]
pub(super) fn open_without_links_by_steps(path: &PathBytes) -> io::Result<OwnedFd> {
    let root = fs::openat(CWD, c"/", For::Passing.flags(), Mode::empty())?;
    open_by_steps(root.as_fd(), path.as_bytes(), For::Passing.flags())
}
