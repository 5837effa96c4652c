//! Rules about the outcome: it says what really happened, all of it and nothing else.

use std::collections::HashSet;

use restart::{ModuleEnd, ModuleOutcome};

use super::{Finding, hold};
use crate::life::{Call, Life, Seen};
use crate::stage::plan::{Request, Stray, Turn};
use crate::stage::record::{How, Method, What};

use super::budgets::millis;

pub fn states_are_kept(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let name = &life.plan.name;
        let saved = life.of(Method::Save).filter(|call| call.how() == Some(How::Done)).count();
        let given = life.of(Method::Keep).count();
        hold(saved == given, || format!("{name}: saved {saved} times, given on {given} times"))?;
        let Some(outcome) = life.outcome else { continue };
        let doubtful = outcome.notes.iter().any(|note| note.starts_with("save"));
        let stopped = life.of(Method::Stop).next().is_some();
        hold(!stopped || life.kept() != doubtful, || {
            format!("{name}: kept is {}, the notes say {:?}", life.kept(), outcome.notes)
        })?;
    }
    Ok(())
}

pub fn all_are_named(seen: &Seen<'_>) -> Finding {
    let mut known = HashSet::new();
    let names = seen.plan.listed.iter().map(|number| &seen.plan.modules[*number].name);
    let expected: Vec<_> = names.filter(|name| known.insert(*name)).collect();
    let found: Vec<_> = seen.record.outcome.modules.iter().map(|module| &module.name).collect();
    hold(found == expected, || format!("{found:?} instead of {expected:?}"))
}

pub fn times_are_true(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let Some(of) = life.outcome else { continue };
        let name = &life.plan.name;
        let parts = [of.ready_ms, of.waited_ms, of.save_ms, of.stop_ms];
        let sum: u64 = parts.iter().flatten().sum();
        hold(sum == of.ended_ms, || format!("{name}: {parts:?} is not {} ms", of.ended_ms))?;
        let gapless = parts.is_sorted_by(|first, second| first.is_some() || second.is_none());
        hold(gapless, || format!("{name}: {parts:?} has a gap"))?;
        if life.plan.runs {
            parts_are_true(life, of)?;
        }
        let ended = match of.ended {
            ModuleEnd::Running => Some(seen.over.at),
            ModuleEnd::Stopped => life.released.first().map(|released| released.at),
            ModuleEnd::Abandoned => life.abandoned.first().map(|abandoned| abandoned.at),
        };
        hold(ended == Some(of.ended_ms), || format!("{name}: not ended at {ended:?}"))?;
    }
    Ok(())
}

/// Where a part begins is where the first call of it began.
fn parts_are_true(life: &Life<'_>, of: &ModuleOutcome) -> Finding {
    let name = &life.plan.name;
    let ready = of.ready_ms.unwrap_or_default();
    if let (Some(How::Done | How::Panicked), Some(asked)) =
        (life.last_answer(), life.of(Method::Ready).next_back())
    {
        let answered = asked.end.map(|(end, _)| end.at);
        hold(answered == Some(ready), || format!("{name}: ready at {ready} ms, not {answered:?}"))?;
    }
    let saving = ready + of.waited_ms.unwrap_or_default();
    let stopping = saving + of.save_ms.unwrap_or_default();
    for (method, began) in [(Method::Save, saving), (Method::Stop, stopping)] {
        let called = life.of(method).next().map(|call| call.from.at);
        hold(called.is_none_or(|called| called == began), || {
            format!("{name}: {method:?} at {called:?}, the outcome says {began} ms")
        })?;
    }
    Ok(())
}

