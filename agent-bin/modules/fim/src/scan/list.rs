//! Lists the names of a folder in pieces of bounded size.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::RawDir;

/// Bytes that the kernel fills at once.
const BUFFER: usize = 32 << 10;

/// Names of one folder that are in memory at once.
pub(super) const CHUNK: usize = 16_384;

/// A listing under way.
pub(super) struct Listing<'a> {
    names: RawDir<'a, BorrowedFd<'a>>,
    ended: bool,
}

/// Room for a listing.
pub(super) fn buffer() -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); BUFFER]
}

impl<'a> Listing<'a> {
    pub(super) fn new(folder: BorrowedFd<'a>, buffer: &'a mut [MaybeUninit<u8>]) -> Self {
        Self { names: RawDir::new(folder, buffer), ended: false }
    }

    /// Up to [`CHUNK`] more names, sorted, and whether they are the last.
    pub(super) fn next(&mut self) -> io::Result<(Vec<Vec<u8>>, bool)> {
        let mut found = Vec::new();
        while found.len() < CHUNK && !self.ended {
            match self.names.next() {
                None => self.ended = true,
                Some(entry) => {
                    let entry = entry?;
                    let name = entry.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        found.push(name.to_vec());
                    }
                }
            }
        }
        found.sort_unstable();
        Ok((found, self.ended))
    }
}
