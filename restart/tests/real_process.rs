//! Real processes in real time: what is promised about replacing a process, seen from outside.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_possible_wrap,
    reason = "a test that starts processes and fails by panicking"
)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

#[path = "support/real_process_agent.rs"]
mod agent;

use agent::{Agent, canonical, kill, program, wait_for_end, with_handed_over};

fn helper_script() -> Value {
    json!({ "method": "helper", "remaining_ms": 60_000 })
}

fn exec_script() -> Value {
    json!({ "method": "exec", "remaining_ms": 60_000 })
}

/// The variables without those that speak of handed-over descriptors.
fn env(found: &Value) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = serde_json::from_value(found["env"].clone()).unwrap();
    env.retain(|(name, _)| !name.to_string_lossy().starts_with("LISTEN_"));
    env
}

/// By another process: a descriptor open for writing here could be inherited by what another test starts, and a program
/// that somebody may write to cannot be started.
fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(program()).arg(to).status().unwrap().success());
}

fn same_but_the_process(old: &Value, new: &Value) {
    for key in ["args", "cwd", "executable", "method"] {
        assert_eq!(old[key], new[key], "{key}");
    }
    assert_eq!(env(old), env(new));
    assert_eq!(new["generation"].as_u64(), old["generation"].as_u64().map(|old| old + 1));
}

#[test]
fn the_helper_starts_another_process_that_is_the_same_in_everything_else() {
    let agent = Agent::started(&helper_script());
    let (old, new) = agent.restarted();
    same_but_the_process(&old, &new);
    assert_ne!(old["identity"]["pid"], new["identity"]["pid"]);
    assert_eq!(new["outcome"], "restarted", "{new:#}");
    assert_eq!(new["ticket"]["successor"], new["identity"]);
    let phases: Vec<&str> = new["ticket"]["stamps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stamp| stamp["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["committed", "requested", "stopped"]);
    assert!(!agent.path("ticket.json").exists());
}

#[test]
fn an_agent_started_by_a_relative_path_and_with_relative_arguments_comes_back() {
    let mut agent = Agent::with_script(&helper_script());
    std::fs::create_dir(agent.path("bin")).unwrap();
    copy_program(&agent.path("bin/agent"));
    let mut command = Command::new("bin/agent");
    command.arg(".").current_dir(agent.folder.path()).env("ODD", "a=b\nc");
    agent.start(command);
    let (old, new) = agent.restarted();
    same_but_the_process(&old, &new);
    assert_eq!(new["args"], json!([{ "Unix": b"bin/agent" }, { "Unix": b"." }]));
}

#[test]
fn an_agent_found_through_path_keeps_its_bare_name_and_its_directory() {
    let mut agent = Agent::with_script(&helper_script());
    let folder = program().parent().unwrap().to_owned();
    let mut command = Command::new("tiny_agent");
    command.arg(".").current_dir(agent.folder.path()).env_clear().env("PATH", &folder);
    agent.start(command);
    let (old, new) = agent.restarted();
    same_but_the_process(&old, &new);
    assert_eq!(new["args"][0], json!({ "Unix": b"tiny_agent" }));
    assert_eq!(env(&new), [("PATH".into(), folder.into_os_string())]);
}

#[test]
fn the_name_by_which_the_program_was_called_need_not_be_its_file() {
    let mut agent = Agent::with_script(&helper_script());
    let mut command = Command::new(program());
    command.arg0("another name").arg(agent.folder.path());
    agent.start(command);
    let (old, new) = agent.restarted();
    same_but_the_process(&old, &new);
    assert_eq!(new["args"][0], json!({ "Unix": b"another name" }));
}

#[test]
fn the_successor_has_what_was_handed_over_and_nothing_else() {
    for mut script in [helper_script(), exec_script()] {
        script["untidy"] = json!(true);
        let agent = Agent::started(&script);
        let (old, new) = agent.restarted();
        assert_eq!(new["adopted"], json!(["control", "note"]));
        assert_eq!(new["rejected"], json!([]));
        let note = canonical(&agent.path("script.json"));
        let expected = [(3, "socket:"), (4, note.as_str())];
        with_handed_over(&old["descriptors"], &expected, &new["descriptors"]);
        assert_eq!(new["inherited"]["blocked_signals"], "0000000000000000");
    }
}

#[test]
fn restarts_can_follow_each_other_for_ever() {
    for script in [helper_script(), exec_script()] {
        let agent = Agent::started(&script);
        let first = agent.who();
        for generation in 2..=5 {
            let (_, new) = agent.restarted();
            assert_eq!(new["generation"], generation);
            assert_eq!(new["outcome"], "restarted", "{new:#}");
            assert_eq!(env(&new), env(&first));
            assert_eq!(new["descriptors"].as_array().unwrap().len(), 5, "{new:#}");
        }
        assert_eq!(agent.starts().len(), 5);
    }
}

#[test]
fn an_agent_that_ignores_sigterm_is_killed_at_the_deadline_and_the_ticket_says_so() {
    let script = json!({ "method": "helper", "remaining_ms": 300, "ignore_sigterm": true });
    let agent = Agent::started(&script);
    let (old, new) = agent.restarted();
    same_but_the_process(&old, &new);
    assert_eq!(new["ticket"]["killed_by_helper"], true);
    assert_eq!(new["ticket"]["stage"], "committed");
    assert_eq!(new["outcome"], "restarted_forced");
    assert!(new["verdict"].as_str().unwrap().contains("the helper killed"), "{new:#}");
}

