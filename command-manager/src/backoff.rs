//! How long to wait before a result is sent again.

use std::time::Duration;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause: a server that was away for a day is found again within the hour.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The pause after `failures` attempts in a row that failed, at least 1: it doubles with each, up to an hour. Half of it is
/// random, so that many agents do not come back to a server together; `random` is between 0 and 1.
pub(crate) fn pause(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    whole / 2 + (whole / 2).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let seconds: Vec<_> = (1..=14).map(|failures| pause(failures, 1.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        assert_eq!(pause(u32::MAX, 1.0), LONGEST);
    }

    #[test]
    fn half_of_a_pause_is_random() {
        assert_eq!(pause(3, 0.0), Duration::from_secs(2));
        assert_eq!(pause(3, 0.5), Duration::from_secs(3));
        assert_eq!(pause(3, 1.0), Duration::from_secs(4));
        assert_eq!(pause(0, 1.0), FIRST);
    }
}
