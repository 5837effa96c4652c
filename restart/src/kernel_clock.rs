//! The kernel clocks that are compared across processes or kept while no async runtime runs.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Time since the machine was booted, suspend included (`CLOCK_BOOTTIME`).
///
/// It is the same for all processes of one boot, so stamps of the old and the new process can be subtracted.
#[must_use]
pub fn boottime() -> Duration {
    since_zero(clock_gettime(ClockId::Boottime))
}

/// [`boottime`] in whole milliseconds, as it is kept in files.
#[must_use]
pub fn boottime_ms() -> u64 {
    u64::try_from(boottime().as_millis()).unwrap_or(u64::MAX)
}

/// Time without suspend (`CLOCK_MONOTONIC`), for deadlines: a suspended machine uses up nobody's time.
pub(crate) fn monotonic() -> Duration {
    since_zero(clock_gettime(ClockId::Monotonic))
}

/// `duration` as poll takes it.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

fn since_zero(time: Timespec) -> Duration {
    // Neither clock is ever negative.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_clock_goes_back_and_boottime_counts_at_least_what_monotonic_counts() {
        let (before, monotonic_time) = (boottime(), monotonic());
        assert!(boottime() >= before);
        assert!(monotonic() >= monotonic_time);
        assert!(boottime() >= monotonic_time);
    }
}
