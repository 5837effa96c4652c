//! Decides, without touching anything, what to write next and which files to rename at a rotation.

/// The most bytes written at once; bounds what has to be compared after a kill and the memory of a batch.
pub(super) const BATCH_BYTES: u64 = 1 << 20;

/// What to do with the events that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Rotate first.
    Rotate,
    /// Write so many of them.
    Write(usize),
}

/// The next step for a file of `length` bytes and events whose lines have these `sizes`; at least one is given.
pub(super) fn next_step(
    length: u64,
    rotate_bytes: u64,
    sizes: impl IntoIterator<Item = u64>,
) -> Step {
    let mut bytes = 0_u64;
    let mut count = 0;
    for size in sizes {
        let fits = length + bytes + size <= rotate_bytes && bytes + size <= BATCH_BYTES;
        // An event that fits in no file and no batch gets one for itself.
        let alone = count == 0 && (length == 0 || length + size <= rotate_bytes);
        if !fits && !alone {
            break;
        }
        bytes += size;
        count += 1;
    }
    if count == 0 { Step::Rotate } else { Step::Write(count) }
}

/// Which numbers move up by one so that number 1 becomes free, in the order of the renames.
///
/// `taken[n - 1]` says whether `PATH.n` exists. Files move only up to the first free number: a rotation that a kill cut
/// short left one, and to move those above it again would drop the oldest file too early. Without a free number
/// the oldest is overwritten.
pub(super) fn moves(taken: &[bool]) -> Vec<usize> {
    let free =
        taken.iter().position(|taken| !taken).unwrap_or_else(|| taken.len().saturating_sub(1));
    (1..=free).rev().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_are_written_as_far_as_the_file_has_room() {
        assert_eq!(next_step(60, 100, [20, 20, 20]), Step::Write(2));
    }

    #[test]
    fn a_full_file_is_rotated_first() {
        assert_eq!(next_step(90, 100, [20]), Step::Rotate);
    }

    #[test]
    fn an_event_larger_than_a_file_gets_an_empty_one_for_itself() {
        assert_eq!(next_step(0, 100, [500, 1]), Step::Write(1));
        assert_eq!(next_step(1, 100, [500]), Step::Rotate);
    }

    #[test]
    fn a_batch_is_bounded_but_an_event_is_never_split() {
        assert_eq!(next_step(0, u64::MAX / 2, [BATCH_BYTES - 1, 1, 1]), Step::Write(2));
        assert_eq!(next_step(7, u64::MAX / 2, [BATCH_BYTES + 1, 1]), Step::Write(1));
    }

    #[test]
    fn without_a_free_number_the_oldest_file_is_overwritten() {
        assert_eq!(moves(&[true, true, true]), [2, 1]);
        assert_eq!(moves(&[true]), [0_usize; 0]);
    }

    proptest! {
        #[test]
        fn a_step_never_grows_a_file_beyond_its_limit(
            length in 0_u64..300, limit in 1_u64..200, sizes in prop::collection::vec(1_u64..250, 1..9),
        ) {
            if let Step::Write(count) = next_step(length, limit, sizes.iter().copied()) {
                let bytes: u64 = sizes[..count].iter().sum();
                prop_assert!(count >= 1);
                prop_assert!(length + bytes <= limit || (length == 0 && count == 1));
            } else {
                prop_assert!(length > 0, "an empty file is never rotated");
            }
        }

        /// Rotates `keep` files, cut short after any rename and begun again: only the oldest of a full set is lost.
        #[test]
        fn a_rotation_that_is_cut_short_loses_nothing_when_it_is_done_again(
            files in prop::collection::vec(any::<bool>(), 1..7), cut in 0_usize..7,
        ) {
            let mut slots: Vec<Option<usize>> =
                files.iter().enumerate().map(|(index, taken)| taken.then_some(index)).collect();
            let full = slots.iter().all(Option::is_some);
            let before = slots.iter().flatten().count();
            let taken = |slots: &[Option<usize>]| slots.iter().map(Option::is_some).collect::<Vec<_>>();
            for number in moves(&taken(&slots)).into_iter().take(cut) {
                slots[number] = slots[number - 1].take();
            }
            for number in moves(&taken(&slots)) {
                slots[number] = slots[number - 1].take();
            }
            let lost = before - slots.iter().flatten().count() + usize::from(slots[0].is_some());
            prop_assert_eq!(lost, usize::from(full));
            prop_assert!(slots.iter().flatten().is_sorted(), "newer files have smaller numbers");
        }
    }
}
