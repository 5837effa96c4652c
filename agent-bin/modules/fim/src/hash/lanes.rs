//! SHA-256 (FIPS 180-4) in the lanes of vector registers: a register holds one word of each of eight blocks.
//!
//! It is written with the intrinsics, because the compiler makes vectors of plain loops only as long as nobody touches them.
#![expect(
    unsafe_code,
    reason = "whoever calls a function for AVX2 has to know that the processor has it"
)]

use super::buffer::Block;
use super::kernel::State;
use std::arch::x86_64::{
    __m256i as Words, _mm256_add_epi32 as add, _mm256_and_si256 as and, _mm256_or_si256 as or,
    _mm256_permute2x128_si256 as halves, _mm256_set_epi8, _mm256_set1_epi32, _mm256_shuffle_epi8,
    _mm256_slli_epi32 as left, _mm256_srli_epi32 as right, _mm256_unpackhi_epi32,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256 as xor,
};
use std::mem::transmute;

/// What goes into each round, sixteen of them in a row.
#[rustfmt::skip]
const ROUNDS: [[u32; 16]; 4] = [
    [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    ],
    [
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    ],
    [
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    ],
    [
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ],
];

/// Proof that the processor has AVX2, BMI1 and BMI2, and perhaps more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    /// It rotates, and combines three registers, in one instruction each: more than half as much again is done in the same
    /// time, with registers of the same width.
    has_avx512: bool,
}

impl Lanes {
    /// The fastest lanes of this machine.
    pub(super) fn here() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        let has_avx512 =
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        has.then_some(Self { has_avx512 })
    }

    /// The same machine without AVX-512.
    #[cfg(test)]
    pub(super) fn of_avx2(self) -> Self {
        Self { has_avx512: false }
    }

    #[cfg(test)]
    pub(super) fn has_avx512(self) -> bool {
        self.has_avx512
    }

    /// So many files at most are faster one after the other: eight lanes take the same time for one file as for eight, and
    /// are as fast as seven files alone with AVX-512, and as four without.
    pub(super) fn few(self) -> usize {
        if self.has_avx512 { 1 } else { 2 }
    }

    /// Compresses the first `count` blocks of eight files, one in each lane; each has as many.
    pub(super) fn eight(self, states: &mut [State; 8], files: &[&[Block]; 8], count: usize) {
        if self.has_avx512 {
            // SAFETY: `Lanes` are made where the processor has what the function is compiled for.
            unsafe { eight_by_avx512(states, files, count) }
        } else {
            // SAFETY: the same.
            unsafe { eight_by_avx2(states, files, count) }
        }
    }

    /// Compresses all blocks of one file.
    pub(super) fn one(self, state: &mut State, blocks: &[Block]) {
        // SAFETY: the same; AVX-512 makes this no faster.
        unsafe { one(state, blocks) }
    }
}

/// A loop over known numbers.
macro_rules! written_out {
    ($t:ident in $($number:literal)* $body:block) => {
        $({ let $t: usize = $number; $body })*
    };
}

/// Makes the functions for eight files once for each set of instructions: the compiler puts none into a function that was
/// not compiled for it, and takes the best for the small functions within.
macro_rules! eight {
    ($eight:ident, $sixteen:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        fn $eight(states: &mut [State; 8], files: &[&[Block]; 8], count: usize) {
            let files = files.map(|blocks| &blocks[..count]);
            let mut before = transposed(states.map(|state| vector(state)));
            for index in 0..count {
                let mut words = load(files.map(|blocks| &blocks[index]));
                let mut state = before;
                $sixteen::<true>(&ROUNDS[0], &mut state, &mut words);
                for constants in &ROUNDS[1..] {
                    $sixteen::<false>(constants, &mut state, &mut words);
                }
                for (before, after) in before.iter_mut().zip(state) {
                    *before = add(*before, after);
                }
            }
            *states = transposed(before).map(|words| array(words));
        }

        /// Sixteen rounds, the first of a block or later ones. Written out they bring each word back to its place, so
        /// that none is moved.
        #[inline]
        #[target_feature(enable = $features)]
        fn $sixteen<const FIRST: bool>(constants: &[u32; 16], state: &mut [Words; 8], words: &mut [Words; 16]) {
            written_out!(t in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 {
                if !FIRST {
                    expand(words, t);
                }
                round(state, add(words[t], everywhere(constants[t])));
            });
        }
    };
}

eight!(eight_by_avx2, sixteen_by_avx2, "avx2,bmi1,bmi2");
eight!(eight_by_avx512, sixteen_by_avx512, "avx2,bmi1,bmi2,avx512f,avx512vl");

