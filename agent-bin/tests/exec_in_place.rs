//! `restart.method: exec` below a supervisor that is not systemd: it sees no end of the agent, and stops it as ever.

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

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use support::{TestAgent, binary, kill, scripted_binary};

/// What runsv, s6-supervise and supervisord have in common: the program is a child, which is started again when it ends,
/// until SIGTERM to the supervisor has it stopped. Each start is a line in the file `starts`.
const SUPERVISOR: &str = r#"
trap 'stopped=1; kill -TERM "$child"' TERM
trap '' USR1
umask 0027
while [ -z "$stopped" ]; do
    echo start >>starts
    "$@" &
    child=$!
    while kill -0 "$child" 2>/dev/null; do wait "$child"; done
done
exit 0
"#;

/// Starts the agent below the supervisor, with relative paths, a variable of its own and a signal that is ignored.
fn supervised(extra: &str) -> TestAgent {
    let mut agent = TestAgent::new(binary(), &format!("restart:\n  method: exec\n{extra}"));
    let mut supervisor = Command::new("bash");
    supervisor.arg("-c").arg(SUPERVISOR).arg("supervisor").arg(binary());
    supervisor.args(["run", "--config", "agent.yml", "--state-dir", "state", "--run-dir", "run"]);
    supervisor.current_dir(agent.folder.path()).env("KEPT", "a value");
    agent.spawn(&mut supervisor);
    agent
}

fn starts(agent: &TestAgent) -> usize {
    fs::read_to_string(agent.path("starts")).unwrap().lines().count()
}

/// What a restart must not change, as the kernel shows it.
fn traits(pid: i32) -> (Vec<String>, PathBuf, Vec<Vec<u8>>, Vec<u8>) {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let status = fs::read_to_string(process.join("status")).unwrap();
    let kept = ["Umask:", "PPid:", "SigBlk:", "SigIgn:", "Uid:", "Gid:"];
    let kept = status.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
    let environment = fs::read(process.join("environ")).unwrap();
    let mut environment: Vec<Vec<u8>> = environment
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty() && !entry.starts_with(b"LISTEN_"))
        .map(<[u8]>::to_vec)
        .collect();
    environment.sort();
    (
        kept.map(str::to_owned).collect(),
        fs::read_link(process.join("cwd")).unwrap(),
        environment,
        fs::read(process.join("cmdline")).unwrap(),
    )
}

fn restart(agent: &TestAgent, outcome: &str) {
    let (code, record) = agent.json(&["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", agent.log());
    assert_eq!(record["result"]["outcome"], outcome, "{record:#}");
    assert_eq!(record["result"]["method"], "exec", "{record:#}");
}

#[test]
fn a_supervisor_sees_no_end_of_an_agent_that_is_restarted_in_place() {
    let mut agent = supervised("");
    let (pid, before) = (agent.pid(), traits(agent.pid()));
    assert!(before.0.contains(&"Umask:\t0027".to_owned()), "{:?}", before.0);
    for round in 1..=3 {
        restart(&agent, "restarted");
        assert_eq!(agent.pid(), pid);
        assert_eq!(agent.status().unwrap()["generation"], round + 1);
        assert_eq!(traits(pid), before);
        assert_eq!(starts(&agent), 1, "the supervisor started nothing");
    }
    kill(pid, Signal::KILL);
    agent.until("the supervisor starts the next one", |agent| {
        agent.status().is_some_and(|status| status["state"] == "running" && status["pid"] != pid)
    });
    restart(&agent, "restarted");
    assert_eq!(starts(&agent), 2, "after a kill it did");

    let supervisor = Path::new("/proc").join(agent.pid().to_string()).join("stat");
    let parent = fs::read_to_string(supervisor).unwrap();
    let parent = parent.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    kill(parent, Signal::TERM);
    assert_eq!(agent.reap().unwrap().code(), Some(0));
    assert_eq!(starts(&agent), 2, "a stop by the supervisor stays a stop");
    assert!(agent.status().is_none());
    let events = fs::read_to_string(agent.path("state/events.ndjson")).unwrap_or_default();
    assert_eq!(
        events.matches("\"action\":\"unclean_stop\"").count(),
        1,
        "only the kill was one: {events}"
    );
}

/// Whether the agent has a thread called `name`.
fn has_thread(pid: i32, name: &str) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let names = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("comm")));
    names.flatten().any(|found| found.trim() == name)
}

#[test]
fn a_runtime_that_is_stuck_as_a_whole_is_replaced_by_the_watchdog_at_the_deadline() {
    let budgets = "scripted:\n  stop: [hang]\nrestart:\n  method: exec\n  timeout: 12s\n  ready_timeout: 1s\n  save_timeout: 1s\n  stop_timeout: 4s\n";
    let mut agent = TestAgent::new(scripted_binary(), budgets);
    // Whoever reads the log has hung itself: once the pipe is full, each thread that has something to say is stuck.
    let pipe = agent.path("log-pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut log =
        File::options().read(true).write(true).custom_flags(nonblocking).open(&pipe).unwrap();
    let run = agent.command("run");
    let mut shell = Command::new("bash");
    shell.args(["-c", "exec \"$@\" 2>\"$LOG_PIPE\"", "bash"]).env("LOG_PIPE", &pipe);
    shell.arg(run.get_program()).args(run.get_args());
    agent.spawn(&mut shell);
    let pid = agent.pid();
    assert_eq!(agent.cli(&["restart", "--no-wait"]).status.code(), Some(0));
    agent.until("the watchdog is armed", |_| has_thread(pid, "exec-watchdog"));
    while log.write(&[b'\n'; 4096]).is_ok() {}
    while log.write(b"\n").is_ok() {}
    agent.until("the watchdog execs", |_| !has_thread(pid, "exec-watchdog"));

    // The next program has the same pipe.
    let mut reader = File::open(&pipe).unwrap();
    drop(log);
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).map(|_| text)
    });
    agent.until("the next generation runs", |agent| {
        agent.status().is_some_and(|it| it["generation"] == 2 && it["state"] == "running")
    });
    assert_eq!(agent.pid(), pid);
    let list = |agent: &TestAgent| agent.json(&["commands", "list"]).1["commands"][0].clone();
    agent.until("the restart is judged", |agent| list(agent)["finished_at"].is_string());
    let record = list(&agent);
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    let why = "the old process was replaced or ended before it had stopped its modules";
    assert_eq!(record["result"]["why"], why, "{record:#}");

    kill(pid, Signal::KILL);
    agent.reap();
    let text = reading.join().unwrap().unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(!text.contains("abandoned: it did not stop"), "the loop had not ended: {text}");
}
