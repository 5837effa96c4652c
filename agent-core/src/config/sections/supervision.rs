//! Section `supervision`: what becomes of modules that fail, and whether its values fit together.

use std::time::Duration;

use module_api::units::format_duration;
use serde::Deserialize;

use super::super::values::{duration_between, number_between};
use crate::supervisor::{Backoff, Policy, Quarantine};

/// Section `supervision`: a failed module is started again after a pause that doubles with each failure; one that fails
/// too often is quarantined.
///
/// A module that fails at once every time is quarantined by its failure number `quarantine_failures` + 1, after as many
/// pauses. With the defaults the longest they can be are 500 ms + 1 s + 2 s + 4 s + 8 s + 16 s + 32 s + 3 x 1 min, 4 min
/// and 3.5 s in all: that fits into a window of 10 min, also when each start takes its 10 s before it fails.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupervisionConfig {
    /// `backoff_initial`: the first pause. Default 500 ms, 10 ms to 1 h, at most `backoff_max`. Half of a pause is fixed
    /// and half is drawn at random, so that modules that failed together do not come back together.
    #[serde(deserialize_with = "duration_between::<10, 3_600_000, _>")]
    pub backoff_initial: Duration,
    /// `backoff_max`: the longest pause. Default 1 min, 10 ms to 1 d.
    #[serde(deserialize_with = "duration_between::<10, 86_400_000, _>")]
    pub backoff_max: Duration,
    /// `backoff_reset`: a module that ran well for this long starts over with the first pause. Default 5 min, 10 ms
    /// to 1 d.
    #[serde(deserialize_with = "duration_between::<10, 86_400_000, _>")]
    pub backoff_reset: Duration,
    /// `quarantine_failures`: a module that fails more often than this within `quarantine_window` is not started again
    /// by itself, but by an operator's restart of it or of the agent. Default 10, 0 to 1,000; 0 means that no number of
    /// failures is too many.
    #[serde(deserialize_with = "number_between::<0, 1_000, _, _>")]
    pub quarantine_failures: u32,
    /// `quarantine_window`: how long a failure counts. Default 10 min, 10 ms to 7 d, and not less than the pauses
    /// between `quarantine_failures` + 1 failures in a row: else no module could ever fail so often.
    #[serde(deserialize_with = "duration_between::<10, 604_800_000, _>")]
    pub quarantine_window: Duration,
}

/// Values of the section that contradict each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::config) enum SupervisionError {
    /// The first pause would be longer than the longest.
    #[error(
        "backoff_initial {} is more than backoff_max {}",
        format_duration(.0.backoff_initial),
        format_duration(.0.backoff_max)
    )]
    InitialAboveMax(SupervisionConfig),
    /// The pauses alone take longer than the window.
    #[error(
        "no module can fail more than quarantine_failures {} times within quarantine_window {}: the pauses in between \
         take up to {}",
        .0.quarantine_failures,
        format_duration(.0.quarantine_window),
        pauses(.0)
    )]
    QuarantineOutOfReach(SupervisionConfig),
}

impl SupervisionError {
    /// The key that is to blame.
    pub(in crate::config) fn key(&self) -> &'static str {
        match self {
            Self::InitialAboveMax(_) => "backoff_initial",
            Self::QuarantineOutOfReach(_) => "quarantine_window",
        }
    }
}

impl SupervisionConfig {
    /// What the supervisor does about failures.
    pub(crate) fn policy(&self) -> Policy {
        let Self { backoff_initial, backoff_max, backoff_reset, .. } = *self;
        Policy {
            backoff: Backoff { initial: backoff_initial, max: backoff_max, reset: backoff_reset },
            quarantine: Quarantine {
                failures: self.quarantine_failures,
                window: self.quarantine_window,
            },
        }
    }

    /// The longest that each pause before a quarantine can be.
    fn longest_pauses(&self) -> impl Iterator<Item = Duration> {
        let backoff = self.policy().backoff;
        (1..=self.quarantine_failures).map(move |failures| backoff.longest(failures))
    }

    pub(in crate::config) fn check(&self) -> Result<(), SupervisionError> {
        if self.backoff_initial > self.backoff_max {
            return Err(SupervisionError::InitialAboveMax(self.clone()));
        }
        if self.longest_pauses().sum::<Duration>() > self.quarantine_window {
            return Err(SupervisionError::QuarantineOutOfReach(self.clone()));
        }
        Ok(())
    }
}

/// `500ms + 1s + 3 x 2s = 7500ms`.
fn pauses(section: &SupervisionConfig) -> String {
    let (shorter, longest): (Vec<Duration>, Vec<Duration>) =
        section.longest_pauses().partition(|pause| *pause < section.backoff_max);
    let mut terms: Vec<String> = shorter.into_iter().map(format_duration).collect();
    let max = format_duration(section.backoff_max);
    match longest.len() {
        0 => {}
        1 => terms.push(max),
        several => terms.push(format!("{several} x {max}")),
    }
    let sum = format_duration(section.longest_pauses().sum());
    if terms.len() > 1 || longest.len() > 1 {
        format!("{} = {sum}", terms.join(" + "))
    } else {
        sum
    }
}

impl Default for SupervisionConfig {
    fn default() -> Self {
        Self {
            backoff_initial: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
            backoff_reset: Duration::from_secs(300),
            quarantine_failures: 10,
            quarantine_window: Duration::from_secs(600),
        }
    }
}
