//! Every case of the judgement, and the ticket's way through the disk.

use super::*;

const BOOT: &str = "5a5c2cbf-5a7d-4a4e-a01c-000000000001";

fn process(pid: i32, start_time: u64) -> ProcessIdentity {
    ProcessIdentity { pid, start_time, boot_id: BOOT.to_owned() }
}

fn draft(method: Method) -> TicketDraft {
    TicketDraft {
        command_ids: vec!["0192".to_owned()],
        requester: Some(serde_json::json!({ "uid": 0 })),
        reason: Some("update".to_owned()),
        method,
        old: process(100, 5_000),
        generation: 7,
        binary: Some("ab12".to_owned()),
        config: None,
    }
}

/// A ticket of an orderly restart, the last stamp at 60 s after boot.
fn ticket(method: Method) -> Ticket {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.json");
    let mut committed = draft(method).commit(&path).unwrap();
    let successor = match method {
        Method::Systemd => None,
        Method::Helper => Some(process(200, 6_000)),
        Method::Exec => Some(process(100, 5_000)),
    };
    committed.record_request(successor).unwrap();
    committed.stopped(serde_json::json!({ "fim": "stopped" }), true).unwrap();
    let mut ticket = Ticket::load(&path).unwrap().unwrap();
    for stamp in &mut ticket.stamps {
        stamp.at_ms = 60_000;
    }
    ticket
}

fn judged(ticket: &Ticket, now: &ProcessIdentity, generation: u64) -> Verdict {
    judge(ticket, now, generation, 61_000)
}

fn why(verdict: Verdict) -> String {
    match verdict {
        Verdict::RestartedForced { why } | Verdict::StartedBySomeoneElse { why } => why,
        Verdict::Restarted | Verdict::Rebooted | Verdict::SameProcess => String::new(),
    }
}

#[test]
fn each_method_has_its_proof_of_an_orderly_restart() {
    let new = process(200, 6_000);
    assert_eq!(judged(&ticket(Method::Helper), &new, 8), Verdict::Restarted);
    assert_eq!(judged(&ticket(Method::Systemd), &new, 8), Verdict::Restarted);
    assert_eq!(judged(&ticket(Method::Exec), &process(100, 5_000), 8), Verdict::Restarted);
}

#[test]
fn the_writer_of_the_ticket_was_not_restarted_however_it_should_have_been() {
    for method in [Method::Systemd, Method::Helper, Method::Exec] {
        let verdict = judged(&ticket(method), &process(100, 5_000), 7);
        assert_eq!(verdict, Verdict::SameProcess);
        assert_eq!(verdict.outcome(), Outcome::NotRestarted);
    }
}

#[test]
fn another_boot_is_a_reboot_even_with_the_same_numbers() {
    let now = ProcessIdentity { boot_id: "another".to_owned(), ..process(100, 5_000) };
    for method in [Method::Systemd, Method::Helper, Method::Exec] {
        assert_eq!(judged(&ticket(method), &now, 8), Verdict::Rebooted);
    }
}

#[test]
fn a_reused_pid_with_another_start_time_is_another_process() {
    let reused = process(200, 6_001);
    let verdict = judged(&ticket(Method::Helper), &reused, 8);
    assert_eq!(verdict.outcome(), Outcome::StartedBySomeoneElse);
    let verdict = judged(&ticket(Method::Exec), &process(100, 5_001), 8);
    assert_eq!(verdict.outcome(), Outcome::StartedBySomeoneElse);
}

#[test]
fn a_start_before_the_request_was_made_is_not_the_restart() {
    let mut early = ticket(Method::Systemd);
    early.stamps.retain(|stamp| stamp.phase != "requested");
    assert!(why(judged(&early, &process(200, 6_000), 8)).contains("before it had asked"));
}

#[test]
fn a_start_by_systemd_long_afterwards_is_not_the_restart() {
    let ticket = ticket(Method::Systemd);
    let new = process(200, 6_000);
    let at = |at_ms| judge(&ticket, &new, 8, at_ms).outcome();
    assert_eq!(at(60_000 + 600_000), Outcome::Restarted);
    assert_eq!(at(60_000 + 600_001), Outcome::StartedBySomeoneElse);
}

#[test]
fn a_start_by_somebody_else_after_a_kill_names_the_kill() {
    let mut ticket = ticket(Method::Helper);
    let killed = "the old process ended before it had stopped its modules";
    assert!(!why(judged(&ticket, &process(300, 7_000), 8)).contains(killed));
    ticket.stage = Stage::Committed;
    let verdict = judged(&ticket, &process(300, 7_000), 8);
    assert_eq!(verdict.outcome(), Outcome::StartedBySomeoneElse);
    assert!(why(verdict).contains(killed));
}

#[test]
fn a_generation_that_does_not_advance_shows_state_from_a_copy() {
    for generation in [0, 6, 7] {
        let verdict = judged(&ticket(Method::Helper), &process(200, 6_000), generation);
        assert!(why(verdict).contains("restored from a copy"));
    }
    assert_eq!(
        judged(&ticket(Method::Exec), &process(100, 5_000), 6).outcome(),
        Outcome::StartedBySomeoneElse
    );
}

