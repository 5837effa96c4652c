//! Recognises a file by its first bytes, also when it was shorter at the time.

use serde::{Deserialize, Serialize};

/// Bytes. Enough to tell two logs apart by their first time stamps, little enough to read again at every look.
pub(crate) const LONGEST: usize = 1_024;

/// How many of a file's first bytes were hashed, and their 64-bit FNV-1a hash. That hash can be extended without the
/// earlier bytes and is the same in every build, which the hashers of the standard library do not promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    length: usize,
    hash: u64,
}

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Fingerprint {
    /// The fingerprint of no bytes; every file matches it.
    pub(crate) const EMPTY: Self = Self { length: 0, hash: OFFSET_BASIS };

    /// The fingerprint after `next`, the bytes that follow those seen so far. Bytes beyond [`LONGEST`] do not count.
    #[must_use]
    pub(crate) fn extended(self, next: &[u8]) -> Self {
        let room = LONGEST.saturating_sub(self.length);
        let counted = next.get(..room).unwrap_or(next);
        let hash = counted
            .iter()
            .fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
        Self { length: self.length + counted.len(), hash }
    }

    /// How many of the file's first bytes have to be given to [`Fingerprint::matches`].
    pub(crate) fn length(self) -> usize {
        self.length
    }

    /// Whether a file that begins with `first` can be the one this was taken from.
    pub(crate) fn matches(self, first: &[u8]) -> bool {
        first.get(..self.length).is_some_and(|first| Self::EMPTY.extended(first) == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(Fingerprint::EMPTY.extended(b"a").hash, 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fingerprint::EMPTY.extended(b"foobar").hash, 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_file_that_is_shorter_than_its_fingerprint_is_another_one() {
        assert!(!Fingerprint::EMPTY.extended(b"abc").matches(b"ab"));
    }

    proptest! {
        #[test]
        fn growing_in_steps_gives_the_same_as_all_at_once(
            bytes in proptest::collection::vec(any::<u8>(), 0..3_000), step in 1_usize..700,
        ) {
            let grown = bytes.chunks(step).fold(Fingerprint::EMPTY, Fingerprint::extended);
            prop_assert_eq!(grown, Fingerprint::EMPTY.extended(&bytes));
            prop_assert!(grown.matches(&bytes));
        }

        #[test]
        fn one_changed_byte_among_the_first_is_noticed(
            mut bytes in proptest::collection::vec(any::<u8>(), 1..2_000), at in 0_usize..LONGEST,
        ) {
            let before = Fingerprint::EMPTY.extended(&bytes);
            let at = at % bytes.len().min(LONGEST);
            bytes[at] ^= 1;
            prop_assert!(!before.matches(&bytes));
        }
    }
}
