//! What holds for every way to hash that this machine has.

mod messages;
mod runs;

use super::*;
use sha2::{Digest, Sha256};

const ALL: Wanted = Wanted { sha256: true, sha1: true, md5: true };
const SHA256: Wanted = Wanted { sha256: true, sha1: false, md5: false };

/// The kernels of this machine. Says what the test goes without.
#[expect(clippy::print_stderr, reason = "a test that skips something says so")]
fn kernels(test: &str) -> Vec<Kernel> {
    let kernels = Kernel::all();
    if kernels.len() < 3 {
        eprintln!(
            "skipped: {test}, some lanes: this processor has no AVX2 or no AVX-512, only {kernels:?}"
        );
    }
    kernels
}

/// Bytes of which no two blocks are alike.
fn content(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + at / 64 * 3 + at / 4096).to_le_bytes()[0] ^ seed).collect()
}

/// What RustCrypto says of the same bytes.
fn expected(wanted: Wanted, bytes: &[u8]) -> (Digests, u64) {
    let digests = Digests {
        sha256: wanted.sha256.then(|| Sha256::digest(bytes).into()),
        sha1: wanted.sha1.then(|| sha1::Sha1::digest(bytes).into()),
        md5: wanted.md5.then(|| md5::Md5::digest(bytes).into()),
    };
    (digests, bytes.len() as u64)
}

/// A file that has the bytes and no name.
fn file(bytes: &[u8]) -> File {
    use io::{Seek, Write};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}