#[test]
fn whatever_was_not_orderly_makes_the_restart_a_forced_one_and_is_named() {
    type Damage = fn(&mut Ticket);
    let cases: [(Damage, &str); 4] = [
        (|t| t.clean = false, "not every module"),
        (|t| t.stage = Stage::Committed, "before it had stopped"),
        (
            |t| {
                t.stage = Stage::Committed;
                t.killed_by_helper = true;
            },
            "the helper killed",
        ),
        (|t| t.exec_failed = Some("no such file".to_owned()), "no such file"),
    ];
    for (damage, expected) in cases {
        let mut ticket = ticket(Method::Helper);
        damage(&mut ticket);
        let verdict = judged(&ticket, &process(200, 6_000), 8);
        assert_eq!(verdict.outcome(), Outcome::RestartedForced);
        assert!(why(verdict.clone()).contains(expected), "{verdict:?}");
        assert!(!why(verdict).contains(';'), "one cause, one reason");
    }
}

#[test]
fn a_successor_that_died_before_it_could_confirm_is_not_passed_over() {
    let verdict = judged(&ticket(Method::Systemd), &process(300, 7_000), 9);
    assert!(why(verdict.clone()).contains("1 start(s)"));
    assert_eq!(verdict.outcome(), Outcome::RestartedForced);
}

#[test]
fn an_exec_in_place_that_was_not_the_method_asked_for_is_said() {
    for method in [Method::Systemd, Method::Helper] {
        let verdict = judged(&ticket(method), &process(100, 5_000), 8);
        assert!(why(verdict).contains("in place"));
    }
}

#[test]
fn a_container_started_anew_after_a_failed_exec_says_what_failed() {
    let mut ticket = ticket(Method::Exec);
    ticket.exec_failed = Some("permission denied".to_owned());
    let verdict = judged(&ticket, &process(1, 9_000), 8);
    assert_eq!(verdict.outcome(), Outcome::StartedBySomeoneElse);
    assert!(why(verdict).contains("permission denied"));
}

#[test]
fn what_was_committed_is_read_back_with_its_stamps_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.json");
    let mut committed = draft(Method::Helper).commit(&path).unwrap();
    let at_first = Ticket::load(&path).unwrap().unwrap();
    assert_eq!(at_first.stage, Stage::Committed);
    assert_eq!(at_first, *committed.ticket());

    committed.stamp("saving");
    committed.record_request(None).unwrap();
    committed.stopped(Value::Null, true).unwrap();
    let ticket = Ticket::load(&path).unwrap().unwrap();
    assert_eq!((ticket.stage, ticket.clean), (Stage::Stopped, true));
    let phases: Vec<_> = ticket.stamps.iter().map(|stamp| stamp.phase.as_str()).collect();
    assert_eq!(phases, ["committed", "saving", "requested", "stopped"]);
    assert!(ticket.stamps.is_sorted_by_key(|stamp| stamp.at_ms));
}

#[test]
fn a_withdrawn_ticket_is_gone_and_closing_twice_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.json");
    draft(Method::Helper).commit(&path).unwrap().withdraw().unwrap();
    assert_eq!(Ticket::load(&path).unwrap(), None);
    Ticket::close(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_ticket_that_cannot_be_written_is_no_proof() {
    let missing = Path::new("/nonexistent-folder/ticket.json");
    assert!(matches!(draft(Method::Exec).commit(missing), Err(TicketError::Write(_))));
}

#[test]
fn a_damaged_or_newer_ticket_is_set_aside_and_each_one_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.json");
    let contents: [&[u8]; 4] = [b"", &[0; 300], b"{\"format\":1,", b"{\"format\":2}"];
    for (place, content) in contents.iter().enumerate() {
        std::fs::write(&path, content).unwrap();
        let error = Ticket::load(&path).unwrap_err();
        let TicketError::Corrupt { kept_as, .. } = &error else { panic!("{error}") };
        assert_eq!(*kept_as, folder.path().join(format!("ticket.json.corrupt-{}", place + 1)));
        assert_eq!(std::fs::read(kept_as).unwrap(), *content);
        assert_eq!(Ticket::load(&path).unwrap(), None);
    }
}

#[test]
fn only_an_existing_ticket_is_amended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.json");
    assert!(matches!(amend(&path, |_| {}), Err(TicketError::Read { .. })));
    let committed = draft(Method::Helper).commit(&path).unwrap();
    amend(&path, |ticket| ticket.killed_by_helper = true).unwrap();
    let ticket = Ticket::load(&path).unwrap().unwrap();
    assert!(ticket.killed_by_helper);
    assert_eq!(ticket.command_ids, committed.ticket().command_ids);
}

#[test]
fn a_phase_that_is_known_from_elsewhere_is_put_in_its_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut ticket = draft(Method::Helper).commit(&folder.path().join("ticket.json")).unwrap();
    let committed = ticket.ticket().stamps[0].at_ms;
    for (phase, at_ms) in
        [("closed", committed + 9), ("ordered", committed - 9), ("drained", committed)]
    {
        ticket.add_stamp(Stamp { phase: phase.to_owned(), at_ms });
    }
    let phases: Vec<&str> =
        ticket.ticket().stamps.iter().map(|stamp| stamp.phase.as_str()).collect();
    assert_eq!(phases, ["ordered", "drained", "committed", "closed"]);
}

#[test]
fn a_ticket_that_cannot_be_read_or_removed_is_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Ticket::load(folder.path()), Err(TicketError::Read { .. })));
    assert!(matches!(Ticket::close(folder.path()), Err(TicketError::Remove { .. })));
}
