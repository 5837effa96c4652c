//! `fim check`: 0 when the file is as in the baseline, 7 when it is not.

use serde_json::{Value, json};

use super::fake_agent::Run;
use super::scripted_agent::{ok, run_against};
use crate::exit::Exit;

fn found(in_baseline: bool, on_disk: bool, differences: Value) -> Value {
    json!({ "path": "/etc/passwd", "watched": true, "why_not": null, "in_baseline": in_baseline,
        "on_disk": on_disk, "differences": differences, "baseline": null, "disk": null })
}

async fn checked(body: Value) -> Run {
    let (run, asked) = run_against("fim check /etc/passwd", vec![ok(body)]).await;
    let question = r#"{"arguments":{"path":"/etc/passwd"},"verb":"check"}"#;
    assert_eq!(asked, [format!("POST /v1/modules/fim/ask {question}")]);
    run
}

fn said(exit: Exit, out: &str) -> Run {
    Run { exit, out: out.to_owned(), err: String::new() }
}

#[tokio::test]
async fn a_file_as_in_the_baseline_is_success() {
    let run = checked(found(true, true, json!([]))).await;
    assert_eq!(run, said(Exit::Success, "/etc/passwd: as in the baseline\n"));
}

#[tokio::test]
async fn each_difference_is_shown_with_both_values_and_exit_code_seven() {
    let differences = json!([
        { "attribute": "size", "baseline": 1_234, "disk": 1_250 },
        { "attribute": "target", "baseline": null, "disk": "/tmp/\n" },
    ]);
    let expected = "\
/etc/passwd: differs from the baseline

ATTRIBUTE  BASELINE  DISK
size       1234      1250
target     -         /tmp/\\n
";
    assert_eq!(checked(found(true, true, differences)).await, said(Exit::Differs, expected));
}

#[tokio::test]
async fn a_file_that_is_missing_on_either_side_is_not_as_in_the_baseline() {
    for (in_baseline, on_disk, words) in [
        (true, false, "in the baseline, but not on disk"),
        (false, true, "on disk, but not in the baseline"),
        (false, false, "neither in the baseline nor on disk"),
    ] {
        let run = checked(found(in_baseline, on_disk, json!([]))).await;
        assert_eq!(run, said(Exit::Differs, &format!("/etc/passwd: {words}\n")));
    }
}

#[tokio::test]
async fn a_file_that_is_not_watched_is_said_to_be_so_and_why() {
    let mut body = found(false, true, json!([]));
    body["watched"] = false.into();
    body["why_not"] = "excluded by *.swp".into();
    let expected = "\
/etc/passwd: on disk, but not in the baseline
it is not watched: excluded by *.swp
";
    assert_eq!(checked(body).await, said(Exit::Differs, expected));
}

#[tokio::test]
async fn programs_get_the_answer_and_the_same_exit_code() {
    let body = found(true, false, json!([]));
    let (run, _) = run_against("fim check --json /etc/passwd", vec![ok(body.clone())]).await;
    assert_eq!(run, said(Exit::Differs, &format!("{body}\n")));
}

#[tokio::test]
async fn an_answer_that_leaves_the_result_open_is_a_failure() {
    for missing in ["in_baseline", "on_disk", "differences"] {
        let mut body = found(true, true, json!([]));
        body[missing] = Value::Null;
        let run = checked(body).await;
        let expected =
            "error: the agent's answer cannot be understood: a check without its result\n";
        assert_eq!((run.exit, run.err.as_str()), (Exit::Failed, expected), "{missing}");
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_not_asked_for() {
    let (run, asked) = run_against("fim check /missing-folder/../x", Vec::new()).await;
    assert_eq!((run.exit, asked.len()), (Exit::Failed, 0));
    assert!(
        run.err.starts_with("error: cannot tell where \"/missing-folder/../x\" is: "),
        "{run:?}"
    );
}
