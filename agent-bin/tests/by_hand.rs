//! An agent run by hand: restarted by its helper, with the same arguments, environment and folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "a test"
)]

#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use support::{TestAgent, binary, scripted_binary};

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
        let process = pidfd_open(Pid::from_raw(agent.pid()).unwrap(), PidfdFlags::empty()).unwrap();
        pidfd_send_signal(&process, Signal::KILL).unwrap();
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
    assert!(ordered.elapsed() < Duration::from_secs(31), "{record:#}");
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
    let process = pidfd_open(Pid::from_raw(old).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, Signal::STOP).unwrap();
    let answer = asker.join().unwrap();
    assert!(ordered.elapsed() < Duration::from_secs(31), "it took {:?}", ordered.elapsed());
    let record: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    assert!(agent.log().contains("was killed"), "{}", agent.log());
    assert_ne!(agent.pid(), old);
}

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

#[test]
fn an_unknown_module_is_refused_and_the_known_ones_are_listed() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let (code, record) = agent.json(&["restart", "--module", "fimm"]);
    assert_eq!(code, Some(4), "{record:#}");
    let text =
        record["history"].as_array().unwrap().last().unwrap()["text"].as_str().unwrap().to_owned();
    assert_eq!(text, "no enabled module fimm; the enabled modules are: logcollector");
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
    let process = pidfd_open(Pid::from_raw(agent.pid()).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, Signal::HUP).unwrap();
    agent.until("the module runs again", |agent| {
        let modules = agent.status().unwrap()["modules"].clone();
        modules.as_array().unwrap().iter().any(|m| m["run"] == 2 && m["state"] == "running")
    });
}

#[test]
fn sigterm_ends_the_agent_with_status_zero() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let process = pidfd_open(Pid::from_raw(agent.pid()).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, Signal::TERM).unwrap();
    assert_eq!(agent.reap().unwrap().code(), Some(0));
}

#[test]
fn sigterm_during_a_slow_start_is_obeyed_without_waiting_for_the_module() {
    let slow = "scripted:\n  start: [hang]\nrestart:\n  start_timeout: 10m\n";
    let mut agent = TestAgent::new(scripted_binary(), slow);
    agent.spawn_until(&mut agent.command("run"), "starting");
    let process = pidfd_open(Pid::from_raw(agent.pid()).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, Signal::TERM).unwrap();
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

/// Kills a process by its pid, which the test knows to be of this agent.
fn kill(pid: i32, signal: Signal) {
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, signal).unwrap();
}

fn last_restart(agent: &TestAgent) -> serde_json::Value {
    let commands = agent.json(&["commands", "list"]).1;
    let commands = commands["commands"].as_array().unwrap();
    commands.iter().find(|command| command["type"] == "restart-agent").unwrap().clone()
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
