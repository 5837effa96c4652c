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
mod roster;

use std::time::Instant;

use module_api::ModuleName;

use crate::event::{Answer, Effect, Ending, Event, Progress, Purpose, ShutdownOutcome};
use crate::limits::Limits;
use roster::Roster;

/// The shutdown loop of one set of modules.
#[derive(Debug, Clone)]
pub struct Shutdown {
    limits: Limits,
    began: Instant,
    phase: Phase,
    stop_instead: bool,
    /// The controller waits for nothing, so it sends no SIGTERM either.
    unconditional: bool,
    /// SIGTERM opened the gate before the controller had answered: only the answer tells whose it was.
    unanswered: bool,
    /// Why nobody will start the successor, if that was learned after the gate was opened.
    replacement_lost: Option<String>,
    modules: Roster,
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
    /// Begins the loop: asks every module. A name that comes again counts once.
    ///
    /// `limits` should have passed [`Limits::check`]; if not, the overall deadline cuts the ladder short.
    #[must_use]
    pub fn begin(
        purpose: Purpose,
        modules: Vec<ModuleName>,
        limits: Limits,
        now: Instant,
    ) -> (Self, Vec<Effect>) {
        let limits = limits.within_reason();
        let phase = match purpose {
            Purpose::Replace => Phase::Draining,
            Purpose::End => Phase::Closing,
        };
        let mut shutdown = Self {
            limits,
            began: now,
            phase,
            stop_instead: false,
            unconditional: false,
            unanswered: false,
            replacement_lost: None,
            modules: Roster::new(modules, now),
            late_answers: 0,
            outcome: None,
        };
        let mut effects = Vec::new();
        shutdown.modules.ask_all(&shutdown.limits, &mut effects);
        shutdown.advance(now, &mut effects);
        (shutdown, effects)
    }

    /// Takes one event and says what is to be done. After the outcome nothing is to be done any more.
    #[must_use]
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match (self.phase, event) {
            (Phase::Over, _) => {}
            (_, Event::Answered { module, attempt, answer }) => {
                self.answered(now, &module, attempt, answer, &mut effects);
            }
            (Phase::Awaiting { .. }, Event::ReplacementAccepted) => {
                self.phase = Phase::Awaiting { accepted_at: Some(now) };
            }
            (Phase::Awaiting { .. }, Event::ReplacementUnconditional) => {
                self.unconditional = true;
                self.close(now, &mut effects);
            }
            (Phase::Awaiting { accepted_at }, Event::Terminated) => {
                self.unanswered = accepted_at.is_none();
                self.close(now, &mut effects);
            }
            (Phase::Awaiting { .. }, Event::ReplacementRefused(reason)) => {
                self.call_off(now, reason, &mut effects);
            }
            (Phase::Draining | Phase::Awaiting { .. }, Event::StopRequested)
            | (Phase::Draining, Event::Terminated) => {
                self.stop_instead = true;
                self.close(now, &mut effects);
            }
            (_, Event::Hurried) | (Phase::Draining | Phase::Awaiting { .. }, Event::Forced) => {
                self.stop_asking(now, "forced", &mut effects);
            }
            (Phase::Closing, Event::Forced) => self.abandon(now, "forced", &mut effects),
            (_, Event::DeadlinePassed) => self.expire(now, &mut effects),
            // Too late to resume anything, early enough that nobody comes after.
            (Phase::Closing, Event::StopRequested) => self.stop_instead = true,
            (Phase::Closing, Event::Terminated) if self.unconditional => self.stop_instead = true,
            (Phase::Closing, Event::ReplacementAccepted) => self.unanswered = false,
            // Such a controller sends no SIGTERM, so the one that came before its answer was an operator's.
            (Phase::Closing, Event::ReplacementUnconditional) => self.sigterm_was_an_operators(),
            (Phase::Closing, Event::ReplacementRefused(reason)) => {
                self.sigterm_was_an_operators();
                self.replacement_lost = Some(reason);
            }
            // The gate is not waiting for these: a second SIGTERM, or the controller's answer after a stop.
            (Phase::Closing, Event::Terminated)
            | (
                Phase::Draining,
                Event::ReplacementAccepted
                | Event::ReplacementUnconditional
                | Event::ReplacementRefused(_),
            ) => {}
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
        Some(self.modules.next_deadline().map_or(next, |at| at.min(next)))
    }

    /// The result, once everything has ended.
    #[must_use]
    pub fn outcome(&self) -> Option<&ShutdownOutcome> {
        self.outcome.as_ref()
    }

    /// The result without a copy. Nothing is to be done with the loop afterwards.
    pub(crate) fn take_outcome(&mut self) -> Option<ShutdownOutcome> {
        self.outcome.take()
    }

