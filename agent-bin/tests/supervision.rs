//! Modules that fail too often: quarantined, reported, started again by an operator; the agent lives on.

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

use serde_json::{Value, json};
use support::{TestAgent, scripted_binary};

/// Two failures are borne, and the third comes soon.
const SOON: &str = "supervision:\n  backoff_initial: 10ms\n  backoff_max: 10ms\n  \
                    quarantine_failures: 2\n  quarantine_window: 10m\n";

fn agent(script: &str) -> TestAgent {
    TestAgent::new(scripted_binary(), &format!("scripted:\n  {script}\n{SOON}"))
}

/// One module as `status` shows it.
fn module(agent: &TestAgent, name: &str) -> Value {
    let status = agent.status().unwrap();
    let modules = status["modules"].as_array().unwrap();
    modules.iter().find(|module| module["name"] == name).unwrap().clone()
}

fn until_quarantined(agent: &TestAgent, run: u64) {
    agent.until("it is quarantined", |agent| {
        let module = module(agent, "scripted");
        module["state"] == "quarantined" && module["run"].as_u64() >= Some(run)
    });
}

/// The messages of the delivered events of a kind.
fn messages(agent: &TestAgent, kind: &str) -> Vec<String> {
    let text = std::fs::read_to_string(agent.path("state/events.ndjson")).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_kind = events.filter(|event| event["event"]["action"] == kind);
    of_kind.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn printed(agent: &TestAgent, verb: &str) -> String {
    String::from_utf8(agent.cli(&[verb]).stdout).unwrap()
}

#[test]
fn a_module_that_fails_too_often_is_quarantined_until_an_operator_restarts_it() {
    let mut agent = agent("fail_after_ms: 100");
    agent.start();
    let pid = agent.pid();
    until_quarantined(&agent, 3);

    let error = "task scripted failure: the background task fails as scripted";
    let shown = module(&agent, "scripted");
    assert_eq!(
        (&shown["run"], &shown["failures"], &shown["last_error"], &shown["enabled"]),
        (&json!(3), &json!(3), &json!(error), &json!(true)),
        "{shown:#}"
    );
    assert!(shown["since"].is_string(), "{shown:#}");
    let (code, listed) = agent.json(&["modules"]);
    let listed = listed["modules"].as_array().unwrap().iter().find(|m| m["name"] == "scripted");
    assert_eq!((code, listed), (Some(0), Some(&shown)));
    for verb in ["status", "modules"] {
        let text = printed(&agent, verb);
        let line = text.lines().find(|line| line.starts_with("scripted ")).unwrap();
        assert!(line.contains(" quarantined ") && line.ends_with(error), "{text}");
        assert!(text.contains("`wazuh-agent restart --module scripted` starts it\n"), "{text}");
    }

    agent.until("the event", |agent| !messages(agent, "module_quarantined").is_empty());
    let expected = format!(
        "module scripted failed 3 times within 10m and is quarantined; the last failure: {error}; when its cause is \
         removed, start it with `wazuh-agent restart --module scripted`"
    );
    assert_eq!(messages(&agent, "module_quarantined"), [expected]);
    assert_eq!(messages(&agent, "module_failed").len(), 2);
    agent.append("app.log", "still read\n");
    agent.until("others work", |agent| agent.delivered().contains_key("still read"));
    assert_eq!((agent.pid(), &module(&agent, "logcollector")["run"]), (pid, &json!(1)));

    let (code, record) = agent.json(&["restart", "--module", "scripted"]);
    assert_eq!((code, &record["status"]), (Some(0), &json!("success")), "{record:#}");
    assert_eq!(record["result"]["outcome"], "restarted");
    until_quarantined(&agent, 4);
    let again = module(&agent, "scripted");
    assert_eq!((&again["run"], &again["failures"]), (&json!(6), &json!(3)), "it starts over");
    assert_eq!(agent.pid(), pid);
}

#[test]
fn a_module_that_never_starts_is_quarantined_until_its_section_is_corrected() {
    let mut agent = agent("start: [fail]");
    agent.start();
    until_quarantined(&agent, 3);
    let (code, record) = agent.json(&["restart", "--module", "scripted"]);
    assert_eq!((code, &record["result"]["outcome"]), (Some(3), &json!("degraded")), "{record:#}");
    until_quarantined(&agent, 6);
    agent.configure(&format!("scripted:\n  start: [ok]\n{SOON}"));
    let (code, record) = agent.json(&["reload"]);
    assert_eq!((code, &record["result"]["restarted"]), (Some(0), &json!(["scripted"])));
    let module = module(&agent, "scripted");
    assert_eq!((&module["state"], &module["failures"]), (&json!("running"), &json!(0)));
}

#[test]
fn threads_that_hang_in_ended_instances_are_shown() {
    let script = format!("scripted:\n  start: [block]\n{SOON}restart:\n  start_timeout: 300ms\n");
    let mut agent = TestAgent::new(scripted_binary(), &script);
    agent.start();
    until_quarantined(&agent, 3);
    agent.until("one of each instance is left", |agent| {
        module(agent, "scripted")["threads_left"] == 3
    });
    let text = printed(&agent, "modules");
    assert!(text.lines().next().unwrap().contains("  THREADS LEFT  "), "{text}");
    assert_eq!(module(&agent, "logcollector")["threads_left"], 0);
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
}

#[test]
fn the_confirmation_of_a_restart_does_not_wait_for_a_quarantined_module() {
    let patient = format!("{SOON}restart:\n  confirm_timeout: 10m\n");
    let mut agent = TestAgent::new(scripted_binary(), &format!("scripted: {{}}\n{patient}"));
    agent.start();
    agent.configure(&format!("scripted:\n  start: [fail]\n{patient}"));
    let (code, record) = agent.json(&["restart"]);
    assert_eq!((code, &record["result"]["outcome"]), (Some(3), &json!("degraded")), "{record:#}");
    let reason = "quarantined: module scripted did not start: start fails as scripted";
    assert_eq!(
        record["result"]["not_running"],
        json!([{"name": "scripted", "reason": reason}]),
        "{record:#}"
    );
}
