//! Commands followed to their end, also across the change of the process.

use std::io::{Read, Write};

use agent_core::control::{ApiAnswer, ErrorKind};
use serde_json::{Value, json};

use super::fake_agent::{FakeAgent, Place, Run};
use crate::exit::Exit;

fn restarted() -> Value {
    json!({
        "outcome": "restarted", "method": "helper", "downtime_ms": 12.34, "total_ms": 456,
        "old": { "pid": 100, "generation": 1 }, "new": { "pid": 200, "generation": 2 },
        "modules": [{ "name": "logcollector", "ready_ms": 0, "save_ms": 3, "stop_ms": null, "notes": [] }],
        "timeline": [{ "phase": "ordered", "at_ms": 0.0 }, { "phase": "confirmed", "at_ms": 456.0 }],
        "not_running": [],
    })
}

/// An agent that takes a command, goes away, comes back as another server, and finishes it.
async fn restart_across_the_change(place: &Place, line: &str) -> Run {
    let agent = FakeAgent::new();
    let first = place.serve(&agent);
    let (run, ()) = tokio::join!(place.run(line), async {
        agent.is_asked().await;
        agent.happens(1, "in_progress", "started", None, "attempt 1");
        agent.counts(10, "saved", "logcollector", 1, 2);
        agent.happens(20, "in_progress", "stopped", Some("logcollector"), "stopped in 3 ms");
        place.go_away(first).await;
        agent.finishes(456, "success", 0, "the agent was restarted", restarted());
        let second = place.serve(&agent);
        // Kept until the run has ended.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(second);
        });
    });
    run
}

#[tokio::test]
async fn a_restart_is_followed_across_the_change_of_the_process() {
    let place = Place::new();
    let run = restart_across_the_change(&place, "restart --reason upgrade").await;
    let expected = "   +0.000 s  accepted    waiting for its turn
   +0.001 s  started     attempt 1
   +0.010 s  saved       logcollector [1/2]: done
   +0.020 s  stopped     logcollector: stopped in 3 ms
   +0.456 s  finished    the agent was restarted
success: restarted by helper, down for 12.3 ms, 456 ms in all, pid 100 -> 200, generation 1 -> 2

MODULE        READY  SAVE  STOP  NOTES
logcollector   0 ms  3 ms     -

      AT  PHASE
  0.0 ms  ordered
456.0 ms  confirmed
";
    assert_eq!(run.out, expected);
    assert_eq!((run.exit, run.err.as_str()), (Exit::Success, ""));
}

#[tokio::test]
async fn for_programs_standard_output_is_the_final_record_and_nothing_else() {
    let place = Place::new();
    let run = restart_across_the_change(&place, "restart --module fim --force --json").await;
    let record: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(run.exit, Exit::Success);
    assert_eq!(run.out.lines().count(), 1);
    assert_eq!((&record["status"], &record["result"]), (&json!("success"), &restarted()));
    assert_eq!((&record["target"], &record["force"]), (&json!(["fim"]), &json!(true)));
    let seqs: Vec<_> = record["history"].as_array().unwrap().iter().map(|e| &e["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5], "the whole history, also what came before the change");
    assert_eq!(run.err.lines().count(), 5, "{}", run.err);
}

#[tokio::test]
async fn a_submission_whose_answer_was_lost_is_repeated_with_the_same_id() {
    let place = Place::new();
    let agent = FakeAgent::new();
    let listener = place.listen();
    let torn = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        while !text.ends_with('}') {
            let mut bytes = [0; 1000];
            let length = stream.read(&mut bytes).unwrap();
            text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
        stream.write_all(b"HTTP/1.1 202 Acc").unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    });
    let (run, (_server, first)) = tokio::join!(place.run("reload --no-wait"), async {
        let first = tokio::task::spawn_blocking(|| torn.join().unwrap()).await.unwrap();
        (place.serve(&agent), first)
    });
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(run.exit, Exit::Success);
    assert_eq!(*agent.submitted.lock().unwrap(), vec![first.clone()]);
    assert_eq!(run.out, format!("accepted as {}\n", first["id"].as_str().unwrap()));
    assert_eq!(first["command"]["type"], "reload");
}

#[tokio::test]
async fn an_agent_that_does_not_come_back_in_time_is_reported_with_what_to_do() {
    let place = Place::new();
    let agent = FakeAgent::new();
    let server = place.serve(&agent);
    let (run, ()) = tokio::join!(place.run("restart --timeout 300ms"), async {
        agent.is_asked().await;
        place.go_away(server).await;
    });
    let id = agent.record.borrow()["id"].as_str().unwrap().to_owned();
    let expected = format!(
        "error: the outcome of command {id} is not known after 300ms; look again with `wazuh-agent commands show {id}`\n"
    );
    assert_eq!((run.exit, run.err), (Exit::TimedOut, expected));
}

#[tokio::test]
async fn an_agent_that_answers_but_never_finishes_times_out_too() {
    let place = Place::new();
    let agent = FakeAgent::new();
    let _server = place.serve(&agent);
    let run = place.run("restart --timeout 300ms --json").await;
    let error: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.exit, &error["error"]["code"]), (Exit::TimedOut, &json!("timed_out")));
}

