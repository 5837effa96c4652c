//! What each word of controller, operator and module does in each phase.

use super::*;

fn refused(reason: &str) -> Event {
    Event::ReplacementRefused(reason.to_owned())
}

/// One module, drained; the controller is asked.
fn awaiting() -> Run {
    begin(Purpose::Replace).answer(1, Answer::Done)
}

/// One module that is saved; SIGTERM came from the controller.
fn closing() -> Run {
    awaiting().after(0.0, Event::ReplacementAccepted).after(0.0, Event::Terminated)
}

/// Lets the module, whose save is its second call, end well.
fn ended(run: Run) -> Ending {
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    run.outcome().ending.clone()
}

#[test]
fn words_of_a_controller_that_was_not_asked_change_nothing() {
    for word in [Event::ReplacementAccepted, Event::ReplacementUnconditional, refused("early")] {
        let run = begin(Purpose::Replace).after(0.0, word.clone());
        assert_eq!(run.effects, [], "{word:?}");
        let run = run.answer(1, Answer::Done);
        assert_eq!(run.effects(), [Effect::RequestReplacement], "{word:?}");
        let run = run.after(0.0, Event::Terminated);
        assert_eq!(run.shutdown.replacement_lost, None);
        assert_eq!(ended(run), Ending::Ended, "{word:?}");
    }
}

#[test]
fn an_agreement_while_closing_changes_nothing() {
    let run = awaiting().after(0.0, Event::Terminated).after(0.0, Event::ReplacementAccepted);
    assert_eq!(run.effects, []);
    assert_eq!(ended(run), Ending::Ended);
}

#[test]
fn a_second_sigterm_while_closing_changes_nothing() {
    let run = closing().after(0.0, Event::Terminated);
    assert_eq!(run.effects, []);
    assert_eq!(ended(run), Ending::Ended);
}

#[test]
fn a_sigterm_before_an_unconditional_agreement_was_an_operators() {
    let run = awaiting().after(0.0, Event::Terminated).after(0.0, Event::ReplacementUnconditional);
    assert_eq!(run.effects, []);
    assert_eq!(ended(run), Ending::StoppedInstead);
}

#[test]
fn an_unconditional_agreement_after_a_stop_makes_a_later_sigterm_no_worse() {
    let run = awaiting().after(0.0, Event::StopRequested);
    let run = run.after(0.0, Event::ReplacementUnconditional).after(0.0, Event::Terminated);
    assert_eq!(ended(run), Ending::StoppedInstead);
}

#[test]
fn an_operators_stop_while_the_controller_is_asked_opens_the_gate() {
    let run = awaiting().after(0.0, Event::StopRequested);
    assert_eq!(run.effects(), [call(Call::Save, 2)]);
    assert_eq!(ended(run), Ending::StoppedInstead);
}

#[test]
fn an_operators_stop_ends_the_restart_of_modules_as_stopped() {
    let run = begin(Purpose::End).after(0.0, Event::StopRequested);
    assert_eq!(run.effects(), []);
    assert_eq!(ended(run.answer(1, Answer::Done)), Ending::StoppedInstead);
}

#[test]
fn sigterm_changes_nothing_where_no_process_is_replaced() {
    let run = begin(Purpose::End).after(0.0, Event::Terminated).answer(1, Answer::Done);
    assert_eq!(ended(run), Ending::Ended);
}

#[test]
fn a_loss_while_closing_after_a_stop_is_told_too() {
    let run = awaiting().after(0.0, Event::StopRequested).after(0.0, refused("masked"));
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.outcome().replacement_lost.as_deref(), Some("masked"));
}

#[test]
fn force_while_draining_gives_up_who_is_asked_and_who_is_busy() {
    let run = begin_with(Purpose::Replace, &["fim", "sca", "usb"], Limits::default());
    let run = run.answer_of("sca", 1, Answer::Busy("scanning".to_owned()));
    let run = run.answer_of("usb", 1, Answer::Done).after(1.0, Event::Forced);
    assert_eq!(run.effects(), [give_up(1), Effect::RequestReplacement]);
    let run = run.after(0.0, refused("masked"));
    let notes: Vec<_> = run.outcome().modules.iter().map(|module| module.notes.clone()).collect();
    assert_eq!(notes, [vec!["not ready: forced"], vec!["not ready: forced"], vec![]]);
}

#[test]
fn force_while_the_controller_is_asked_changes_nothing() {
    let run = awaiting().after(0.0, Event::Forced);
    assert_eq!(run.effects, []);
    assert_eq!(run.shutdown.next_deadline(), Some(run.now + seconds(15.0)));
}

#[test]
fn force_while_closing_abandons_a_module_in_every_step() {
    let abandoned = || Effect::Abandon { module: name() };
    let asked = begin(Purpose::End).after(1.0, Event::Forced);
    assert_eq!(asked.effects(), [give_up(1), abandoned()]);
    let busy = begin(Purpose::End).answer(1, Answer::Busy("hashing".to_owned()));
    let busy = busy.after(0.0, Event::Forced);
    assert_eq!(busy.effects(), [abandoned()], "no call is under way");
    let saving = begin(Purpose::End).answer(1, Answer::Done);
    let saving = saving.after(0.0, Event::Forced);
    assert_eq!(saving.effects(), [give_up(2), abandoned()]);
    let stopping = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    let stopping = stopping.after(0.0, Event::Forced);
    assert_eq!(stopping.effects(), [give_up(3), abandoned()]);
    assert_eq!(stopping.module().notes, ["abandoned: forced"]);
}

