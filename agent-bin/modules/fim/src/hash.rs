//! Digests of files: several files at once in the lanes of vector registers, where that is faster than one after the other.
//!
//! ```text
//!  next ──> idle lane ──> read a buffer ──> compress what every lane has ──> digests ──> done
//!                              └─────────── until the file ends ──────────┘
//! ```
//!
//! A processor with instructions for SHA-256 is fastest with one file at a time, and so is everything that has no AVX2:
//! there is one lane then. Else eight files share the vector registers, as far as there are as many. SHA-1 and MD5 are
//! computed of each file alone, while its bytes are read.

mod buffer;
mod kernel;
#[cfg_attr(not(target_arch = "x86_64"), path = "hash/no_lanes.rs")]
mod lanes;
mod progress;
mod run;
#[cfg(test)]
mod tests;

use buffer::{BUFFER_BYTES, Buffer};
use kernel::{INITIAL, Kernel, LANES, State};
use progress::Progress;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicBool;

/// Which digests to compute. With none of them files are still read and their bytes counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    pub(crate) sha256: bool,
    pub(crate) sha1: bool,
    pub(crate) md5: bool,
}

/// The digests of one file's content; those that were not wanted are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub(crate) struct Digests {
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) sha1: Option<[u8; 20]>,
    pub(crate) md5: Option<[u8; 16]>,
}

/// A file to hash from where its offset stands.
#[derive(Debug)]
pub(crate) struct Job<T> {
    /// Reads of it must not block for long: all files under way wait for them, and no stop is seen meanwhile.
    pub(crate) file: File,
    /// Comes back with the result.
    pub(crate) tag: T,
    /// Reads this many bytes at most, so that a file that grows has an end. The size of the file spares the last read(2),
    /// which otherwise finds the end.
    pub(crate) limit: u64,
}

/// A file that was read to its end or limit, or as far as it could be.
#[derive(Debug)]
pub(crate) struct Hashed<T> {
    pub(crate) tag: T,
    pub(crate) file: File,
    /// The digests and how many bytes they are of, or why a read failed.
    pub(crate) result: io::Result<(Digests, u64)>,
}

/// How much the hasher needs another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing is under way: wait for a job. No job means that there will be none.
    Now,
    /// A lane is idle while others work: do not wait. No job means none yet; the hasher asks again within a buffer for each lane.
    IfReady,
}

/// Hashes files for the one thread that owns it, in buffers that are made once: half a MiB with eight lanes, 64 KiB with one.
#[derive(Debug)]
pub(crate) struct Hasher {
    wanted: Wanted,
    kernel: Kernel,
    /// One for each lane.
    buffers: Vec<Buffer>,
    /// SHA-256 of each lane so far.
    states: [State; LANES],
}

impl Hasher {
    /// Takes the fastest way that this machine has.
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self::with(Kernel::fastest(), wanted, BUFFER_BYTES)
    }

    fn with(kernel: Kernel, wanted: Wanted, buffer_bytes: usize) -> Self {
        let lanes = if wanted.sha256 { kernel.lanes() } else { 1 };
        Self {
            wanted,
            kernel,
            buffers: (0..lanes).map(|_| Buffer::new(buffer_bytes)).collect(),
            states: [INITIAL; LANES],
        }
    }

    /// Hashes what `next` gives and hands each file to `done` as soon as it is read, in no particular order.
    ///
    /// Ends when `next` has no job although one is needed now, or soon after `stop` was set: it is looked at after each buffer
    /// of each lane. Files under way are then dropped without a call of `done`. Whoever blocks in `next` sees to it that a
    /// stop ends that too.
    pub(crate) fn run<T>(
        &mut self,
        next: &mut dyn FnMut(Need) -> Option<Job<T>>,
        done: &mut dyn FnMut(Hashed<T>),
        stop: &AtomicBool,
    ) {
        run::Run::new(self, next, done).until(stop);
    }
}

/// Hashes one file from where its offset stands, at most `limit` bytes of it, and says how many it had.
///
/// # Errors
///
/// What read(2) says. A file whose reads hang makes this hang; nothing but the limit ends it early.
pub(crate) fn hash_one(file: &File, limit: u64, wanted: &Wanted) -> io::Result<(Digests, u64)> {
    let size = usize::try_from(limit).map_or(BUFFER_BYTES, |limit| limit.min(BUFFER_BYTES));
    one(file, limit, *wanted, Kernel::fastest(), &mut Buffer::new(size))
}

fn one(
    mut source: impl io::Read,
    limit: u64,
    wanted: Wanted,
    kernel: Kernel,
    buffer: &mut Buffer,
) -> io::Result<(Digests, u64)> {
    let mut progress = Progress::new(wanted, limit);
    let mut state = INITIAL;
    while !progress.has_ended() {
        progress.fill(&mut source, buffer)?;
        if wanted.sha256 {
            kernel.one(&mut state, buffer.blocks());
        }
        buffer.consume_all();
    }
    Ok(progress.finish(&state))
}
