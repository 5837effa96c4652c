//! One module's way through the shutdown loop: asked, saving, stopping, stopped; with what happens when it is late.

use std::time::Instant;

use module_api::ModuleName;

use crate::event::{Answer, Call, Effect, ModuleEnd, ModuleOutcome, Progress};
use crate::limits::Limits;

use Place::{Through, Within};

/// The state of one module in the loop.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    name: ModuleName,
    step: Step,
    /// The number of the last call, so that no answer is ever taken for another call's.
    attempt: u32,
    began: Instant,
    /// When it was ready or given up, when it was saved first, when it was stopped first, when it had ended.
    drained: Option<Instant>,
    saving: Option<Instant>,
    stopping: Option<Instant>,
    ended: Option<Instant>,
    notes: Vec<String>,
    late_answers: u32,
    /// Why it was busy last, so that each reason is reported once.
    busy_reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A question is out.
    Asked,
    /// It was busy; it is asked again at this time.
    Busy {
        again_at: Instant,
    },
    /// It is ready, or was given up; it waits for the gate.
    Drained,
    Saving {
        since: Instant,
    },
    /// `again`: this is the second call.
    Stopping {
        again: bool,
        since: Instant,
    },
    Stopped,
    Abandoned,
}

impl Ladder {
    pub(super) fn new(name: ModuleName, now: Instant) -> Self {
        Self {
            name,
            step: Step::Asked,
            attempt: 0,
            began: now,
            drained: None,
            saving: None,
            stopping: None,
            ended: None,
            notes: Vec::new(),
            late_answers: 0,
            busy_reason: None,
        }
    }

    pub(super) fn name(&self) -> &ModuleName {
        &self.name
    }

