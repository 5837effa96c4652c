//! Real processes: what a successor inherits from whoever started the first agent, and which file it is started from.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_possible_wrap,
    reason = "a test that starts processes and fails by panicking"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use restart::ProcessIdentity;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

#[path = "support/real_process_agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod agent;

use agent::{Agent, canonical, program, with_handed_over};

fn script(method: &str) -> Value {
    json!({ "method": method, "remaining_ms": 60_000 })
}

/// An agent started by a shell that does `before` first.
fn started_by_shell(agent: &mut Agent, before: &str) {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before}\nexec \"$0\" \"$1\" $extra"));
    command.arg(program()).arg(agent.folder.path());
    agent.start(command);
}

/// Puts a shell script in the place of `path`, as a package manager does.
fn install_script(path: &Path, lines: &str) {
    let new = path.with_extension("new");
    let text = format!("#!/bin/sh\n{lines}\nexec {} \"$@\"\n", program().display());
    let write = format!("cat >'{0}' && chmod 755 '{0}'", new.display());
    let mut child = Command::new("sh").arg("-c").arg(write).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    fs::rename(new, path).unwrap();
}

/// By another process, since a program that somebody may write to cannot be started.
fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(program()).arg(to).status().unwrap().success());
}

#[test]
fn umask_limits_and_odd_bytes_are_those_of_the_first_start() {
    for method in ["helper", "exec"] {
        let mut agent = Agent::with_script(&script(method));
        let before = "umask 027; ulimit -n 777; ulimit -c 0\n\
            export ZULU=1 ALPHA=\"$(printf 'a\\377=b')\"; extra=\"$(printf 'x\\376')\"";
        started_by_shell(&mut agent, before);
        let (old, new) = agent.restarted();
        assert_eq!(old["inherited"]["umask"], "0027");
        assert!(old["inherited"]["limits"].as_str().unwrap().contains(" 777 "), "{old:#}");
        for key in ["inherited", "cwd", "args"] {
            assert_eq!(old[key], new[key], "{method}: {key}");
        }
        assert_eq!(new["args"][2], json!({ "Unix": b"x\xfe" }));
        let listen = json!({ "Unix": b"ALPHA" });
        let found = new["env"].as_array().unwrap().iter().find(|pair| pair[0] == listen);
        assert_eq!(found.unwrap()[1], json!({ "Unix": b"a\xff=b" }));
        assert_eq!(old["env"], new["env"], "in the same order");
    }
}

#[test]
fn what_was_inherited_by_accident_reaches_no_successor() {
    for method in ["helper", "exec"] {
        let mut agent = Agent::with_script(&script(method));
        started_by_shell(&mut agent, "exec 7</dev/null 9>/dev/null");
        let note = canonical(&agent.path("script.json"));
        let expected = [(3, "socket:"), (4, note.as_str())];
        let first = agent.who();
        let strays = first["descriptors"].as_array().unwrap();
        for stray in [7, 9] {
            assert!(strays.contains(&json!([stray, "/dev/null"])), "{first:#}");
        }
        for _ in 0..5 {
            let (_, new) = agent.restarted();
            with_handed_over(&first["descriptors"], &expected, &new["descriptors"]);
        }
    }
}

#[test]
fn a_closed_output_and_a_pipe_are_what_they_were() {
    for method in ["helper", "exec"] {
        let mut agent = Agent::with_script(&script(method));
        // The test learns through standard output that the agent is there, so the other two are changed.
        started_by_shell(&mut agent, "exec 2>&- <&-");
        let (old, new) = agent.restarted();
        let three = |found: &Value| found["descriptors"].as_array().unwrap()[..3].to_vec();
        assert_eq!(three(&old), three(&new));
        assert_eq!(
            [&three(&new)[0], &three(&new)[2]],
            [&json!([0, "/dev/null"]), &json!([2, "/dev/null"])]
        );
        assert!(three(&new)[1][1].as_str().unwrap().starts_with("pipe:"), "{new:#}");
    }
}

#[test]
fn a_successor_ignores_what_the_starter_ignored_but_sigterm() {
    for method in ["helper", "exec"] {
        let mut agent = Agent::with_script(&script(method));
        let path = agent.path("agent");
        copy_program(&path);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' HUP QUIT TERM; grep SigIgn /proc/self/status >\"$1/fresh\"; exec \"$0\" \"$1\""]);
        command.arg(&path).arg(agent.folder.path());
        agent.start(command);
        // A shell cannot change what was ignored when it was started, so it shows what the successor was given.
        let told = agent.path("told");
        let tell = format!(
            "[ \"$1\" = restart-helper ] || grep SigIgn /proc/self/status >'{}'",
            told.display()
        );
        install_script(&path, &tell);
        assert_eq!(agent.restarted().1["outcome"], "restarted");
        let mask = |path: &Path| {
            let line = fs::read_to_string(path).unwrap();
            // 32 and up are the C library's own, or of real time.
            let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
            mask & 0x7fff_ffff
        };
        let bit = |signal: Signal| 1 << (signal.as_raw() - 1);
        let fresh = mask(&agent.path("fresh"));
        assert_eq!(fresh & bit(Signal::HUP), bit(Signal::HUP));
        assert_eq!(mask(&told), fresh & !bit(Signal::TERM), "{method}");
    }
}

#[test]
fn without_pidfds_the_helper_goes_by_pid_and_start_time() {
    let mut script = script("helper");
    script["without_pidfds"] = json!(true);
    let agent = Agent::started(&script);
    for generation in 2..=3 {
        let (old, new) = agent.restarted();
        assert_eq!(
            (&new["outcome"], &new["generation"]),
            (&json!("restarted"), &json!(generation))
        );
        assert_ne!(old["identity"]["pid"], new["identity"]["pid"]);
    }
}

