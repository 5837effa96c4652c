//! `fim scan`: a scan is begun, followed to its end over whatever happens to the agent, and summed up.

use agent_core::control::ControlClient;
use serde_json::{Value, json};

use super::fake_agent::{Place, Run};
use super::fim_status::quiet;
use super::scripted_agent::{Turn, error, listen, ok, play, run_against};
use crate::args::{FimVerb, ScanArgs};
use crate::cli::fim;
use crate::exit::Exit;

const SCAN: &str = r#"POST /v1/modules/fim/ask {"arguments":{"paths":[]},"verb":"scan"}"#;
const STATUS: &str = r#"POST /v1/modules/fim/ask {"arguments":{},"verb":"status"}"#;

fn begun() -> Turn {
    ok(json!({ "scan": 8, "started": true }))
}

/// The status when so many files were scanned.
fn under_way(files: u64) -> Turn {
    let mut status = quiet();
    status["state"] = "scanning".into();
    status["scan"] = json!({ "number": 8, "reason": "request", "files_done": files,
        "bytes_done": 0, "files_expected": 200 });
    ok(status)
}

fn last_scan() -> Value {
    json!({ "number": 8, "reason": "request", "finished_at": "2026-03-01T11:00:00Z",
        "duration_ms": 900, "files": 200, "files_per_second": 222, "bytes_per_second": 1_000,
        "changes": 1, "resumed": 1 })
}

fn over() -> Turn {
    let mut status = quiet();
    status["last_scan"] = last_scan();
    ok(status)
}

const SUMMARY: &str = "finished: #8 (request): 200 files in 900 ms, 222 files/s, 1.0 kB/s, 1 change, resumed 1 time\n";

fn success(out: &str) -> Run {
    Run { exit: Exit::Success, out: out.to_owned(), err: String::new() }
}

#[tokio::test]
async fn a_scan_is_followed_until_it_is_the_last_one() {
    // Idle for a moment before it begins; the last scan is still the one before it.
    let turns = vec![begun(), ok(quiet()), under_way(100), over()];
    let (run, asked) = run_against("fim scan", turns).await;
    assert_eq!(run, success(&format!("scan 8 was begun\n{SUMMARY}")));
    assert_eq!(asked, [SCAN, STATUS, STATUS, STATUS]);
}

#[tokio::test]
async fn paths_are_asked_for_from_the_root_on() {
    let (run, asked) = run_against("fim scan --no-wait /etc /usr/", vec![begun()]).await;
    assert_eq!(run, success("scan 8 was begun\n"));
    let question = r#"{"arguments":{"paths":["/etc","/usr"]},"verb":"scan"}"#;
    assert_eq!(asked, [format!("POST /v1/modules/fim/ask {question}")]);
}

/// An agent that goes away in the middle of the scan and comes back as another process, which starts its modules later.
#[tokio::test]
async fn a_restart_of_the_agent_in_the_middle_is_survived() {
    let turns = vec![
        Turn::Break { half: false },
        begun(),
        under_way(100),
        Turn::Break { half: true },
        Turn::Restart,
        error(409, "not_running", "module fim does not run now, it is starting"),
        error(503, "storage", "the journal is locked"),
        under_way(150),
        over(),
    ];
    let (run, asked) = run_against("fim scan", turns).await;
    assert_eq!(run, success(&format!("scan 8 was begun\n{SUMMARY}")));
    assert_eq!(asked.iter().filter(|question| *question == SCAN).count(), 2);
}

#[tokio::test]
async fn programs_get_one_object_at_the_end() {
    let (run, _) = run_against("fim scan --json", vec![begun(), over()]).await;
    let object = json!({ "scan": 8, "started": true, "last_scan": last_scan() });
    assert_eq!((run.exit, run.out), (Exit::Success, format!("{object}\n")));
    assert_eq!(run.err, "scan 8 was begun\n");
    let (run, _) = run_against("fim scan --json --no-wait", vec![begun()]).await;
    assert_eq!(run, success("{\"scan\":8,\"started\":true}\n"));
}

#[tokio::test]
async fn a_scan_that_is_not_begun_is_refused_in_the_modules_words() {
    let refused = || ok(json!({ "started": false, "reason": "the agent is being stopped" }));
    let (run, asked) = run_against("fim scan", vec![refused()]).await;
    let out = "no scan was begun: the agent is being stopped\n".to_owned();
    assert_eq!((run, asked.len()), (Run { exit: Exit::Refused, out, err: String::new() }, 1));
    let stopped = error(409, "not_running", "module fim does not run now, it is disabled");
    let (run, asked) = run_against("fim scan", vec![stopped]).await;
    assert_eq!((run.exit, asked.len()), (Exit::Refused, 1), "it may never run");
    let (run, _) = run_against("fim scan", vec![ok(json!({ "started": true }))]).await;
    assert_eq!(run.exit, Exit::Failed);
}

#[tokio::test]
async fn at_a_terminal_one_line_is_rewritten_and_gone_at_the_end() {
    let place = Place::new();
    let listener = listen(&place);
    let client = ControlClient::new(place.socket());
    let verb = FimVerb::Scan(ScanArgs { paths: Vec::new(), no_wait: false });
    let scanning = place.printed(false, async |screen| {
        screen.becomes_a_terminal();
        let ended = fim::ask(&client, verb, screen).await;
        ended.unwrap_or_else(|error| screen.report(&error))
    });
    let turns = vec![begun(), under_way(100), under_way(150), over()];
    let (run, _) = tokio::join!(scanning, play(&place, listener, turns));
    let expected = [
        "scan 8 was begun\n",
        "\r[############............]  50 %  100 of 200 files, 0 B\x1b[K",
        "\r[##################......]  75 %  150 of 200 files, 0 B\x1b[K",
        "\r\x1b[K",
        SUMMARY,
    ];
    assert_eq!(run, success(&expected.concat()));
}
