//! How long to wait before a failed module is started again, as a pure function.

use std::time::Duration;

/// How long to wait before a module that failed is started again: twice as long with each failure, with jitter.
///
/// Jitter, because modules seldom fail alone: what they share (a disk, a server, memory) fails for all of them in the
/// same second, and without it all of them would come back to it in the same second, again and again. Half of the pause
/// is fixed and half is drawn ("equal jitter" in M. Brooker, "Exponential Backoff And Jitter", 2015; it spreads less than
/// a pause that is drawn as a whole, which has no least pause: a module that fails at once would sometimes be started
/// again at once).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The longest wait after the first failure.
    pub(crate) initial: Duration,
    /// No wait is longer than this.
    pub(crate) max: Duration,
    /// A module that ran this long without failing starts over with `initial`.
    pub(crate) reset: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (1 and up): between half of [`Backoff::longest`] and all of it.
    /// `draw` is a random number, each as likely as any other; 0 gives the shortest wait and `u32::MAX` the longest.
    #[must_use]
    pub(crate) fn delay(&self, failures: u32, draw: u32) -> Duration {
        let longest = self.longest(failures);
        let fixed = longest / 2;
        let drawn = (longest - fixed).as_nanos() * u128::from(draw) / u128::from(u32::MAX);
        // What is drawn is part of a Duration; more than u64 holds of nanoseconds are 584 years.
        fixed.saturating_add(Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX)))
    }

    /// The longest wait after `failures` failures in a row: `initial`, doubled with each, up to `max`.
    #[must_use]
    pub(crate) fn longest(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(60),
        reset: Duration::from_secs(300),
    };

    #[test]
    fn the_longest_wait_doubles_up_to_the_maximum() {
        let waits =
            [1, 2, 3, 7, 8, 9, u32::MAX].map(|failures| BACKOFF.longest(failures).as_millis());
        assert_eq!(waits, [500, 1_000, 2_000, 32_000, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn half_of_a_wait_is_fixed_and_half_is_drawn() {
        let waits = [0, u32::MAX / 2 + 1, u32::MAX].map(|draw| BACKOFF.delay(3, draw).as_millis());
        assert_eq!(waits, [1_000, 1_500, 2_000]);
    }

    proptest::proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_half_of_its_longest_nor_longer_than_the_maximum(
            initial in 1_u64..100_000_000, more in 0_u64..100_000_000, failures: u32, draw: u32,
        ) {
            let initial = Duration::from_millis(initial);
            let max = initial + Duration::from_millis(more);
            let backoff = Backoff { initial, max, reset: max };
            let (wait, longest) = (backoff.delay(failures, draw), backoff.longest(failures));
            proptest::prop_assert!(longest / 2 <= wait && wait <= longest && longest <= max);
            proptest::prop_assert!(!wait.is_zero());
        }

        #[test]
        fn a_greater_draw_is_a_wait_that_is_not_shorter(failures in 1_u32..20, a: u32, b: u32) {
            let (less, more) = (a.min(b), a.max(b));
            proptest::prop_assert!(BACKOFF.delay(failures, less) <= BACKOFF.delay(failures, more));
        }
    }
}
