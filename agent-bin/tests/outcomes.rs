//! What a restart came to, in words and in numbers: those outcomes that need a ticket without its process, and the account.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "a test"
)]

#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;

use std::fs;
use std::process::{Command, Output};
use std::thread::JoinHandle;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{TestAgent, binary, kill, scripted_binary, skip};

const PHASES: [&str; 12] = [
    "ordered",
    "checked",
    "drained",
    "committed",
    "requested",
    "closed",
    "stopped",
    "started",
    "locked",
    "opened",
    "running",
    "confirmed",
];

/// Restarts, and returns the record, which has to be that of a success.
fn restart(agent: &TestAgent) -> Value {
    let (code, record) = agent.json(&["restart"]);
    assert_eq!((code, &record["status"]), (Some(0), &"success".into()), "{record:#}");
    record
}

fn shown(agent: &TestAgent, record: &Value) -> Value {
    agent.json(&["commands", "show", record["id"].as_str().unwrap()]).1
}

fn the_account_adds_up(method: &str) {
    let mut agent = TestAgent::new(binary(), &format!("restart: {{method: {method}}}\n"));
    agent.start();
    let result = &restart(&agent)["result"];
    let timeline = result["timeline"].as_array().unwrap();
    let phases: Vec<&str> = timeline.iter().map(|stamp| stamp["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, PHASES, "{result:#}");
    let at: Vec<u64> = timeline.iter().map(|stamp| stamp["at_ms"].as_u64().unwrap()).collect();
    assert!(at.is_sorted(), "{result:#}");
    assert_eq!((at[0], &json!(at[11])), (0, &result["total_ms"]), "{result:#}");
    assert_eq!(json!(at[10] - at[5]), result["downtime_ms"], "from closed to running: {result:#}");
}

#[test]
fn the_timeline_of_a_restart_through_the_helper_has_every_phase_and_adds_up() {
    the_account_adds_up("helper");
}

#[test]
fn the_timeline_of_a_restart_in_place_has_every_phase_and_adds_up() {
    the_account_adds_up("exec");
}

#[test]
fn the_gap_of_a_module_ends_with_its_first_event_however_late_and_outlives_the_next_restart() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    agent.append("app.log", "before\n");
    agent.until("it is delivered", |agent| agent.delivered().contains_key("before"));
    let record = restart(&agent);
    let gap = &record["result"]["events"]["logcollector"];
    assert!(gap["last_at_ms"].is_u64(), "{record:#}");
    assert_eq!((&gap["first_at_ms"], &gap["gap_ms"]), (&Value::Null, &Value::Null), "{record:#}");

    agent.append("app.log", "after\n");
    let gap = |agent: &TestAgent| shown(agent, &record)["result"]["events"]["logcollector"].clone();
    agent.until("the first event is noted", |agent| gap(agent)["first_at_ms"].is_u64());
    let noted = gap(&agent);
    let number = |name: &str| noted[name].as_u64().unwrap();
    assert_eq!(number("gap_ms"), number("first_at_ms") - number("last_at_ms"));
    let status = agent.status().unwrap();
    assert_eq!(status["last_restart"]["events"]["logcollector"], noted, "{status:#}");
    let gaps = &status["restarts"]["modules"]["logcollector"]["gap_ms"];
    assert_eq!((&gaps["count"], &gaps["max"]), (&json!(1), &noted["gap_ms"]), "{status:#}");
    let text = agent.cli(&["commands", "show", record["id"].as_str().unwrap()]).stdout;
    assert!(String::from_utf8(text).unwrap().contains("EVENT GAP"));

    restart(&agent);
    assert_eq!(gap(&agent), noted, "the next process knows it too");
}

#[test]
fn percentiles_count_every_restart_also_those_of_earlier_processes() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    assert_eq!(agent.status().unwrap()["restarts"]["count"], 0);
    let mut downtimes: Vec<u64> =
        (0..3).map(|_| restart(&agent)["result"]["downtime_ms"].as_u64().unwrap()).collect();
    downtimes.sort_unstable();
    kill(agent.pid(), Signal::KILL);
    agent.reap();
    agent.start();
    let restarts = &agent.status().unwrap()["restarts"];
    let expected =
        json!({"count": 3, "p50": downtimes[1], "p95": downtimes[2], "max": downtimes[2]});
    assert_eq!((&restarts["count"], &restarts["downtime_ms"]), (&json!(3), &expected));
    assert_eq!(restarts["by_method"]["helper"]["downtime_ms"], expected);
    assert_eq!(restarts["outcomes"], json!({"restarted": 3}));
    let text = String::from_utf8(agent.cli(&["status"]).stdout).unwrap();
    assert!(text.contains(&format!("3, down for {} ms (p50)", downtimes[1])), "{text}");
}

/// An agent that was killed between its ticket and its end, with nobody to start the next one; and who asked, and waits.
fn killed_after_the_ticket() -> (TestAgent, JoinHandle<Output>) {
    let config = "restart: {method: exec}\nscripted:\n  save: [hang]\n";
    let mut agent = TestAgent::new(scripted_binary(), config);
    agent.start();
    let mut command = agent.command("restart");
    let asker = std::thread::spawn(move || command.arg("--json").output().unwrap());
    agent.until("the modules are closed", |agent| agent.log().contains("the modules are closed"));
    kill(agent.pid_of_holder(), Signal::KILL);
    agent.reap();
    (agent, asker)
}

/// What the asker got: exit code and record.
fn answered(asker: JoinHandle<Output>) -> (Option<i32>, Value) {
    let output = asker.join().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_start_by_hand_after_a_kill_is_no_success_of_the_restart() {
    let (mut agent, asker) = killed_after_the_ticket();
    agent.start();
    let (code, record) = answered(asker);
    assert_eq!((code, &record["status"]), (Some(1), &"failure".into()), "{record:#}");
    let result = &record["result"];
    assert_eq!(result["outcome"], "started_by_someone_else", "{record:#}");
    let why = result["why"].as_str().unwrap();
    assert!(why.contains("ended before it had stopped its modules"), "{record:#}");
    assert_eq!(result["downtime_ms"], Value::Null, "nobody knows when the modules ended");
    let events = fs::read_to_string(agent.path("state/events.ndjson")).unwrap();
    assert!(events.contains("restart_not_clean"), "{events}");
    assert_eq!(agent.status().unwrap()["restarts"]["downtime_ms"]["count"], 0);
}

#[test]
fn a_start_after_a_reboot_is_no_success_and_no_time_spans_two_boots() {
    let (mut agent, asker) = killed_after_the_ticket();
    let path = agent.path("state/ticket.json");
    let mut ticket: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    ticket["old"]["boot_id"] = "00000000-0000-4000-8000-000000000000".into();
    fs::write(&path, ticket.to_string()).unwrap();
    agent.start();
    let (code, record) = answered(asker);
    assert_eq!((code, &record["status"]), (Some(1), &"failure".into()), "{record:#}");
    let result = &record["result"];
    assert_eq!(result["outcome"], "rebooted", "{record:#}");
    assert_eq!((&result["downtime_ms"], &result["total_ms"]), (&Value::Null, &Value::Null));
    assert_eq!(agent.json(&["restart", "--dry-run"]).0, Some(0), "the agent goes on");
    assert!(!path.exists(), "the ticket has done its work");
}

/// A library that lets the time of day run an hour late as long as a file is there.
const LATE: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    const char *file = getenv("AN_HOUR_LATE");
    int answer = syscall(SYS_clock_gettime, clock, at);
    if (answer == 0 && clock == CLOCK_REALTIME && file && access(file, F_OK) == 0) at->tv_sec -= 3600;
    return answer;
}
"#;

#[test]
fn a_clock_that_is_set_back_an_hour_changes_no_outcome_and_no_duration() {
    let test = "a_clock_that_is_set_back_an_hour_changes_no_outcome_and_no_duration";
    let busy = "scripted:\n  ready: [busy, {after-ms: 400, then: ok}]\n";
    let mut agent = TestAgent::new(scripted_binary(), busy);
    let (source, library) = (agent.path("late.c"), agent.path("late.so"));
    fs::write(&source, LATE).unwrap();
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    match compiled {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return skip(test, &format!("there is no C compiler: {error}")),
    }
    let switch = agent.path("an-hour-late");
    let mut command = agent.command("run");
    command.env("LD_PRELOAD", &library).env("AN_HOUR_LATE", &switch);
    agent.spawn(&mut command);
    let mut asking = agent.command("restart");
    let asker = std::thread::spawn(move || asking.arg("--json").output().unwrap());
    agent.until("the restart is under way", |agent| {
        agent.status().is_some_and(|status| status["state"] == "restarting")
    });
    fs::write(&switch, "").unwrap();
    let (code, record) = answered(asker);
    assert_eq!((code, &record["result"]["outcome"]), (Some(0), &"restarted".into()), "{record:#}");
    let time = |name: &str| record[name].as_str().unwrap().to_owned();
    assert!(time("finished_at") < time("accepted_at"), "the clock was set back: {record:#}");
    let result = &record["result"];
    let millis = |name: &str| result[name].as_u64().unwrap();
    assert!((400..600_000).contains(&millis("total_ms")), "{record:#}");
    assert!(millis("downtime_ms") <= millis("total_ms"), "{record:#}");
    let timeline = result["timeline"].as_array().unwrap();
    assert!(timeline.is_sorted_by_key(|stamp| stamp["at_ms"].as_u64()), "{record:#}");
    // The clock that is late does not stop what follows.
    restart(&agent);
}
