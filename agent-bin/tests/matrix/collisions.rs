//! A restart meets an operator's stop, another restart, or nineteen more.

use serde_json::Value;

use crate::cell::Verdict;
use crate::place::Place;
use crate::plain::came_to;

pub(crate) fn an_operators_stop_wins(place: &mut dyn Place) -> Verdict {
    place.start("save: [ok-after-ms: 1500]", "");
    let before = place.running()["generation"].as_u64().unwrap();
    let id = place.order();
    place.until("the modules are closed", |place| place.log().contains("the modules are closed"));
    place.stop();
    assert!(place.ask(&["status"]).is_none_or(|status| status["pid"].is_null()), "it is down");
    place.bring_back();
    let end = place.end_of(&id);
    assert_eq!(end["result"]["outcome"], "stopped_instead", "{end:#}");
    let after = place.running()["generation"].as_u64().unwrap();
    assert_eq!(after, before + 1, "nobody has started it in between");
    "stopped_instead".to_owned()
}

pub(crate) fn a_restart_by_others_comes_beside_ours(place: &mut dyn Place) -> Verdict {
    place.start("save: [ok-after-ms: 500]", "");
    let id = place.order();
    place.until("the modules are closed", |place| place.log().contains("the modules are closed"));
    place.restart_by_others();
    let end = place.end_of(&id);
    assert_eq!(end["status"], "success", "{end:#}");
    let verdict = came_to(place, &end, "restarted");
    // All orders have ended well, and nothing else is under way.
    let mut commands = Value::Null;
    place.until("all commands have ended", |place| {
        commands = place.ask(&["commands", "list"]).unwrap_or_default();
        commands["commands"]
            .as_array()
            .is_some_and(|all| all.iter().all(|command| command["finished_at"].is_string()))
    });
    let all = commands["commands"].as_array().unwrap();
    assert!(all.iter().all(|command| command["status"] == "success"), "{commands:#}");
    place.running();
    verdict
}

pub(crate) fn twenty_restarts_in_a_row_all_succeed(place: &mut dyn Place) -> Verdict {
    place.start("", "");
    let before = place.running()["generation"].as_u64().unwrap();
    let mut downtimes = Vec::new();
    for _ in 0..20 {
        place.write_lines(&format!("round {}", downtimes.len()), 10);
        let record = place.restart();
        came_to(place, &record, "restarted");
        downtimes.push(record["result"]["downtime_ms"].as_u64().unwrap());
    }
    let after = place.running()["generation"].as_u64().unwrap();
    assert_eq!(after, before + 20);
    place.all_lines_came_once();
    downtimes.sort_unstable();
    format!("down {} to {} ms", downtimes[0], downtimes[19])
}
