//! Keeps a scan from being faster than it may be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Gives each name its time, for all threads together.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two names; none: as fast as possible.
    every: Option<Duration>,
    next: Mutex<Option<Instant>>,
    woken: Condvar,
}

impl Pace {
    /// `rate`: names a second; 0: no limit.
    pub(super) fn new(rate: u32) -> Self {
        let every = (rate > 0).then(|| Duration::from_secs(1) / rate.max(1));
        Self { every, next: Mutex::default(), woken: Condvar::new() }
    }

    /// Waits until the next name may be looked at, or until `stop`.
    pub(super) fn wait(&self, stop: &AtomicBool) {
        let Some(every) = self.every else { return };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = next.unwrap_or_else(now).max(now());
        *next = Some(mine + every);
        while !stop.load(Ordering::Relaxed) {
            let left = mine.saturating_duration_since(now());
            if left.is_zero() {
                return;
            }
            let waited = self.woken.wait_timeout(next, left);
            next = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends all waiting, after a stop.
    pub(super) fn wake(&self) {
        drop(self.next.lock().unwrap_or_else(PoisonError::into_inner));
        self.woken.notify_all();
    }
}

#[expect(clippy::disallowed_methods, reason = "the one monotonic clock of the scan")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_at_no_faster_than_allowed() {
        let pace = Pace::new(1_000);
        let stop = AtomicBool::new(false);
        let begun = now();
        (0..51).for_each(|_| pace.wait(&stop));
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let pace = Pace::new(1);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1_000).for_each(|_| pace.wait(&stop)));
            stop.store(true, Ordering::Relaxed);
            pace.wake();
        });
    }
}
