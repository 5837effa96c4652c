//! Memory that is shared with whoever has the descriptor: written by this process alone.
#![expect(unsafe_code, reason = "memory can only be mapped by pointers")]

use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;

/// A descriptor's memory, mapped.
#[derive(Debug)]
pub(crate) struct Mapping {
    begin: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to this value alone, as that of a vector does; it is not bound to a thread.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` only reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of `fd`, a memfd whose size is sealed so that no access can fail. Nobody else writes it
    /// while this value lives: the agent hands it to the next process only when this one has ended.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new(fd: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at a place that the kernel chooses touches nothing that exists.
        let begin = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd.as_raw_fd(),
                0,
            )
        };
        if begin == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let begin = NonNull::new(begin.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { begin, length })
    }

    /// All of it, to be written.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `length` bytes are mapped as long as `self` lives, and `&mut self` is the only access.
        unsafe { slice::from_raw_parts_mut(self.begin.as_ptr(), self.length) }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes are mapped as long as `self` lives, and nobody writes while `&self` is there.
        unsafe { slice::from_raw_parts(self.begin.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, and nothing refers to it any more.
        unsafe { libc::munmap(self.begin.as_ptr().cast(), self.length) };
    }
}
