//! Orders that meet in the middle: a restart while modules close, a stop while a module is saved, force that comes too late.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "a test"
)]

#[path = "support/orders.rs"]
mod orders;
#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;

use orders::{finished, module, order, until};
use rustix::process::Signal;
use serde_json::Value;
use support::{TestAgent, kill, scripted_binary};

const SLOW_SAVE: &str = "scripted:\n  save: [ok-after-ms: 1500]\n";

fn until_logged(agent: &TestAgent, text: &str) {
    agent.until(&format!("{text:?} is logged"), |agent| agent.log().contains(text));
}

/// Stops the agent, waits for its end and starts it again.
fn stop_and_start(agent: &mut TestAgent) {
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0), "{}", agent.log());
    agent.reap();
    agent.configure("scripted:\n  start: [ok]\n");
    agent.start();
}

#[test]
fn a_restart_that_comes_while_modules_are_closed_is_carried_out_by_the_next_process() {
    let mut agent = TestAgent::new(scripted_binary(), SLOW_SAVE);
    agent.start();
    order(&agent, &["restart"]);
    until_logged(&agent, "the modules are closed");
    order(&agent, &["restart", "--module", "logcollector"]);
    order(&agent, &["restart"]);
    let outcomes: Vec<Value> =
        finished(&agent).iter().map(|command| command["result"]["outcome"].clone()).collect();
    assert_eq!(outcomes, ["restarted", "restarted", "restarted"], "{}", agent.log());
    assert_eq!(agent.status().unwrap()["generation"], 3);
}

#[test]
fn a_stop_lets_the_restart_of_a_module_close_it_and_closes_the_others_beside() {
    let mut agent = TestAgent::new(scripted_binary(), SLOW_SAVE);
    agent.start();
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "stopping");
    order(&agent, &["restart", "--module", "scripted"]);
    stop_and_start(&mut agent);
    let log = agent.log();
    let said = |what: &str| {
        let lines = log.lines().filter(|line| line.contains("module=\"scripted\""));
        lines.filter(|line| line.contains(what)).count()
    };
    assert_eq!((said("ready"), said("state saved"), said("stopped")), (1, 1, 1), "{log}");
    for command in &finished(&agent)[..2] {
        assert_eq!(command["status"], "failure", "{command:#}");
        assert_eq!(command["result"]["outcome"], "stopped_instead", "{command:#}");
    }
}

#[test]
fn a_stop_never_calls_a_module_whose_thread_still_hangs_in_a_call() {
    let script =
        "scripted:\n  save: [block]\nrestart:\n  save_timeout: 300ms\n  stop_timeout: 100ms\n";
    let mut agent = TestAgent::new(scripted_binary(), script);
    agent.start();
    order(&agent, &["restart", "--module", "scripted"]);
    until_logged(&agent, "ready stage=\"drain\" module=\"scripted\"");
    stop_and_start(&mut agent);
    let log = agent.log();
    assert_eq!(log.matches("ready stage=\"drain\" module=\"scripted\"").count(), 1, "{log}");
}

#[test]
fn a_forced_restart_of_an_idle_module_saves_and_stops_it() {
    let mut agent = TestAgent::new(scripted_binary(), SLOW_SAVE);
    agent.start();
    let (code, record) = agent.json(&["restart", "--module", "scripted", "--force"]);
    assert_eq!(code, Some(0), "{record:#}");
    let log = agent.log();
    assert!(log.contains("state saved stage=\"save\" module=\"scripted\""), "{log}");
    assert!(!log.contains("abandoned"), "{log}");
}

#[test]
fn force_that_is_denied_by_a_stop_costs_no_module_its_state() {
    let mut agent = TestAgent::new(scripted_binary(), SLOW_SAVE);
    agent.start();
    order(&agent, &["restart"]);
    until_logged(&agent, "the modules are closed");
    kill(agent.pid(), Signal::INT);
    let forced = agent.cli(&["restart", "--force", "--no-wait"]);
    assert!([Some(0), Some(5)].contains(&forced.status.code()), "it came before the end, or after");
    agent.reap();
    let log = agent.log();
    assert!(log.contains("state saved stage=\"save\" module=\"scripted\""), "{log}");
    assert!(!log.contains("abandoned"), "{log}");
}

#[test]
fn a_retry_makes_way_for_an_order_and_is_made_up_for() {
    let script = "scripted:\n  start: [ok-after-ms: 2000]\n  fail_after_ms: 10\nsupervision:\n  backoff_initial: 10ms\n  backoff_max: 10ms\n";
    let mut agent = TestAgent::new(scripted_binary(), script);
    agent.start();
    agent.until("the module is started again", |agent| {
        let module = module(agent);
        module["state"] == "starting" && module["run"] == 2
    });
    assert_eq!(agent.json(&["restart", "--module", "logcollector"]).0, Some(0));
    agent.until("the module is tried once more", |agent| module(agent)["run"] == 3);
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
}

#[test]
fn a_grown_restart_that_is_called_off_ends_with_what_became_of_the_modules() {
    let script = "scripted:\n  stop: [block]\nrestart:\n  stop_timeout: 100ms\n";
    let mut agent = TestAgent::new(scripted_binary(), script);
    agent.start();
    let before = agent.pid();
    // Nobody can put a ticket in this place.
    std::fs::create_dir_all(agent.path("state/ticket.json/in-the-way")).unwrap();
    let (code, record) = agent.json(&["restart", "--module", "scripted"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    let history = record["history"].as_array().unwrap();
    let last = history.last().unwrap()["text"].as_str().unwrap();
    assert!(last.contains("the restart of the whole agent was called off"), "{last}");
    assert_eq!(agent.pid(), before);
    assert_eq!(module(&agent)["state"], "running");
    let (code, record) = agent.json(&["restart", "--module", "logcollector"]);
    assert_eq!(code, Some(0), "the agent goes on: {record:#}");
}
