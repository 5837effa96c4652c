//! What no safe crate offers: file handles, the priority of this thread's I/O, and descriptors that the runtime waits for.
#![expect(unsafe_code, reason = "open_by_handle_at, ioprio_set and AsyncFd have no safe wrapper")]

mod fanotify;
mod mapping;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(crate) use fanotify::{fanotify_init, fanotify_mark};
pub(crate) use mapping::Mapping;

/// The longest handle that the kernel makes (`MAX_HANDLE_SZ`).
const MAX_HANDLE: usize = 128;

/// A file, whatever names it has now: the id of its file system and what that calls the file. It is never used for another
/// file again, unlike an inode's number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Handle {
    /// `f_fsid` of the file system.
    pub(crate) filesystem: u64,
    /// The sort of handle, as the file system numbers them.
    pub(crate) sort: i32,
    /// The handle itself.
    pub(crate) bytes: Vec<u8>,
}

/// `struct file_handle` with room for the longest one.
#[repr(C)]
struct RawHandle {
    bytes: u32,
    sort: i32,
    handle: [u8; MAX_HANDLE],
}

impl Handle {
    /// As bytes, for the database.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.filesystem.to_le_bytes().to_vec();
        bytes.extend(self.sort.to_le_bytes());
        bytes.extend(&self.bytes);
        bytes
    }

    /// What [`Handle::to_bytes`] has made; `None` when these are too few.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (filesystem, rest) = bytes.split_first_chunk()?;
        let (sort, bytes) = rest.split_first_chunk()?;
        let (filesystem, sort) = (u64::from_le_bytes(*filesystem), i32::from_le_bytes(*sort));
        Some(Self { filesystem, sort, bytes: bytes.to_vec() })
    }

    /// The handle of what `fd` leads to (`O_PATH` will do), on file system `filesystem`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the file system has none, such as an overlay.
    pub(crate) fn of(fd: BorrowedFd<'_>, filesystem: u64) -> io::Result<Self> {
        let mut raw = RawHandle { bytes: MAX_HANDLE as u32, sort: 0, handle: [0; MAX_HANDLE] };
        let mut mount = 0;
        let empty = c"";
        // SAFETY: `raw` has the layout of `struct file_handle` with `bytes` bytes of room, and both pointers are valid
        // for the call.
        let result = unsafe {
            libc::name_to_handle_at(
                fd.as_raw_fd(),
                empty.as_ptr(),
                (&raw mut raw).cast(),
                &raw mut mount,
                libc::AT_EMPTY_PATH,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let bytes = raw.handle.get(..raw.bytes as usize).unwrap_or_default().to_vec();
        Ok(Self { filesystem, sort: raw.sort, bytes })
    }

    /// Opens what the handle means, with `O_PATH`; `mount` is any descriptor on its file system.
    ///
    /// # Errors
    /// `ESTALE` when it is gone; `EPERM` without the capability `CAP_DAC_READ_SEARCH`.
    pub(crate) fn open(&self, mount: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let mut raw = RawHandle { bytes: 0, sort: self.sort, handle: [0; MAX_HANDLE] };
        let room = raw.handle.get_mut(..self.bytes.len());
        room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(&self.bytes);
        raw.bytes = self.bytes.len() as u32;
        // SAFETY: `raw` has the layout of `struct file_handle` and is valid for the call.
        let fd = unsafe {
            libc::open_by_handle_at(
                mount.as_raw_fd(),
                (&raw mut raw).cast(),
                libc::O_PATH | libc::O_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Has the runtime say when there is something to read from `fd`.
///
/// # Errors
/// What the kernel says.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` has one descriptor, which is open for as long as it lives, and the `AsyncFd` owns it.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    Ok(registered?)
}

/// Lets I/O of this thread wait for that of others: the lowest of the usual class, so that it still gets on.
///
/// # Errors
/// What the kernel says.
pub(crate) fn lower_io_priority() -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    const BEST_EFFORT_LOWEST: libc::c_int = (2 << 13) | 7;
    // SAFETY: takes numbers only; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, BEST_EFFORT_LOWEST) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
