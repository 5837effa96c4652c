//! An inotify instance: the kernel tells of what is directly in each watched folder. Each folder needs a watch of its own, and
//! who does something is not said.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::{Notice, Parent, Told};

/// Bytes of `struct inotify_event` before the name.
const HEADER: usize = 16;

/// An instance; copies share it.
#[derive(Debug, Clone)]
pub(crate) struct Inotify {
    fd: Arc<OwnedFd>,
}

/// Why a folder is not watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddWatchError {
    /// The user has as many watches as allowed.
    #[error(
        "no more folders can be watched, the rest is only scanned: raise the sysctl fs.inotify.max_user_watches"
    )]
    NoWatchesLeft,
    /// Something else.
    #[error("a folder cannot be watched: {0}")]
    Other(Errno),
}

/// There is no instance.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InotifyError {
    /// The user has as many instances as allowed.
    #[error("no more inotify instances: raise the sysctl fs.inotify.max_user_instances")]
    NoInstancesLeft,
    /// Something else.
    #[error("inotify cannot be used: {0}")]
    Other(Errno),
}

impl Inotify {
    /// A new instance.
    pub(crate) fn new() -> Result<Self, InotifyError> {
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(fd) => Ok(Self { fd: Arc::new(fd) }),
            Err(Errno::MFILE) => Err(InotifyError::NoInstancesLeft),
            Err(error) => Err(InotifyError::Other(error)),
        }
    }

    /// The instance of an earlier one.
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd) }
    }

    /// Watches the folder that `folder` leads to (`O_PATH` will do); the number of its watch, the same if it has one. Of a `root`
    /// nobody else tells that it was moved.
    pub(crate) fn add(&self, folder: BorrowedFd<'_>, root: bool) -> Result<i32, AddWatchError> {
        let of_itself = if root { WatchFlags::MOVE_SELF } else { WatchFlags::empty() };
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | of_itself;
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        inotify::add_watch(&*self.fd, path, flags).map_err(|error| match error {
            Errno::NOSPC => AddWatchError::NoWatchesLeft,
            error => AddWatchError::Other(error),
        })
    }

    /// How many watches there are, as the kernel says.
    pub(crate) fn watches(&self) -> io::Result<u64> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.fd.as_raw_fd()))?;
        Ok(info.lines().filter(|line| line.starts_with("inotify ")).count() as u64)
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a descriptor of an earlier instance is one of inotify.
pub(crate) fn is_instance(fd: BorrowedFd<'_>) -> bool {
    let link = std::fs::read_link(format!("/proc/thread-self/fd/{}", fd.as_raw_fd()));
    link.is_ok_and(|link| link.as_os_str() == "anon_inode:inotify")
}

/// The first half of a move: the kernel tells of the two names one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HalfMoved {
    cookie: u32,
    notice: Notice,
}

/// What the bytes of a read say. `half` is a move whose other name may come first thing; one that is left over at the end is left
/// there for the next read, and is a notice of its own if nothing follows.
pub(crate) fn parse(mut bytes: &[u8], half: &mut Option<HalfMoved>) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some((event, rest)) = next_event(bytes) {
        bytes = rest;
        let flags = ReadFlags::from_bits_retain(event.mask);
        let moved_to = flags.contains(ReadFlags::MOVED_TO);
        if let Some(first) = half.take() {
            if moved_to && first.cookie == event.cookie {
                let to = (Parent::Watch(event.watch), event.name.to_vec());
                told.push(Told::Notice(Notice { renamed_to: Some(to), ..first.notice }));
                continue;
            }
            told.push(Told::Notice(first.into_notice()));
        }
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            told.push(Told::Overflow);
        } else if flags.contains(ReadFlags::IGNORED) {
            told.push(Told::WatchGone(event.watch));
        } else {
            let created = flags.contains(ReadFlags::CREATE);
            let folder = flags.contains(ReadFlags::ISDIR);
            let notice = Notice::of(Parent::Watch(event.watch), event.name);
            let deleted = flags.contains(ReadFlags::DELETE);
            let notice = Notice { created, deleted, folder, ..notice };
            if flags.contains(ReadFlags::MOVED_FROM) {
                *half = Some(HalfMoved { cookie: event.cookie, notice });
            } else {
                told.push(Told::Notice(notice));
            }
        }
    }
    told
}

impl HalfMoved {
    /// The name alone: whether something else has come to it is not known yet.
    pub(crate) fn notice(&self) -> &Notice {
        &self.notice
    }

    /// What is known: something has left this name.
    pub(crate) fn into_notice(self) -> Notice {
        Notice { deleted: true, ..self.notice }
    }
}

struct RawEvent<'a> {
    watch: i32,
    mask: u32,
    cookie: u32,
    name: &'a [u8],
}

/// The next event. A watch has a number above zero, so zeros are none; the queue's own number is -1.
fn next_event(bytes: &[u8]) -> Option<(RawEvent<'_>, &[u8])> {
    let number = |at: usize| -> Option<u32> {
        bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    };
    let (watch, mask, cookie) = (number(0)?.cast_signed(), number(4)?, number(8)?);
    let length = number(12)? as usize;
    let name = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    if mask == 0 {
        return None;
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let event = RawEvent { watch, mask, cookie, name: name.get(..end).unwrap_or_default() };
    Some((event, bytes.get(HEADER + length..).unwrap_or_default()))
}

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod tests;
