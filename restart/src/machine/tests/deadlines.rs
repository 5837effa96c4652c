//! What time alone does: when it is due in each phase, and not a moment earlier.

use super::*;

/// A loop whose deadline comes when it says, and not one nanosecond before.
impl Run {
    /// From now until the next deadline.
    fn due_in(&self) -> Option<Duration> {
        self.shutdown.next_deadline().map(|at| at - self.now)
    }

    /// Shows that nothing happens just before the deadline, and goes on at the deadline.
    fn deadline(mut self) -> Self {
        let at = self.shutdown.next_deadline().expect("a deadline");
        let early = self.shutdown.step(at - Duration::from_nanos(1), Event::DeadlinePassed);
        assert_eq!(early, [], "too early");
        self.now = at;
        self.effects = self.shutdown.step(at, Event::DeadlinePassed);
        self
    }
}

fn busy() -> Answer {
    Answer::Busy("hashing".to_owned())
}

#[test]
fn each_step_of_a_module_has_its_own_deadline() {
    let run = begin(Purpose::End);
    assert_eq!(run.due_in(), Some(seconds(10.0)), "ready");
    let run = run.after(1.0, Event::Answered { module: name(), attempt: 1, answer: busy() });
    assert_eq!(run.due_in(), Some(seconds(0.1)), "asked again");
    let run = run.deadline();
    assert_eq!(run.effects(), [call(Call::Ask, 2)]);
    assert_eq!(run.due_in(), Some(seconds(8.9)), "ready, since the order");
    let run = run.answer(2, Answer::Done);
    assert_eq!(run.due_in(), Some(seconds(5.0)), "saved");
    let run = run.deadline();
    assert_eq!(run.effects(), [give_up(2 + 1), call(Call::Stop, 4)]);
    assert_eq!(run.due_in(), Some(seconds(5.0)), "stopped");
    let run = run.deadline();
    assert_eq!(run.effects(), [give_up(4), call(Call::Stop, 5)]);
    assert_eq!(run.due_in(), Some(seconds(5.0)), "stopped after all");
    let run = run.deadline();
    assert_eq!(run.effects(), [give_up(5), Effect::Abandon { module: name() }]);
    assert_eq!(run.due_in(), None, "it is over");
    assert_eq!(run.outcome().took, seconds(16.1));
}

#[test]
fn a_module_that_is_not_ready_in_time_is_given_up_and_nothing_is_saved_before_the_gate_opens() {
    let run = begin(Purpose::Replace).deadline();
    assert_eq!(run.effects(), [give_up(1), Effect::RequestReplacement]);
    assert_eq!(run.due_in(), Some(seconds(5.0)), "the controller's answer");
}

#[test]
fn a_busy_module_is_given_up_when_its_time_to_get_ready_is_over() {
    let limits = Limits { poll: seconds(7.0), ..Limits::default() };
    let run = begin_with(Purpose::End, &["fim"], limits).answer(1, busy());
    let run = run.deadline().answer(2, busy());
    assert_eq!(run.due_in(), Some(seconds(3.0)), "no later than the ready timeout");
    let run = run.deadline();
    assert_eq!(run.effects(), [call(Call::Save, 3)], "no call was under way to be given up");
    assert_eq!(run.shutdown.modules.outcomes(run.now)[0].notes, ["not ready: ready timeout"]);
}

#[test]
fn a_question_that_would_come_at_the_ready_timeout_is_not_asked() {
    let limits = Limits { poll: seconds(10.0), ..Limits::default() };
    let run = begin_with(Purpose::End, &["fim"], limits).answer(1, busy()).deadline();
    assert_eq!(run.effects(), [call(Call::Save, 2)]);
}

#[test]
fn the_controller_has_until_the_ready_timeout_and_its_own_to_answer() {
    let run = begin(Purpose::Replace).after(2.0, Event::DeadlinePassed).answer(1, Answer::Done);
    assert_eq!(run.due_in(), Some(seconds(13.0)));
    let run = run.deadline();
    assert_eq!(run.effects(), [Effect::Resume { module: name() }]);
    let late = "the request for the replacement was not answered in time".to_owned();
    assert_eq!(run.outcome().ending, Ending::CalledOff(late));
    assert_eq!(run.outcome().took, seconds(15.0));
}

