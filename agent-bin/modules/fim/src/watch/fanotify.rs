//! A fanotify group: the kernel tells of everything on a whole file system, by the handles of folders and the names in them.
//!
//! Two things of one name that wait in the queue are merged to one: of a file that was made and removed before anybody has read,
//! one event says both, and no longer in which order. Events of different processes, of different files and renames stay apart.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{Notice, Parent, Told};
use crate::sys::{self, Handle};

const CREATE: u64 = libc::FAN_CREATE;
const DELETE: u64 = libc::FAN_DELETE;
const RENAME: u64 = libc::FAN_RENAME;
const ONDIR: u64 = libc::FAN_ONDIR;
const OVERFLOW: u64 = libc::FAN_Q_OVERFLOW;
/// What is told without `FAN_RENAME`, which Linux has since 5.17.
const BASIC: u64 =
    CREATE | DELETE | libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE | libc::FAN_ATTRIB | ONDIR;
const MOVES: u64 = libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO;

/// Bytes of `struct fanotify_event_metadata`, and where its parts begin.
const METADATA: usize = 24;
/// Of the header of a piece of information, and of the file system's id after it.
const HEADER: usize = 4;
const FSID: usize = 8;

/// A group that only notifies.
#[derive(Debug)]
pub(crate) struct Group {
    fd: OwnedFd,
}

/// Why there is no group.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FanotifyError {
    /// Not root.
    #[error("fanotify needs the capability CAP_SYS_ADMIN")]
    NotAllowed,
    /// An old kernel, or one that was built without it.
    #[error("this kernel has no fanotify that names folders (Linux 5.9 and newer have it)")]
    Unsupported,
    /// Something else.
    #[error("fanotify cannot be used: {0}")]
    Other(io::Error),
}

impl Group {
    /// A new group. With `unlimited` the kernel queues without limit, if this process may ask for that.
    pub(crate) fn new(unlimited: bool) -> Result<Self, FanotifyError> {
        let names = libc::FAN_REPORT_DFID_NAME;
        let queue = if unlimited { libc::FAN_UNLIMITED_QUEUE } else { 0 };
        let class = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        let with_target = names | libc::FAN_REPORT_FID | libc::FAN_REPORT_TARGET_FID;
        let made = sys::fanotify_init(class | queue | with_target)
            .or_else(|_| sys::fanotify_init(class | queue | names))
            .or_else(|_| sys::fanotify_init(class | names));
        match made {
            Ok(fd) => Ok(Self { fd }),
            Err(error) => Err(match error.raw_os_error() {
                Some(libc::EPERM) => FanotifyError::NotAllowed,
                Some(libc::EINVAL | libc::ENOSYS) => FanotifyError::Unsupported,
                Some(_) | None => FanotifyError::Other(error),
            }),
        }
    }

    /// A group that an earlier instance made.
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Has the kernel tell of the whole file system that `mount` is on. It may be asked for again.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `EXDEV` or `ENODEV` for a file system that has no handles, `EPERM` when this process may not open them: of
    /// what is told by them nothing could be found then.
    pub(crate) fn watch(&self, mount: BorrowedFd<'_>) -> io::Result<()> {
        Handle::of(mount, 0)?.open(mount)?;
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        sys::fanotify_mark(self.as_fd(), flags, BASIC | RENAME, mount)
            .or_else(|_| sys::fanotify_mark(self.as_fd(), flags, BASIC | MOVES, mount))
    }

    /// Has the kernel say nothing of what is directly in `folder`, since 6.0; before that it goes on telling.
    pub(crate) fn ignore(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        const IGNORE_SURVIVING_CHANGES: u32 = 0x440;
        let flags = libc::FAN_MARK_ADD | IGNORE_SURVIVING_CHANGES;
        let mask = BASIC | MOVES | libc::FAN_EVENT_ON_CHILD;
        sys::fanotify_mark(self.as_fd(), flags, mask, folder)
    }
}

impl Group {
    /// The descriptor itself.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a descriptor of an earlier instance is such a group.
pub(crate) fn is_group(fd: BorrowedFd<'_>) -> bool {
    let link = std::fs::read_link(format!("/proc/thread-self/fd/{}", fd.as_raw_fd()));
    link.is_ok_and(|link| link.as_os_str() == "anon_inode:[fanotify]")
}

/// What the bytes of a read say, with the process of each. Ends at the first event that cannot be one: zeros, usually.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<(Told, i32)> {
    let mut told = Vec::new();
    while let Some((event, rest)) = next_event(bytes) {
        bytes = rest;
        let (Some(mask), Some(pid)) = (u64_at(event, 8), i32_at(event, 20)) else { break };
        let metadata = u16_at(event, 6).map_or(METADATA, usize::from);
        if mask & OVERFLOW != 0 {
            told.push((Told::Overflow, pid));
            continue;
        }
        let notice = notice(mask, event.get(metadata..).unwrap_or_default());
        told.extend(notice.map(|notice| (Told::Notice(notice), pid)));
    }
    told
}

fn next_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    (length >= METADATA && length <= bytes.len()).then(|| bytes.split_at(length))
}

fn notice(mask: u64, mut information: &[u8]) -> Option<Notice> {
    const FID: u8 = 1;
    const DFID_NAME: u8 = 2;
    const DFID: u8 = 3;
    const OLD_DFID_NAME: u8 = 10;
    const NEW_DFID_NAME: u8 = 12;
    let (mut from, mut to, mut target) = (None, None, None);
    while let Some(length) = u16_at(information, 2).map(usize::from) {
        let Some((piece, rest)) = information.split_at_checked(length.max(HEADER)) else { break };
        information = rest;
        let sort = piece.first().copied().unwrap_or(0);
        let Some((handle, name)) = handle_and_name(piece.get(HEADER..)?) else { continue };
        match sort {
            FID => target = Some(handle),
            DFID_NAME | DFID | OLD_DFID_NAME => from = Some((Parent::Handle(handle), name)),
            NEW_DFID_NAME => to = Some((Parent::Handle(handle), name)),
            _ => {}
        }
    }
    // A move of which one side is unknown: the other is looked at.
    let (from, to) = match (from, to) {
        (None, Some(to)) => (to, None),
        (Some(from), to) => (from, to),
        (None, None) => return None,
    };
    let (parent, name) = from;
    let notice = Notice::of(parent, &name);
    let (created, deleted) = (mask & CREATE != 0, mask & DELETE != 0);
    let folder = mask & ONDIR != 0;
    Some(Notice { created, deleted, folder, target, renamed_to: to, ..notice })
}

/// The id of the file system, a `struct file_handle`, and a name that ends with a zero, if there is one.
fn handle_and_name(piece: &[u8]) -> Option<(Handle, Vec<u8>)> {
    // Two numbers of 32 bits, in the order that `fstatvfs` has them in.
    let filesystem = u64::from(u32_at(piece, 0)?) | (u64::from(u32_at(piece, 4)?) << 32);
    let length = u32_at(piece, FSID)? as usize;
    let sort = i32_at(piece, FSID + 4)?;
    let begin = FSID + 8;
    let bytes = piece.get(begin..begin.checked_add(length)?)?.to_vec();
    let rest = piece.get(begin + length..).unwrap_or_default();
    let name = CStr::from_bytes_until_nul(rest).map_or(Vec::new(), |name| name.to_bytes().to_vec());
    let name = if name == b"." { Vec::new() } else { name };
    Some((Handle { filesystem, sort, bytes }, name))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod tests;
