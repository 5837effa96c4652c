//! Cuts the time budgets to what the service manager leaves a process to stop, and says so with the arithmetic.

use std::fmt;
use std::time::Duration;

use module_api::units::format_duration;

use super::Limits;

/// The least that is left of a budget, unless it was shorter before: what the agent's configuration takes at least. A
/// budget of nothing would be a verdict, not a limit.
const LEAST: Duration = Duration::from_millis(10);

/// How long the service manager lets this process stop before it kills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopTimeout {
    /// The unit of this process.
    pub unit: String,
    /// From the order to stop to SIGKILL. What never ends has no [`StopTimeout`].
    pub after: Duration,
}

/// Budgets that were cut because the service manager has less patience. Displayed as one line: what is too long, what
/// holds instead, and both ways to put it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clamped {
    /// The budgets as they were meant.
    pub configured: Limits,
    /// The budgets that hold.
    pub used: Limits,
    /// What they were cut to.
    pub stop_timeout: StopTimeout,
}

impl Limits {
    /// These budgets if the whole fits into what the service manager allows; else budgets that do, as by
    /// [`Limits::within`], and the warning to show.
    ///
    /// A manager that allows less than 40 ms is taken for one that allows 40 ms: nothing ends well in less, and it will
    /// kill the process whatever is planned.
    #[must_use]
    pub fn clamped_to(self, allowed: &StopTimeout) -> (Self, Option<Clamped>) {
        let used = self.within(allowed.after);
        let clamped = (used.overall < self.overall).then(|| Clamped {
            configured: self,
            used,
            stop_timeout: allowed.clone(),
        });
        (used, clamped)
    }

    /// These budgets if the whole is at most `most`, else cut ones of which that is the whole.
    ///
    /// `ready`, `save` and `stop` are cut in the same proportion to whole milliseconds, but not below 10 ms; where that
    /// leaves too much, `ready` pays for it first, then `save`. So the part of the whole that was left for the end of
    /// the process is cut in proportion, too. `poll` is cut to `ready`. `replacement` stays as it is: it is over before
    /// the process is told to stop. The whole is not cut below 40 ms.
    ///
    /// Budgets that passed [`Limits::check`] pass it again.
    #[must_use]
    pub fn within(self, most: Duration) -> Self {
        let most = whole_millis(most).max(LEAST.saturating_mul(4));
        if self.overall <= most {
            return self;
        }
        let cut = |budget| in_proportion(budget, most, self.overall).max(least(budget));
        let (mut ready, mut save, mut stop) = (cut(self.ready), cut(self.save), cut(self.stop));
        let mut over = Self { ready, save, stop, ..self }.parts().saturating_sub(most);
        for (budget, least) in [(&mut ready, least(self.ready)), (&mut save, least(self.save))] {
            let paid = over.min(budget.saturating_sub(least));
            *budget -= paid;
            over -= paid;
        }
        // There are two of them, so each pays half of the rest, rounded up.
        stop = stop.saturating_sub(over.saturating_add(Duration::from_nanos(1)) / 2);
        let poll = self.poll.min(ready);
        Self { ready, poll, save, stop, overall: most, ..self }
    }
}

/// What is left of a budget at least: one that was shorter before stays what it was.
fn least(budget: Duration) -> Duration {
    budget.min(LEAST)
}

/// `budget` as long as `part` is of `whole`, in whole milliseconds, rounded down. Budgets beyond millions of years are cut
/// further.
fn in_proportion(budget: Duration, part: Duration, whole: Duration) -> Duration {
    let millis = budget.as_millis().saturating_mul(part.as_millis()) / whole.as_millis().max(1);
    u64::try_from(millis).map_or(budget, Duration::from_millis)
}

fn whole_millis(time: Duration) -> Duration {
    u64::try_from(time.as_millis()).map_or(time, Duration::from_millis)
}

impl fmt::Display for Clamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { configured, used, stop_timeout: StopTimeout { unit, after } } = self;
        let show = format_duration;
        write!(
            f,
            "restart.timeout {whole} is more than TimeoutStopSec {after} of unit {unit}, after which systemd kills the \
             agent; so these hold: ready_timeout {ready} + save_timeout {save} + 2 x stop_timeout {stop} = {parts} within \
             timeout {used}; raise TimeoutStopSec= of unit {unit} to {whole}, or lower restart.timeout to {used} and the \
             others as shown",
            whole = show(configured.overall),
            after = show(*after),
            ready = show(used.ready),
            save = show(used.save),
            stop = show(used.stop),
            parts = show(used.parts()),
            used = show(used.overall),
        )
    }
}

#[cfg(test)]
mod tests;