#[test]
fn sigterm_has_its_own_time_from_the_controllers_agreement() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    let run = run.after(14.0, Event::ReplacementAccepted);
    assert_eq!(run.due_in(), Some(seconds(5.0)));
    assert_eq!(run.deadline().outcome().took, seconds(19.0));
}

#[test]
fn sigterm_is_awaited_no_longer_than_the_overall_deadline() {
    let limits = Limits { replacement: seconds(60.0), ..Limits::default() };
    let run = begin_with(Purpose::Replace, &["fim"], limits).answer(1, Answer::Done);
    assert_eq!(run.due_in(), Some(seconds(30.0)), "before the controller has answered");
    let run = run.after(1.0, Event::ReplacementAccepted);
    assert_eq!(run.due_in(), Some(seconds(29.0)), "after that");
    let run = run.deadline();
    assert_eq!(run.effects(), [Effect::Resume { module: name() }]);
    assert_eq!(run.outcome().took, seconds(30.0));
}

#[test]
fn the_overall_deadline_ends_the_asking_and_calls_the_restart_off() {
    let limits = Limits { ready: seconds(60.0), ..Limits::default() };
    let run = begin_with(Purpose::Replace, &["fim"], limits);
    assert_eq!(run.due_in(), Some(seconds(30.0)));
    let run = run.deadline();
    assert_eq!(run.effects(), [give_up(1), Effect::RequestReplacement]);
    assert_eq!(run.due_in(), Some(Duration::ZERO), "nothing is left for the controller");
    let run = run.deadline_after(0.0);
    assert_eq!(run.outcome().modules[0].notes, ["not ready: overall deadline"]);
    assert_eq!(run.outcome().took, seconds(30.0));
}

#[test]
fn the_overall_deadline_abandons_a_module_in_every_step() {
    let limits = Limits {
        ready: seconds(60.0),
        poll: seconds(60.0),
        save: seconds(60.0),
        stop: seconds(60.0),
        ..Limits::default()
    };
    let asked = || begin_with(Purpose::End, &["fim"], limits);
    let abandoned = |given_up: Option<u32>| {
        let abandon = Effect::Abandon { module: name() };
        given_up.map(give_up).into_iter().chain([abandon]).collect::<Vec<Effect>>()
    };
    assert_eq!(asked().deadline().effects(), abandoned(Some(1)), "while it is asked");
    assert_eq!(asked().answer(1, busy()).deadline().effects(), abandoned(None), "while it is busy");
    let saving = || asked().answer(1, Answer::Done);
    assert_eq!(saving().deadline().effects(), abandoned(Some(2)), "while it is saved");
    let stopping = saving().answer(2, Answer::Done).deadline();
    assert_eq!(stopping.effects(), abandoned(Some(3)), "while it is stopped");
    assert_eq!(stopping.module().notes, ["abandoned: overall deadline"]);
    assert_eq!(stopping.outcome().ending, Ending::Ended);
}

#[test]
fn a_deadline_touches_only_the_module_that_is_due() {
    let run = begin_with(Purpose::End, &["fim", "sca"], Limits::default());
    let run = run.answer_of("fim", 1, Answer::Done).after(1.0, Event::DeadlinePassed);
    let run = run.answer_of("sca", 1, Answer::Done);
    assert_eq!(run.due_in(), Some(seconds(4.0)), "fim has been saving for a second");
    let run = run.deadline();
    assert_eq!(run.effects(), [give_up(2), call(Call::Stop, 3)], "fim alone");
    assert_eq!(run.due_in(), Some(seconds(1.0)), "sca");
    let run = run.answer_of("sca", 2, Answer::Done).answer_of("sca", 3, Answer::Done);
    assert_eq!(run.due_in(), Some(seconds(5.0)), "sca has ended and has no deadline any more");
}

#[test]
fn modules_that_are_due_together_are_served_together() {
    let run = begin_with(Purpose::End, &["fim", "sca"], Limits::default()).deadline();
    let gives_up = run.effects().iter().filter(|e| matches!(e, Effect::GiveUp { .. })).count();
    let saves = run.effects().iter().filter(|e| matches!(e, Effect::Call { .. })).count();
    assert_eq!((gives_up, saves), (2, 2));
}
