//! The numbers of a restart add up, and are null where there is nothing to compare.

use restart::{Method, ProcessIdentity, TicketDraft};

use super::*;

const OLD: [(&str, u64); 7] = [
    ("ordered", 1_000),
    ("checked", 1_002),
    ("drained", 1_010),
    ("committed", 1_012),
    ("requested", 1_020),
    ("closed", 1_020),
    ("stopped", 1_050),
];
const NEW: [(&str, u64); 5] = [
    ("started", 1_080),
    ("locked", 1_081),
    ("opened", 1_090),
    ("running", 1_120),
    ("confirmed", 1_120),
];

fn stamps(stamps: &[(&str, u64)]) -> Vec<Stamp> {
    stamps
        .iter()
        .map(|(phase, at_ms)| Stamp { phase: (*phase).to_owned(), at_ms: *at_ms })
        .collect()
}

fn ticket(old: &[(&str, u64)]) -> Ticket {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.json");
    let draft = TicketDraft {
        command_ids: vec!["c-1".to_owned()],
        requester: None,
        reason: None,
        method: Method::Exec,
        old: ProcessIdentity::own().unwrap(),
        generation: 4,
        binary: None,
        config: None,
    };
    drop(draft.commit(&path).unwrap());
    let mut ticket = Ticket::load(&path).unwrap().unwrap();
    // However they came into the file.
    ticket.stamps = stamps(old);
    ticket.stamps.reverse();
    ticket.last_events = BTreeMap::from([("fim".to_owned(), 1_015)]);
    ticket
}

fn with<T>(ticket: &Ticket, verdict: &Verdict, look: impl FnOnce(&Account<'_>) -> T) -> T {
    let new = stamps(&NEW);
    look(&Account {
        ticket,
        verdict,
        outcome: verdict.outcome(),
        stamps: &new,
        not_running: &[],
        config_problem: None,
        new: NewProcess { pid: 7, generation: 5 },
    })
}

fn modules() -> [ModuleName; 2] {
    ["fim", "sca"].map(|name| ModuleName::new(name).unwrap())
}

#[test]
fn the_timeline_begins_at_the_order_has_all_phases_in_their_order_and_ends_with_the_total() {
    let result = with(&ticket(&OLD), &Verdict::Restarted, |it| it.result(&BTreeMap::new()));
    let timeline = result["timeline"].as_array().unwrap();
    let phases: Vec<&str> = timeline.iter().map(|it| it["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, PHASES, "requested and closed, running and confirmed share a millisecond");
    assert_eq!(timeline[0]["at_ms"], 0);
    assert_eq!(timeline[11]["at_ms"], result["total_ms"]);
    assert_eq!((&result["downtime_ms"], &result["total_ms"]), (&json!(100), &json!(120)));
}

#[test]
fn a_machine_that_sleeps_in_between_counts_as_downtime() {
    // CLOCK_BOOTTIME goes on while the machine is suspended, so its stamps are an hour apart.
    let hour = 3_600_000;
    let old = ticket(&OLD);
    let new: Vec<Stamp> = stamps(&NEW)
        .into_iter()
        .map(|stamp| Stamp { at_ms: stamp.at_ms + hour, ..stamp })
        .collect();
    let account = Account {
        ticket: &old,
        verdict: &Verdict::Restarted,
        outcome: Outcome::Restarted,
        stamps: &new,
        not_running: &[],
        config_problem: None,
        new: NewProcess { pid: 7, generation: 5 },
    };
    let record = account.record(&modules());
    assert_eq!((record.downtime_ms, record.total_ms), (Some(100 + hour), Some(120 + hour)));
}

#[test]
fn the_clocks_of_two_boots_are_not_subtracted() {
    let (record, result) = with(&ticket(&OLD), &Verdict::Rebooted, |it| {
        let record = it.record(&modules());
        let result = it.result(&record.events);
        (record, result)
    });
    assert_eq!((record.downtime_ms, record.total_ms), (None, None));
    assert_eq!(record.events["fim"], EventGap::after(None));
    assert_eq!((&result["downtime_ms"], &result["total_ms"]), (&Value::Null, &Value::Null));
    let last = result["timeline"].as_array().unwrap().last().unwrap();
    assert_eq!(last, &json!({"phase": "stopped", "at_ms": 50}), "the new boot is not in it");
}

#[test]
fn a_process_that_was_killed_before_it_closed_its_modules_has_no_downtime() {
    let verdict = Verdict::RestartedForced { why: "killed".to_owned() };
    let record = with(&ticket(&OLD[..5]), &verdict, |it| it.record(&modules()));
    assert_eq!((record.downtime_ms, record.total_ms), (None, Some(120)));
}

#[test]
fn each_module_has_the_moment_of_its_last_event_if_there_was_one() {
    let record = with(&ticket(&OLD), &Verdict::Restarted, |it| it.record(&modules()));
    let expected = [
        ("fim".to_owned(), EventGap::after(Some(1_015))),
        ("sca".to_owned(), EventGap::after(None)),
    ];
    assert_eq!(record.events, BTreeMap::from(expected));
    assert_eq!((record.command_ids, record.old_generation), (vec!["c-1".to_owned()], 4));
}
