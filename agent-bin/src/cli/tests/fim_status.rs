//! `fim status`: everything the module tells, and nothing where it knows nothing.

use serde_json::{Value, json};

use super::fake_agent::Run;
use super::scripted_agent::{error, ok, run_against};
use crate::exit::Exit;

/// A module that has just made its baseline for the first time.
pub(super) fn quiet() -> Value {
    json!({
        "state": "idle",
        "baseline": { "files": 134_000, "folders": 12_000, "others": 1, "bytes": 6_200_000_000_u64,
            "created_at": "2026-03-01T10:00:00Z" },
        "scan": null,
        "last_scan": { "number": 7, "reason": "baseline", "started_at": "2026-03-01T09:59:55.1Z",
            "finished_at": "2026-03-01T10:00:00Z", "duration_ms": 4_900, "files": 134_000,
            "bytes_hashed": 6_200_000_000_u64, "files_per_second": 27_346.9,
            "bytes_per_second": 1_265_306_122, "changes": 0, "resumed": 0 },
        "next_scan_at": "2026-03-01T22:00:00Z",
        "watches": { "kind": "fanotify",
            "filesystems": [{ "mount_point": "/", "kind": "fanotify", "note": null }],
            "folders": 12_000, "queued_bytes": 48, "queued_events": 2, "queue_limit": 16_384 },
        "gaps": [], "problems": [],
        "events": { "created": 1, "modified": 2, "deleted": 0, "moved": 1_000 },
        "unhashed": 0,
    })
}

fn success(out: &str) -> Run {
    Run { exit: Exit::Success, out: out.to_owned(), err: String::new() }
}

#[tokio::test]
async fn a_quiet_module_is_told_in_a_few_lines() {
    let (run, asked) = run_against("fim status", vec![ok(quiet())]).await;
    let expected = "\
fim: idle
  baseline    134,000 files, 12,000 folders, 1 other, 6.2 GB, since 2026-03-01 10:00:00Z
  last scan   #7 (baseline): 134,000 files in 4.9 s, 27,347 files/s, 1.3 GB/s, 0 changes, ended 2026-03-01 10:00:00Z
  next scan   2026-03-01 22:00:00Z
  watches     fanotify, 12,000 folders, 2 of 16,384 events queued
  events      1 created, 2 modified, 0 deleted, 1,000 moved
  not hashed  0 files

MOUNT POINT  WATCHED BY  NOTE
/            fanotify
";
    assert_eq!(run, success(expected));
    assert_eq!(asked, [r#"POST /v1/modules/fim/ask {"arguments":{},"verb":"status"}"#]);
}

#[tokio::test]
async fn what_is_wrong_is_shown_and_cannot_change_the_terminal() {
    let mut body = quiet();
    body["state"] = "scanning".into();
    body["scan"] = json!({ "number": 8, "reason": "overflow", "started_at": "2026-03-01T11:00:00Z",
        "folders_done": 1, "files_done": 51_234, "bytes_done": 2_100_000_000, "files_expected": 134_000,
        "resumed": 2 });
    body["next_scan_at"] = Value::Null;
    body["watches"] = json!({ "kind": "mixed", "folders": 8_192, "queued_bytes": 1_200,
        "queued_events": null, "queue_limit": 16_384, "filesystems": [
            { "mount_point": "/", "kind": "inotify", "note": "fs.inotify.max_user_watches is reached" },
            { "mount_point": "/srv/a\u{1b}[2J", "kind": "none", "note": null },
        ] });
    body["gaps"] = json!([
        { "from": null, "to": "2026-03-01T10:30:00Z", "reason": "the agent was killed", "found": 3 },
        { "from": "2026-03-01T10:59:00Z", "to": "2026-03-01T11:00:00Z", "reason": "overflow", "found": null },
    ]);
    body["problems"] = json!(["raise fs.inotify.max_user_watches"]);
    let (run, _) = run_against("fim status", vec![ok(body)]).await;
    let expected = "\
fim: scanning
  baseline    134,000 files, 12,000 folders, 1 other, 6.2 GB, since 2026-03-01 10:00:00Z
  scan        #8 (overflow) since 2026-03-01 11:00:00Z: 51,234 of 134,000 files, 1 folder, 2.1 GB, resumed 2 times
  last scan   #7 (baseline): 134,000 files in 4.9 s, 27,347 files/s, 1.3 GB/s, 0 changes, ended 2026-03-01 10:00:00Z
  watches     mixed, 8,192 folders, 1.2 kB queued (at most 16,384 events)
  events      1 created, 2 modified, 0 deleted, 1,000 moved
  not hashed  0 files

MOUNT POINT      WATCHED BY  NOTE
/                inotify     fs.inotify.max_user_watches is reached
/srv/a\\u{1b}[2J  none

BLIND FROM            TO                      FOUND  REASON
not known             2026-03-01 10:30:00Z        3  the agent was killed
2026-03-01 10:59:00Z  2026-03-01 11:00:00Z  not yet  overflow

problem: raise fs.inotify.max_user_watches
";
    assert_eq!(run, success(expected));
}

#[tokio::test]
async fn what_is_not_known_is_left_out() {
    let body = json!({
        "state": "waiting", "baseline": { "files": 0, "created_at": null }, "scan": null,
        "last_scan": null, "next_scan_at": null, "unhashed": null, "gaps": [], "problems": [],
        "watches": { "kind": "none", "filesystems": [], "folders": null }, "events": {},
    });
    let (run, _) = run_against("fim status", vec![ok(body)]).await;
    let expected = "\
fim: waiting
  baseline    none yet
  last scan   none yet
  watches     none
";
    assert_eq!(run, success(expected));
}

#[tokio::test]
async fn programs_get_the_answer_as_it_is() {
    let (run, _) = run_against("fim status --json", vec![ok(quiet())]).await;
    assert_eq!(run, success(&format!("{}\n", quiet())));
}

#[tokio::test]
async fn a_module_that_does_not_answer_is_said_so_with_the_exit_code_of_its_reason() {
    for (status, code, text, exit) in [
        (404, "not_found", "there is no module fim", Exit::Failed),
        (409, "not_running", "module fim does not run now, it is failed", Exit::Refused),
        (403, "not_permitted", "user 7 may not submit commands", Exit::Refused),
        (504, "no_answer", "module fim has not answered within 30s", Exit::TimedOut),
    ] {
        let (run, _) = run_against("fim status", vec![error(status, code, text)]).await;
        let expected = Run { exit, out: String::new(), err: format!("error: {text}\n") };
        assert_eq!(run, expected);
    }
}