/// The rounds of one file depend on each other, but what the words of its blocks become for the rounds does not: that is
/// done for eight blocks at once.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn one(state: &mut State, blocks: &[Block]) {
    let mut schedule = [[0; 8]; 64];
    for blocks in blocks.chunks(8) {
        let last = blocks.len() - 1;
        let mut words = load(std::array::from_fn(|lane| &blocks[lane.min(last)]));
        for (part, (scheduled, constants)) in
            schedule.as_chunks_mut::<16>().0.iter_mut().zip(&ROUNDS).enumerate()
        {
            for t in 0..16 {
                if part > 0 {
                    expand(&mut words, t);
                }
                scheduled[t] = array(add(words[t], everywhere(constants[t])));
            }
        }
        for lane in 0..blocks.len() {
            let mut after = *state;
            for eight in schedule.as_chunks::<8>().0 {
                // Eight rounds bring each word back to its place, so that none is moved.
                for words in eight {
                    round_of_one(&mut after, words[lane]);
                }
            }
            *state = std::array::from_fn(|word| state[word].wrapping_add(after[word]));
        }
    }
}

macro_rules! rotate {
    ($words:expr, $bits:literal) => {
        or(right::<$bits>($words), left::<{ 32 - $bits }>($words))
    };
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn round(state: &mut [Words; 8], input: Words) {
    let [a, b, c, d, e, f, g, h] = *state;
    let choice = xor(and(e, xor(f, g)), g);
    let sum = xor(xor(rotate!(e, 6), rotate!(e, 11)), rotate!(e, 25));
    let first = add(add(h, input), add(choice, sum));
    let majority = xor(and(xor(a, b), xor(b, c)), b);
    let sum = xor(xor(rotate!(a, 2), rotate!(a, 13)), rotate!(a, 22));
    *state = [add(first, add(majority, sum)), a, b, c, add(d, first), e, f, g];
}

/// The same round for one file.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn round_of_one(state: &mut State, input: u32) {
    let [a, b, c, d, e, f, g, h] = *state;
    let choice = (e & f) ^ (!e & g);
    let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let first = h.wrapping_add(input).wrapping_add(choice).wrapping_add(sum);
    let majority = ((a ^ b) & (b ^ c)) ^ b;
    let sum = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let second = majority.wrapping_add(sum);
    *state = [first.wrapping_add(second), a, b, c, d.wrapping_add(first), e, f, g];
}

/// Replaces the word for round `t` of sixteen by the one for sixteen rounds later.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn expand(words: &mut [Words; 16], t: usize) {
    let (old, near, middle, far) =
        (words[t], words[(t + 1) % 16], words[(t + 9) % 16], words[(t + 14) % 16]);
    let small = xor(xor(rotate!(near, 7), rotate!(near, 18)), right::<3>(near));
    let large = xor(xor(rotate!(far, 17), rotate!(far, 19)), right::<10>(far));
    words[t] = add(add(old, small), add(middle, large));
}

/// The words of one block of each lane.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn load(blocks: [&Block; 8]) -> [Words; 16] {
    let half =
        |number: usize| transposed(blocks.map(|block| in_order(&block.as_chunks().0[number])));
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (half(0), half(1));
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// Eight words that stand in memory with the highest byte first.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn in_order(bytes: &[u8; 32]) -> Words {
    // SAFETY: both are 32 bytes of which any are valid.
    let words = unsafe { transmute::<[u8; 32], Words>(*bytes) };
    let order = _mm256_set_epi8(
        12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11, 4, 5,
        6, 7, 0, 1, 2, 3,
    );
    _mm256_shuffle_epi8(words, order)
}

/// Makes rows of columns.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn transposed(rows: [Words; 8]) -> [Words; 8] {
    let [a, b, c, d] = quarters([rows[0], rows[1], rows[2], rows[3]]);
    let [e, f, g, h] = quarters([rows[4], rows[5], rows[6], rows[7]]);
    let low = |upper, lower| halves::<0x20>(upper, lower);
    let high = |upper, lower| halves::<0x31>(upper, lower);
    [low(a, e), low(b, f), low(c, g), low(d, h), high(a, e), high(b, f), high(c, g), high(d, h)]
}

/// Makes rows of columns in both halves of four registers.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn quarters([a, b, c, d]: [Words; 4]) -> [Words; 4] {
    let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (lower, higher) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(low, lower),
        _mm256_unpackhi_epi64(low, lower),
        _mm256_unpacklo_epi64(high, higher),
        _mm256_unpackhi_epi64(high, higher),
    ]
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn everywhere(word: u32) -> Words {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn vector(words: [u32; 8]) -> Words {
    // SAFETY: both are eight words of which any are valid.
    unsafe { transmute::<[u32; 8], Words>(words) }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn array(words: Words) -> [u32; 8] {
    // SAFETY: as in `vector`.
    unsafe { transmute::<Words, [u32; 8]>(words) }
}
