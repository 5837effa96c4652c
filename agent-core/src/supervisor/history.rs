//! How often a module has failed, and when that is too often: a value without a clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Backoff;

/// What becomes of modules that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// When a failed module is started again.
    pub(crate) backoff: Backoff,
    /// When it is not started again by itself any more.
    pub(crate) quarantine: Quarantine,
}

/// A module is quarantined when it fails more often than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quarantine {
    /// So many failures within the window are borne; 0 means any number.
    pub(crate) failures: u32,
    /// How long a failure counts.
    pub(crate) window: Duration,
}

/// What a failure means for the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is to be started again; this was so manieth failure in a row, from 1.
    TryAgain {
        /// Failures in a row.
        in_a_row: u32,
    },
    /// It has failed too often.
    TooOften {
        /// How often within the window.
        failures: u32,
    },
}

/// The failures of one module. It holds one instant more than [`Quarantine::failures`] says, at most.
#[derive(Debug, Default)]
pub(super) struct FailureHistory {
    in_a_row: u32,
    /// Failures within the window, the oldest first.
    recent: VecDeque<Instant>,
}

impl FailureHistory {
    /// Takes a failure at `now`, not before those taken already, of an instance that worked for `worked`: zero when it
    /// did not start.
    pub(super) fn add(&mut self, now: Instant, worked: Duration, policy: &Policy) -> Judgement {
        let Policy { backoff, quarantine } = policy;
        self.in_a_row = if worked >= backoff.reset { 1 } else { self.in_a_row.saturating_add(1) };
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > quarantine.window) {
            self.recent.pop_front();
        }
        let failures = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if quarantine.failures == 0 {
            // Nobody will ask for them.
            self.recent.clear();
        } else if failures > quarantine.failures {
            self.recent.drain(..self.recent.len() - quarantine.failures as usize);
            return Judgement::TooOften { failures };
        }
        Judgement::TryAgain { in_a_row: self.in_a_row }
    }

    /// Failures in a row.
    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests;
