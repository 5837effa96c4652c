//! `commands watch`: every change once, in its order, whatever happens to the agent meanwhile.

use std::io::{self, Write};
use std::time::Duration;

use agent_core::control::ControlClient;
use serde_json::{Value, json};

use super::fake_agent::{Place, Run};
use super::scripted_agent::{Turn, error, listen, ok, play, run_against};
use crate::cli::paint::Paint;
use crate::cli::patience::SILENCE;
use crate::cli::screen::Screen;
use crate::cli::watch::watch;
use crate::exit::Exit;

/// The change of this number of a restart.
fn change(number: u64, status: &str, stage: &str) -> Value {
    json!({
        "change": number, "id": "c-1", "type": "restart-agent", "error": 0, "seq": number - 3,
        "at": format!("2026-03-01T10:00:00.{number:03}Z"), "status": status, "stage": stage,
        "module": null, "text": "said",
    })
}

fn news(changes: &[Value], newest: u64) -> Turn {
    ok(json!({ "changes": changes, "gap": false, "newest": newest }))
}

fn newest(newest: u64) -> Turn {
    // A change that came before somebody began to watch is not shown.
    news(&[change(4, "pending", "accepted")], newest)
}

/// Ends the program.
fn end() -> Turn {
    error(500, "internal", "the script ends here")
}

const END: &str = "error: the script ends here\n";

fn failed(out: &str, err: &str) -> Run {
    Run { exit: Exit::Failed, out: out.to_owned(), err: err.to_owned() }
}

#[tokio::test]
async fn it_begins_with_what_is_new_and_goes_on_after_the_last_change_shown() {
    let mut stopped = change(18, "in_progress", "stopped");
    stopped["module"] = "fim".into();
    stopped["count"] = json!({ "done": 1, "total": 4 });
    let turns = vec![
        newest(17),
        news(&[stopped, change(19, "in_progress", "started")], 19),
        news(&[], 19),
        news(&[change(20, "success", "finished")], 20),
        end(),
    ];
    let (run, asked) = run_against("commands watch", turns).await;
    let expected = "\
2026-03-01 10:00:00.018Z  c-1  restart-agent   in_progress  stopped     fim [1/4]: said
2026-03-01 10:00:00.019Z  c-1  restart-agent   in_progress  started     said
2026-03-01 10:00:00.020Z  c-1  restart-agent   success      finished    said
";
    assert_eq!(run, failed(expected, END));
    let expected = [
        "GET /v1/changes?limit=1",
        "GET /v1/changes?after=17&limit=200&wait_ms=10000",
        "GET /v1/changes?after=19&limit=200&wait_ms=10000",
        "GET /v1/changes?after=19&limit=200&wait_ms=10000",
        "GET /v1/changes?after=20&limit=200&wait_ms=10000",
    ];
    assert_eq!(asked, expected);
}

/// An agent that goes away before, in the middle of and after an answer, and is another process each time.
#[tokio::test]
async fn across_interruptions_and_a_restart_nothing_is_lost_and_nothing_shown_twice() {
    let turns = vec![
        Turn::Break { half: false },
        Turn::Restart,
        newest(17),
        news(&[change(18, "in_progress", "stopped")], 18),
        Turn::Break { half: true },
        Turn::Restart,
        error(503, "storage", "the journal is locked"),
        // More than was asked for is not shown again either.
        news(&[change(18, "in_progress", "stopped"), change(19, "in_progress", "started")], 19),
        Turn::Restart,
        Turn::Break { half: false },
        news(&[change(20, "success", "finished")], 20),
        end(),
    ];
    let (run, asked) = run_against("commands watch --json", turns).await;
    let expected = [
        change(18, "in_progress", "stopped"),
        change(19, "in_progress", "started"),
        change(20, "success", "finished"),
        json!({ "error": { "code": "internal", "message": "the script ends here" } }),
    ];
    let expected = expected.map(|line| format!("{line}\n")).concat();
    assert_eq!(run, failed(&expected, ""));
    let after = |asked: &String| {
        let (_, rest) = asked.split_once("after=")?;
        rest.split('&').next()?.parse().ok()
    };
    let after: Vec<u64> = asked.iter().filter_map(after).collect();
    assert_eq!(after, [17, 18, 18, 18, 19, 19, 20]);
}

