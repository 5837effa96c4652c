//! The two system calls of fanotify.
#![expect(
    unsafe_code,
    reason = "fanotify has no safe wrapper that adopts a group and knows all flags"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A new group.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`, `EINVAL` for flags that the kernel does not know, `ENOSYS` without fanotify.
pub(crate) fn fanotify_init(flags: u32) -> io::Result<OwnedFd> {
    let event_flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u32;
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::fanotify_init(flags, event_flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Changes what the group is told about what `at` leads to.
///
/// # Errors
/// What the kernel says.
pub(crate) fn fanotify_mark(
    group: BorrowedFd<'_>,
    flags: u32,
    mask: u64,
    at: BorrowedFd<'_>,
) -> io::Result<()> {
    // SAFETY: without a path the kernel takes what the descriptor leads to; both are open during the call.
    let result = unsafe {
        libc::fanotify_mark(group.as_raw_fd(), flags, mask, at.as_raw_fd(), std::ptr::null())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