#[tokio::test]
async fn a_user_who_may_not_ask_gets_the_agents_words_and_exit_code_four() {
    let place = Place::new();
    let agent = FakeAgent::new();
    let message = "user 7 may not submit commands; these user ids may: 0";
    *agent.refusal.lock().unwrap() = Some(ApiAnswer::error(ErrorKind::NotPermitted, message));
    let _server = place.serve(&agent);
    let run = place.run("restart").await;
    assert_eq!(
        run,
        Run { exit: Exit::Refused, out: String::new(), err: format!("error: {message}\n") }
    );
    let run = place.run("reload --json").await;
    let error = json!({ "error": { "code": "not_permitted", "message": message } });
    assert_eq!((run.exit, run.out, run.err), (Exit::Refused, format!("{error}\n"), String::new()));
}

#[tokio::test]
async fn a_restart_too_many_is_refused_and_programs_learn_when_to_ask_again() {
    let place = Place::new();
    let agent = FakeAgent::new();
    let message = "the agent may be restarted 6 times an hour (commands.max_restarts_per_hour): ask again in 600 s";
    let error = json!({
        "error": { "code": "too_many_restarts", "message": message, "retry_after_s": 600 },
    });
    *agent.refusal.lock().unwrap() = Some(ApiAnswer { status: 429, body: error.clone() });
    let _server = place.serve(&agent);
    let run = place.run("restart").await;
    assert_eq!(
        run,
        Run { exit: Exit::Refused, out: String::new(), err: format!("error: {message}\n") }
    );
    let run = place.run("restart --json").await;
    assert_eq!((run.exit, run.out, run.err), (Exit::Refused, format!("{error}\n"), String::new()));
}

async fn restart_that_ends(status: &str, error: i32, text: &str, result: Value) -> Run {
    let place = Place::new();
    let agent = FakeAgent::new();
    let _server = place.serve(&agent);
    let ends = async {
        agent.is_asked().await;
        agent.finishes(2, status, error, text, result);
    };
    tokio::join!(place.run("restart"), ends).0
}

#[tokio::test]
async fn a_refused_restart_ends_with_the_reason_and_exit_code_four() {
    let text = "agent.yml:3: restart.timeout: found soon";
    let run = restart_that_ends("failure", 2, text, Value::Null).await;
    assert_eq!(run.exit, Exit::Refused);
    assert!(run.out.ends_with(&format!("\nfailure: {text}\n")), "{}", run.out);
}

#[tokio::test]
async fn a_degraded_restart_names_what_does_not_run_and_ends_with_exit_code_three() {
    let result = json!({
        "outcome": "degraded", "method": "systemd",
        "not_running": ["fim", { "name": "sca", "reason": "no policy" }],
    });
    let run = restart_that_ends("failure", 6, "two modules do not run", result).await;
    let expected = "
failure: degraded by systemd, two modules do not run
not running: fim
not running: sca: no policy
";
    assert_eq!(run.exit, Exit::Degraded);
    assert!(run.out.ends_with(expected), "{}", run.out);
}
