//! Tests that the rules can fail: each one finds a record that was doctored to break it.

use std::time::Duration;

use restart::{Ending, Purpose};

use crate::rules::{RULES, broken};
use crate::stage::actor::play;
use crate::stage::plan::{Kind, LOSS, ModulePlan, Plan, Request, Stray, Turn, Word};
use crate::stage::record::{Entry, How, Method, Record, What};

/// fim takes its time: it is ready at 1100 ms, saves until 1360 ms and stops until 1660 ms. sca is quick. The controller
/// is asked at 1100 ms and sends SIGTERM at 1160 ms.
fn plan() -> Plan {
    let mut fim = ModulePlan::willing("fim");
    fim.ready = vec![Turn::after(1_000, Kind::Busy), Turn::OK];
    fim.save = vec![Turn::after(200, Kind::Ok)];
    fim.stop = vec![Turn::after(300, Kind::Ok)];
    let mut plan = Plan::new(Purpose::Replace, vec![fim, ModulePlan::willing("sca")]);
    plan.controller.after = 50;
    plan.controller.sigterm = Some(60);
    plan
}

fn refused() -> Plan {
    let mut plan = plan();
    plan.controller.answer = Word::Refuses;
    plan.controller.sigterm = None;
    plan
}

fn hung() -> Plan {
    let mut plan = plan();
    plan.modules[1].stop = vec![Turn::HANG];
    plan
}

/// Two entries that are one call, from its first millisecond to its last.
fn insert_call(record: &mut Record, place: usize, module: usize, method: Method) {
    let at = record.entries[place].at;
    let called = Entry { at, what: What::Called(module, method) };
    let ended = Entry { at, what: What::Ended(module, method, How::Done) };
    record.entries.splice(place..place, [called, ended]);
}

fn insert(record: &mut Record, at: u64, what: What) {
    let place = record.entries.partition_point(|entry| entry.at < at);
    record.entries.insert(place, Entry { at, what });
}

fn place(record: &Record, what: &What) -> usize {
    record.entries.iter().position(|entry| entry.what == *what).unwrap()
}

fn remove(record: &mut Record, what: &What) {
    let place = place(record, what);
    record.entries.remove(place);
}

fn twice(record: &mut Record, what: &What) {
    let place = place(record, what);
    record.entries.insert(place, record.entries[place].clone());
}

const DONE: fn(usize, Method) -> What = |module, method| What::Ended(module, method, How::Done);

type Doctor = fn(&mut Plan, &mut Record);

