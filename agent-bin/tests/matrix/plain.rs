//! Restarts that nobody disturbs: modules that work, that have much to do, or that hang.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cell::Verdict;
use crate::place::Place;

/// Budgets that a module which hangs uses up.
const SHORT: &str =
    "restart:\n  ready_timeout: 200ms\n  save_timeout: 200ms\n  stop_timeout: 200ms\n";

/// Asserts that a restart came to `outcome`, and says how long the agent was down.
pub(crate) fn came_to(place: &dyn Place, record: &Value, outcome: &str) -> Verdict {
    assert_eq!(record["result"]["outcome"], outcome, "{record:#}");
    assert_eq!(record["result"]["method"], place.way().method(), "{record:#}");
    format!("down {} ms", record["result"]["downtime_ms"])
}

pub(crate) fn a_plain_restart_is_confirmed_to_the_caller_who_waits(
    place: &mut dyn Place,
) -> Verdict {
    place.start("", "");
    let (before, pid) = (place.running(), place.pid());
    place.write_lines("before", 100);
    let record = place.restart();
    assert_eq!(record["status"], "success", "{record:#}");
    let verdict = came_to(place, &record, "restarted");
    place.write_lines("after", 100);
    place.all_lines_came_once();
    let after = place.running();
    let generation = |status: &Value| status["generation"].as_u64().unwrap();
    assert_eq!(generation(&after), generation(&before) + 1);
    assert_eq!(place.pid() == pid, record["result"]["method"] == "exec", "{record:#}");
    verdict
}

pub(crate) fn at_a_thousand_events_a_second_none_is_lost_and_none_comes_twice(
    place: &mut dyn Place,
) -> Verdict {
    place.start("", "");
    let place = &*place;
    let written = beside(
        |done| write_steadily(place, done),
        || {
            for _ in 0..3 {
                came_to(place, &place.restart(), "restarted");
            }
        },
    );
    place.all_lines_came_once();
    format!("{written} lines")
}

/// Five lines every five milliseconds.
fn write_steadily(place: &dyn Place, done: &AtomicBool) -> u32 {
    let (begun, mut pieces) = (Instant::now(), 0);
    while !done.load(Ordering::Relaxed) {
        place.write_lines(&format!("piece {pieces}"), 5);
        pieces += 1;
        let due = begun + Duration::from_millis(5) * pieces;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    5 * pieces
}

/// Does `work` while `other` goes on beside it until it is told that the work is done, also when that fails; returns what
/// `other` says.
pub(crate) fn beside<O: Send>(
    other: impl FnOnce(&AtomicBool) -> O + Send,
    work: impl FnOnce(),
) -> O {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| other(&done));
        let worked = Done(&done);
        work();
        drop(worked);
        other.join().unwrap()
    })
}

pub(crate) fn a_module_that_hangs_in_ready_costs_its_budget(place: &mut dyn Place) -> Verdict {
    hangs(place, "ready: [hang]", "not ready: ready timeout", "stopped")
}

pub(crate) fn a_module_that_hangs_in_save_costs_its_budget(place: &mut dyn Place) -> Verdict {
    hangs(place, "save: [hang]", "save timeout", "stopped")
}

pub(crate) fn a_module_that_hangs_in_stop_costs_its_budget(place: &mut dyn Place) -> Verdict {
    hangs(place, "stop: [hang]", "stop timeout", "abandoned")
}

/// A restart in which the module `scripted` hangs is by force, says so of this module alone, and loses nothing of the other.
fn hangs(place: &mut dyn Place, script: &str, note: &str, ended: &str) -> Verdict {
    place.start(script, SHORT);
    place.write_lines("before", 100);
    let record = place.restart();
    let verdict = came_to(place, &record, "restarted_forced");
    let modules = record["result"]["modules"].as_array().unwrap();
    let of = |name: &str| modules.iter().find(|module| module["name"] == name).unwrap();
    assert_eq!(of("scripted")["ended"], ended, "{record:#}");
    assert!(of("scripted")["notes"].to_string().contains(note), "{record:#}");
    assert_eq!(of("logcollector")["ended"], "stopped", "{record:#}");
    assert_eq!(of("logcollector")["notes"], serde_json::json!([]), "{record:#}");
    place.write_lines("after", 100);
    place.all_lines_came_once();
    verdict
}
