//! The agent is killed with SIGKILL in the middle of a restart: the old process at each phase, and the new one.

use serde_json::Value;

use crate::cell::Verdict;
use crate::place::{Part, Place};
use crate::ticket_watch::{Phase, TicketWatch};

/// How often a moment that lasts a millisecond or two may be missed.
const TRIES: u32 = 20;

pub(crate) fn the_old_process_is_killed_while_modules_drain(place: &mut dyn Place) -> Verdict {
    place.start("ready: [busy]", "");
    killed_at_leisure(place, "busy as scripted", Phase::None)
}

pub(crate) fn the_old_process_is_killed_while_modules_save(place: &mut dyn Place) -> Verdict {
    place.start("save: [hang]", "");
    killed_at_leisure(place, "the modules are closed", Phase::Requested)
}

pub(crate) fn the_old_process_is_killed_when_the_ticket_is_committed(
    place: &mut dyn Place,
) -> Verdict {
    killed_in_passing(place, Phase::Committed)
}

pub(crate) fn the_old_process_is_killed_when_the_replacement_is_requested(
    place: &mut dyn Place,
) -> Verdict {
    killed_in_passing(place, Phase::Requested)
}

pub(crate) fn the_old_process_is_killed_when_the_modules_have_stopped(
    place: &mut dyn Place,
) -> Verdict {
    killed_in_passing(place, Phase::Stopped)
}

/// Kills the agent when its log says `sign`, where a module holds it up.
fn killed_at_leisure(place: &mut dyn Place, sign: &str, phase: Phase) -> Verdict {
    let watch = TicketWatch::new(place.part(Part::State));
    place.write_lines("before", 100);
    let pid = place.pid().expect("the agent runs");
    let id = place.order();
    place.until("the phase is reached", |place| place.log().contains(sign));
    // What is not given anew to the next process must not hold that up.
    place.configure("", "");
    place.kill(pid);
    assert_eq!(watch.phase(), phase, "the phase that was meant");
    survived(place, &id, phase)
}

/// Kills the agent in the moment in which its ticket says `phase`. What the ticket says then is the truth to judge by.
fn killed_in_passing(place: &mut dyn Place, phase: Phase) -> Verdict {
    place.start("", "");
    let mut missed = 0;
    while missed < TRIES {
        let watch = TicketWatch::new(place.part(Part::State));
        let pid = place.pid().expect("the agent runs");
        place.write_lines(&format!("before {missed}"), 100);
        let id = place.order();
        watch.wait_for(phase);
        place.kill(pid);
        let hit = watch.phase();
        let verdict = survived(place, &id, hit);
        if hit == phase {
            return verdict;
        }
        missed += 1;
    }
    panic!("the phase {phase:?} was missed {missed} times")
}

/// The agent comes back or is brought back, and what it says of the restart is what the ticket shows.
fn survived(place: &mut dyn Place, id: &str, phase: Phase) -> Verdict {
    if place.comes_back_by_itself() {
        // The successor of a killed process is asked through the socket that it was given.
    } else if place.way().method() == "helper" && phase >= Phase::Requested {
        // The helper has its order, and sees that the old process is gone.
    } else {
        place.bring_back();
    }
    let end = place.end_of(id);
    let expected = match (phase, place.way().method()) {
        // Nobody was asked: whoever started the agent did not do it for this order. A process that would have exec'ed
        // itself cannot any more.
        (Phase::None | Phase::Committed, _) | (_, "exec") => "started_by_someone_else",
        (Phase::Requested, _) => "restarted_forced",
        (Phase::Stopped, _) => "restarted",
    };
    assert_eq!(end["result"]["outcome"], expected, "killed at {phase:?}: {end:#}");
    let success = matches!(expected, "restarted" | "restarted_forced");
    assert_eq!(end["status"] == "success", success, "{end:#}");
    is_well(place);
    expected.to_owned()
}

/// The agent runs, nothing was lost, and it can be restarted again.
fn is_well(place: &dyn Place) {
    place.running();
    place.write_lines("after", 100);
    place.all_lines_came_once();
}

/// Kills the process that a restart has started, in `state`, as long as the restart is not confirmed.
fn successor_is_killed(place: &mut dyn Place, state: &str, script: &str, extra: &str) -> Verdict {
    place.start("", "");
    let old = place.running()["generation"].as_u64().unwrap();
    let watch = TicketWatch::new(place.part(Part::State));
    place.configure(script, extra);
    let id = place.order();
    let mut status = Value::Null;
    place.until("the new process is there", |place| {
        status = place.ask(&["status"]).unwrap_or_default();
        status["generation"].as_u64() == Some(old + 1) && status["state"] == state
    });
    let pid = place.pid().expect("the new process lives");
    place.configure("", "");
    place.kill(pid);
    assert_eq!(watch.phase(), Phase::Stopped, "it was not confirmed");
    if !place.comes_back_by_itself() {
        place.bring_back();
    }
    let end = place.end_of(&id);
    // systemd goes on with what it was asked for; by hand a person has started the agent.
    let expected =
        if place.comes_back_by_itself() { "restarted_forced" } else { "started_by_someone_else" };
    assert_eq!(end["result"]["outcome"], expected, "{end:#}");
    is_well(place);
    expected.to_owned()
}

pub(crate) fn the_new_process_is_killed_before_it_is_ready(place: &mut dyn Place) -> Verdict {
    successor_is_killed(place, "starting", "start: [hang]", "")
}

pub(crate) fn the_new_process_is_killed_before_the_confirmation(place: &mut dyn Place) -> Verdict {
    successor_is_killed(place, "running", "start: [fail]", "")
}
