//! How far one file is read and hashed.

use super::buffer::Buffer;
use super::kernel::State;
use super::{Digests, Wanted};
use md5::Md5;
use sha1::{Digest, Sha1};
use std::io::{self, Read};

/// One file under way. SHA-256 is computed by whoever takes the blocks from the buffer, the rest while it is filled.
#[derive(Debug)]
pub(super) struct Progress {
    wants_sha256: bool,
    sha1: Option<Sha1>,
    md5: Option<Md5>,
    /// Bytes that may still be read.
    left: u64,
    read: u64,
    ended: bool,
}

impl Progress {
    pub(super) fn new(wanted: Wanted, limit: u64) -> Self {
        Self {
            wants_sha256: wanted.sha256,
            sha1: wanted.sha1.then(Sha1::new),
            md5: wanted.md5.then(Md5::new),
            left: limit,
            read: 0,
            ended: false,
        }
    }

    /// Whether all bytes and the padding behind them have gone into the buffer.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads until the buffer is full, or to the end of the file and pads it.
    pub(super) fn fill(&mut self, source: &mut impl Read, buffer: &mut Buffer) -> io::Result<()> {
        buffer.make_room();
        while self.left > 0 && !buffer.is_full() {
            let bytes = buffer.read(source, self.left)?;
            if bytes.is_empty() {
                self.left = 0;
            }
            if let Some(sha1) = &mut self.sha1 {
                sha1.update(bytes);
            }
            if let Some(md5) = &mut self.md5 {
                md5.update(bytes);
            }
            self.left = self.left.saturating_sub(bytes.len() as u64);
            self.read += bytes.len() as u64;
        }
        if self.left == 0 {
            buffer.pad(self.read);
            self.ended = true;
        }
        Ok(())
    }

    /// The digests, and the bytes that they are of; `state` is SHA-256 after the last block.
    pub(super) fn finish(self, state: &State) -> (Digests, u64) {
        let digests = Digests {
            sha256: self.wants_sha256.then(|| in_bytes(state)),
            sha1: self.sha1.map(|sha1| sha1.finalize().into()),
            md5: self.md5.map(|md5| md5.finalize().into()),
        };
        (digests, self.read)
    }
}

fn in_bytes(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    bytes
}
