//! The restart helper of an agent run by hand: one that dies or hangs, its log, its descriptors, and the terminal.

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
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use support::{TestAgent, binary, kill, scripted_binary, skip};

/// An agent whose program was replaced by one that behaves like it, but for what `case` says about its first argument.
fn with_stand_in(case: &str) -> TestAgent {
    let mut agent = TestAgent::new(binary(), "");
    agent.binary = agent.path("wazuh-agent");
    fs::copy(binary(), &agent.binary).unwrap();
    agent.start();
    agent.binary = binary();
    let real = binary().display().to_string();
    let text = format!("#!/bin/sh\ncase \"$1\" in\n{case}\nesac\nexec {real} \"$@\"\n");
    let (bytes, new) = (agent.path("bytes"), agent.path("wazuh-agent.new"));
    fs::write(&bytes, text).unwrap();
    fs::set_permissions(&bytes, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Command::new("cp").arg(bytes).arg(&new).status().unwrap().success());
    fs::rename(new, agent.path("wazuh-agent")).unwrap();
    agent
}

#[test]
fn a_helper_that_dies_or_hangs_before_sigterm_costs_the_restart_and_nothing_else() {
    for (step, case, reason) in [
        ("before ready", "restart-helper) kill -9 $$;;", "it ended at once"),
        (
            "hangs before ready",
            "restart-helper) echo $$ >helper; exec sleep 1000;;",
            "did not answer",
        ),
        ("after ready", "restart-helper) printf r >&0; kill -9 $$;;", "helper"),
        (
            "after go",
            "restart-helper) printf r >&0; head -c2 <&0; exit 3;;",
            "ended (exit status: 3)",
        ),
        (
            "hangs after go",
            "restart-helper) echo $$ >helper; printf r >&0; exec sleep 1000;;",
            "SIGTERM did not come",
        ),
    ] {
        let case = case.replace(">helper", ">\"${0%/*}/helper\"");
        let agent = with_stand_in(&case);
        let pid = agent.pid();
        let (code, record) = agent.json(&["restart"]);
        assert_ne!(code, Some(0), "{step}: {record:#}");
        assert_eq!(record["result"]["outcome"], "not_restarted", "{step}: {record:#}");
        assert!(
            record["result"]["reason"].as_str().unwrap().contains(reason),
            "{step}: {record:#}"
        );
        assert!(!agent.path("state/ticket.json").exists(), "{step}");
        let status = agent.status().unwrap();
        assert_eq!((&status["pid"], &status["state"]), (&pid.into(), &"running".into()), "{step}");
        if let Ok(helper) = fs::read_to_string(agent.path("helper")) {
            let left = std::path::Path::new("/proc").join(helper.trim());
            assert!(!left.exists(), "{step}: the helper was ended");
        }
    }
}

fn helper_of(agent: &TestAgent) -> i32 {
    let ticket = fs::read(agent.path("state/ticket.json")).unwrap();
    let ticket: Value = serde_json::from_slice(&ticket).unwrap();
    i32::try_from(ticket["successor"]["pid"].as_i64().unwrap()).unwrap()
}

#[test]
fn a_helper_that_is_stopped_while_the_modules_close_is_ended_and_the_agent_takes_its_place() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  stop: [ok-after-ms: 1500]\n");
    agent.start();
    let pid = agent.pid();
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the modules are closed", |agent| agent.log().contains("the modules are closed"));
    let helper = helper_of(&agent);
    kill(helper, Signal::STOP);
    let restart = |agent: &TestAgent| {
        let commands = agent.json(&["commands", "list"]).1;
        commands["commands"][0].clone()
    };
    agent.until("the next generation runs", |agent| {
        agent.status().is_some_and(|status| status["generation"] == 2)
    });
    agent.until("the restart is judged", |agent| restart(agent)["finished_at"].is_string());
    assert_eq!(restart(&agent)["result"]["outcome"], "restarted_forced");
    assert_eq!(agent.pid(), pid, "it was replaced in place");
    assert!(agent.log().contains("the restart helper does not answer"), "{}", agent.log());
    assert!(!std::path::Path::new("/proc").join(helper.to_string()).exists());
}

