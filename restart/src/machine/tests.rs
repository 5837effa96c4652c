//! Pure steps of the shutdown loop: each arm by name.

#![allow(clippy::disallowed_methods, reason = "tests move time by themselves, from any instant")]

mod account;
mod deadlines;
mod words;

use std::time::{Duration, Instant};

use module_api::ModuleName;

use super::Shutdown;
use crate::event::{
    Answer, Call, Effect, Ending, Event, ModuleEnd, ModuleOutcome, Purpose, ShutdownOutcome,
};
use crate::limits::Limits;

/// A loop with one module, and a clock that only the test moves.
struct Run {
    shutdown: Shutdown,
    now: Instant,
    effects: Vec<Effect>,
}

fn name() -> ModuleName {
    ModuleName::new("fim").unwrap()
}

fn named(name: &str) -> ModuleName {
    ModuleName::new(name).unwrap()
}

fn begin(purpose: Purpose) -> Run {
    begin_with(purpose, &["fim"], Limits::default())
}

fn begin_with(purpose: Purpose, names: &[&str], limits: Limits) -> Run {
    let now = Instant::now();
    let names = names.iter().map(|name| named(name)).collect();
    let (shutdown, effects) = Shutdown::begin(purpose, names, limits, now);
    Run { shutdown, now, effects }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl Run {
    fn after(mut self, seconds: f64, event: Event) -> Self {
        self.now += Duration::from_secs_f64(seconds);
        self.effects = self.shutdown.step(self.now, event);
        self
    }

    fn answer(self, attempt: u32, answer: Answer) -> Self {
        self.after(0.0, Event::Answered { module: name(), attempt, answer })
    }

    /// The answer of one module among several.
    fn answer_of(self, who: &str, attempt: u32, answer: Answer) -> Self {
        self.after(0.0, Event::Answered { module: named(who), attempt, answer })
    }

    fn deadline_after(self, seconds: f64) -> Self {
        self.after(seconds, Event::DeadlinePassed)
    }

    /// What is to be done, without reports to people.
    fn effects(&self) -> Vec<Effect> {
        let is_work =
            |effect: &&Effect| !matches!(effect, Effect::Report(_) | Effect::Release { .. });
        self.effects.iter().filter(is_work).cloned().collect()
    }

    /// What people are told: stage, module and text.
    fn reports(&self) -> Vec<String> {
        let report = |effect: &Effect| {
            let Effect::Report(progress) = effect else { return None };
            let who = progress.module.as_ref().map_or("all", ModuleName::as_str);
            Some(format!("{} {who}: {}", progress.stage, progress.text))
        };
        self.effects.iter().filter_map(report).collect()
    }

    fn module(&self) -> &ModuleOutcome {
        &self.outcome().modules[0]
    }

    fn outcome(&self) -> &ShutdownOutcome {
        self.shutdown.outcome().expect("the loop has ended")
    }
}

fn call(call: Call, attempt: u32) -> Effect {
    Effect::Call { module: name(), call, attempt }
}

fn give_up(attempt: u32) -> Effect {
    Effect::GiveUp { module: name(), attempt }
}

#[test]
fn a_willing_module_is_asked_saved_and_stopped() {
    let run = begin(Purpose::End);
    assert_eq!(run.effects(), [call(Call::Ask, 1)]);
    let run = run.answer(1, Answer::Done);
    assert_eq!(run.effects(), [call(Call::Save, 2)]);
    let run = run.answer(2, Answer::Done);
    assert_eq!(run.effects(), [call(Call::Stop, 3)]);
    let run = run.answer(3, Answer::Done);
    assert_eq!(run.effects(), []);
    assert!(run.outcome().is_clean());
    assert_eq!(run.outcome().modules[0].ended, ModuleEnd::Stopped);
    assert_eq!(run.shutdown.next_deadline(), None);
}

#[test]
fn without_modules_the_loop_ends_at_once() {
    let (shutdown, effects) =
        Shutdown::begin(Purpose::End, Vec::new(), Limits::default(), Instant::now());
    assert!(effects.is_empty());
    assert_eq!(shutdown.outcome().map(|outcome| &outcome.ending), Some(&Ending::Ended));
}

#[test]
fn nothing_is_saved_before_the_controller_agreed_and_sigterm_came() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    assert_eq!(run.effects(), [Effect::RequestReplacement]);
    let run = run.after(0.1, Event::ReplacementAccepted);
    assert_eq!(run.effects(), []);
    let run = run.after(0.1, Event::Terminated);
    assert_eq!(run.effects(), [call(Call::Save, 2)]);
}

