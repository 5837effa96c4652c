//! A run told to somebody who has never seen the code.

use std::fmt::Write;

use restart::{Ending, ModuleEnd, ModuleOutcome, Progress};

use super::plan::{Plan, REFUSAL, seconds};
use super::record::{How, Method, Record, What};

/// The plan, what happened, and the outcome, each line with its second.
pub fn tell(title: &str, plan: &Plan, record: &Record) -> String {
    let mut text = format!("{title}\n\n{plan}\n");
    for entry in &record.entries {
        writeln!(text, "{:>9}  {}", seconds(entry.at), line(plan, &entry.what)).unwrap();
    }
    text.push_str(&outcome(record));
    text
}

fn line(plan: &Plan, what: &What) -> String {
    let name = |module: &usize| plan.modules[*module].name.as_str();
    match what {
        What::Called(module, Method::Ready) => format!("{} is asked: ready?", name(module)),
        What::Called(module, Method::Save) => format!("{} is told to save its state", name(module)),
        What::Called(module, Method::Keep) => {
            format!("the state of {} is being written", name(module))
        }
        What::Called(module, Method::Stop) => format!("{} is told to stop", name(module)),
        What::Called(module, Method::Resume) => format!("{} is told to resume", name(module)),
        What::Ended(module, method, how) => ended(name(module), *method, *how),
        What::Released(module) => format!("the agent lets go of {}", name(module)),
        What::Abandoned(module) => format!("the agent aborts what {} still runs", name(module)),
        What::Published(module, true) => format!("{} publishes an event", name(module)),
        What::Published(module, false) => format!("{} publishes an event: refused", name(module)),
        What::Requested => "the controller is asked to replace the process".to_owned(),
        What::Controller(How::Done) => "the controller accepts: SIGTERM will come".to_owned(),
        What::Controller(How::Otherwise) => {
            "the controller agrees and waits for nothing".to_owned()
        }
        What::Controller(How::Failed) => format!("the controller refuses: {REFUSAL}"),
        What::Controller(How::Panicked) => "the controller panics".to_owned(),
        What::Controller(How::Dropped) => "the question to the controller is given up".to_owned(),
        What::Sent(request) => plan.in_words(*request),
        What::Reported(Progress { stage, module, text, .. }) => {
            let module = module.as_ref().map_or("all", |name| name.as_str());
            format!("    [{stage}] {module}: {text}")
        }
        What::Over => "the loop is over".to_owned(),
    }
}

fn ended(name: &str, method: Method, how: How) -> String {
    let (good, doing) = match method {
        Method::Ready => ("answers: ready", "asking"),
        Method::Save => ("hands out its state", "saving"),
        Method::Keep => ("has its state on disk", "writing the state of"),
        Method::Stop => ("says that it has stopped", "stopping"),
        Method::Resume => ("has resumed", "resuming"),
    };
    match how {
        How::Done => format!("{name} {good}"),
        How::Otherwise => format!("{name} answers: busy"),
        How::Failed => format!("{doing} {name} fails"),
        How::Panicked => format!("{doing} {name} ends in a panic"),
        How::Dropped => format!("{doing} {name} is given up"),
    }
}

fn outcome(record: &Record) -> String {
    let outcome = &record.outcome;
    let ending = match &outcome.ending {
        Ending::Ended => "ended as ordered".to_owned(),
        Ending::StoppedInstead => "stopped instead, by order of an operator".to_owned(),
        Ending::CalledOff(reason) => format!("called off: {reason}"),
    };
    let took = u64::try_from(outcome.took.as_millis()).unwrap();
    let mut text = format!("\noutcome: {ending}; it took {}\n", seconds(took));
    if let Some(reason) = &outcome.replacement_lost {
        writeln!(text, "nobody will start the successor: {reason}").unwrap();
    }
    if outcome.late_answers > 0 {
        writeln!(text, "late answers: {}", outcome.late_answers).unwrap();
    }
    for module in &outcome.modules {
        module_line(&mut text, module);
    }
    text
}

fn module_line(text: &mut String, module: &ModuleOutcome) {
    let end = match module.ended {
        ModuleEnd::Running => "runs on",
        ModuleEnd::Stopped => "stopped",
        ModuleEnd::Abandoned => "abandoned",
    };
    let parts = [
        ("ready", module.ready_ms),
        ("waited", module.waited_ms),
        ("saved", module.save_ms),
        ("stopped", module.stop_ms),
    ];
    let parts = parts
        .iter()
        .filter_map(|(what, millis)| millis.map(|millis| format!("{what} {}", seconds(millis))));
    let parts = parts.collect::<Vec<String>>().join(" + ");
    writeln!(text, "  {} {end}: {parts} = {}", module.name, seconds(module.ended_ms)).unwrap();
    if module.late_answers > 0 {
        writeln!(text, "    late answers: {}", module.late_answers).unwrap();
    }
    for note in &module.notes {
        writeln!(text, "    note: {note}").unwrap();
    }
}
