//! Rules about how it ends: every ending has a cause, and every cause its ending.

use restart::{Ending, Purpose};

use super::budgets::millis;
use super::{Finding, hold};
use crate::life::{Moment, Seen};
use crate::stage::plan::{LOSS, REFUSAL, Request};
use crate::stage::record::How;

const UNANSWERED: &str = "the request for the replacement was not answered in time";
const NO_SIGTERM: &str = "SIGTERM did not come in time after the replacement was accepted";
const PANIC: &str = "panicked: the controller panics as scripted";

/// Whether the first that the controller said, once it was asked, was that it sends no SIGTERM: for certain, and possibly.
fn denied(seen: &Seen<'_>) -> (bool, bool) {
    let Some(requested) = seen.requested.first() else { return (false, false) };
    let agreed = seen.controller.filter(|(_, how)| *how == How::Done).map(|(agreed, _)| agreed.at);
    let unconditional = seen.controller.filter(|(_, how)| *how == How::Otherwise);
    let mut denials = seen.refusals().chain(unconditional.map(|(answered, _)| answered));
    let possible = denials
        .by_ref()
        .filter(|at| *at < seen.over && at.at >= requested.at)
        .filter(|at| agreed.is_none_or(|agreed| at.at <= agreed))
        .map(|at| at.at)
        .min();
    let certain = possible.is_some_and(|at| {
        let own_answer = seen.controller.is_some_and(|(answered, _)| answered.at == at);
        let after = at > requested.at || own_answer;
        after && at < seen.over.at && agreed.is_none_or(|agreed| at < agreed)
    });
    (certain, possible.is_some())
}

/// Every word of an operator's that he wants the agent to stop, and whether it was heard for certain.
///
/// SIGTERM is one unless the controller owes it: before the controller was asked, or if it is one that sends none.
fn stops<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = (Moment, bool)> + 'a {
    let restart = seen.plan.purpose == Purpose::Replace;
    let requested = seen.requested.first().copied();
    let (unowed, possibly) = denied(seen);
    let of_operator = move |at: Moment| {
        // Of what happens within one moment the order is not known for certain.
        let early = requested.is_none_or(|requested| at.at < requested.at);
        let maybe = possibly || requested.is_none_or(|requested| at.at == requested.at);
        (restart && (early || unowed || maybe)).then_some((at, early || unowed))
    };
    let orders = seen.sent(Request::Stop).map(|at| (at, true));
    // At the very moment of the end it may come too late.
    let in_time = |(at, certain): (Moment, bool)| (at, certain && at.at < seen.over.at);
    orders.chain(seen.sent(Request::Sigterm).filter_map(of_operator)).map(in_time)
}

/// SIGTERM came after the controller was asked, and the loop was over before it had said whether it sends one.
pub fn an_unexplained_sigterm_is_told(seen: &Seen<'_>) -> Finding {
    let told = seen.record.outcome.unanswered_sigterm;
    let requested = seen.requested.first();
    let opener = seen.sent(Request::Sigterm).find(|at| seen.gate() == Some(*at));
    let answers = || {
        let own = seen.controller.filter(|(_, how)| *how != How::Dropped).map(|(at, _)| at);
        own.into_iter().chain(seen.sent(Request::Lost))
    };
    let possible = seen.sent(Request::Sigterm).any(|at| at <= seen.over) && requested.is_some();
    let explained = answers()
        .any(|at| requested.is_some_and(|requested| at.at > requested.at) && at.at < seen.over.at);
    hold(!told || (possible && !explained), || "a SIGTERM counts as unexplained".to_owned())?;
    let certain = opener.is_some_and(|opener| {
        requested.is_some_and(|requested| requested.at < opener.at) && opener.at < seen.over.at
    });
    let silent = !answers().any(|at| at <= seen.over);
    hold(told || !certain || !silent, || "an unexplained SIGTERM is not told".to_owned())
}

pub fn a_stop_wins(seen: &Seen<'_>) -> Finding {
    let Some((stop, _)) = stops(seen).find(|(_, certain)| *certain) else { return Ok(()) };
    let ending = &seen.record.outcome.ending;
    hold(*ending == Ending::StoppedInstead, || {
        format!("a stop came at {} ms, and it ended as {ending:?}", stop.at)
    })
}