/// Where the descriptors of a process lead to, without the numbers of inodes.
fn descriptors(pid: i32) -> Vec<(i32, String)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut found: Vec<(i32, String)> = entries
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let target = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, target.split(":[").next().unwrap_or_default().to_owned()))
        })
        .collect();
    found.sort();
    found
}

fn targets(found: &[(i32, String)]) -> Vec<String> {
    let mut targets: Vec<String> = found.iter().map(|(_, target)| target.clone()).collect();
    targets.sort();
    targets
}

/// Starts the agent with two descriptors that it was not meant to have.
fn start_with_strays(agent: &mut TestAgent) {
    let plain = agent.command("run");
    let mut command = Command::new("sh");
    command.args(["-c", "exec 7</dev/zero 9</dev/zero; exec \"$0\" \"$@\""]);
    command.arg(plain.get_program()).args(plain.get_args());
    agent.spawn(&mut command);
}

#[test]
fn restarts_leave_the_agent_no_descriptor_more_and_none_of_the_strays() {
    for method in ["helper", "exec"] {
        let mut agent = TestAgent::new(binary(), &format!("restart:\n  method: {method}\n"));
        start_with_strays(&mut agent);
        assert!(descriptors(agent.pid()).contains(&(9, "/dev/zero".to_owned())));
        let restarted = |agent: &TestAgent| {
            let (code, record) = agent.json(&["restart"]);
            assert_eq!(code, Some(0), "{record:#}");
        };
        restarted(&agent);
        let strays = |agent: &TestAgent| {
            targets(&descriptors(agent.pid())).contains(&"/dev/zero".to_owned())
        };
        assert!(!strays(&agent), "{:?}", descriptors(agent.pid()));
        // Some are open for a moment only: a connection, the check of a file. One that each restart leaves behind would be
        // in none of these.
        let now = |agent: &TestAgent| {
            let mut found = targets(&descriptors(agent.pid()));
            // SQLite keeps one that was closed while another has locks on its file, for the next who opens that.
            found.dedup_by(|one, other| one == other && one.ends_with(".db"));
            found
        };
        let seen: Vec<_> = (0..30).map(|_| now(&agent)).collect();
        for _ in 0..4 {
            restarted(&agent);
        }
        agent.until("the descriptors are those of the first restart", |agent| {
            seen.contains(&now(agent))
        });
    }
}

#[test]
fn the_helper_has_what_it_was_given_and_logs_as_the_agent_does() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  stop: [ok-after-ms: 1500]\n");
    start_with_strays(&mut agent);
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the modules are closed", |agent| agent.log().contains("the modules are closed"));
    let found = descriptors(helper_of(&agent));
    let log = agent.path("agent.log").display().to_string();
    let expected = [
        "/dev/null", // the agent's standard input
        log.as_str(),
        log.as_str(),
        "anon_inode", // a pidfd of the agent
        "socket",     // the link, twice
        "socket",
        "socket", // the control listener
    ];
    let mut expected: Vec<String> = expected.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(targets(&found), expected, "{found:?}");

    agent.until("the next generation runs", |agent| {
        agent.status().is_some_and(|status| status["generation"] == 2)
    });
    let log = agent.log();
    let line = log.lines().find(|line| line.contains("SIGTERM was sent to the agent")).unwrap();
    let own = log.lines().find(|line| line.contains("the modules are closed")).unwrap();
    let form = |line: &str| line.split_whitespace().take(2).map(str::len).collect::<Vec<_>>();
    assert_eq!(form(line), form(own), "time and level, in the same form");
    assert!(line.contains(" restart-helper{pid="), "{line}");
}

