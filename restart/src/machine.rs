//! The shutdown loop as a value: it decides and does nothing; time comes in as an argument.
//!
//! ```text
//!                     every module                                    every module, at its own pace
//!   Draining ── ready (or given up) ──> Awaiting ── SIGTERM ──> Closing: saving ──> stopping ──> stopped ──> Over
//!      │  busy: asked again                │ refused                │ late or failed: noted, on    │ late: once more,
//!      │                                   v                        └──────────────────────────────┘ then abandoned
//!      │                                 Over (called off, modules resumed)
//!      └── Purpose::End has no gate: each module goes on to saving as soon as it is ready
//! ```
//!
//! Happy path of a restart: ask all, all ready, request the replacement, SIGTERM, save all, stop all, over. Failures: a
//! module that is busy or hangs costs its budget and is noted; the overall deadline abandons whatever is left; a
//! refused replacement resumes the modules; an operator's stop opens the gate and changes the ending.

mod ladder;

use std::time::Instant;

use module_api::ModuleName;

use crate::event::{Effect, Ending, Event, Progress, Purpose, ShutdownOutcome};
use crate::limits::Limits;
use ladder::Ladder;

/// The shutdown loop of one set of modules.
#[derive(Debug, Clone)]
pub struct Shutdown {
    limits: Limits,
    began: Instant,
    phase: Phase,
    stop_instead: bool,
    /// The controller waits for nothing, so it sends no SIGTERM either.
    unconditional: bool,
    /// Why nobody will start the successor, if that was learned after the gate was opened.
    replacement_lost: Option<String>,
    modules: Vec<Ladder>,
    late_answers: u32,
    outcome: Option<ShutdownOutcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Modules are asked whether they are ready; the gate is closed.
    Draining,
    /// The controller was asked. `accepted_at` is set once it has agreed.
    Awaiting { accepted_at: Option<Instant> },
    /// The gate is open: who is ready saves and stops.
    Closing,
    /// The outcome is there.
    Over,
}

impl Shutdown {
    /// Begins the loop: asks every module. Names must be distinct.
    #[must_use]
    pub fn begin(
        purpose: Purpose,
        modules: Vec<ModuleName>,
        limits: Limits,
        now: Instant,
    ) -> (Self, Vec<Effect>) {
        let phase = match purpose {
            Purpose::Replace => Phase::Draining,
            Purpose::End => Phase::Closing,
        };
        let modules = modules.into_iter().map(|name| Ladder::new(name, now)).collect();
        let mut shutdown = Self {
            limits,
            began: now,
            phase,
            stop_instead: false,
            unconditional: false,
            replacement_lost: None,
            modules,
            late_answers: 0,
            outcome: None,
        };
        let mut effects = Vec::new();
        for ladder in &mut shutdown.modules {
            ladder.ask(&mut effects);
        }
        shutdown.advance(now, &mut effects);
        (shutdown, effects)
    }

