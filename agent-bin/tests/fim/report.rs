//! What a replay found, for people: the counts, and the first problems with the last operations and events of their paths.

use std::fmt::Write as _;

use crate::event::Reported;
use crate::mutator::{Done, Mutator};
use crate::replay::{Fault, Outcome};

/// Problems that are shown with all that is known of them.
const SHOWN: usize = 4;
/// The last events and operations of one path that are shown.
const LAST: usize = 8;
/// As many operations are a story that is told as a whole.
const SHORT: usize = 40;
/// Characters of a long text that are shown.
const WIDTH: usize = 700;

/// One line: what was done, and what was made of it.
pub(crate) fn summary(mutator: &Mutator, reported: &Reported, outcome: &Outcome) -> String {
    format!(
        "seed {}: {} operations, {} short-lived; {} events, {} missed, {} invented, {} wrong, {} repeated, {} gaps {:?} {:?}",
        mutator.seed(),
        mutator.history().len(),
        mutator.short_lived().len(),
        outcome.events,
        outcome.count(Fault::Missed),
        outcome.count(Fault::Invented),
        outcome.count(Fault::Wrong),
        outcome.repeats,
        reported.gaps(),
        reported.detected,
        reported.states,
    )
}

/// The summary, and the first problems.
pub(crate) fn report(mutator: &Mutator, reported: &Reported, outcome: &Outcome) -> String {
    let mut text = summary(mutator, reported, outcome);
    for problem in outcome.problems.iter().take(SHOWN) {
        let path = &problem.path;
        let what = cut(&problem.what);
        _ = write!(text, "\n\n{:?}: {}: {what}", problem.fault, cut(&format!("{path:?}")));
        let done = mutator.history().iter().filter(|done| done.is_about(path));
        for done in last(done.collect()) {
            _ = write!(text, "\n  done: {}", told(done));
        }
        let events = reported.events.iter().filter(|event| event.is_about(path));
        for event in last(events.collect()) {
            _ = write!(text, "\n  event: {}", cut(&event.line));
        }
    }
    if mutator.history().len() <= SHORT {
        text.extend(mutator.history().iter().map(|done| format!("\n{}", told(done))));
    }
    if outcome.problems.len() > SHOWN {
        _ = write!(text, "\n\n… and {} more", outcome.problems.len() - SHOWN);
    }
    text
}

fn told(done: &Done) -> String {
    let Done { number, operation, path, other, at } = done;
    let other = other.as_ref().map_or_else(String::new, |other| cut(&format!("{other:?}")));
    format!(
        "{number} at {} ms: {operation:?} {} {other}",
        at.as_millis(),
        cut(&format!("{path:?}"))
    )
}

fn last<T>(mut all: Vec<T>) -> Vec<T> {
    all.split_off(all.len().saturating_sub(LAST))
}

fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let cut: String = characters.by_ref().take(WIDTH).collect();
    if characters.next().is_some() { cut + "…" } else { cut }
}