    /// Whether it was ready once, or given up.
    pub(super) fn is_drained(&self) -> bool {
        self.drained.is_some()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.step, Step::Stopped | Step::Abandoned)
    }

    pub(super) fn ask(&mut self, effects: &mut Vec<Effect>) {
        self.step = Step::Asked;
        self.call(Call::Ask, effects);
    }

    /// When something is to be done by time alone.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match self.step {
            Step::Asked => Some(self.began + limits.ready),
            Step::Busy { again_at } => Some(again_at.min(self.began + limits.ready)),
            Step::Saving { since } => Some(since + limits.save),
            Step::Stopping { since, .. } => Some(since + limits.stop),
            Step::Drained | Step::Stopped | Step::Abandoned => None,
        }
    }

    /// Takes the answer of call `attempt`; `false` when nobody waits for it.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        attempt: u32,
        answer: Answer,
        limits: &Limits,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if attempt != self.attempt {
            self.late_answers = self.late_answers.saturating_add(1);
            return false;
        }
        match (self.step, answer) {
            (Step::Asked, Answer::Done) => {
                self.drain(now);
                self.report(Through("drain"), "ready".to_owned(), effects);
            }
            (Step::Asked, Answer::Busy(reason)) => {
                self.step = Step::Busy { again_at: now + limits.poll };
                if self.busy_reason.as_ref() != Some(&reason) {
                    self.report(Within("drain"), format!("busy: {reason}"), effects);
                    self.busy_reason = Some(reason);
                }
            }
            (Step::Asked, Answer::Failed(reason)) => {
                self.drain(now);
                self.note(
                    Through("drain"),
                    format!("ready_for_shutdown failed: {reason}"),
                    effects,
                );
            }
            (Step::Saving { .. }, Answer::Failed(reason)) => {
                self.note(Through("save"), format!("save_state failed: {reason}"), effects);
                self.saved(now, effects);
            }
            (Step::Saving { .. }, Answer::Done | Answer::Busy(_)) => {
                self.report(Through("save"), "state saved".to_owned(), effects);
                self.saved(now, effects);
            }
            (Step::Stopping { again, .. }, Answer::Failed(reason)) => {
                self.note(Within("stop"), format!("stop failed: {reason}"), effects);
                self.stop_again_or_abandon(now, again, effects);
            }
            (Step::Stopping { .. }, Answer::Done | Answer::Busy(_)) => {
                self.end(Step::Stopped, now);
                effects.push(Effect::Release { module: self.name.clone() });
                self.report(Through("stop"), "stopped".to_owned(), effects);
            }
            // Its call was answered or given up already.
            (Step::Busy { .. } | Step::Drained | Step::Stopped | Step::Abandoned, _) => {
                self.late_answers = self.late_answers.saturating_add(1);
                return false;
            }
        }
        true
    }

    /// Does what is due by time alone.
    pub(super) fn expire(&mut self, now: Instant, limits: &Limits, effects: &mut Vec<Effect>) {
        if self.deadline(limits).is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.step {
            Step::Busy { .. } if now < self.began + limits.ready => self.ask(effects),
            Step::Asked | Step::Busy { .. } => self.stop_asking(now, "ready timeout", effects),
            Step::Saving { .. } => {
                self.give_up(effects);
                self.note(Through("save"), "save timeout".to_owned(), effects);
                self.saved(now, effects);
            }
            Step::Stopping { again, .. } => {
                self.give_up(effects);
                self.note(Within("stop"), "stop timeout".to_owned(), effects);
                self.stop_again_or_abandon(now, again, effects);
            }
            Step::Drained | Step::Stopped | Step::Abandoned => {}
        }
    }

    /// Goes on without the module's consent.
    pub(super) fn stop_asking(&mut self, now: Instant, why: &str, effects: &mut Vec<Effect>) {
        match self.step {
            Step::Asked => self.give_up(effects),
            Step::Busy { .. } => {}
            Step::Drained
            | Step::Saving { .. }
            | Step::Stopping { .. }
            | Step::Stopped
            | Step::Abandoned => return,
        }
        self.drain(now);
        self.note(Through("drain"), format!("not ready: {why}"), effects);
    }

    pub(super) fn save_if_drained(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.step == Step::Drained {
            self.step = Step::Saving { since: now };
            self.saving = Some(now);
            self.call(Call::Save, effects);
        }
    }

    /// Ends the module without its consent, unless it has ended already.
    pub(super) fn abandon(&mut self, now: Instant, why: &str, effects: &mut Vec<Effect>) {
        if self.has_ended() {
            return;
        }
        if matches!(self.step, Step::Asked | Step::Saving { .. } | Step::Stopping { .. }) {
            self.give_up(effects);
        }
        self.note(Through("stop"), format!("abandoned: {why}"), effects);
        self.end(Step::Abandoned, now);
        effects.push(Effect::Abandon { module: self.name.clone() });
    }

    /// What became of the module when the loop was over at `now`.
    ///
    /// The times are differences of whole milliseconds since the order, so they add up to `ended_ms` exactly.
    pub(super) fn outcome(&self, now: Instant) -> ModuleOutcome {
        let over = self.ended.unwrap_or(now);
        let since_order = |at: Instant| {
            let passed = at.saturating_duration_since(self.began);
            u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
        };
        // A part that was begun lasts until the next one that was begun, or until the end.
        let part = |from: Option<Instant>, later: &[Option<Instant>]| {
            let until = later.iter().copied().flatten().next().unwrap_or(over);
            from.map(|from| since_order(until).saturating_sub(since_order(from)))
        };
        ModuleOutcome {
            name: self.name.clone(),
            ended: match self.step {
                Step::Stopped => ModuleEnd::Stopped,
                Step::Abandoned => ModuleEnd::Abandoned,
                Step::Asked
                | Step::Busy { .. }
                | Step::Drained
                | Step::Saving { .. }
                | Step::Stopping { .. } => ModuleEnd::Running,
            },
            ready_ms: part(Some(self.began), &[self.drained, self.saving, self.stopping]),
            waited_ms: part(self.drained, &[self.saving, self.stopping]),
            save_ms: part(self.saving, &[self.stopping]),
            stop_ms: part(self.stopping, &[]),
            ended_ms: since_order(over),
            late_answers: self.late_answers,
            notes: self.notes.clone(),
        }
    }

    fn drain(&mut self, now: Instant) {
        self.step = Step::Drained;
        self.drained = Some(now);
    }

    fn end(&mut self, step: Step, now: Instant) {
        self.step = step;
        self.ended = Some(now);
    }

    fn saved(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.step = Step::Stopping { again: false, since: now };
        self.stopping = Some(now);
        self.call(Call::Stop, effects);
    }

    fn stop_again_or_abandon(&mut self, now: Instant, again: bool, effects: &mut Vec<Effect>) {
        if again {
            // The second call has ended, so there is nothing left to give up.
            self.note(Through("stop"), "abandoned: it did not stop".to_owned(), effects);
            self.end(Step::Abandoned, now);
            effects.push(Effect::Abandon { module: self.name.clone() });
        } else {
            self.step = Step::Stopping { again: true, since: now };
            self.call(Call::Stop, effects);
        }
    }

    fn call(&mut self, call: Call, effects: &mut Vec<Effect>) {
        self.attempt += 1;
        effects.push(Effect::Call { module: self.name.clone(), call, attempt: self.attempt });
    }

    fn give_up(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::GiveUp { module: self.name.clone(), attempt: self.attempt });
    }

    fn note(&mut self, place: Place, text: String, effects: &mut Vec<Effect>) {
        self.report(place, text.clone(), effects);
        self.notes.push(text);
    }

    fn report(&self, place: Place, text: String, effects: &mut Vec<Effect>) {
        let module = Some(self.name.clone());
        let (stage, through) = match place {
            Within(stage) => (stage, false),
            Through(stage) => (stage, true),
        };
        effects.push(Effect::Report(Progress { stage, through, module, text }));
    }
}

/// Where a step leaves a module: still within a stage, or through it.
#[derive(Debug, Clone, Copy)]
enum Place {
    Within(&'static str),
    Through(&'static str),
}
