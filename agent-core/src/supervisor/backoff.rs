//! When a failed module is started again, as a pure function.

use std::time::Duration;

/// How long to wait before a module that failed is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The wait after the first failure.
    pub(crate) initial: Duration,
    /// No wait is longer than this.
    pub(crate) max: Duration,
    /// A module that ran this long without failing starts over with `initial`.
    pub(crate) reset: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (1 and up): it doubles each time.
    #[must_use]
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.max)
    }

    /// The number of failures in a row after one more, when the module ran for `ran` before it.
    #[must_use]
    pub(crate) fn count(&self, failures: u32, ran: Duration) -> u32 {
        if ran >= self.reset { 1 } else { failures.saturating_add(1) }
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
    fn the_wait_doubles_up_to_the_maximum() {
        let waits =
            [1, 2, 3, 7, 8, 9, u32::MAX].map(|failures| BACKOFF.delay(failures).as_millis());
        assert_eq!(waits, [500, 1_000, 2_000, 32_000, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn a_module_that_ran_long_enough_starts_over() {
        assert_eq!(BACKOFF.count(7, Duration::from_secs(299)), 8);
        assert_eq!(BACKOFF.count(7, Duration::from_secs(300)), 1);
    }
}