#[test]
fn without_pidfds_an_agent_that_ignores_sigterm_is_killed_all_the_same() {
    let mut script = script("helper");
    for (key, value) in [
        ("without_pidfds", json!(true)),
        ("ignore_sigterm", json!(true)),
        ("remaining_ms", json!(300)),
    ] {
        script[key] = value;
    }
    let agent = Agent::started(&script);
    let (_, new) = agent.restarted();
    assert_eq!(new["ticket"]["killed_by_helper"], true);
    assert_eq!(new["outcome"], "restarted_forced");
}

/// `current` leads to `v1`, and the agent is started through it.
fn started_through_a_link(script: &Value) -> Agent {
    let mut agent = Agent::with_script(script);
    for version in ["v1", "v2", "v3"] {
        fs::create_dir(agent.path(version)).unwrap();
        copy_program(&agent.path(version).join("agent"));
    }
    switch(&agent, "v1");
    let mut command = Command::new(agent.path("current/agent"));
    command.arg(agent.folder.path());
    agent.start(command);
    agent
}

fn switch(agent: &Agent, version: &str) {
    symlink(version, agent.path("next")).unwrap();
    fs::rename(agent.path("next"), agent.path("current")).unwrap();
}

#[test]
fn an_upgrade_by_switching_a_link_starts_the_new_program() {
    for method in ["helper", "exec"] {
        let agent = started_through_a_link(&script(method));
        for version in ["v2", "v3", "v1"] {
            switch(&agent, version);
            let (_, new) = agent.restarted();
            assert_eq!(new["executable"], canonical(&agent.path(version).join("agent")));
            assert_eq!(new["outcome"], "restarted");
        }
    }
}

#[test]
fn a_link_that_leads_nowhere_is_replaced_by_the_file_it_led_to() {
    let agent = started_through_a_link(&script("helper"));
    switch(&agent, "v4");
    let (old, new) = agent.restarted();
    assert_eq!(old["executable"], new["executable"]);
    fs::remove_file(agent.path("v1/agent")).unwrap();
    let refused = agent.ask("restart");
    assert!(
        refused.starts_with("refused: cannot start ") && refused.contains("v1/agent"),
        "{refused}"
    );
}

#[test]
fn a_link_to_what_cannot_be_started_is_refused() {
    let agent = started_through_a_link(&script("exec"));
    fs::set_permissions(agent.path("v2/agent"), fs::Permissions::from_mode(0o644)).unwrap();
    switch(&agent, "v2");
    let refused = agent.ask("restart");
    assert!(refused.contains("current/agent: it may not be executed"), "{refused}");
}

#[test]
fn the_link_is_not_forgotten_when_the_running_program_had_to_do() {
    let mut script = script("helper");
    script["spoil_program"] = json!(true);
    let agent = started_through_a_link(&script);
    let (_, new) = agent.restarted();
    assert_eq!(new["outcome"], "restarted_forced", "the program was spoiled at the last moment");
    switch(&agent, "v2");
    let (_, new) = agent.restarted();
    assert_eq!(new["executable"], canonical(&agent.path("v2/agent")));
    let told = json!({ "Unix": b"RESTART_PROGRAM" });
    assert!(new["env"].as_array().unwrap().iter().all(|pair| pair[0] != told), "{new:#}");
}

#[test]
fn a_program_that_was_removed_and_installed_anew_is_the_one_that_is_started() {
    let mut agent = Agent::with_script(&script("helper"));
    let path = agent.path("agent");
    copy_program(&path);
    let mut command = Command::new(&path);
    command.arg(agent.folder.path());
    agent.start(command);
    fs::remove_file(&path).unwrap();
    assert!(agent.ask("restart").starts_with("refused: cannot start "));
    copy_program(&path);
    let (_, new) = agent.restarted();
    assert_eq!(new["executable"], canonical(&path));
}

#[test]
fn an_agent_that_dies_before_the_helper_is_told_to_go_is_started_at_once() {
    let mut agent = Agent::with_script(&script("helper"));
    let path = agent.path("agent");
    copy_program(&path);
    let mut command = Command::new(&path);
    command.arg(agent.folder.path());
    agent.start(command);
    let (held, go) = (agent.path("held"), agent.path("go"));
    let hold = format!(
        "if [ \"$1\" = restart-helper ]; then echo >'{0}'; while [ -e '{0}' ] && ! [ -e '{1}' ]; do sleep 0.01; done; fi",
        held.display(),
        go.display()
    );
    install_script(&path, &hold);
    let old: ProcessIdentity = serde_json::from_value(agent.who()["identity"].clone()).unwrap();
    let mut asker = UnixStream::connect(agent.path("control.sock")).unwrap();
    asker.write_all(b"restart").unwrap();
    let deadline = agent::PATIENCE.as_millis();
    for waited in 0.. {
        if held.exists() && waits_for_an_answer(old.pid) {
            break;
        }
        assert!(waited < deadline, "the helper was not started and given its order");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_process(rustix::process::Pid::from_raw(old.pid).unwrap(), Signal::KILL).unwrap();
    fs::write(go, "").unwrap();
    let new = agent.who();
    assert_eq!(new["generation"], 2);
    assert_eq!(new["outcome"], "restarted_forced", "{new:#}");
    assert_eq!(new["ticket"]["successor"], new["identity"]);
}

/// Whether a thread of the process waits for the helper, which it does once the order is on its way: no other one uses ppoll.
fn waits_for_an_answer(pid: i32) -> bool {
    let ppoll = format!("{} ", nix::libc::SYS_ppoll);
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("syscall")).ok())
        .any(|call| call.starts_with(&ppoll))
}
