//! Stands in for `lanes` where there is no AVX2.

use super::buffer::Block;
use super::kernel::State;

/// There are none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lanes {}

impl Lanes {
    pub(super) fn here() -> Option<Self> {
        None
    }

    #[cfg(test)]
    pub(super) fn of_avx2(self) -> Self {
        self
    }

    #[cfg(test)]
    pub(super) fn has_avx512(self) -> bool {
        match self {}
    }

    pub(super) fn few(self) -> usize {
        match self {}
    }

    pub(super) fn eight(self, _: &mut [State; 8], _: &[&[Block]; 8], _: usize) {
        match self {}
    }

    pub(super) fn one(self, _: &mut State, _: &[Block]) {
        match self {}
    }
}
