//! What the outcome says: times that add up, late answers counted, and every step told.

use super::*;

/// Ready, waited, saved, stopped and the whole, in milliseconds.
fn times(run: &Run) -> [Option<u64>; 5] {
    let of = run.module();
    [of.ready_ms, of.waited_ms, of.save_ms, of.stop_ms, Some(of.ended_ms)]
}

fn answer_after(run: Run, millis: f64, attempt: u32) -> Run {
    run.after(millis / 1e3, Event::Answered { module: name(), attempt, answer: Answer::Done })
}

#[test]
fn the_times_of_a_restart_add_up() {
    let run = answer_after(begin(Purpose::Replace), 1_000.0, 1).after(0.2, Event::Terminated);
    let run = answer_after(answer_after(run, 30.0, 2), 4.0, 3);
    assert_eq!(times(&run), [Some(1_000), Some(200), Some(30), Some(4), Some(1_234)]);
    assert_eq!(run.outcome().took, Duration::from_millis(1_234));
}

#[test]
fn parts_of_milliseconds_are_not_lost_in_the_sum() {
    let run = answer_after(begin(Purpose::End), 0.6, 1);
    let run = answer_after(answer_after(run, 0.6, 2), 0.6, 3);
    assert_eq!(times(&run), [Some(0), Some(0), Some(1), Some(0), Some(1)]);
}

#[test]
fn both_calls_of_stop_are_in_its_time() {
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    let run = answer_after(run.deadline_after(5.0), 700.0, 4);
    assert_eq!(times(&run), [Some(0), Some(0), Some(0), Some(5_700), Some(5_700)]);
}

#[test]
fn what_was_never_reached_has_no_time() {
    let asked = begin(Purpose::End).after(1.0, Event::Forced);
    assert_eq!(times(&asked), [Some(1_000), None, None, None, Some(1_000)]);
    let saving = answer_after(begin(Purpose::End), 1_000.0, 1).after(1.0, Event::Forced);
    assert_eq!(times(&saving), [Some(1_000), Some(0), Some(1_000), None, Some(2_000)]);
    let run = answer_after(begin(Purpose::Replace), 1_000.0, 1);
    let called_off = run.after(1.0, Event::ReplacementRefused("masked".to_owned()));
    assert_eq!(times(&called_off), [Some(1_000), Some(1_000), None, None, Some(2_000)]);
}

#[test]
fn a_module_that_ended_early_keeps_its_time() {
    let run = begin_with(Purpose::End, &["fim", "sca"], Limits::default());
    let run = answer_after(answer_after(answer_after(run, 10.0, 1), 10.0, 2), 10.0, 3);
    let run = run.after(5.0, Event::Forced);
    assert_eq!(times(&run), [Some(10), Some(0), Some(10), Some(10), Some(30)]);
    assert_eq!(run.outcome().modules[1].ended_ms, 5_030);
}

#[test]
fn a_name_that_comes_again_counts_once() {
    let run = begin_with(Purpose::End, &["fim", "sca", "fim"], Limits::default());
    assert_eq!(run.effects().len(), 2);
    let run = run.after(0.0, Event::Forced);
    let names: Vec<_> = run.outcome().modules.iter().map(|of| of.name.as_str()).collect();
    assert_eq!(names, ["fim", "sca"]);
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done).answer(1, Answer::Done);
    assert_eq!(run.effects(), []);
    let run = run.after(0.0, Event::Terminated).answer(2, Answer::Done).answer(2, Answer::Done);
    assert_eq!(run.effects(), []);
    let run = run.answer(3, Answer::Done);
    assert_eq!((run.outcome().late_answers, run.module().late_answers), (2, 2));
}