#[test]
fn sigterm_that_overtakes_the_controllers_answer_opens_the_gate_too() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done).after(0.0, Event::Terminated);
    assert_eq!(run.effects(), [call(Call::Save, 2)]);
    assert!(run.after(0.0, Event::ReplacementAccepted).effects().is_empty());
}

#[test]
fn an_unconditional_controller_opens_the_gate_at_once() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    assert_eq!(run.after(0.0, Event::ReplacementUnconditional).effects(), [call(Call::Save, 2)]);
}

#[test]
fn a_refused_replacement_resumes_the_modules() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    let run = run.after(0.2, Event::ReplacementRefused("unit is masked".to_owned()));
    assert_eq!(run.effects(), [Effect::Resume { module: name() }]);
    assert_eq!(run.outcome().ending, Ending::CalledOff("unit is masked".to_owned()));
    assert_eq!(run.outcome().modules[0].ended, ModuleEnd::Running);
}

#[test]
fn a_replacement_that_never_comes_is_called_off() {
    let run =
        begin(Purpose::Replace).answer(1, Answer::Done).after(0.0, Event::ReplacementAccepted);
    let run = run.deadline_after(4.9);
    assert_eq!(run.effects(), []);
    let run = run.deadline_after(0.1);
    assert_eq!(run.effects(), [Effect::Resume { module: name() }]);
}

#[test]
fn a_busy_module_is_asked_again_after_the_poll_interval() {
    let run = begin(Purpose::End).answer(1, Answer::Busy("hashing".to_owned()));
    assert_eq!(run.effects(), []);
    let run = run.deadline_after(0.05);
    assert_eq!(run.effects(), [], "too early");
    assert_eq!(run.deadline_after(0.05).effects(), [call(Call::Ask, 2)]);
}

#[test]
fn a_module_that_never_gets_ready_is_saved_all_the_same() {
    let run = begin(Purpose::End).deadline_after(10.0);
    assert_eq!(run.effects(), [give_up(1), call(Call::Save, 2)]);
    assert_eq!(run.shutdown.modules.outcomes(run.now)[0].notes, ["not ready: ready timeout"]);
}

#[test]
fn a_hung_save_costs_its_budget_and_nothing_else() {
    let run = begin(Purpose::End).answer(1, Answer::Done).deadline_after(5.0);
    assert_eq!(run.effects(), [give_up(2), call(Call::Stop, 3)]);
    let run = run.answer(3, Answer::Done);
    assert_eq!(run.outcome().modules[0].notes, ["save timeout"]);
    assert_eq!(run.outcome().modules[0].save_ms, Some(5_000));
}

#[test]
fn a_failed_save_is_noted_and_the_module_is_stopped() {
    let run = begin(Purpose::End).answer(1, Answer::Done);
    let run = run.answer(2, Answer::Failed("disk full".to_owned()));
    assert_eq!(run.effects(), [call(Call::Stop, 3)]);
    let run = run.answer(3, Answer::Done);
    assert_eq!(run.outcome().modules[0].notes, ["save_state failed: disk full"]);
}

#[test]
fn a_module_that_does_not_stop_is_asked_once_more_and_then_abandoned() {
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    let run = run.deadline_after(5.0);
    assert_eq!(run.effects(), [give_up(3), call(Call::Stop, 4)]);
    let run = run.deadline_after(5.0);
    assert_eq!(run.effects(), [give_up(4), Effect::Abandon { module: name() }]);
    assert_eq!(run.outcome().modules[0].ended, ModuleEnd::Abandoned);
    assert_eq!(run.outcome().modules[0].stop_ms, Some(10_000));
}

#[test]
fn a_late_answer_is_never_counted_for_another_phase() {
    let run = begin(Purpose::End).answer(1, Answer::Done).deadline_after(5.0);
    let run = run.answer(2, Answer::Done);
    assert_eq!(run.effects(), [], "the answer to save must not stop the module");
    let run = run.answer(3, Answer::Done);
    assert_eq!(run.outcome().late_answers, 1);
}