pub fn the_ending_has_a_cause(seen: &Seen<'_>) -> Finding {
    let before = |at: Moment| at < seen.over;
    let cause = match &seen.record.outcome.ending {
        Ending::StoppedInstead => stops(seen).any(|(stop, _)| before(stop)),
        Ending::Ended => {
            seen.plan.purpose == Purpose::End
                || (!seen.requested.is_empty() && seen.openers().any(before))
        }
        Ending::CalledOff(reason) => match reason.as_str() {
            REFUSAL => seen.controller.is_some_and(|(_, how)| how == How::Failed),
            PANIC => seen.controller.is_some_and(|(_, how)| how == How::Panicked),
            LOSS => seen.sent(Request::Lost).any(before),
            NO_SIGTERM => seen.controller.is_some_and(|(at, how)| how == How::Done && before(at)),
            reason => reason == UNANSWERED,
        },
    };
    hold(cause, || format!("{:?} for no reason", seen.record.outcome.ending))
}

pub fn a_refusal_counts_at_once(seen: &Seen<'_>) -> Finding {
    let gate = seen.gate();
    for refusal in seen.refusals().filter(|refusal| refusal.at < seen.over.at) {
        let open = gate.is_some_and(|gate| gate.at <= refusal.at);
        hold(open, || format!("it went on after the refusal at {} ms", refusal.at))?;
    }
    let unopened = gate.is_none_or(|gate| gate.at >= seen.over.at);
    hold(!seen.called_off() || unopened, || "called off after the gate had opened".to_owned())
}

pub fn patience_ends(seen: &Seen<'_>) -> Finding {
    if seen.plan.purpose == Purpose::End {
        return Ok(());
    }
    let limits = &seen.plan.limits;
    let agreed = seen.controller.filter(|(at, how)| *how == How::Done && *at < seen.over);
    let agreed = agreed.map(|(agreed, _)| agreed.at);
    let until = |from: u64| {
        let due = (from + millis(limits.replacement)).min(millis(limits.overall));
        // Limits that do not fit: the modules may have been asked until the very end.
        due.max(seen.requested.first().map_or(0, |requested| requested.at))
    };
    let alone = until(millis(limits.ready));
    let due = agreed.map_or(alone, until);
    let overdue = |ending: &Ending| matches!(ending, Ending::CalledOff(why) if [UNANSWERED, NO_SIGTERM].contains(&why.as_str()));
    if overdue(&seen.record.outcome.ending) {
        // Agreed at the very moment at which the patience ended.
        let tie = agreed == Some(seen.over.at) && seen.over.at == alone;
        return hold(seen.over.at == due || tie, || {
            format!("called off at {} ms, the patience ends at {due} ms", seen.over.at)
        });
    }
    let waited = !seen.requested.is_empty() && seen.gate().is_none();
    let until = seen.gate().map_or(seen.over.at, |gate| gate.at);
    hold(!waited || until <= due, || format!("waited until {until} ms, longer than {due} ms"))
}

pub fn a_loss_is_told(seen: &Seen<'_>) -> Finding {
    let lost = &seen.record.outcome.replacement_lost;
    let after_gate = |refusal: &Moment| seen.gate().is_some_and(|gate| gate.at < refusal.at);
    let certain =
        seen.refusals().filter(|refusal| refusal.at < seen.over.at).any(|at| after_gate(&at));
    hold(!certain || lost.is_some(), || "a loss is not in the outcome".to_owned())?;
    let possible = seen.refusals().any(|refusal| {
        refusal < seen.over && seen.gate().is_some_and(|gate| gate.at <= refusal.at)
    });
    hold(lost.is_none() || possible, || format!("{lost:?} is in the outcome"))?;
    let known = lost.as_deref().is_none_or(|lost| [REFUSAL, LOSS, PANIC].contains(&lost));
    hold(known, || format!("{lost:?} is no reason that anybody gave"))
}
