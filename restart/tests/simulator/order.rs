//! Rules about order: what must never come before, beside or after what.

use restart::{ModuleEnd, Purpose};

use super::{Finding, hold};
use crate::life::{Call, Life, Seen};
use crate::stage::record::{How, Method, What};

pub fn the_gate_is_kept(seen: &Seen<'_>) -> Finding {
    let open = match seen.plan.purpose {
        Purpose::End => Some(0),
        Purpose::Replace => seen.gate().map(|gate| gate.place),
    };
    for life in &seen.lives {
        let closing = |call: &&Call| !matches!(call.method, Method::Ready | Method::Resume);
        if let Some(first) = life.calls.iter().find(closing) {
            hold(open.is_some_and(|open| open <= first.from.place), || {
                format!("{}: {:?} at {} ms", life.plan.name, first.method, first.from.at)
            })?;
        }
    }
    Ok(())
}

pub fn save_comes_before_stop(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let name = &life.plan.name;
        let saves = life.of(Method::Save).count();
        let Some(stop) = life.of(Method::Stop).next() else { continue };
        hold(saves == 1, || format!("{name}: saved {saves} times before it was stopped"))?;
        hold(life.saved().is_some_and(|saved| saved < stop.from), || {
            format!("{name}: stopped at {} ms while it was saved", stop.from.at)
        })?;
        let stops = life.of(Method::Stop).count();
        hold(stops <= 2, || format!("{name}: stopped {stops} times"))?;
    }
    Ok(())
}

pub fn calls_do_not_overlap(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        for pair in life.calls.windows(2) {
            let [first, second] = pair else { unreachable!("windows of two") };
            hold(first.end.is_some_and(|(end, _)| end < second.from), || {
                format!(
                    "{}: {:?} is called at {} ms while {:?} runs",
                    life.plan.name, second.method, second.from.at, first.method
                )
            })?;
        }
    }
    Ok(())
}

pub fn questions_end(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let mut settled = None;
        for call in &life.calls {
            if call.method != Method::Ready {
                settled = Some(call.from);
                continue;
            }
            hold(settled.is_none(), || {
                format!("{}: asked at {} ms all the same", life.plan.name, call.from.at)
            })?;
            if call.how() != Some(How::Otherwise) {
                settled = call.end.map(|(end, _)| end);
            }
        }
    }
    Ok(())
}

pub fn the_end_is_the_end(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let ends = life.stopped().into_iter().chain(life.abandoned.first().copied());
        let Some(end) = ends.min() else { continue };
        if let Some(call) = life.calls.iter().find(|call| call.from > end) {
            return Err(format!(
                "{}: {:?} is called at {} ms, it had ended at {} ms",
                life.plan.name, call.method, call.from.at, end.at
            ));
        }
    }
    Ok(())
}

pub fn the_outcome_is_the_end(seen: &Seen<'_>) -> Finding {
    for entry in seen.record.entries.iter().skip(seen.over.place + 1) {
        match &entry.what {
            // A call that was given up at the very end is dropped a moment later; the controller is not called back here.
            What::Ended(_, _, How::Dropped) if entry.at == seen.over.at => {}
            What::Called(_, Method::Resume)
            | What::Ended(_, Method::Resume, _)
            | What::Controller(_)
            | What::Published(..)
            | What::Sent(_) => {}
            What::Called(..)
            | What::Ended(..)
            | What::Released(_)
            | What::Abandoned(_)
            | What::Requested
            | What::Reported(_)
            | What::Over => return Err(format!("{:?} at {} ms", entry.what, entry.at)),
        }
    }
    Ok(())
}

pub fn resume_when_called_off(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let expected = usize::from(seen.called_off() && life.plan.runs);
        let resumed = life.of(Method::Resume).count();
        hold(resumed == expected, || format!("{}: resumed {resumed} times", life.plan.name))?;
        let in_time = life.of(Method::Resume).all(|call| call.from.at == seen.over.at);
        hold(in_time, || format!("{}: not resumed at once", life.plan.name))?;
    }
    Ok(())
}

pub fn one_request_when_drained(seen: &Seen<'_>) -> Finding {
    let Some(requested) = seen.requested.first() else {
        // With no patience at all it is called off before the controller has got the question.
        let none = seen.plan.limits.replacement.is_zero() || seen.is_overall(seen.over.at);
        return hold(!seen.called_off() || none, || "called off, but never requested".to_owned());
    };
    hold(seen.plan.purpose == Purpose::Replace, || "no replacement was wanted".to_owned())?;
    hold(seen.requested.len() == 1, || format!("requested {} times", seen.requested.len()))?;
    for life in seen.lives.iter().filter(|life| life.plan.runs) {
        let noted = life.outcome.is_some_and(|outcome| {
            outcome.notes.first().is_some_and(|note| note.starts_with("not ready"))
        });
        let willing = |call: &Call| matches!(call.how(), Some(How::Done | How::Panicked));
        let ended = |call: &Call| call.end.is_some_and(|(end, _)| end < *requested);
        // One that was given up at this very moment is dropped before anything else is done with it.
        let given_up =
            |call: &Call| call.end.is_some_and(|(end, _)| end.at <= requested.at) && noted;
        let last = life.of(Method::Ready).next_back();
        let drained = last.map_or(noted, |call| given_up(call) || (willing(call) && ended(call)));
        hold(drained, || format!("{} was neither ready nor given up", life.plan.name))?;
    }
    Ok(())
}

pub fn release_after_stop(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let due = usize::from(ended_as(life, ModuleEnd::Stopped));
        let count = life.released.len();
        hold(count == due, || format!("{}: released {count} times", life.plan.name))?;
        let stopped = life.stopped();
        let after = life.released.iter().all(|at| stopped.is_some_and(|stopped| stopped < *at));
        hold(after || !life.plan.runs, || format!("{}: it had not stopped", life.plan.name))?;
    }
    Ok(())
}

pub fn abandon_without_stop(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let name = &life.plan.name;
        let due = usize::from(ended_as(life, ModuleEnd::Abandoned));
        let count = life.abandoned.len();
        hold(count == due, || format!("{name}: abandoned {count} times"))?;
        let stopped = life.stopped();
        hold(due == 0 || stopped.is_none(), || format!("{name}: abandoned though it stopped"))?;
        let running = ended_as(life, ModuleEnd::Running);
        hold(running == seen.called_off(), || format!("{name}: running is {running}"))?;
    }
    Ok(())
}

fn ended_as(life: &Life<'_>, end: ModuleEnd) -> bool {
    life.outcome.is_some_and(|outcome| outcome.ended == end)
}
