//! The bytes of one file between read(2) and the compression, in blocks of SHA-256.

use std::io::{self, Read};

/// Bytes that are read at once. Eight of them fit the second-level cache of the processors that need lanes.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// One block of SHA-256.
pub(super) type Block = [u8; BLOCK];

const BLOCK: usize = 64;

/// Room for the padding behind a full buffer. Because of it buffers start in different sets of the first-level cache: at
/// distances of a power of two, eight of them would push each other out.
const PADDING_BYTES: usize = 2 * BLOCK;

/// A buffer of fixed size.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    /// Where the bytes begin that are not compressed yet.
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that reads `size` bytes at once, at least one block.
    pub(super) fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size.max(BLOCK) + PADDING_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// The whole blocks that are not compressed yet.
    pub(super) fn blocks(&self) -> &[Block] {
        self.bytes[self.start..self.end].as_chunks().0
    }

    /// Counts the first `blocks` blocks as compressed.
    pub(super) fn consume(&mut self, blocks: usize) {
        self.start = (self.start + blocks * BLOCK).min(self.end);
    }

    /// Counts all whole blocks as compressed.
    pub(super) fn consume_all(&mut self) {
        self.consume(self.blocks().len());
    }

    /// Moves what is left to the front, so that there is room to read.
    pub(super) fn make_room(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }

    pub(super) fn is_full(&self) -> bool {
        self.end == self.capacity()
    }

    /// Reads once, at most `most` bytes, and gives those that came: none at the end of the file, if there was room.
    pub(super) fn read(&mut self, source: &mut impl Read, most: u64) -> io::Result<&[u8]> {
        let room = self.capacity() - self.end;
        let most = usize::try_from(most).map_or(room, |most| most.min(room));
        let begin = self.end;
        self.end += loop {
            match source.read(&mut self.bytes[begin..begin + most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        Ok(&self.bytes[begin..self.end])
    }

    /// Ends the message as FIPS 180-4 says: one bit, zeros, and its length in bits.
    pub(super) fn pad(&mut self, message_bytes: u64) {
        let length = size_of::<u64>();
        let end = (self.end + 1 + length).next_multiple_of(BLOCK);
        self.bytes[self.end..end - length].fill(0);
        self.bytes[self.end] = 0x80;
        self.bytes[end - length..end].copy_from_slice(&(message_bytes << 3).to_be_bytes());
        self.end = end;
    }

    fn capacity(&self) -> usize {
        self.bytes.len() - PADDING_BYTES
    }
}