#[test]
fn answers_in_no_call_are_counted_in_every_step() {
    let two = begin_with(Purpose::End, &["fim", "sca"], Limits::default());
    let busy = || Answer::Busy("hashing".to_owned());
    let run = two.answer(0, Answer::Done).answer(2, Answer::Done).answer(1, busy());
    assert_eq!(run.effects(), [], "it is asked again later");
    let run = run.answer(1, Answer::Done);
    assert_eq!(run.effects(), [], "it was busy, and is not ready because it is repeated");
    let run = run.deadline_after(0.1).answer(2, Answer::Done);
    let run = run.answer(3, Answer::Done).answer(4, Answer::Done).answer(4, Answer::Done);
    assert_eq!(run.effects(), [], "it has stopped");
    let run = run.after(0.0, Event::Forced);
    let counts: Vec<_> = run.outcome().modules.iter().map(|of| of.late_answers).collect();
    assert_eq!((run.outcome().late_answers, counts), (4, vec![4, 0]));
}

#[test]
fn an_answer_of_a_call_that_was_given_up_does_not_end_the_next_one() {
    let run = begin(Purpose::End).answer(1, Answer::Done).answer(2, Answer::Done);
    let run = run.deadline_after(5.0).answer(3, Answer::Failed("too late".to_owned()));
    assert_eq!(run.effects(), [], "the second stop is still under way");
    let run = run.answer(4, Answer::Done);
    assert_eq!(run.module().notes, ["stop timeout"]);
}

#[test]
fn late_answers_are_reported_of_the_module_and_of_strangers() {
    let run = begin(Purpose::End).answer(7, Answer::Done);
    let late = "answer to call 7 of fim is ignored: nobody waits for it";
    assert_eq!(run.reports(), [format!("late fim: {late}")]);
    let run = run.answer_of("stranger", 1, Answer::Done);
    let late = "answer to call 1 of stranger is ignored: nobody waits for it";
    assert_eq!(run.reports(), [format!("late all: {late}")]);
}

#[test]
fn a_reason_to_be_busy_is_reported_once_and_a_new_one_again() {
    let busy = |reason: &str| Answer::Busy(reason.to_owned());
    let run = begin(Purpose::End).answer(1, busy("hashing"));
    assert_eq!(run.reports(), ["drain fim: busy: hashing"]);
    let run = run.deadline_after(0.1).answer(2, busy("hashing"));
    assert_eq!(run.reports(), [""; 0]);
    let run = run.deadline_after(0.1).answer(3, busy("uploading"));
    assert_eq!(run.reports(), ["drain fim: busy: uploading"]);
}

#[test]
fn every_step_of_a_restart_is_reported() {
    let run = begin(Purpose::Replace).answer(1, Answer::Done);
    assert_eq!(run.reports().len(), 2);
    assert_eq!(run.reports()[0], "drain fim: ready");
    assert!(run.reports()[1].starts_with("hand_over all: "));
    let run = run.after(0.0, Event::Terminated);
    assert_eq!(run.reports(), ["close all: the modules are closed"]);
    let run = run.answer(2, Answer::Done);
    assert_eq!(run.reports(), ["save fim: state saved"]);
    assert_eq!(run.answer(3, Answer::Done).reports(), ["stop fim: stopped"]);
}

#[test]
fn every_mishap_is_reported_as_it_is_noted() {
    let run = begin(Purpose::End).deadline_after(10.0);
    assert_eq!(run.reports(), ["drain fim: not ready: ready timeout"]);
    let run = run.deadline_after(5.0);
    assert_eq!(run.reports(), ["save fim: save timeout"]);
    let run = run.deadline_after(5.0);
    assert_eq!(run.reports(), ["stop fim: stop timeout"]);
    let run = run.deadline_after(5.0);
    assert_eq!(run.reports(), ["stop fim: stop timeout", "stop fim: abandoned: it did not stop"]);
    let notes = run.module().notes.join(", ");
    let all = "not ready: ready timeout, save timeout, stop timeout, stop timeout, abandoned: it did not stop";
    assert_eq!(notes, all);
}
