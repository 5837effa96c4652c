//! An agent run by hand and stopped: by signals and commands, during starts and restarts; a stop wins.

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

use rustix::process::Signal;
use std::fs;
use support::{TestAgent, binary, kill, scripted_binary};

fn last_restart(agent: &TestAgent) -> serde_json::Value {
    let commands = agent.json(&["commands", "list"]).1;
    let commands = commands["commands"].as_array().unwrap();
    commands.iter().find(|command| command["type"] == "restart-agent").unwrap().clone()
}

#[test]
fn sigterm_ends_the_agent_with_status_zero() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    kill(agent.pid(), Signal::TERM);
    assert_eq!(agent.reap().unwrap().code(), Some(0));
}

#[test]
fn sigterm_during_a_slow_start_is_obeyed_without_waiting_for_the_module() {
    let slow = "scripted:\n  start: [hang]\nrestart:\n  start_timeout: 10m\n";
    let mut agent = TestAgent::new(scripted_binary(), slow);
    agent.spawn_until(&mut agent.command("run"), "starting");
    kill(agent.pid(), Signal::TERM);
    assert_eq!(agent.reap().unwrap().code(), Some(0));
}

#[test]
fn a_stop_before_the_confirmation_ends_the_restart_as_stopped_instead() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  start: [ok]\n");
    agent.start();
    agent.configure("scripted:\n  start: [hang]\nrestart:\n  start_timeout: 10m\n");
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the next process starts", |agent| {
        agent.status().is_some_and(|status| status["generation"] == 2)
    });
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
    agent.reap();
    agent.configure("scripted:\n  start: [ok]\n");
    agent.start();
    let commands = agent.json(&["commands", "list"]).1;
    let restart =
        commands["commands"].as_array().unwrap().iter().find(|c| c["type"] == "restart-agent");
    let restart = restart.unwrap();
    assert_eq!(restart["status"], "failure", "{restart:#}");
    assert_eq!(restart["result"]["outcome"], "stopped_instead", "{restart:#}");
}

#[test]
fn a_forced_restart_does_not_wait_for_a_busy_module_and_says_so() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  ready: [busy]\n");
    agent.start();
    let (code, record) = agent.json(&["restart", "--force"]);
    assert_eq!(
        (code, &record["result"]["outcome"]),
        (Some(0), &"restarted_forced".into()),
        "{record:#}"
    );
    assert!(record["result"].to_string().contains("not ready: forced"), "{record:#}");
}

#[test]
fn an_operators_stop_overtakes_a_restart_under_way() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  ready: [busy]\n");
    agent.start();
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the modules are drained", |agent| agent.log().contains("busy as scripted"));
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
    assert_eq!(agent.reap().unwrap().code(), Some(0));
    agent.start();
    let commands = agent.json(&["commands", "list"]).1;
    let restart =
        commands["commands"].as_array().unwrap().iter().find(|c| c["type"] == "restart-agent");
    assert_eq!(restart.unwrap()["result"]["outcome"], "stopped_instead", "{commands:#}");
    assert_eq!(agent.status().unwrap()["generation"], 2, "nobody started it in between");
}

#[test]
fn a_stop_that_meets_a_restart_which_is_refused_still_stops() {
    let mut agent = TestAgent::new(binary(), "");
    let copy = agent.path("wazuh-agent");
    fs::copy(binary(), &copy).unwrap();
    agent.binary.clone_from(&copy);
    agent.start();
    agent.binary = binary();
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    let stopped = agent.cli(&["stop"]);
    assert_eq!(stopped.status.code(), Some(0), "{}", String::from_utf8_lossy(&stopped.stderr));
    assert_eq!(agent.reap().unwrap().code(), Some(0));
}

#[test]
fn a_stop_wins_over_a_restart_whose_modules_are_closing() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  stop: [ok-after-ms: 1500]\n");
    agent.start();
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the modules are closed", |agent| agent.log().contains("the modules are closed"));
    let stopped = agent.cli(&["stop"]);
    assert_eq!(stopped.status.code(), Some(0), "{}", agent.log());
    assert_eq!(agent.reap().unwrap().code(), Some(0));
    agent.configure("");
    agent.start();
    assert_eq!(agent.status().unwrap()["generation"], 2, "nobody was started in between");
    let restart = last_restart(&agent);
    assert_eq!(restart["result"]["outcome"], "stopped_instead", "{restart:#}");
}

#[test]
fn a_helper_that_dies_while_the_modules_close_does_not_take_the_agent_away() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  stop: [ok-after-ms: 1500]\n");
    agent.start();
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the modules are closed", |agent| agent.log().contains("the modules are closed"));
    let ticket: serde_json::Value =
        serde_json::from_slice(&fs::read(agent.path("state/ticket.json")).unwrap()).unwrap();
    kill(i32::try_from(ticket["successor"]["pid"].as_i64().unwrap()).unwrap(), Signal::KILL);
    agent.until("the next generation runs", |agent| {
        agent
            .status()
            .is_some_and(|status| status["generation"] == 2 && status["state"] == "running")
    });
    agent.until("the restart is judged", |agent| last_restart(agent)["finished_at"].is_string());
    let restart = last_restart(&agent);
    assert_eq!(restart["result"]["outcome"], "restarted_forced", "{restart:#}");
}

#[test]
fn a_module_that_blocks_its_threads_does_not_keep_the_agent_from_stopping() {
    let mut agent = TestAgent::new(
        scripted_binary(),
        "scripted:\n  ready: [block]\n  save: [block]\n  stop: [block]\nrestart:\n  ready_timeout: 200ms\n  save_timeout: 200ms\n  stop_timeout: 200ms\n",
    );
    agent.start();
    kill(agent.pid(), Signal::TERM);
    assert_eq!(agent.reap().unwrap().code(), Some(0));
    assert!(agent.log().contains("abandoned: it did not stop"), "{}", agent.log());
}

#[test]
fn stop_ends_the_process_and_a_stop_is_not_taken_for_a_kill() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let output = agent.cli(&["stop"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(agent.reap().unwrap().code(), Some(0));
    agent.start();
    let events = fs::read_to_string(agent.path("state/events.ndjson")).unwrap_or_default();
    assert!(!events.contains("unclean_stop"), "{events}");
}

#[test]
fn sigterm_while_closing_for_exec_in_place_is_an_operators_stop() {
    let config = "scripted:\n  stop: [ok-after-ms: 1500]\nrestart:\n  method: exec\n";
    let mut agent = TestAgent::new(scripted_binary(), config);
    agent.start();
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the modules are closed", |agent| agent.log().contains("the modules are closed"));
    kill(agent.pid(), Signal::TERM);
    assert_eq!(agent.reap().unwrap().code(), Some(0));
    agent.configure("");
    agent.start();
    assert_eq!(agent.status().unwrap()["generation"], 2, "nobody was started in between");
    assert_eq!(last_restart(&agent)["result"]["outcome"], "stopped_instead");
}
