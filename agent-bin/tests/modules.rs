//! Single modules of a running agent: restarted, reloaded, failing, blocking; others are not touched.

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

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use support::{TestAgent, binary, kill, scripted_binary};

#[test]
fn a_single_module_is_restarted_in_process() {
    let mut agent = TestAgent::new(scripted_binary(), "");
    agent.start();
    let before = agent.status().unwrap();
    let (code, record) = agent.json(&["restart", "--module", "scripted"]);
    assert_eq!((code, &record["result"]["outcome"]), (Some(0), &"restarted".into()), "{record:#}");
    let after = agent.status().unwrap();
    assert_eq!(after["pid"], before["pid"]);
    let run = |status: &serde_json::Value, name| {
        let modules = status["modules"].as_array().unwrap();
        modules.iter().find(|module| module["name"] == name).unwrap()["run"].as_u64().unwrap()
    };
    assert_eq!(run(&after, "scripted"), run(&before, "scripted") + 1);
    assert_eq!(run(&after, "logcollector"), run(&before, "logcollector"), "others are not touched");
}

/// Sets a flag when it is dropped.
struct Sets<'a>(&'a AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn others_go_on_without_a_gap_while_one_module_is_restarted_ten_times() {
    let mut agent = TestAgent::new(scripted_binary(), "");
    agent.start();
    let agent = agent;
    let logcollector = |agent: &TestAgent| {
        let status = agent.status().unwrap();
        let modules = status["modules"].as_array().unwrap();
        let module = modules.iter().find(|module| module["name"] == "logcollector").unwrap();
        ["run", "state", "since", "failures", "last_error"].map(|field| module[field].clone())
    };
    let before = logcollector(&agent);
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        // Also when a restart fails: the scope waits for the writer.
        let restarts = Sets(&done);
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) {
                agent.append("app.log", &format!("line {written}\n"));
                written += 1;
                thread::sleep(Duration::from_millis(1));
            }
            written
        });
        for _ in 0..10 {
            // Each restart falls into the delivery of lines.
            let delivered = agent.delivered().len();
            agent.until("more lines", |agent| agent.delivered().len() > delivered);
            let output = agent.cli(&["restart", "--module", "scripted"]);
            assert_eq!(output.status.code(), Some(0), "{output:?}; the log:\n{}", agent.log());
        }
        drop(restarts);
        writer.join().unwrap()
    });
    agent.until("every line", |agent| agent.delivered().len() >= written);
    let expected: BTreeMap<_, _> = (0..written).map(|line| (format!("line {line}"), 1)).collect();
    assert_eq!(agent.delivered(), expected, "every line once");
    assert_eq!(logcollector(&agent), before, "the same instance, since the same time");
    let status = agent.status().unwrap();
    let modules = status["modules"].as_array().unwrap();
    assert!(modules.iter().any(|module| module["name"] == "scripted" && module["run"] == 11));
}

#[test]
fn an_unknown_module_is_refused_and_the_known_ones_are_listed() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let (code, record) = agent.json(&["restart", "--module", "fimm"]);
    assert_eq!(code, Some(4), "{record:#}");
    let text =
        record["history"].as_array().unwrap().last().unwrap()["text"].as_str().unwrap().to_owned();
    assert_eq!(text, "no enabled module fimm; the enabled modules are: fim, logcollector");
}

#[test]
fn a_module_that_fails_is_started_again() {
    let mut agent = TestAgent::new(
        scripted_binary(),
        "scripted:\n  fail_after_ms: 10\nsupervision:\n  backoff_initial: 10ms\n",
    );
    agent.start();
    agent.until("the module ran three times", |agent| {
        agent.status().unwrap()["modules"]
            .as_array()
            .unwrap()
            .iter()
            .any(|m| m["run"].as_u64() >= Some(3))
    });
    let modules = agent.json(&["modules"]).1;
    let errors =
        modules["modules"].as_array().unwrap().iter().filter_map(|m| m["last_error"].as_str());
    assert!(errors.into_iter().any(|error| error.contains("fails as scripted")), "{modules:#}");
}

#[test]
fn a_module_that_does_not_come_back_makes_the_outcome_degraded() {
    let script = "scripted:\n  start: [ok]\nrestart:\n  confirm_timeout: 1s\n";
    let mut agent = TestAgent::new(scripted_binary(), script);
    agent.start();
    agent.configure("scripted:\n  start: [fail]\nrestart:\n  confirm_timeout: 1s\n");
    let (code, record) = agent.json(&["restart"]);
    assert_eq!(code, Some(3), "{record:#}");
    assert_eq!(record["status"], "failure");
    assert_eq!(record["result"]["outcome"], "degraded");
    assert_eq!(record["result"]["not_running"][0]["name"], "scripted");
}

#[test]
fn a_reload_restarts_only_what_changed() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  ready: [ok]\n");
    agent.start();
    agent.configure("scripted:\n  ready: [ok, ok]\n");
    let (code, record) = agent.json(&["reload"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(record["result"]["restarted"], serde_json::json!(["scripted"]));
}

#[test]
fn sighup_reloads_what_changed() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  ready: [ok]\n");
    agent.start();
    agent.configure("scripted:\n  ready: [ok, ok]\n");
    kill(agent.pid(), Signal::HUP);
    agent.until("the module runs again", |agent| {
        let modules = agent.status().unwrap()["modules"].clone();
        modules.as_array().unwrap().iter().any(|m| m["run"] == 2 && m["state"] == "running")
    });
}

#[test]
fn a_module_that_blocks_at_each_start_harms_nobody_else() {
    let mut agent = TestAgent::new(
        scripted_binary(),
        "scripted:\n  start: [block]\nrestart:\n  start_timeout: 50ms\nsupervision:\n  backoff_initial: 10ms\n  backoff_max: 10ms\n",
    );
    agent.start();
    agent.until("it was tried ten times", |agent| {
        let status = agent.status().unwrap();
        status["modules"].as_array().unwrap().iter().any(|m| m["run"].as_u64() >= Some(10))
    });
    agent.append("app.log", "still read\n");
    agent.until("others work", |agent| agent.delivered().contains_key("still read"));
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
}

#[test]
fn a_failed_module_is_tried_again_also_after_another_was_restarted() {
    let mut agent = TestAgent::new(
        scripted_binary(),
        "scripted:\n  start: [fail]\nsupervision:\n  backoff_initial: 300ms\n  backoff_max: 300ms\n",
    );
    agent.start();
    let runs = |agent: &TestAgent| {
        let status = agent.status().unwrap();
        let modules = status["modules"].as_array().unwrap().clone();
        modules.iter().find(|m| m["name"] == "scripted").unwrap()["run"].as_u64().unwrap()
    };
    let before = runs(&agent);
    assert_eq!(agent.cli(&["restart", "--module", "logcollector"]).status.code(), Some(0));
    agent.until("it is tried again", |agent| runs(agent) >= before + 2);
}
