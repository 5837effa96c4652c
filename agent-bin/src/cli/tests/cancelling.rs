//! `commands cancel`: what was not begun is called off, and nothing else.

use serde_json::{Value, json};

use super::fake_agent::Run;
use super::scripted_agent::{Turn, error, ok, run_against};
use crate::exit::Exit;

fn cancelled() -> Value {
    json!({ "id": "c-1", "type": "restart-agent", "status": "failure", "error": 9 })
}

fn under_way() -> Turn {
    error(409, "conflict", "the command c-1 is under way and cannot be cancelled any more")
}

const GOOD: &str = "cancelled: restart-agent c-1 will not be begun\n";

fn said(exit: Exit, err: &str) -> Run {
    Run { exit, out: String::new(), err: err.to_owned() }
}

fn success(out: &str) -> Run {
    Run { exit: Exit::Success, out: out.to_owned(), err: String::new() }
}

#[tokio::test]
async fn a_waiting_command_is_cancelled() {
    let (run, asked) = run_against("commands cancel c-1", vec![ok(cancelled())]).await;
    assert_eq!(run, success(GOOD));
    assert_eq!(asked, ["POST /v1/commands/c-1/cancel {}"]);
}

#[tokio::test]
async fn the_agent_learns_the_reason_and_programs_get_the_record() {
    let line = "commands cancel a/b --reason mistake --json";
    let (run, asked) = run_against(line, vec![ok(cancelled())]).await;
    assert_eq!(run, success(&format!("{}\n", cancelled())));
    assert_eq!(asked, [r#"POST /v1/commands/a%2Fb/cancel {"reason":"mistake"}"#]);
}

#[tokio::test]
async fn what_is_under_way_is_refused_in_the_agents_words_with_exit_code_four() {
    let (run, asked) = run_against("commands cancel c-1", vec![under_way()]).await;
    let expected = "error: the command c-1 is under way and cannot be cancelled any more\n";
    assert_eq!((run, asked.len()), (said(Exit::Refused, expected), 1));
    let denied = error(403, "not_permitted", "user 7 may not submit commands");
    let (run, _) = run_against("commands cancel c-1", vec![denied]).await;
    assert_eq!(run, said(Exit::Refused, "error: user 7 may not submit commands\n"));
}

#[tokio::test]
async fn an_unknown_command_is_a_failure() {
    let unknown = error(404, "not_found", "there is no command c-1");
    let (run, _) = run_against("commands cancel c-1", vec![unknown]).await;
    assert_eq!(run, said(Exit::Failed, "error: there is no command c-1\n"));
}

#[tokio::test]
async fn a_question_whose_answer_was_lost_is_asked_again() {
    let turns = vec![Turn::Break { half: true }, Turn::Restart, ok(cancelled())];
    let (run, asked) = run_against("commands cancel c-1", turns).await;
    assert_eq!(run, success(GOOD));
    assert_eq!(asked, ["POST /v1/commands/c-1/cancel {}"; 2]);
}

#[tokio::test]
async fn a_conflict_after_a_lost_answer_is_success_only_if_the_command_is_cancelled() {
    let turns = |record: Value| vec![Turn::Break { half: false }, under_way(), ok(record)];
    let (run, asked) = run_against("commands cancel c-1", turns(cancelled())).await;
    assert_eq!(run, success(GOOD));
    assert_eq!(asked[1..], ["POST /v1/commands/c-1/cancel {}", "GET /v1/commands/c-1"]);
    let (run, _) =
        run_against("commands cancel c-1", turns(json!({ "status": "in_progress" }))).await;
    assert_eq!(run.exit, Exit::Refused, "{run:?}");
}