    /// Takes one event and says what is to be done. After the outcome nothing is to be done any more.
    #[must_use]
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match (self.phase, event) {
            (Phase::Over, Event::Answered { .. }) => self.late_answers += 1,
            (Phase::Over, _) => {}
            (_, Event::Answered { module, attempt, answer }) => {
                let ladder = self.modules.iter_mut().find(|ladder| ladder.name() == &module);
                let taken = ladder.is_some_and(|ladder| {
                    ladder.answered(now, attempt, answer, &self.limits, &mut effects)
                });
                self.late_answers += u32::from(!taken);
            }
            (Phase::Awaiting { .. }, Event::ReplacementAccepted) => {
                self.phase = Phase::Awaiting { accepted_at: Some(now) };
            }
            (Phase::Awaiting { .. }, Event::ReplacementUnconditional) => {
                self.unconditional = true;
                self.close(&mut effects);
            }
            (Phase::Awaiting { .. }, Event::Terminated) => self.close(&mut effects),
            (Phase::Awaiting { .. }, Event::ReplacementRefused(reason)) => {
                self.call_off(now, reason, &mut effects);
            }
            (Phase::Draining | Phase::Awaiting { .. }, Event::StopRequested)
            | (Phase::Draining, Event::Terminated) => {
                self.stop_instead = true;
                self.close(&mut effects);
            }
            (Phase::Draining | Phase::Awaiting { .. }, Event::Forced) => {
                self.each(
                    |ladder, effects| ladder.stop_asking(now, "forced", effects),
                    &mut effects,
                );
            }
            (Phase::Closing, Event::Forced) => {
                self.each(|ladder, effects| ladder.abandon(now, "forced", effects), &mut effects);
            }
            (_, Event::DeadlinePassed) => self.expire(now, &mut effects),
            // Too late to resume anything, early enough that nobody comes after.
            (Phase::Closing, Event::StopRequested) => self.stop_instead = true,
            (Phase::Closing, Event::Terminated) if self.unconditional => self.stop_instead = true,
            (Phase::Closing, Event::ReplacementRefused(reason)) => {
                self.replacement_lost = Some(reason);
            }
            // The gate is not waiting for these: a second SIGTERM, or the controller's answer after a stop.
            (Phase::Closing, Event::Terminated)
            | (
                Phase::Draining | Phase::Closing,
                Event::ReplacementAccepted | Event::ReplacementUnconditional,
            )
            | (Phase::Draining, Event::ReplacementRefused(_)) => {}
        }
        self.advance(now, &mut effects);
        effects
    }

    /// When [`Event::DeadlinePassed`] is due; `None` once the outcome is there.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.phase == Phase::Over {
            return None;
        }
        let mut next = self.began + self.limits.overall;
        if let Phase::Awaiting { accepted_at } = self.phase {
            next = next.min(
                accepted_at.unwrap_or(self.began + self.limits.ready) + self.limits.replacement,
            );
        }
        let modules = self.modules.iter().filter_map(|ladder| ladder.deadline(&self.limits));
        Some(modules.fold(next, Instant::min))
    }

    /// The result, once everything has ended.
    #[must_use]
    pub fn outcome(&self) -> Option<&ShutdownOutcome> {
        self.outcome.as_ref()
    }

    /// Whether the point is passed after which the modules end: nothing calls that off.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing || (self.phase == Phase::Over && !self.was_called_off())
    }

    fn was_called_off(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| matches!(outcome.ending, Ending::CalledOff(_)))
    }

    fn each(
        &mut self,
        mut act: impl FnMut(&mut Ladder, &mut Vec<Effect>),
        effects: &mut Vec<Effect>,
    ) {
        for ladder in &mut self.modules {
            act(ladder, effects);
        }
    }

    /// Moves on wherever nothing is waited for any more.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Draining && self.modules.iter().all(Ladder::is_drained) {
            self.phase = Phase::Awaiting { accepted_at: None };
            effects.push(Effect::Report(Progress {
                stage: "hand_over",
                module: None,
                text: "all modules are drained, the replacement is requested".to_owned(),
            }));
            effects.push(Effect::RequestReplacement);
        }
        if self.phase == Phase::Closing {
            for ladder in &mut self.modules {
                ladder.save_if_drained(now, effects);
            }
            if self.modules.iter().all(Ladder::has_ended) {
                let ending = if self.stop_instead { Ending::StoppedInstead } else { Ending::Ended };
                self.end(now, ending);
            }
        }
    }

    /// Opens the gate: from here on modules end, and nothing calls that off.
    fn close(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Closing;
        let text = "the modules are closed".to_owned();
        effects.push(Effect::Report(Progress { stage: "close", module: None, text }));
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let overall = now >= self.began + self.limits.overall;
        match self.phase {
            Phase::Draining if overall => {
                self.each(
                    |ladder, effects| ladder.stop_asking(now, "overall deadline", effects),
                    effects,
                );
            }
            Phase::Closing if overall => {
                self.each(
                    |ladder, effects| ladder.abandon(now, "overall deadline", effects),
                    effects,
                );
            }
            Phase::Awaiting { .. } if self.next_deadline().is_some_and(|at| now >= at) => {
                self.call_off(now, "the process was not asked to end in time".to_owned(), effects);
            }
            Phase::Draining | Phase::Closing => {
                for ladder in &mut self.modules {
                    ladder.expire(now, &self.limits, effects);
                }
            }
            Phase::Awaiting { .. } | Phase::Over => {}
        }
    }

    fn call_off(&mut self, now: Instant, reason: String, effects: &mut Vec<Effect>) {
        for ladder in &self.modules {
            effects.push(Effect::Resume { module: ladder.name().clone() });
        }
        self.end(now, Ending::CalledOff(reason));
    }

    fn end(&mut self, now: Instant, ending: Ending) {
        self.phase = Phase::Over;
        self.outcome = Some(ShutdownOutcome {
            ending,
            modules: self.modules.iter().map(Ladder::outcome).collect(),
            took: now.saturating_duration_since(self.began),
            late_answers: self.late_answers,
            replacement_lost: self.replacement_lost.clone(),
        });
    }
}

#[cfg(test)]
mod tests;