#[tokio::test]
async fn a_gap_is_told_in_one_line_although_several_answers_tell_of_it() {
    let gap = |changes: &[Value]| ok(json!({ "changes": changes, "gap": true, "newest": 30 }));
    let turns = || {
        vec![
            gap(&[]),
            gap(&[change(18, "in_progress", "stopped")]),
            news(&[change(30, "success", "finished")], 30),
            gap(&[]),
            end(),
        ]
    };
    let (run, asked) = run_against("commands watch --after 3", turns()).await;
    let expected = "\
some changes are not kept any more
2026-03-01 10:00:00.018Z  c-1  restart-agent   in_progress  stopped     said
2026-03-01 10:00:00.030Z  c-1  restart-agent   success      finished    said
some changes are not kept any more
";
    assert_eq!(run, failed(expected, END));
    assert_eq!(asked[0], "GET /v1/changes?after=3&limit=200&wait_ms=10000");
    let (run, _) = run_against("commands watch --after 3 --json", turns()).await;
    let first = run.out.lines().next().unwrap();
    assert_eq!(first, json!({ "gap": true, "after": 3 }).to_string());
    assert_eq!(run.out.lines().count(), 5, "{run:?}");
}

#[tokio::test]
async fn another_journal_is_shown_from_its_beginning() {
    let turns = vec![news(&[], 2), news(&[change(4, "pending", "accepted")], 4), end()];
    let (run, asked) = run_against("commands watch --after 500", turns).await;
    let expected = "\
the changes are numbered anew, because the journal is another one
2026-03-01 10:00:00.004Z  c-1  restart-agent   pending      accepted    said
";
    assert_eq!(run, failed(expected, END));
    assert_eq!(asked[1], "GET /v1/changes?after=0&limit=200&wait_ms=10000");
}

#[tokio::test]
async fn what_is_no_list_of_changes_is_refused() {
    for (line, answer, what) in [
        ("commands watch", json!({ "changes": [] }), "changes without the number of the newest"),
        ("commands watch --after 1", json!({ "newest": 7 }), "an answer without changes"),
    ] {
        let (run, _) = run_against(line, vec![ok(answer)]).await;
        let expected = format!("error: the agent's answer cannot be understood: {what}\n");
        assert_eq!(run, failed("", &expected), "{line}");
    }
}

#[tokio::test]
async fn an_agent_that_stays_away_is_given_up_with_exit_code_five() {
    let place = Place::new();
    let client = ControlClient::new(place.socket());
    let silence = Duration::from_millis(300);
    let watching = place.printed(false, async |screen| {
        watch(&client, Some(17), silence, screen)
            .await
            .unwrap_or_else(|error| screen.report(&error))
    });
    let turns =
        vec![news(&[change(18, "in_progress", "stopped")], 18), Turn::Break { half: false }];
    let listener = listen(&place);
    let (run, _) = tokio::join!(watching, play(&place, listener, turns));
    let out = "2026-03-01 10:00:00.018Z  c-1  restart-agent   in_progress  stopped     said\n";
    let err = "error: no answer for 300ms, given up: no agent is running: nobody answers on SOCKET (Connection refused (os error 111)); start it with `systemctl start wazuh-agent` or `wazuh-agent run`\n";
    let expected = Run { exit: Exit::NotRunning, out: out.to_owned(), err: err.to_owned() };
    assert_eq!(run, expected);
}

/// A pipe whose reader is gone.
struct ClosedPipe;

impl Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn it_ends_when_nobody_reads_its_output_any_more() {
    let place = Place::new();
    let client = ControlClient::new(place.socket());
    let paint = Paint { on: false };
    let mut screen = Screen::new(Box::new(ClosedPipe), Box::new(Vec::new()), false, paint);
    let listener = listen(&place);
    let turns = vec![news(&[change(18, "success", "finished")], 18)];
    let (watched, _) =
        tokio::join!(watch(&client, Some(17), SILENCE, &mut screen), play(&place, listener, turns));
    assert_eq!(screen.finish(watched.unwrap()), Exit::Success);
}