/// The name of the rule to break, the run, and how it is doctored.
type Case = (&'static str, fn() -> Plan, Doctor);

/// Rules about time and order.
const COURSE: [(&str, Doctor); 25] = [
    ("it ends by time alone, no later than the overall deadline", |plan, _| {
        plan.limits.overall = Duration::from_millis(1_659);
    }),
    ("it ends by time alone, no later than the overall deadline", |_, record| {
        record.outcome.took += Duration::from_millis(1);
    }),
    ("a call ends within its budget, and is given up at no other time", |plan, _| {
        plan.limits.save = Duration::from_millis(199);
    }),
    ("a call ends within its budget, and is given up at no other time", |_, record| {
        let place = place(record, &DONE(0, Method::Stop));
        record.entries[place].what = What::Ended(0, Method::Stop, How::Dropped);
    }),
    ("a call ends within its budget, and is given up at no other time", |_, record| {
        remove(record, &DONE(0, Method::Stop));
    }),
    ("a busy module is asked again after the poll pause", |plan, _| {
        plan.limits.poll = Duration::from_millis(101);
    }),
    ("nobody waits for anybody longer than needed", |_, record| {
        let place = place(record, &What::Called(0, Method::Stop));
        record.entries[place].at += 1;
    }),
    ("nobody waits for anybody longer than needed", |_, record| {
        let place = place(record, &What::Requested);
        record.entries[place].at += 1;
    }),
    ("a forced request ends all waiting for modules at once", |_, record| {
        insert(record, 1_200, What::Sent(Request::Force));
    }),
    ("a forced request ends all waiting for modules at once", |_, record| {
        insert(record, 500, What::Sent(Request::Force));
    }),
    ("nothing is saved or stopped before the gate is open", |_, record| {
        remove(record, &What::Sent(Request::Sigterm));
    }),
    ("a module is stopped only after its save has ended", |_, record| {
        let kept = place(record, &DONE(0, Method::Keep));
        let stop = place(record, &What::Called(0, Method::Stop));
        let entry = record.entries.remove(kept);
        record.entries.insert(stop, entry);
    }),
    ("a module is stopped only after its save has ended", |_, record| {
        record.entries.retain(|entry| {
            !matches!(
                entry.what,
                What::Called(0, Method::Save | Method::Keep)
                    | What::Ended(0, Method::Save | Method::Keep, _)
            )
        });
    }),
    ("no module is called twice at once", |_, record| {
        let place = place(record, &DONE(0, Method::Stop));
        insert_call(record, place, 0, Method::Stop);
    }),
    ("no question comes after it was answered or given up", |_, record| {
        let place = place(record, &What::Requested);
        insert_call(record, place, 1, Method::Ready);
    }),
    ("a module that has stopped or was abandoned is not called again", |_, record| {
        let place = place(record, &What::Released(1));
        insert_call(record, place + 1, 1, Method::Stop);
    }),
    ("after the outcome nothing happens but resuming", |_, record| {
        record.entries.push(Entry { at: 1_660, what: What::Abandoned(0) });
    }),
    ("after the outcome nothing happens but resuming", |_, record| {
        record.entries.push(Entry { at: 9_000, what: What::Requested });
    }),
    ("all running modules are resumed when called off, and never else", |_, record| {
        let place = place(record, &What::Over);
        insert_call(record, place, 1, Method::Resume);
    }),
    ("the replacement is requested once, when all are ready or given up", |_, record| {
        twice(record, &What::Requested);
    }),
    ("the replacement is requested once, when all are ready or given up", |plan, _| {
        plan.purpose = Purpose::End;
    }),
    ("the replacement is requested once, when all are ready or given up", |_, record| {
        let ready = place(record, &DONE(0, Method::Ready));
        record.entries[ready].what = What::Ended(0, Method::Ready, How::Otherwise);
    }),
    ("a module is released once, when it has stopped", |_, record| {
        twice(record, &What::Released(0));
    }),
    ("a module is released once, when it has stopped", |_, record| {
        remove(record, &What::Released(1));
    }),
    ("a module is abandoned once, when it does not stop", |_, record| {
        insert(record, 1_650, What::Abandoned(0));
    }),
];

/// Rules about the ending and the outcome.
const ACCOUNT: [(&str, Doctor); 21] = [
    ("the operator's stop wins", |_, record| insert(record, 10, What::Sent(Request::Stop))),
    ("the operator's stop wins", |_, record| insert(record, 10, What::Sent(Request::Sigterm))),
    ("the operator's stop wins", |_, record| {
        let place = place(record, &What::Controller(How::Done));
        record.entries[place].what = What::Controller(How::Otherwise);
    }),
    ("the ending has its cause", |_, record| record.outcome.ending = Ending::StoppedInstead),
    ("the ending has its cause", |_, record| {
        record.outcome.ending = Ending::CalledOff("the weather".to_owned());
    }),
    ("a SIGTERM that no answer explained is in the outcome", |_, record| {
        record.outcome.unanswered_sigterm = true;
    }),
    ("a SIGTERM that no answer explained is in the outcome", |_, record| {
        remove(record, &What::Controller(How::Done));
    }),
    ("a refusal calls the restart off at once", |_, record| {
        insert(record, 1_110, What::Sent(Request::Lost));
    }),
    ("a restart is called off for lack of SIGTERM when that is overdue", |_, record| {
        let reason = "the request for the replacement was not answered in time".to_owned();
        record.outcome.ending = Ending::CalledOff(reason);
    }),
    ("a restart is called off for lack of SIGTERM when that is overdue", |plan, record| {
        plan.limits.replacement = Duration::from_millis(5);
        remove(record, &What::Sent(Request::Sigterm));
    }),
    ("a replacement that is lost while closing is in the outcome", |_, record| {
        record.outcome.replacement_lost = Some(LOSS.to_owned());
    }),
    ("a replacement that is lost while closing is in the outcome", |_, record| {
        insert(record, 1_200, What::Sent(Request::Lost));
    }),
    ("a state is kept exactly when it was saved in time", |_, record| {
        let kept = place(record, &DONE(0, Method::Keep));
        record.entries[kept].what = What::Ended(0, Method::Keep, How::Failed);
    }),
    ("the outcome names each module once and in order", |_, record| {
        record.outcome.modules.reverse();
    }),
    ("the times are what really passed, and add up", |_, record| {
        record.outcome.modules[0].ended_ms += 1;
    }),
    ("the times are what really passed, and add up", |_, record| {
        let module = &mut record.outcome.modules[0];
        module.save_ms = module.save_ms.map(|millis| millis - 1);
        module.stop_ms = module.stop_ms.map(|millis| millis + 1);
    }),
    ("the notes say exactly what went wrong", |_, record| {
        record.outcome.modules[0].notes.push("save timeout".to_owned());
    }),
    ("a willing module has no notes unless it was cut short", |_, record| {
        record.outcome.modules[1].notes.push("stop timeout".to_owned());
    }),
    ("late answers are counted and change nothing", |_, record| record.outcome.late_answers = 1),
    ("late answers are counted and change nothing", |_, record| {
        insert(record, 1_200, What::Sent(Request::Stray(Stray::Of(0))));
        record.outcome.late_answers = 1;
    }),
    ("what is reported has happened", |_, record| {
        let reported = |entry: &Entry| matches!(&entry.what, What::Reported(report) if report.text == "stopped");
        record.entries.retain(|entry| !reported(entry));
    }),
];

/// The rules for which the run that was doctored is another one.
const OTHERS: [Case; 4] = [
    ("all running modules are resumed when called off, and never else", refused, |_, record| {
        remove(record, &What::Called(0, Method::Resume));
        remove(record, &DONE(0, Method::Resume));
    }),
    ("a module is abandoned once, when it does not stop", hung, |_, record| {
        remove(record, &What::Abandoned(1));
    }),
    ("the notes say exactly what went wrong", hung, |_, record| {
        record.outcome.modules[1].notes.pop();
    }),
    ("a refusal calls the restart off at once", refused, |_, record| {
        insert(record, 1_120, What::Sent(Request::Sigterm));
    }),
];

#[test]
fn each_rule_finds_what_breaks_it() {
    let usual =
        COURSE.iter().chain(&ACCOUNT).map(|(rule, doctor)| -> Case { (*rule, plan, *doctor) });
    let mut found_by = Vec::new();
    for (number, (rule, plan, doctor)) in usual.chain(OTHERS).enumerate() {
        let mut plan = plan();
        let mut record = play(&plan);
        assert_eq!(broken(&plan, &record), [], "before it was doctored");
        doctor(&mut plan, &mut record);
        let broken = broken(&plan, &record);
        assert!(
            broken.iter().any(|(name, _)| *name == rule),
            "case {number}, made to break {rule:?}, breaks {broken:?}\n{:#?}",
            record.entries
        );
        found_by.push(rule);
    }
    for (rule, _) in RULES {
        assert!(found_by.contains(&rule), "nothing was doctored to break {rule:?}");
    }
}