pub fn notes_are_true(seen: &Seen<'_>) -> Finding {
    for life in seen.lives.iter().filter(|life| life.plan.runs) {
        let Some(outcome) = life.outcome else { continue };
        let expected = expected_notes(seen, life, outcome, false);
        // A call whose time is up at the moment that cuts it short may have a note for that, or not.
        let tie = outcome.notes == expected_notes(seen, life, outcome, true);
        hold(tie || outcome.notes == expected, || {
            format!("{}: {:?} instead of {expected:?}", life.plan.name, outcome.notes)
        })?;
    }
    Ok(())
}

/// What the calls tell. Only why something was cut short is taken from the outcome, and only if there was a cause.
fn expected_notes(
    seen: &Seen<'_>,
    life: &Life<'_>,
    outcome: &ModuleOutcome,
    tie: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    let cut = outcome.notes.last().filter(|note| {
        let at = outcome.ended_ms;
        let forced = seen.sent(Request::Force).any(|force| force.at == at);
        (*note == "abandoned: forced" && forced)
            || (*note == "abandoned: overall deadline" && seen.is_overall(at))
    });
    // The call that was under way when the module was cut short has no note of its own, unless its time was up as well.
    let has_note = |call: &Call| {
        let cut_short =
            cut.is_some() && call.end.is_some_and(|(end, _)| end.at == outcome.ended_ms);
        let save = life.of(Method::Save).next().map(|save| save.from.at);
        let (since, budget) = match call.method {
            Method::Stop => (Some(call.from.at), seen.plan.limits.stop),
            Method::Ready | Method::Save | Method::Keep | Method::Resume => {
                (save, seen.plan.limits.save)
            }
        };
        let due = since.map(|since| since + millis(budget));
        call.how() != Some(How::Dropped) || !cut_short || (tie && due == Some(outcome.ended_ms))
    };
    match life.last_answer() {
        Some(How::Done) => {}
        Some(How::Panicked) => {
            notes.push(failed("ready_for_shutdown", &panic("ready_for_shutdown")))
        }
        None | Some(How::Otherwise | How::Failed | How::Dropped) => {
            let ready = outcome.ready_ms.unwrap_or_default();
            notes.extend(outcome.waited_ms.map(|_| why_not_ready(seen, outcome, ready)));
        }
    }
    for call in life.calls.iter().filter(|call| has_note(call)) {
        notes.extend(note_of(life, call));
    }
    if outcome.ended == ModuleEnd::Abandoned {
        let twice = life.of(Method::Stop).count() == 2;
        let own = twice.then(|| "abandoned: it did not stop".to_owned());
        notes.extend(cut.cloned().or(own));
    }
    notes
}

/// What there is to note about a save or a stop.
fn note_of(life: &Life<'_>, call: &Call) -> Option<String> {
    let (method, name) = match call.method {
        Method::Ready | Method::Resume => return None,
        Method::Save => ("save_state", "save"),
        Method::Keep => ("keep_state", "save"),
        Method::Stop => ("stop", "stop"),
    };
    // Writing the state is a part of saving it.
    let noted = if call.method == Method::Keep { "save_state" } else { method };
    match call.how()? {
        How::Done | How::Otherwise => None,
        How::Failed if call.method == Method::Keep => {
            Some(failed(noted, &format!("cannot write {}/state: disk full", life.plan.name)))
        }
        How::Failed => Some(failed(noted, &format!("{method} fails as scripted"))),
        How::Panicked => Some(failed(noted, &panic(method))),
        How::Dropped => Some(format!("{name} timeout")),
    }
}

fn why_not_ready(seen: &Seen<'_>, outcome: &ModuleOutcome, ready: u64) -> String {
    let known = outcome.notes.first().map_or("", String::as_str);
    let forced = seen.sent(Request::Force).any(|force| force.at == ready);
    match known {
        "not ready: forced" if forced => known.to_owned(),
        "not ready: overall deadline" if seen.is_overall(ready) => known.to_owned(),
        _ if ready == millis(seen.plan.limits.ready) => "not ready: ready timeout".to_owned(),
        _ => format!("something that made it give up at {ready} ms"),
    }
}