#[test]
fn an_agent_that_its_parent_never_reaps_is_replaced_all_the_same() {
    let mut agent = Agent::started(&helper_script());
    let (old, new) = agent.restarted();
    assert_eq!(new["outcome"], "restarted");
    let pid = old["identity"]["pid"].as_i64().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(stat.contains(") Z "), "it is still there as a zombie: {stat}");
    assert!(agent.child.as_mut().unwrap().wait().unwrap().success());
}

#[test]
fn when_the_helper_dies_half_way_the_agent_learns_it_and_goes_on() {
    let mut script = helper_script();
    script["ignore_sigterm"] = json!(true);
    let agent = Agent::started(&script);
    let before = agent.who();
    assert_eq!(agent.ask("restart"), "asked");
    kill(&agent.helper());

    assert_eq!(agent.who(), before, "the same process answers");
    let fate = agent.ask("fate");
    assert!(fate.contains("the restart helper ended (signal: 9 (SIGKILL))"), "{fate}");
    assert!(!agent.path("ticket.json").exists());

    // Nothing is left behind that would be in the way of the next one.
    assert_eq!(agent.ask("restart"), "asked");
    kill(&agent.helper());
    assert_eq!(agent.who(), before);
}

#[test]
fn a_restart_that_is_called_off_after_sigterm_starts_nobody() {
    let mut script = helper_script();
    script["call_off_on_sigterm"] = json!(true);
    let mut agent = Agent::with_script(&script);
    let mut command = Command::new(program());
    command.arg(agent.folder.path()).env("MARK", agent.folder.path());
    agent.start(command);
    assert_eq!(agent.ask("restart"), "asked");
    assert!(agent.child.as_mut().unwrap().wait().unwrap().success());
    for process in helpers_of(&agent) {
        wait_for_end(&process);
    }
    assert_eq!(agent.starts().len(), 1);
    assert!(!agent.path("ticket.json").exists());
}

/// Every process with the agent's folder among its variables: the helper has it through `MARK`.
fn helpers_of(agent: &Agent) -> Vec<restart::ProcessIdentity> {
    let mark = agent.folder.path().as_os_str().as_encoded_bytes();
    let holds = |bytes: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| holds(&env)))
        .filter_map(|pid| restart::ProcessIdentity::of(pid).ok())
        .collect()
}

#[test]
fn an_agent_that_crashes_after_sigterm_is_started_again_and_the_crash_is_told() {
    let mut script = helper_script();
    script["ignore_sigterm"] = json!(true);
    let agent = Agent::started(&script);
    let old = agent.who();
    assert_eq!(agent.ask("restart"), "asked");
    let pid = Pid::from_raw(old["identity"]["pid"].as_i64().unwrap() as i32).unwrap();
    pidfd_send_signal(pidfd_open(pid, PidfdFlags::empty()).unwrap(), Signal::KILL).unwrap();
    let new = agent.who();
    assert_eq!(new["generation"], 2);
    assert_eq!(new["ticket"]["killed_by_helper"], false);
    assert_eq!(new["outcome"], "restarted_forced");
}

#[test]
fn a_newer_program_at_the_same_path_is_the_one_that_is_started() {
    let mut agent = Agent::with_script(&helper_script());
    let path = agent.path("agent");
    copy_program(&path);
    let mut command = Command::new(&path);
    command.arg(agent.folder.path());
    agent.start(command);
    copy_program(&agent.path("newer"));
    std::fs::rename(agent.path("newer"), &path).unwrap();
    let (_, new) = agent.restarted();
    assert_eq!(new["executable"], canonical(&path), "the old one would be marked as deleted");
    assert_eq!(new["outcome"], "restarted");
}

#[test]
fn a_program_spoiled_at_the_last_moment_is_replaced_by_the_one_that_runs_and_that_is_told() {
    let mut script = helper_script();
    script["spoil_program"] = json!(true);
    let mut agent = Agent::with_script(&script);
    copy_program(&agent.path("agent"));
    let mut command = Command::new(agent.path("agent"));
    command.arg(agent.folder.path());
    agent.start(command);
    let (_, new) = agent.restarted();
    assert_eq!(new["generation"], 2);
    assert_eq!(new["outcome"], "restarted_forced");
    assert!(new["verdict"].as_str().unwrap().contains("Permission denied"), "{new:#}");

    let refused = agent.ask("restart");
    assert!(refused.starts_with("refused: cannot start "), "{refused}");
    assert_eq!(agent.who(), new, "refused before anything stopped");
}

#[test]
fn exec_in_place_keeps_the_pid_and_starts_the_program_anew() {
    let agent = Agent::started(&exec_script());
    let (old, new) = agent.restarted();
    same_but_the_process(&old, &new);
    assert_eq!(old["identity"], new["identity"]);
    assert_eq!(new["outcome"], "restarted", "{new:#}");
}

#[test]
fn a_stuck_runtime_is_replaced_in_place_by_the_watchdog() {
    let script = json!({ "method": "exec", "remaining_ms": 200, "hang_before_exec": true });
    let agent = Agent::started(&script);
    let (old, new) = agent.restarted();
    same_but_the_process(&old, &new);
    assert_eq!(old["identity"], new["identity"]);
    assert_eq!(new["ticket"]["stage"], "committed");
    assert_eq!(new["outcome"], "restarted_forced", "{new:#}");
}

#[test]
fn a_helper_started_by_hand_does_nothing() {
    let output = Command::new(program()).arg("restart-helper").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not by hand"), "{output:?}");
}
