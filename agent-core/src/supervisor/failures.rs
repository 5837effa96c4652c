//! Failures of modules: which of them count, and what follows from those that do.

use std::time::Duration;

use module_api::ModuleName;
use tokio::time::Instant;

use super::Supervisor;
use super::history::{FailureHistory, Judgement, Policy};
use super::slot::ModuleState;
use super::tasks::Failure;
use crate::wall_clock;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// A new instance is to be started.
    StartAgain {
        /// After this wait.
        after: Duration,
    },
    /// The module has failed too often: it is not started again until [`Supervisor::forgive`] and a start.
    Quarantined {
        /// How often within the window.
        failures: u32,
    },
}

impl Supervisor {
    /// Whether a module failed and waits to be started again.
    #[must_use]
    pub(crate) fn awaits_retry(&self, name: &ModuleName) -> bool {
        let slots = self.lock();
        slots.get(name).is_some_and(|slot| slot.enabled && slot.state == ModuleState::Failed)
    }

    /// Forgets how often a module has failed, which lifts its quarantine; it is started by [`Supervisor::start`]. For
    /// starts that somebody wants, not for those that follow a failure. Nothing happens if there is no such module.
    pub(crate) fn forgive(&self, name: &ModuleName) {
        self.with(name, |slot| {
            slot.history = FailureHistory::default();
            if slot.state == ModuleState::Quarantined {
                slot.set_state(ModuleState::Stopped, wall_clock::now());
            }
        });
    }

    /// Marks a module whose shutdown was called off. One that died meanwhile is reported as failed now.
    pub(crate) fn mark_running(&self, name: &ModuleName) {
        let mut died = None;
        self.with(name, |slot| {
            if slot.running.is_some() && slot.state == ModuleState::Stopping {
                slot.set_state(ModuleState::Running, wall_clock::now());
                died = slot.died.take().map(|reason| (slot.run, reason));
            }
        });
        if let Some((run, reason)) = died {
            self.report(name, run, reason);
        }
    }

    /// Reports that the last start of a module that failed has failed, as a background task of it would.
    pub(crate) fn report_failure(&self, name: &ModuleName, reason: String) {
        let run = self.lock().get(name).map_or(0, |slot| slot.not_started);
        self.report(name, run, reason);
    }

    fn report(&self, name: &ModuleName, run: u64, reason: String) {
        // Without a receiver the agent is ending, and nothing is to be supervised.
        drop(self.failures.send(Failure { module: name.clone(), run, reason }));
    }

    /// Takes a failure that is known at `now`: ends the instance and says what follows. `None` when the failure means
    /// nothing: that of an earlier instance, a second one of the same, or one of a module that is not meant to run.
    /// `draw` is a random number for the wait, see [`Backoff::delay`](super::Backoff::delay).
    #[must_use]
    pub(crate) fn failed(
        &self,
        failure: &Failure,
        policy: &Policy,
        now: Instant,
        draw: u32,
    ) -> Option<Reaction> {
        let mut reaction = None;
        self.with(&failure.module, |slot| {
            if failure.run != slot.run {
                return;
            }
            if slot.state == ModuleState::Stopping {
                slot.died = Some(failure.reason.clone());
            }
            let state_counts = matches!(
                slot.state,
                ModuleState::Running | ModuleState::Starting | ModuleState::Failed
            );
            if !slot.enabled || !state_counts || slot.counted == slot.run {
                return;
            }
            slot.counted = slot.run;
            slot.last_error = Some(failure.reason.clone());
            let judgement = slot.history.add(now, slot.worked(now), policy);
            slot.end();
            let (state, follows) = match judgement {
                Judgement::TryAgain { in_a_row } => {
                    let after = policy.backoff.delay(in_a_row, draw);
                    (ModuleState::Failed, Reaction::StartAgain { after })
                }
                Judgement::TooOften { failures } => {
                    (ModuleState::Quarantined, Reaction::Quarantined { failures })
                }
            };
            slot.set_state(state, wall_clock::now());
            reaction = Some(follows);
        });
        reaction
    }
}