fn panic(method: &str) -> String {
    format!("panicked: {method} panics as scripted")
}

fn failed(method: &str, reason: &str) -> String {
    format!("{method} failed: {reason}")
}

pub fn the_willing_are_clean(seen: &Seen<'_>) -> Finding {
    let willing = |turns: &[Turn]| turns.iter().all(|turn| *turn == Turn::OK);
    for life in &seen.lives {
        let plan = life.plan;
        let all = [&plan.ready, &plan.save, &plan.keep, &plan.stop];
        let Some(outcome) = life.outcome.filter(|_| all.iter().all(|turns| willing(turns))) else {
            continue;
        };
        let cut = |note: &String| note.ends_with("forced") || note.ends_with("overall deadline");
        let hurried = outcome.ready_ms.is_none_or(|ready| ready == millis(seen.plan.limits.ready));
        hold(hurried || outcome.notes.iter().all(cut), || {
            format!("{}: {:?}", plan.name, outcome.notes)
        })?;
    }
    Ok(())
}

pub fn late_answers_are_counted(seen: &Seen<'_>) -> Finding {
    let outcome = &seen.record.outcome;
    let sent = |until: bool, of: Option<usize>| {
        let counts = |stray: &Stray| of.is_none_or(|number| *stray == Stray::Of(number));
        let strays = seen.sent.iter().filter(|(moment, request)| {
            // Those of the last moment may have come too late even to be counted.
            (if until { moment.at < seen.over.at } else { *moment < seen.over })
                && matches!(request, Request::Stray(stray) if counts(stray))
        });
        u32::try_from(strays.count()).unwrap()
    };
    let right = |count: u32, of| sent(true, of) <= count && count <= sent(false, of);
    hold(right(outcome.late_answers, None), || format!("{} in all", outcome.late_answers))?;
    for life in &seen.lives {
        let count = life.outcome.map_or(0, |outcome| outcome.late_answers);
        hold(right(count, Some(life.number)), || format!("{}: {count}", life.plan.name))?;
    }
    Ok(())
}

pub fn reports_are_true(seen: &Seen<'_>) -> Finding {
    let reports: Vec<_> = seen
        .record
        .entries
        .iter()
        .filter_map(|entry| {
            let What::Reported(progress) = &entry.what else { return None };
            Some((entry.at, progress))
        })
        .collect();
    let count = |stage: &str| {
        reports
            .iter()
            .filter(|(_, report)| report.stage == stage && report.module.is_none())
            .count()
    };
    // What ends the loop at the same moment takes the request back.
    let at_the_end = seen.requested.is_empty()
        && reports.iter().all(|(at, report)| report.stage != "hand_over" || *at == seen.over.at);
    let requested = count("hand_over") == seen.requested.len() || at_the_end;
    hold(requested, || "not requested as reported".to_owned())?;
    let closes = seen.plan.purpose == restart::Purpose::Replace && !seen.called_off();
    hold(count("close") == usize::from(closes), || format!("closed {} times", count("close")))?;
    for life in seen.lives.iter().filter(|life| life.plan.runs) {
        let at = |stage: &str, text: &str| {
            let mine = reports.iter().filter(|(_, report)| {
                report.module.as_ref() == Some(&life.plan.name)
                    && report.stage == stage
                    && report.text == text
            });
            mine.map(|(at, _)| *at).collect::<Vec<_>>()
        };
        let stopped: Vec<u64> = life.stopped().iter().map(|moment| moment.at).collect();
        hold(at("stop", "stopped") == stopped, || {
            format!("{}: not stopped at {stopped:?}", life.plan.name)
        })?;
        let kept: Vec<u64> =
            life.saved().filter(|_| life.kept()).iter().map(|moment| moment.at).collect();
        hold(at("save", "state saved") == kept, || {
            format!("{}: not saved at {kept:?}", life.plan.name)
        })?;
    }
    Ok(())
}