#[test]
fn force_leaves_alone_who_has_stopped() {
    let run = begin_with(Purpose::End, &["fim", "sca"], Limits::default());
    let run = run.answer(1, Answer::Done).answer(2, Answer::Done).answer(3, Answer::Done);
    let run = run.after(0.0, Event::Forced);
    assert_eq!(run.module().ended, ModuleEnd::Stopped);
    assert_eq!(run.module().notes, [""; 0]);
    assert_eq!(run.outcome().modules[1].ended, ModuleEnd::Abandoned);
}

#[test]
fn a_stopped_module_is_released_and_an_abandoned_one_is_not() {
    let released = |run: &Run| run.effects.contains(&Effect::Release { module: name() });
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    assert!(!released(&run));
    assert!(released(&run.answer(3, Answer::Done)));
    let run = begin(Purpose::End).after(0.0, Event::Forced);
    assert!(!released(&run));
}

#[test]
fn all_modules_are_drained_before_the_controller_is_asked_and_all_are_ended_before_the_end() {
    let run = begin_with(Purpose::Replace, &["fim", "sca"], Limits::default());
    let run = run.answer(1, Answer::Done);
    assert_eq!(run.effects(), [], "sca is not ready");
    let run = run.answer_of("sca", 1, Answer::Done);
    assert_eq!(run.effects(), [Effect::RequestReplacement]);
    let run = run.after(0.0, Event::Terminated);
    assert_eq!(run.effects().len(), 2, "both are saved");
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert!(run.shutdown.outcome().is_none(), "sca has not ended");
    let run = run.answer_of("sca", 2, Answer::Done).answer_of("sca", 3, Answer::Done);
    assert_eq!(run.outcome().ending, Ending::Ended);
}

#[test]
fn a_refusal_resumes_every_module_in_order() {
    let run = begin_with(Purpose::Replace, &["fim", "sca"], Limits::default());
    let run = run.answer_of("sca", 1, Answer::Done).answer_of("fim", 1, Answer::Done);
    let run = run.after(0.0, refused("masked"));
    let resume = |who| Effect::Resume { module: named(who) };
    assert_eq!(run.effects(), [resume("fim"), resume("sca")]);
}

#[test]
fn busy_is_good_enough_an_answer_to_save_and_stop() {
    let busy = || Answer::Busy("hashing".to_owned());
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, busy());
    assert_eq!(run.effects(), [call(Call::Stop, 3)]);
    let run = run.answer(3, busy());
    assert_eq!(run.module().ended, ModuleEnd::Stopped);
    assert!(run.outcome().is_clean());
}

#[test]
fn a_module_that_fails_to_answer_whether_it_is_ready_counts_as_ready() {
    let run = begin(Purpose::End).answer(1, Answer::Failed("panicked: boom".to_owned()));
    assert_eq!(run.effects(), [call(Call::Save, 2)]);
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert_eq!(run.module().notes, ["ready_for_shutdown failed: panicked: boom"]);
    assert!(!run.outcome().is_clean());
}

#[test]
fn a_stop_that_fails_is_tried_once_more_and_then_the_module_is_abandoned() {
    let failed = || Answer::Failed("a thread runs".to_owned());
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    let run = run.answer(3, failed());
    assert_eq!(run.effects(), [call(Call::Stop, 4)], "there is no call to give up");
    let run = run.answer(4, failed());
    assert_eq!(run.effects(), [Effect::Abandon { module: name() }]);
    let failed = "stop failed: a thread runs";
    assert_eq!(run.module().notes, [failed, failed, "abandoned: it did not stop"]);
}

#[test]
fn a_second_stop_that_works_is_the_end() {
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    let run = run.answer(3, Answer::Failed("a thread runs".to_owned())).answer(4, Answer::Done);
    assert_eq!(run.module().ended, ModuleEnd::Stopped);
    assert_eq!(run.module().notes, ["stop failed: a thread runs"]);
}

#[test]
fn the_point_of_no_return_is_the_gate() {
    let run = begin(Purpose::Replace);
    assert!(!run.shutdown.is_closing(), "draining");
    let run = run.answer(1, Answer::Done);
    assert!(!run.shutdown.is_closing(), "awaiting");
    assert!(!awaiting().after(0.0, refused("masked")).shutdown.is_closing(), "called off");
    let run = run.after(0.0, Event::Terminated);
    assert!(run.shutdown.is_closing(), "closing");
    let run = run.answer(2, Answer::Done).answer(3, Answer::Done);
    assert!(run.shutdown.is_closing(), "over");
    assert!(begin(Purpose::End).shutdown.is_closing(), "nothing calls an end off");
}

#[test]
fn a_hurry_ends_the_asking_and_leaves_saving_and_stopping_their_budgets() {
    let run = begin_with(Purpose::End, &["fim", "sca"], Limits::default());
    let run = run.answer_of("sca", 1, Answer::Done).after(1.0, Event::Hurried);
    let save = Effect::Call { module: named("fim"), call: Call::Save, attempt: 2 };
    assert_eq!(run.effects(), [give_up(1), save], "sca is saving and goes on");
    let run = run.after(0.0, Event::Hurried);
    assert_eq!(run.effects(), [], "a second one changes nothing");
    let run = run.answer_of("fim", 2, Answer::Done).answer_of("sca", 2, Answer::Done);
    let run = run.answer_of("fim", 3, Answer::Done).answer_of("sca", 3, Answer::Done);
    assert_eq!(run.outcome().modules[0].notes, ["not ready: forced"]);
    assert_eq!(run.outcome().modules[1].notes, Vec::<String>::new());
}

#[test]
fn a_hurry_while_draining_requests_the_replacement_at_once() {
    let run = begin(Purpose::Replace).after(1.0, Event::Hurried);
    assert_eq!(run.effects(), [give_up(1), Effect::RequestReplacement]);
}
