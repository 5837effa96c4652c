//! The time budgets of the shutdown loop, refused when the parts do not fit into the whole.

use std::time::Duration;

use module_api::units::format_duration;

mod clamped;

pub use clamped::{Clamped, StopTimeout};

/// How long each part of the shutdown loop may take. Budgets of different modules run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first question until a module is ready; then the loop goes on without its consent.
    pub ready: Duration,
    /// Pause between two questions to a busy module. The loop takes less than 1 ms for 1 ms.
    pub poll: Duration,
    /// For `save_state` and writing what it returned.
    pub save: Duration,
    /// For each of the two calls of `stop`.
    pub stop: Duration,
    /// From a request that the controller accepted until SIGTERM comes; then the restart is called off.
    pub replacement: Duration,
    /// From the order to the last module ended, whatever modules do.
    pub overall: Duration,
}

/// A budget of this length is none.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Budgets that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "ready_timeout {} + save_timeout {} + 2 x stop_timeout {} = {}, more than timeout {}",
    format_duration(.0.ready), format_duration(.0.save), format_duration(.0.stop),
    format_duration(.0.parts()), format_duration(.0.overall)
)]
pub struct LimitsDoNotFit(pub Limits);

impl Limits {
    /// Checks that the whole ladder of one module fits into `overall`.
    ///
    /// # Errors
    /// [`LimitsDoNotFit`] shows the arithmetic.
    pub fn check(self) -> Result<Self, LimitsDoNotFit> {
        if self.parts() <= self.overall { Ok(self) } else { Err(LimitsDoNotFit(self)) }
    }

    /// What the loop works with: it never asks without a pause, and no budget is beyond what an `Instant` can hold.
    pub(crate) fn within_reason(self) -> Self {
        let least = Duration::from_millis(1);
        let Self { ready, poll, save, stop, replacement, overall } = self;
        let [ready, poll, save, stop, replacement, overall] =
            [ready, poll.max(least), save, stop, replacement, overall]
                .map(|budget| budget.min(YEAR));
        Self { ready, poll, save, stop, replacement, overall }
    }

    fn parts(&self) -> Duration {
        self.ready.saturating_add(self.save).saturating_add(self.stop.saturating_mul(2))
    }
}

impl Default for Limits {
    /// 10 s to get ready (asked every 100 ms), 5 s to save, twice 5 s to stop, 5 s until SIGTERM, 30 s overall: the
    /// 30 s are what DESIGN promises from the order to the new process.
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(10),
            poll: Duration::from_millis(100),
            save: Duration::from_secs(5),
            stop: Duration::from_secs(5),
            replacement: Duration::from_secs(5),
            overall: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_budgets_fit() {
        assert_eq!(Limits::default().check(), Ok(Limits::default()));
    }

    #[test]
    fn the_loop_pauses_between_two_questions_and_no_budget_overflows_the_clock() {
        let (zero, max) = (Duration::ZERO, Duration::MAX);
        let limits = |poll, any| Limits {
            ready: any,
            poll,
            save: any,
            stop: any,
            replacement: any,
            overall: any,
        };
        let shortest = limits(zero, zero).within_reason();
        assert_eq!(shortest, limits(Duration::from_millis(1), zero));
        assert_eq!(limits(max, max).within_reason(), limits(YEAR, YEAR));
        assert_eq!(Limits::default().within_reason(), Limits::default());
    }

    #[test]
    fn budgets_that_do_not_fit_are_refused_with_the_arithmetic() {
        let limits = Limits { overall: Duration::from_secs(20), ..Limits::default() };
        assert_eq!(
            limits.check().unwrap_err().to_string(),
            "ready_timeout 10s + save_timeout 5s + 2 x stop_timeout 5s = 25s, more than timeout 20s"
        );
    }
}