#[test]
fn an_answer_of_a_stranger_changes_nothing() {
    let stranger = ModuleName::new("stranger").unwrap();
    let event = Event::Answered { module: stranger, attempt: 1, answer: Answer::Done };
    let run = begin(Purpose::End).after(0.0, event);
    assert_eq!(run.effects(), []);
    assert_eq!(run.shutdown.late_answers, 1);
}

#[test]
fn the_overall_deadline_abandons_whatever_is_left() {
    let limits = Limits { stop: Duration::from_secs(60), ..Limits::default() };
    let now = Instant::now();
    let (shutdown, effects) = Shutdown::begin(Purpose::End, vec![name()], limits, now);
    let run = Run { shutdown, now, effects }.answer(1, Answer::Done).answer(2, Answer::Done);
    let run = run.deadline_after(30.0);
    assert_eq!(run.effects(), [give_up(3), Effect::Abandon { module: name() }]);
    assert_eq!(run.outcome().took, Duration::from_secs(30));
}

#[test]
fn a_forced_request_jumps_to_the_end_of_the_ladder() {
    let run = begin(Purpose::Replace).after(1.0, Event::Forced);
    assert_eq!(run.effects(), [give_up(1), Effect::RequestReplacement]);
    let run = run.after(0.0, Event::Terminated).after(0.0, Event::Forced);
    assert_eq!(run.effects(), [give_up(2), Effect::Abandon { module: name() }]);
}

#[test]
fn an_operators_stop_overtakes_a_restart() {
    let run = begin(Purpose::Replace).after(0.0, Event::StopRequested).answer(1, Answer::Done);
    assert_eq!(run.effects(), [call(Call::Save, 2)], "no replacement is requested");
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.outcome().ending, Ending::StoppedInstead);
}

#[test]
fn an_operators_stop_wins_also_when_the_modules_are_closing() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done).after(0.0, Event::Terminated);
    let run = run.after(0.0, Event::StopRequested).answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.outcome().ending, Ending::StoppedInstead);
}

#[test]
fn a_sigterm_that_no_controller_sends_is_an_operators_stop() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    let run = run.after(0.0, Event::ReplacementUnconditional).after(0.0, Event::Terminated);
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.outcome().ending, Ending::StoppedInstead);
}

#[test]
fn a_replacement_that_is_lost_while_closing_is_in_the_outcome() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    let run = run.after(0.0, Event::ReplacementAccepted).after(0.0, Event::Terminated);
    let run = run.after(0.0, Event::ReplacementRefused("the helper died".to_owned()));
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.outcome().ending, Ending::Ended);
    assert_eq!(run.outcome().replacement_lost.as_deref(), Some("the helper died"));
}

#[test]
fn a_sigterm_before_a_refusal_was_an_operators() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done).after(0.0, Event::Terminated);
    let run = run.after(0.0, Event::ReplacementRefused("unit is masked".to_owned()));
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.outcome().ending, Ending::StoppedInstead);
}

#[test]
fn a_sigterm_that_no_answer_has_explained_is_in_the_outcome() {
    let unanswered = |answer: Option<Event>| {
        let run = begin(Purpose::Replace).answer(1, Answer::Done).after(0.0, Event::Terminated);
        let run = answer.into_iter().fold(run, |run, answer| run.after(0.0, answer));
        let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
        run.outcome().unanswered_sigterm
    };
    assert!(unanswered(None));
    assert!(!unanswered(Some(Event::ReplacementAccepted)));
    assert!(!unanswered(Some(Event::ReplacementUnconditional)));
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    let run = run.after(0.0, Event::ReplacementAccepted).after(0.0, Event::Terminated);
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert!(!run.outcome().unanswered_sigterm, "the controller has said that it sends one");
}

#[test]
fn sigterm_before_the_controller_was_asked_is_an_operators_stop() {
    let run = begin(Purpose::Replace).after(0.0, Event::Terminated).answer(1, Answer::Done);
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.outcome().ending, Ending::StoppedInstead);
}

#[test]
fn nothing_happens_after_the_outcome() {
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    let run = run.answer(3, Answer::Done);
    for event in [Event::Forced, Event::Terminated, Event::StopRequested, Event::DeadlinePassed] {
        assert_eq!(run.shutdown.next_deadline(), None);
        assert!({
            let mut shutdown = run.shutdown.clone();
            shutdown.step(run.now, event).is_empty()
        });
    }
}
