//! What an agent refuses, and what it makes of damaged files: a clear message, and nothing is lost.

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
use support::{TestAgent, binary};

#[test]
fn a_restart_with_a_broken_configuration_is_refused_and_the_agent_stays() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let pid = agent.pid();
    agent.configure("restart:\n  timeout: soon\n");
    let line = fs::read_to_string(agent.path("agent.yml")).unwrap().lines().count();
    for verb in ["restart", "reload"] {
        let (code, record) = agent.json(&[verb]);
        assert_eq!(code, Some(4), "{record:#}");
        let text = record.to_string();
        assert!(text.contains(&format!("agent.yml:{line}: restart.timeout")), "{text}");
    }
    assert_eq!(agent.pid(), pid);
    let checked = agent.cli(&["check-config"]);
    assert_eq!(checked.status.code(), Some(78));
}

#[test]
fn a_method_that_does_not_fit_the_process_is_refused_before_anything_stops() {
    let mut agent = TestAgent::new(binary(), "restart:\n  method: systemd\n");
    agent.start();
    let pid = agent.pid();
    let (code, record) = agent.json(&["restart"]);
    assert_eq!(code, Some(4), "{record:#}");
    assert!(record.to_string().contains("is not the main process of a unit"), "{record:#}");
    assert_eq!(agent.pid(), pid);
}

#[test]
fn the_socket_of_the_configuration_is_found_by_agent_and_client() {
    let mut agent = TestAgent::new(binary(), "");
    let socket = agent.path("elsewhere.sock");
    agent.configure(&format!("control:\n  socket: {}\n", socket.display()));
    agent.start();
    assert!(socket.exists());
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
    assert!(!socket.exists(), "a stop leaves no socket behind");
}

#[test]
fn a_second_agent_on_the_same_folder_is_refused_with_the_pid_of_the_first() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let second = agent.cli(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(message.contains(&format!("pid {}", agent.pid())), "{message}");
}

#[test]
fn without_an_agent_the_command_line_says_how_to_start_one() {
    let agent = TestAgent::new(binary(), "");
    for verb in ["status", "restart", "stop", "reload", "modules"] {
        let output = agent.cli(&[verb]);
        assert_eq!(output.status.code(), Some(5), "{verb}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("wazuh-agent run"), "{verb}");
    }
}

#[test]
fn damaged_files_are_set_aside_and_reported_and_the_agent_starts() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    agent.append("app.log", "before\n");
    agent.until("the line is delivered", |agent| agent.delivered().len() == 1);
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
    agent.reap();
    fs::write(agent.path("state/ticket.json"), b"{ not json").unwrap();
    fs::write(
        agent.path("state/commands.db"),
        b"not a database, and long enough to be read as one",
    )
    .unwrap();
    for name in ["state", "state.previous"] {
        let file = agent.path("state/modules/logcollector").join(name);
        if file.exists() {
            fs::write(file, b"garbage").unwrap();
        }
    }
    agent.start();
    agent.append("app.log", "after\n");
    agent.until("the next line is delivered", |agent| agent.delivered().contains_key("after"));
    assert_eq!(agent.delivered().get("before"), Some(&1), "the checkpoint in the spool was kept");
    let events = fs::read_to_string(agent.path("state/events.ndjson")).unwrap();
    for warning in ["ticket_set_aside", "journal_set_aside", "module_state_unreadable"] {
        assert!(events.contains(warning), "no event {warning}");
    }
}

#[test]
fn a_second_agent_on_the_same_socket_is_refused_and_the_first_keeps_it() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let pid = agent.pid();
    let folder = |name: &str| agent.path(name).display().to_string();
    let words = ["run", "--config", &folder("agent.yml"), "--state-dir", &folder("another-state")];
    let output = std::process::Command::new(binary())
        .args(words)
        .args(["--run-dir", &folder("run")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("is in use by process {pid}; stop that")), "{said}");
    assert_eq!(agent.pid(), pid, "the first still answers");
}
