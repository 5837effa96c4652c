//! Orders that are not waited for, and what becomes of them, for tests of orders that meet.

use serde_json::Value;

use crate::support::TestAgent;

/// Asks for something and does not wait for its end.
pub(crate) fn order(agent: &TestAgent, words: &[&str]) {
    let output = agent.cli(&[words, &["--no-wait"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// All commands, the oldest first, once they are finished.
pub(crate) fn finished(agent: &TestAgent) -> Vec<Value> {
    let list = |agent: &TestAgent| agent.json(&["commands", "list"]).1["commands"].clone();
    agent.until("all commands are finished", |agent| {
        let commands = list(agent);
        commands.as_array().unwrap().iter().all(|command| command["finished_at"].is_string())
    });
    let ids = list(agent);
    let ids = ids.as_array().unwrap().iter().rev().map(|command| command["id"].clone());
    ids.map(|id| agent.json(&["commands", "show", id.as_str().unwrap()]).1).collect()
}

/// What the status says of the module `scripted`.
pub(crate) fn module(agent: &TestAgent) -> Value {
    let status = agent.status().unwrap();
    let modules = status["modules"].as_array().unwrap();
    modules.iter().find(|module| module["name"] == "scripted").unwrap().clone()
}

/// Waits until the module is in `state`.
pub(crate) fn until(agent: &TestAgent, state: &str) {
    agent.until(&format!("the module is {state}"), |agent| module(agent)["state"] == state);
}
