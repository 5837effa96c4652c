//! A descriptor that can be waited for.
#![expect(
    unsafe_code,
    reason = "tokio cannot tell by the type that a descriptor stays open as long as it is waited for"
)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `fd` with the runtime of this thread.
///
/// # Errors
/// What the kernel says.
pub(crate) fn wait_for(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is returned, which is deregistered before it is closed.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(Into::into)
}
