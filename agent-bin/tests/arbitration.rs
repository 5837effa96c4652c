//! Restarts that are asked for while another is under way: joined, overtaking, growing, and refused.

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
use serde_json::Value;
use support::{TestAgent, scripted_binary};

/// What a command's history says of one stage.
fn step(command: &Value, stage: &str) -> Option<String> {
    let history = command["history"].as_array().unwrap();
    let step = history.iter().find(|step| step["stage"] == stage)?;
    Some(step["text"].as_str().unwrap().to_owned())
}

#[test]
fn a_restart_of_the_agent_overtakes_one_of_modules_and_both_get_its_outcome() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  save: [ok-after-ms: 1000]\n");
    agent.start();
    let before = agent.pid();
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "stopping");
    order(&agent, &["restart"]);
    let [first, second] = finished(&agent).try_into().unwrap();
    assert_eq!(
        step(&first, "grow").as_deref(),
        Some("a restart of the whole agent overtakes this one; the whole agent is restarted")
    );
    assert!(step(&second, "overtakes").unwrap().contains(first["id"].as_str().unwrap()));
    for command in [&first, &second] {
        assert_eq!(command["status"], "success", "{command:#}");
        assert_eq!(command["result"]["outcome"], "restarted", "{command:#}");
    }
    assert_eq!(first["result"], second["result"]);
    assert_ne!(agent.pid(), before);
    assert_eq!(agent.status().unwrap()["generation"], 2, "the agent was restarted once");
}

#[test]
fn a_restart_of_the_agent_cuts_off_the_start_of_a_module() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  start: [ok-after-ms: 2000]\n");
    agent.start();
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "starting");
    order(&agent, &["restart"]);
    let [first, second] = finished(&agent).try_into().unwrap();
    assert!(step(&first, "grow").unwrap().contains("overtakes this one"), "{first:#}");
    assert_eq!(first["result"]["outcome"], "restarted", "{first:#}");
    assert_eq!(first["result"], second["result"]);
    assert_eq!(module(&agent)["run"], 1, "it was started anew in the new process alone");
}

#[test]
fn a_restart_of_modules_joins_the_restart_of_the_agent_under_way() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  ready: [ok-after-ms: 1000]\n");
    agent.start();
    order(&agent, &["restart"]);
    until(&agent, "stopping");
    order(&agent, &["restart", "--module", "scripted"]);
    let [first, second] = finished(&agent).try_into().unwrap();
    assert!(step(&second, "joined").unwrap().contains(first["id"].as_str().unwrap()));
    assert_eq!(second["result"]["outcome"], "restarted", "{second:#}");
    assert_eq!(first["result"], second["result"]);
    assert_eq!(module(&agent)["run"], 1, "the module was not restarted once more");
}

#[test]
fn two_restarts_of_one_module_that_are_due_together_become_one() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  save: [ok-after-ms: 1000]\n");
    agent.start();
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "stopping");
    order(&agent, &["restart", "--module", "scripted"]);
    let [first, second] = finished(&agent).try_into().unwrap();
    assert_eq!(first["result"]["outcome"], "restarted", "{first:#}");
    assert_eq!(first["result"], second["result"]);
    assert_eq!(module(&agent)["run"], 2);
}

#[test]
fn a_restart_that_comes_when_the_module_is_started_again_is_a_restart_of_its_own() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  start: [ok-after-ms: 1000]\n");
    agent.start();
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "starting");
    order(&agent, &["restart", "--module", "scripted"]);
    let [first, second] = finished(&agent).try_into().unwrap();
    assert_eq!(first["result"]["outcome"], "restarted", "{first:#}");
    assert_eq!(second["result"]["outcome"], "restarted", "{second:#}");
    assert_eq!(module(&agent)["run"], 3, "what was started before the order cannot answer it");
}

#[test]
fn an_unknown_module_is_refused_at_once_also_while_something_else_is_under_way() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  ready: [ok-after-ms: 2000]\n");
    agent.start();
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "stopping");
    let (code, refused) = agent.json(&["restart", "--module", "fimm"]);
    assert_eq!(code, Some(4), "{refused:#}");
    assert_eq!(
        refused["result"]["reason"],
        "no enabled module fimm; the enabled modules are: logcollector, scripted"
    );
    assert_eq!(module(&agent)["state"], "stopping", "the one under way goes on");
    assert_eq!(finished(&agent)[0]["result"]["outcome"], "restarted");
}

const BLOCKED: &str = "scripted:\n  stop: [block]\nrestart:\n  stop_timeout: 100ms\n";

#[test]
fn a_module_that_cannot_be_stopped_makes_its_restart_one_of_the_agent() {
    let mut agent = TestAgent::new(scripted_binary(), BLOCKED);
    agent.start();
    let before = agent.pid();
    let (code, record) = agent.json(&["restart", "--module", "scripted"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(
        step(&record, "grow").as_deref(),
        Some(
            "module scripted cannot be stopped, 1 of its threads hang; the whole agent is restarted"
        )
    );
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    assert_ne!(agent.pid(), before);
    assert_eq!(module(&agent)["state"], "running");
    let log = agent.log();
    assert!(!log.contains("not all steps of the shutdown are in the journal"), "{log}");
}

#[test]
fn without_escalation_a_module_that_cannot_be_stopped_is_started_beside_what_hangs() {
    let mut agent = TestAgent::new(scripted_binary(), &format!("{BLOCKED}  escalate: false\n"));
    agent.start();
    let before = agent.pid();
    let (code, record) = agent.json(&["restart", "--module", "scripted"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    assert_eq!(agent.pid(), before);
    assert_eq!(module(&agent)["run"], 2);
}

#[test]
fn a_restart_does_not_grow_when_the_agent_would_not_come_back() {
    let mut agent = TestAgent::new(scripted_binary(), BLOCKED);
    agent.start();
    let before = agent.pid();
    agent.configure("scripted: [wrong]\n");
    let (code, record) = agent.json(&["restart", "--module", "scripted"]);
    assert_eq!(code, Some(0), "{record:#}");
    let grow = step(&record, "grow").unwrap();
    assert!(grow.contains("the whole agent cannot be restarted"), "{grow}");
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    assert_eq!(agent.pid(), before);
    assert_eq!(module(&agent)["state"], "running");
}

#[test]
fn several_or_all_modules_are_restarted_in_process_by_one_order() {
    let mut agent = TestAgent::new(scripted_binary(), "");
    agent.start();
    let before = agent.pid();
    for words in [&["--module", "scripted", "--module", "logcollector"][..], &["--module", "all"]] {
        let (code, record) = agent.json(&[&["restart"], words].concat());
        assert_eq!(code, Some(0), "{record:#}");
        assert_eq!(record["result"]["outcome"], "restarted", "{record:#}");
        let restarted = serde_json::json!(["logcollector", "scripted"]);
        assert_eq!(record["result"]["restarted"], restarted);
    }
    assert_eq!(agent.pid(), before);
    let status = agent.status().unwrap();
    let runs = status["modules"].as_array().unwrap().iter().map(|module| module["run"].clone());
    assert_eq!(runs.collect::<Vec<_>>(), [3, 3]);
}
