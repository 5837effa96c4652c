//! What is kept of restarts, and what it adds up to.

use serde_json::json;

use super::*;

fn record(
    old_generation: u64,
    outcome: Outcome,
    method: Method,
    downtime_ms: u64,
) -> RestartRecord {
    RestartRecord {
        command_ids: vec![format!("c-{old_generation}")],
        outcome,
        as_asked: true,
        method,
        old_generation,
        downtime_ms: Some(downtime_ms),
        total_ms: Some(downtime_ms * 10),
        events: BTreeMap::from([("fim".to_owned(), EventGap::after(Some(1_000)))]),
    }
}

fn history(folder: &tempfile::TempDir) -> RestartHistory {
    RestartHistory::new(folder.path().join("restarts.json"))
}

#[test]
fn what_is_stored_is_there_for_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = history(&folder);
    assert_eq!(first.of_command("c-1"), None);
    first.put(record(1, Outcome::Restarted, Method::Helper, 7));
    first.store().unwrap();
    let found = history(&folder).of_command("c-1");
    assert_eq!(found, Some(record(1, Outcome::Restarted, Method::Helper, 7)));
}

#[test]
fn only_the_last_hundred_restarts_are_kept_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(&folder);
    for generation in 1..=130 {
        for downtime in [1, 2] {
            history.put(record(generation, Outcome::Restarted, Method::Systemd, downtime));
        }
    }
    assert_eq!(history.summary()["count"], 100);
    assert_eq!(history.of_command("c-30"), None);
    assert_eq!(history.of_command("c-31").unwrap().downtime_ms, Some(1));
}

#[test]
fn a_restart_that_is_judged_again_keeps_the_times_that_were_measured() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(&folder);
    history.put(record(1, Outcome::Restarted, Method::Helper, 7));
    let again = RestartRecord {
        downtime_ms: None,
        total_ms: None,
        ..record(1, Outcome::Degraded, Method::Helper, 7)
    };
    history.put(again);
    assert_eq!(history.of_command("c-1"), Some(record(1, Outcome::Degraded, Method::Helper, 7)));
}

#[test]
fn a_gap_ends_with_the_first_event_and_no_later_one_changes_it() {
    let mut restart = record(1, Outcome::Restarted, Method::Exec, 7);
    restart.events.insert("sca".to_owned(), EventGap::after(None));
    assert!(restart.waits());
    assert!(!restart.went_on(|_| None));
    assert!(restart.went_on(|module| (module == "fim").then_some(1_250)));
    assert!(!restart.went_on(|module| (module == "fim").then_some(9_999)));
    let expected =
        EventGap { last_at_ms: Some(1_000), first_at_ms: Some(1_250), gap_ms: Some(250) };
    assert_eq!(restart.events["fim"], expected);
    assert!(restart.waits(), "sca has not published");
    assert!(restart.went_on(|_| Some(1_300)));
    assert_eq!(restart.events["sca"].gap_ms, None, "nobody knows when its last event was");
    assert!(!restart.waits());
}

#[test]
fn the_summary_has_percentiles_over_all_by_method_and_by_module() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(&folder);
    for (generation, downtime) in [(1, 10), (2, 30), (3, 20)] {
        let mut restart = record(generation, Outcome::Restarted, Method::Helper, downtime);
        restart.went_on(|_| Some(1_000 + downtime));
        history.put(restart);
    }
    history.put(record(4, Outcome::RestartedForced, Method::Exec, 400));
    // These say nothing about how long a restart takes.
    let a_day_later = record(5, Outcome::StartedBySomeoneElse, Method::Helper, 86_400_000);
    history.put(RestartRecord { as_asked: false, ..a_day_later });
    history.put(RestartRecord {
        as_asked: false,
        downtime_ms: None,
        total_ms: None,
        ..record(6, Outcome::Rebooted, Method::Helper, 0)
    });
    let times = |count, p50, p95, max| json!({"count": count, "p50": p50, "p95": p95, "max": max});
    let expected = json!({
        "count": 6,
        "outcomes": {"restarted": 3, "restarted_forced": 1, "started_by_someone_else": 1, "rebooted": 1},
        "downtime_ms": times(4, 20, 400, 400),
        "total_ms": times(4, 200, 4_000, 4_000),
        "by_method": {
            "helper": {"downtime_ms": times(3, 20, 30, 30), "total_ms": times(3, 200, 300, 300)},
            "exec": {"downtime_ms": times(1, 400, 400, 400), "total_ms": times(1, 4_000, 4_000, 4_000)},
        },
        "modules": {"fim": {"gap_ms": times(3, 20, 30, 30)}},
    });
    assert_eq!(history.summary(), expected);
}

#[test]
fn without_restarts_there_are_no_times() {
    let folder = tempfile::tempdir().unwrap();
    let summary = history(&folder).summary();
    let none = json!({"count": 0, "p50": null, "p95": null, "max": null});
    assert_eq!((&summary["count"], &summary["downtime_ms"]), (&json!(0), &none));
}

#[test]
fn a_damaged_or_newer_history_is_set_aside_and_counting_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("restarts.json");
    for content in ["{", r#"{"format": 2, "restarts": []}"#] {
        std::fs::write(&path, content).unwrap();
        let history = history(&folder);
        history.put(record(9, Outcome::Restarted, Method::Helper, 7));
        history.store().unwrap();
        assert_eq!(history.summary()["count"], 1);
        let kept = std::fs::read_to_string(folder.path().join("restarts.json.corrupt")).unwrap();
        assert_eq!(kept, content);
    }
}