#[test]
fn a_program_that_is_tried_out_has_no_descriptor_of_the_agent() {
    let mut agent = with_stand_in("--version) ls -l /proc/self/fd >\"${0%/*}/tried\";;");
    let (code, report) = agent.json(&["restart", "--dry-run"]);
    assert_eq!(code, Some(0), "{report:#}");
    let tried = fs::read_to_string(agent.path("tried")).unwrap();
    let lines: Vec<&str> = tried.lines().filter(|line| line.contains(" -> ")).collect();
    // Standard input, the file that is written, a pipe, and the folder that is listed.
    assert_eq!(lines.len(), 4, "{tried}");
    assert!(lines[0].ends_with("/dev/null") && lines[3].contains("/proc/"), "{tried}");
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
    agent.reap();
}

/// An agent in the foreground of a terminal of its own; the other end of the terminal.
fn in_a_terminal(agent: &mut TestAgent) -> fs::File {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let plain = agent.command("run");
    let mut command = Command::new("setsid");
    // The session has the terminal for its own, so that a hang-up and Ctrl-C reach the agent.
    command.args(["--ctty", "sh", "-c", "exec \"$0\" \"$@\" >/dev/tty 2>&1"]);
    command.arg(plain.get_program()).args(plain.get_args());
    let slave = fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    command.stdin(Stdio::from(slave)).stdout(Stdio::null()).stderr(Stdio::null());
    agent.adopt(command.spawn().unwrap());
    agent.until("running", |agent| {
        agent.status().is_some_and(|status| status["state"] == "running")
    });
    fs::File::from(master)
}

#[test]
fn an_agent_in_a_terminal_survives_its_hang_up_and_can_be_restarted_after_it() {
    const NAME: &str = "an_agent_in_a_terminal_survives_its_hang_up_and_can_be_restarted_after_it";
    if Command::new("setsid").args(["--ctty", "true"]).stdin(Stdio::null()).output().is_err() {
        skip(NAME, "no setsid of util-linux");
        return;
    }
    let mut agent = TestAgent::new(binary(), "");
    let terminal = in_a_terminal(&mut agent);
    let pid = agent.pid();
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert_ne!(
        state.rsplit(") ").next().unwrap().split(' ').nth(4),
        Some("0"),
        "it has a terminal"
    );
    drop(terminal);
    for _ in 0..2 {
        let (code, record) = agent.json(&["restart"]);
        assert_eq!(code, Some(0), "{record:#}");
        assert_eq!(record["result"]["outcome"], "restarted", "{record:#}");
    }
    assert_ne!(agent.pid(), pid);
}

#[test]
fn after_a_restart_ctrl_c_and_hang_up_of_the_first_terminal_are_not_for_the_agent() {
    const NAME: &str =
        "after_a_restart_ctrl_c_and_hang_up_of_the_first_terminal_are_not_for_the_agent";
    if Command::new("setsid").args(["--ctty", "true"]).stdin(Stdio::null()).output().is_err() {
        skip(NAME, "no setsid of util-linux");
        return;
    }
    let mut agent = TestAgent::new(binary(), "");
    let mut terminal = in_a_terminal(&mut agent);
    let (code, record) = agent.json(&["restart"]);
    assert_eq!((code, &record["result"]["outcome"]), (Some(0), &"restarted".into()), "{record:#}");
    let pid = agent.pid();
    // The first agent was the leader of the session: with it the terminal is nobody's, and its end may be read as EIO.
    if let Err(error) = terminal.write_all(b"\x03") {
        assert_eq!(error.raw_os_error(), Some(5), "{error}");
    }
    drop(terminal.read(&mut [0; 64]));
    drop(terminal);
    let (code, record) = agent.json(&["restart"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(record["result"]["old"]["pid"], pid, "it ran on");
}

#[test]
fn ctrl_c_stops_an_agent_in_the_foreground_of_a_terminal() {
    const NAME: &str = "ctrl_c_stops_an_agent_in_the_foreground_of_a_terminal";
    if Command::new("setsid").args(["--ctty", "true"]).stdin(Stdio::null()).output().is_err() {
        skip(NAME, "no setsid of util-linux");
        return;
    }
    let mut agent = TestAgent::new(binary(), "");
    let mut terminal = in_a_terminal(&mut agent);
    terminal.write_all(b"\x03").unwrap();
    assert_eq!(agent.reap().unwrap().code(), Some(0));
}