    /// Whether the point is passed after which the modules end: nothing calls that off.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing || (self.phase == Phase::Over && !self.was_called_off())
    }

    fn was_called_off(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| matches!(outcome.ending, Ending::CalledOff(_)))
    }

    /// The controller has answered that it sends none. After an answer that it sends one this changes nothing.
    fn sigterm_was_an_operators(&mut self) {
        self.stop_instead |= self.unanswered;
        self.unanswered = false;
    }

    /// Takes the answer of one module; one that nobody waits for changes nothing and is counted.
    fn answered(
        &mut self,
        now: Instant,
        module: &ModuleName,
        attempt: u32,
        answer: Answer,
        effects: &mut Vec<Effect>,
    ) {
        let limits = self.limits;
        let closing = self.phase == Phase::Closing;
        let number = self.modules.find(module);
        let taken = number.and_then(|number| {
            self.modules.change(number, &limits, |ladder| {
                let taken = ladder.answered(now, attempt, answer, &limits, effects);
                if closing {
                    ladder.save_if_drained(now, effects);
                }
                taken
            })
        });
        if taken != Some(true) {
            self.late_answers = self.late_answers.saturating_add(1);
            let text =
                format!("answer to call {attempt} of {module} is ignored: nobody waits for it");
            let module = number.map(|_| module.clone());
            effects.push(Effect::Report(Progress { stage: "late", through: false, module, text }));
        }
    }

    /// Moves on wherever nothing is waited for any more.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Draining && self.modules.all_drained() {
            self.phase = Phase::Awaiting { accepted_at: None };
            effects.push(Effect::Report(Progress {
                stage: "hand_over",
                through: false,
                module: None,
                text: "no module is waited for any more, the replacement is requested".to_owned(),
            }));
            effects.push(Effect::RequestReplacement);
        }
        if self.phase == Phase::Closing && self.modules.all_ended() {
            let ending = if self.stop_instead { Ending::StoppedInstead } else { Ending::Ended };
            self.end(now, ending);
        }
    }

    /// Opens the gate: from here on modules end, and nothing calls that off.
    fn close(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.phase = Phase::Closing;
        let text = "the modules are closed".to_owned();
        effects.push(Effect::Report(Progress {
            stage: "close",
            through: false,
            module: None,
            text,
        }));
        self.modules.change_all(&self.limits, effects, |ladder, effects| {
            ladder.save_if_drained(now, effects);
        });
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let overall = now >= self.began + self.limits.overall;
        match self.phase {
            Phase::Draining if overall => self.stop_asking(now, "overall deadline", effects),
            Phase::Closing if overall => self.abandon(now, "overall deadline", effects),
            Phase::Awaiting { .. } if self.next_deadline().is_some_and(|at| now >= at) => {
                self.call_off(now, self.why_late().to_owned(), effects);
            }
            Phase::Draining | Phase::Closing => {
                let limits = self.limits;
                let closing = self.phase == Phase::Closing;
                for number in self.modules.due(now) {
                    self.modules.change(number, &limits, |ladder| {
                        ladder.expire(now, &limits, effects);
                        if closing {
                            ladder.save_if_drained(now, effects);
                        }
                    });
                }
            }
            Phase::Awaiting { .. } | Phase::Over => {}
        }
    }

    fn stop_asking(&mut self, now: Instant, why: &str, effects: &mut Vec<Effect>) {
        let closing = self.phase == Phase::Closing;
        self.modules.change_all(&self.limits, effects, |ladder, effects| {
            ladder.stop_asking(now, why, effects);
            if closing {
                ladder.save_if_drained(now, effects);
            }
        });
    }

    fn abandon(&mut self, now: Instant, why: &str, effects: &mut Vec<Effect>) {
        self.modules.change_all(&self.limits, effects, |ladder, effects| {
            ladder.abandon(now, why, effects);
        });
    }

    /// Why a replacement that was requested does not take place in time.
    fn why_late(&self) -> &'static str {
        match self.phase {
            Phase::Awaiting { accepted_at: Some(_) } => {
                "SIGTERM did not come in time after the replacement was accepted"
            }
            Phase::Awaiting { accepted_at: None }
            | Phase::Draining
            | Phase::Closing
            | Phase::Over => "the request for the replacement was not answered in time",
        }
    }

    fn call_off(&mut self, now: Instant, reason: String, effects: &mut Vec<Effect>) {
        let text = format!("the restart is called off: {reason}");
        effects.push(Effect::Report(Progress {
            stage: "call_off",
            through: false,
            module: None,
            text,
        }));
        effects.extend(self.modules.names().map(|name| Effect::Resume { module: name.clone() }));
        self.end(now, Ending::CalledOff(reason));
    }

    fn end(&mut self, now: Instant, ending: Ending) {
        self.phase = Phase::Over;
        self.outcome = Some(ShutdownOutcome {
            ending,
            modules: self.modules.outcomes(now),
            took: now.saturating_duration_since(self.began),
            late_answers: self.late_answers,
            replacement_lost: self.replacement_lost.clone(),
            unanswered_sigterm: self.unanswered,
        });
    }
}

#[cfg(test)]
mod tests;
