//! Rules about time: everything has a budget, and nothing takes longer than it must.

use std::time::Duration;

use restart::Purpose;

use super::{Finding, hold};
use crate::life::{Life, Seen};
use crate::stage::plan::Request;
use crate::stage::record::{How, Method};

pub fn it_ends_in_time(seen: &Seen<'_>) -> Finding {
    let (took, overall) = (seen.record.outcome.took, seen.plan.limits.overall);
    hold(took <= overall, || format!("it took {took:?}"))?;
    let at = Duration::from_millis(seen.over.at);
    hold(took == at, || format!("it says that it took {took:?}, and ended after {at:?}"))
}

pub fn calls_keep_them(seen: &Seen<'_>) -> Finding {
    seen.lives.iter().try_for_each(|life| calls_of_one_keep_them(seen, life))
}

fn calls_of_one_keep_them(seen: &Seen<'_>, life: &Life<'_>) -> Finding {
    let limits = &seen.plan.limits;
    let name = &life.plan.name;
    let mut saving_since = 0;
    for call in life.calls.iter().filter(|call| call.method != Method::Resume) {
        let (since, budget) = match call.method {
            Method::Ready => (0, limits.ready),
            Method::Save => (call.from.at, limits.save),
            // Within the budget of the save before it.
            Method::Keep => (saving_since, limits.save),
            Method::Stop | Method::Resume => (call.from.at, limits.stop),
        };
        if call.method == Method::Save {
            saving_since = call.from.at;
        }
        let what = format!("{name}: {:?} since {} ms", call.method, call.from.at);
        let Some((end, how)) = call.end else { return Err(format!("{what} has never ended")) };
        let due = since + millis(budget);
        hold(end.at <= due, || format!("{what} ended at {} ms, after {due} ms", end.at))?;
        hold(how != How::Dropped || end.at == due || seen.is_cut(end.at), || {
            format!("{what} was given up at {} ms, {due} ms would have been in time", end.at)
        })?;
    }
    Ok(())
}

pub fn busy_modules_are_asked_again(seen: &Seen<'_>) -> Finding {
    for life in &seen.lives {
        let asked: Vec<_> = life.of(Method::Ready).collect();
        for pair in asked.windows(2) {
            let [first, second] = pair else { unreachable!("windows of two") };
            let due = first.end.map(|(end, _)| end.at + millis(seen.plan.limits.poll));
            hold(first.how() == Some(How::Otherwise) && due == Some(second.from.at), || {
                format!("{}: asked again at {} ms", life.plan.name, second.from.at)
            })?;
        }
        // Busy is not an answer that ends the asking.
        let Some(outcome) = life.outcome else { continue };
        let busy = life.last_answer() == Some(How::Otherwise);
        let given_up = outcome.ready_ms.unwrap_or(outcome.ended_ms);
        let due = asked.last().and_then(|call| call.end).map(|(end, _)| end.at);
        let due = due.map(|at| at + millis(seen.plan.limits.poll));
        hold(!busy || due.is_none_or(|due| due >= given_up), || {
            format!("{}: not asked again before it was given up", life.plan.name)
        })?;
    }
    Ok(())
}

pub fn nobody_waits_for_nothing(seen: &Seen<'_>) -> Finding {
    let gate = match seen.plan.purpose {
        Purpose::End => Some(0),
        Purpose::Replace => seen.gate().map(|gate| gate.at),
    };
    for life in &seen.lives {
        let (Some(gate), Some(outcome)) = (gate, life.outcome) else { continue };
        let name = &life.plan.name;
        let ready = outcome.ready_ms.unwrap_or_default();
        let mut due = gate.max(ready);
        for call in life.calls.iter() {
            let method = call.method;
            if matches!(method, Method::Ready | Method::Resume) {
                continue;
            }
            hold(call.from.at == due, || {
                format!("{name}: {method:?} at {} ms, {due} ms was possible", call.from.at)
            })?;
            due = call.end.map_or(due, |(end, _)| end.at);
        }
    }
    if let (Purpose::Replace, Some(requested)) = (seen.plan.purpose, seen.requested.first()) {
        let ready = seen.lives.iter().filter_map(|life| life.outcome.and_then(|of| of.ready_ms));
        let last = ready.max().unwrap_or_default();
        hold(requested.at == last, || {
            format!("requested at {} ms, all were ready at {last} ms", requested.at)
        })?;
    }
    let ended = seen.record.outcome.modules.iter().map(|module| module.ended_ms).max();
    let early = seen.called_off() || ended.is_none_or(|ended| ended == seen.over.at);
    hold(early, || format!("all had ended at {ended:?} ms, it was over at {} ms", seen.over.at))
}

pub fn force_is_quick(seen: &Seen<'_>) -> Finding {
    for force in seen.sent(Request::Force).filter(|force| force.at < seen.over.at) {
        let open = match seen.plan.purpose {
            Purpose::End => true,
            Purpose::Replace => seen.gate().is_some_and(|gate| gate.at < force.at),
        };
        hold(!open, || format!("it went on after the force at {} ms", force.at))?;
        let drained = seen.record.outcome.modules.iter().map(|module| module.ready_ms);
        for ready in drained.flatten() {
            hold(ready <= force.at, || format!("ready at {ready} ms, forced at {}", force.at))?;
        }
    }
    Ok(())
}

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
