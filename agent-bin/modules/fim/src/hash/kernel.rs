//! Chooses how this machine computes SHA-256.

use super::buffer::Block;
use super::lanes::Lanes;
use sha2::block_api::compress256;

/// The eight words of SHA-256 between two blocks of one file.
pub(super) type State = [u32; 8];

/// The state of a file before its first block.
pub(super) const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Files that are hashed at once where that is worth it.
pub(super) const LANES: usize = 8;

/// A way to compute SHA-256.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel(Option<Lanes>);

impl Kernel {
    pub(super) fn fastest() -> Self {
        if has_sha_instructions() { Self::of_sha2() } else { Self(Lanes::here()) }
    }

    /// One file at a time with the crate `sha2`, which finds the instructions for SHA-256 of x86 and ARM itself.
    pub(super) fn of_sha2() -> Self {
        Self(None)
    }

    /// All that this machine has, even if it has something faster.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let lanes = Lanes::here();
        let avx2 = lanes.map(Lanes::of_avx2);
        let avx512 = lanes.filter(|lanes| lanes.has_avx512());
        let lanes = [avx2, avx512].into_iter().flatten().map(|lanes| Self(Some(lanes)));
        std::iter::once(Self::of_sha2()).chain(lanes).collect()
    }

    /// How many files to take at once.
    pub(super) fn lanes(self) -> usize {
        if self.0.is_some() { LANES } else { 1 }
    }

    /// Compresses blocks of one file.
    pub(super) fn one(self, state: &mut State, blocks: &[Block]) {
        match self.0 {
            Some(lanes) => lanes.one(state, blocks),
            None => compress256(state, blocks),
        }
    }

    /// Compresses blocks of several files, and gives how many it took of each: all of one at least, so that it has to be
    /// called again for the others. What has no blocks is an idle lane, whose state is overwritten.
    pub(super) fn several(
        self,
        states: &mut [State; LANES],
        blocks: &[&[Block]; LANES],
    ) -> [usize; LANES] {
        let busy = || blocks.iter().filter(|blocks| !blocks.is_empty());
        let Some(lanes) = self.0.filter(|lanes| busy().count() > lanes.few()) else {
            for (state, blocks) in states.iter_mut().zip(blocks) {
                self.one(state, blocks);
            }
            return blocks.map(<[Block]>::len);
        };
        // An idle lane repeats the work of another one.
        let some = busy().min_by_key(|blocks| blocks.len()).copied().unwrap_or_default();
        let inputs = blocks.map(|blocks| if blocks.is_empty() { some } else { blocks });
        lanes.eight(states, &inputs, some.len());
        blocks.map(|blocks| if blocks.is_empty() { 0 } else { some.len() })
    }
}

#[cfg(target_arch = "x86_64")]
fn has_sha_instructions() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_sha_instructions() -> bool {
    true // or nothing better than what `sha2` does without them
}
