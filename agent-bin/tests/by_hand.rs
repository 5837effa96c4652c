//! An agent run by hand: restarted by its helper, with the same arguments, environment and folder.

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
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{TestAgent, binary, kill, scripted_binary};

/// The budget of 30 s, and so much more that only a budget that does not work is beyond it, however loaded the machine.
const LIMIT: Duration = Duration::from_secs(45);

#[test]
fn a_restart_by_hand_is_confirmed_with_another_pid_and_the_next_generation() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let old = agent.pid();
    let (code, record) = agent.json(&["restart", "--reason", "new certificate"]);
    assert_eq!((code, &record["status"]), (Some(0), &"success".into()), "{record:#}");
    let result = &record["result"];
    assert_eq!(result["outcome"], "restarted", "{record:#}");
    assert_eq!(result["method"], "helper");
    assert_eq!(result["old"]["pid"], old);
    assert_eq!(result["new"]["pid"], agent.pid());
    assert_ne!(agent.pid(), old);
    assert_eq!(
        (&result["old"]["generation"], &result["new"]["generation"]),
        (&1.into(), &2.into())
    );
    assert_eq!(record["reason"], "new certificate");
    assert_eq!(record["requester"]["uid"], rustix::process::getuid().as_raw());
}

#[test]
fn no_line_is_lost_or_delivered_twice_over_restarts() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let mut written = BTreeSet::new();
    for round in 0..5 {
        for number in 0..200 {
            let line = format!("round {round} line {number}");
            agent.append("app.log", &format!("{line}\n"));
            written.insert(line);
        }
        let (code, record) = agent.json(&["restart"]);
        assert_eq!(code, Some(0), "{record:#}");
    }
    agent.until("all lines are delivered", |agent| agent.delivered().len() >= written.len());
    let delivered = agent.delivered();
    assert_eq!(delivered.keys().cloned().collect::<BTreeSet<_>>(), written);
    assert!(delivered.values().all(|count| *count == 1), "some line was delivered twice");
}

#[test]
fn kill_minus_nine_loses_no_line_and_repeats_none() {
    let mut agent = TestAgent::new(binary(), "");
    let mut written = 0;
    for _ in 0..5 {
        agent.start();
        for _ in 0..300 {
            agent.append("app.log", &format!("line {written}\n"));
            written += 1;
        }
        let enough = written - 150;
        agent.until("some lines are delivered", |agent| agent.delivered().len() >= enough);
        kill(agent.pid(), Signal::KILL);
        agent.reap();
    }
    agent.start();
    agent.until("all lines are delivered", |agent| agent.delivered().len() >= written);
    assert!(agent.delivered().values().all(|count| *count == 1), "some line was delivered twice");
    let events = fs::read_to_string(agent.path("state/events.ndjson")).unwrap();
    assert!(events.contains("unclean_stop"), "the kill is reported by the next start");
}

/// What a restart must not change, as the kernel shows it.
fn identity(pid: i32) -> (Vec<u8>, Vec<Vec<u8>>, std::path::PathBuf) {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let mut environment: Vec<Vec<u8>> = environment
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty() && !entry.starts_with(b"LISTEN_"))
        .map(<[u8]>::to_vec)
        .collect();
    environment.sort();
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    (arguments, environment, fs::read_link(format!("/proc/{pid}/cwd")).unwrap())
}

fn arguments_environment_and_folder_survive(start: impl FnOnce(&mut TestAgent)) {
    let mut agent = TestAgent::new(binary(), "");
    start(&mut agent);
    let before = identity(agent.pid());
    let (code, record) = agent.json(&["restart"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(identity(agent.pid()), before);
}

#[test]
fn an_agent_started_by_a_relative_path_comes_back_the_same() {
    arguments_environment_and_folder_survive(|agent| {
        std::os::unix::fs::symlink(binary(), agent.path("agent-link")).unwrap();
        let mut command = Command::new("./agent-link");
        command.args(["run", "--config", "agent.yml", "--state-dir", "state", "--run-dir", "run"]);
        command.current_dir(agent.folder.path()).env("KEPT", "a value");
        agent.spawn(&mut command);
    });
}

#[test]
fn an_agent_started_by_a_bare_name_through_path_comes_back_the_same() {
    arguments_environment_and_folder_survive(|agent| {
        let mut command = agent.command("run");
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new("wazuh-agent");
        command.args(arguments).env("PATH", binary().parent().unwrap()).current_dir("/");
        command.arg0("wazuh-agent");
        agent.spawn(&mut command);
    });
}

#[test]
fn a_hung_stop_is_abandoned_and_the_outcome_says_forced() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  stop: [hang]\n");
    agent.start();
    let ordered = Instant::now();
    let (code, record) = agent.json(&["restart"]);
    assert!(ordered.elapsed() < LIMIT, "{record:#}");
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    let scripted =
        record["result"]["modules"].as_array().unwrap().iter().find(|m| m["name"] == "scripted");
    assert_eq!(scripted.unwrap()["ended"], "abandoned");
    assert!(agent.log().contains("abandoned"), "{}", agent.log());
}

#[test]
fn a_process_that_hangs_as_a_whole_is_killed_after_thirty_seconds_and_that_is_logged() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  save: [hang]\n");
    agent.start();
    let old = agent.pid();
    let ordered = Instant::now();
    let asker = std::thread::spawn({
        let mut command = agent.command("restart");
        move || command.arg("--json").output().unwrap()
    });
    agent.until("the modules are closed", |agent| agent.log().contains("the modules are closed"));
    kill(old, Signal::STOP);
    let answer = asker.join().unwrap();
    assert!(ordered.elapsed() < LIMIT, "it took {:?}", ordered.elapsed());
    let record: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    assert!(agent.log().contains("was killed"), "{}", agent.log());
    assert_ne!(agent.pid(), old);
}

#[test]
fn two_restarts_that_are_due_together_become_one_and_both_are_answered() {
    let mut agent =
        TestAgent::new(scripted_binary(), "scripted:\n  ready: [busy, busy, busy, ok]\n");
    agent.start();
    for _ in 0..2 {
        assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    }
    let commands = |agent: &TestAgent| agent.json(&["commands", "list"]).1["commands"].clone();
    agent.until("both are finished", |agent| {
        commands(agent).as_array().unwrap().iter().all(|command| command["finished_at"].is_string())
    });
    let commands = commands(&agent);
    assert_eq!(commands[0]["status"], "success", "{commands:#}");
    assert_eq!(commands[0]["result"], commands[1]["result"]);
    assert_eq!(agent.status().unwrap()["generation"], 2);
}

#[test]
fn an_end_that_the_journal_refuses_is_written_when_it_takes_it() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  start: [ok]\n");
    agent.start();
    agent.configure("scripted:\n  start: [ok-after-ms: 2000]\n");
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the next process starts its modules", |agent| {
        agent.status().is_some_and(|status| status["generation"] == 2)
    });
    // Somebody holds the journal, as a full disk or a backup would.
    let journal = rusqlite::Connection::open(agent.path("state/commands.db")).unwrap();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    agent.until("the end is refused", |agent| {
        agent.log().contains("the end of the command is not in the journal")
    });
    assert!(
        agent.path("state/ticket.json").exists(),
        "the ticket stays as long as the end is not written"
    );
    journal.execute_batch("ROLLBACK").unwrap();
    agent.until("the restart is finished", |agent| {
        agent.json(&["commands", "list"]).1["commands"][0]["status"] == "success"
    });
    agent.until("the ticket is taken away", |agent| !agent.path("state/ticket.json").exists());
    assert_eq!(agent.json(&["reload"]).0, Some(0), "the queue goes on");
}
