//! One module's way through the shutdown loop: asked, saving, stopping, stopped; with what happens when it is late.

use std::time::{Duration, Instant};

use module_api::ModuleName;

use crate::event::{Answer, Call, Effect, ModuleEnd, ModuleOutcome, Progress};
use crate::limits::Limits;

/// The state of one module in the loop.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    name: ModuleName,
    step: Step,
    /// The number of the last call, so that no answer is ever taken for another call's.
    attempt: u32,
    /// Since when the current step lasts.
    since: Instant,
    ready_took: Option<Duration>,
    save_took: Option<Duration>,
    stop_took: Option<Duration>,
    notes: Vec<String>,
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
    Saving,
    /// `again`: this is the second call.
    Stopping {
        again: bool,
        since_call: Instant,
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
            since: now,
            ready_took: None,
            save_took: None,
            stop_took: None,
            notes: Vec::new(),
            busy_reason: None,
        }
    }

    pub(super) fn name(&self) -> &ModuleName {
        &self.name
    }

    pub(super) fn is_drained(&self) -> bool {
        self.step == Step::Drained
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
            Step::Asked => Some(self.since + limits.ready),
            Step::Busy { again_at } => Some(again_at.min(self.since + limits.ready)),
            Step::Saving => Some(self.since + limits.save),
            Step::Stopping { since_call, .. } => Some(since_call + limits.stop),
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
            return false;
        }
        match (self.step, answer) {
            (Step::Asked, Answer::Done) => {
                self.ready_took = Some(now.saturating_duration_since(self.since));
                self.step = Step::Drained;
                self.report("drain", "ready".to_owned(), effects);
            }
            (Step::Asked, Answer::Busy(reason)) => {
                self.step = Step::Busy { again_at: now + limits.poll };
                if self.busy_reason.as_ref() != Some(&reason) {
                    self.report("drain", format!("busy: {reason}"), effects);
                    self.busy_reason = Some(reason);
                }
            }
            (Step::Asked, Answer::Failed(reason)) => {
                self.ready_took = Some(now.saturating_duration_since(self.since));
                self.note("drain", format!("ready_for_shutdown failed: {reason}"), effects);
                self.step = Step::Drained;
            }
            (Step::Saving, Answer::Failed(reason)) => {
                self.note("save", format!("save_state failed: {reason}"), effects);
                self.saved(now, effects);
            }
            (Step::Saving, Answer::Done | Answer::Busy(_)) => {
                self.report("save", "state saved".to_owned(), effects);
                self.saved(now, effects);
            }
            (Step::Stopping { again, .. }, Answer::Failed(reason)) => {
                self.note("stop", format!("stop failed: {reason}"), effects);
                self.stop_again_or_abandon(now, again, effects);
            }
            (Step::Stopping { .. }, Answer::Done | Answer::Busy(_)) => {
                self.stop_took = Some(now.saturating_duration_since(self.since));
                self.step = Step::Stopped;
                self.report("stop", "stopped".to_owned(), effects);
            }
            // Its call was answered or given up already.
            (Step::Busy { .. } | Step::Drained | Step::Stopped | Step::Abandoned, _) => {
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
            Step::Busy { .. } if now < self.since + limits.ready => self.ask(effects),
            Step::Asked | Step::Busy { .. } => self.stop_asking(now, "ready timeout", effects),
            Step::Saving => {
                self.give_up(effects);
                self.note("save", "save timeout".to_owned(), effects);
                self.saved(now, effects);
            }
            Step::Stopping { again, .. } => {
                self.give_up(effects);
                self.note("stop", "stop timeout".to_owned(), effects);
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
            | Step::Saving
            | Step::Stopping { .. }
            | Step::Stopped
            | Step::Abandoned => return,
        }
        self.ready_took = Some(now.saturating_duration_since(self.since));
        self.note("drain", format!("not ready: {why}"), effects);
        self.step = Step::Drained;
    }

    pub(super) fn save_if_drained(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.step == Step::Drained {
            self.step = Step::Saving;
            self.since = now;
            self.call(Call::Save, effects);
        }
    }

    /// Ends the module without its consent, unless it has ended already.
    pub(super) fn abandon(&mut self, now: Instant, why: &str, effects: &mut Vec<Effect>) {
        let took = now.saturating_duration_since(self.since);
        match self.step {
            Step::Stopped | Step::Abandoned => return,
            Step::Asked | Step::Busy { .. } => self.ready_took = Some(took),
            Step::Saving => self.save_took = Some(took),
            Step::Stopping { .. } => self.stop_took = Some(took),
            Step::Drained => {}
        }
        if matches!(self.step, Step::Asked | Step::Saving | Step::Stopping { .. }) {
            self.give_up(effects);
        }
        self.note("stop", format!("abandoned: {why}"), effects);
        self.step = Step::Abandoned;
        effects.push(Effect::Abandon { module: self.name.clone() });
    }

    pub(super) fn outcome(&self) -> ModuleOutcome {
        let millis = |took: Option<Duration>| {
            took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        };
        ModuleOutcome {
            name: self.name.clone(),
            ended: match self.step {
                Step::Stopped => ModuleEnd::Stopped,
                Step::Abandoned => ModuleEnd::Abandoned,
                Step::Asked
                | Step::Busy { .. }
                | Step::Drained
                | Step::Saving
                | Step::Stopping { .. } => ModuleEnd::Running,
            },
            ready_ms: millis(self.ready_took),
            save_ms: millis(self.save_took),
            stop_ms: millis(self.stop_took),
            notes: self.notes.clone(),
        }
    }

    fn saved(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.save_took = Some(now.saturating_duration_since(self.since));
        self.since = now;
        self.step = Step::Stopping { again: false, since_call: now };
        self.call(Call::Stop, effects);
    }

    fn stop_again_or_abandon(&mut self, now: Instant, again: bool, effects: &mut Vec<Effect>) {
        if again {
            // The second call has ended, so there is nothing left to give up.
            self.stop_took = Some(now.saturating_duration_since(self.since));
            self.note("stop", "abandoned: it did not stop".to_owned(), effects);
            self.step = Step::Abandoned;
            effects.push(Effect::Abandon { module: self.name.clone() });
        } else {
            self.step = Step::Stopping { again: true, since_call: now };
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

    fn note(&mut self, stage: &'static str, text: String, effects: &mut Vec<Effect>) {
        self.report(stage, text.clone(), effects);
        self.notes.push(text);
    }

    fn report(&self, stage: &'static str, text: String, effects: &mut Vec<Effect>) {
        let module = Some(self.name.clone());
        effects.push(Effect::Report(Progress { stage, module, text }));
    }
}
