//! The time that the service manager gives the agent to start and to stop: known, kept to, and extended by progress.

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
#[path = "support/systemd_box.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod systemd_box;

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::{PATIENCE, TestAgent, binary, kill, scripted_binary};
use systemd_box::{SystemdBox, boot, inside};

const DROP_IN: &str = "/etc/systemd/system/wazuh-agent.service.d/limits.conf";

/// A unit that cannot be told anything: what saves the agent there is its own budgets.
const DEAF: &str = "Type=exec\nNotifyAccess=none\nFileDescriptorStoreMax=0\nWatchdogSec=0\n";

/// The text of each event of `kind` that was delivered.
fn warnings(up: &SystemdBox, kind: &str) -> Vec<String> {
    let events = up.sh("cat /var/lib/wazuh-agent/events.ndjson || true");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["event"]["action"] == kind)
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

/// Looks until `met` holds; fails with the box's journal when it never does.
fn until(up: &SystemdBox, what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "never: {what}\n{}", up.journal());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The module `scripted` of a record's result.
fn scripted(record: &Value) -> &Value {
    let modules = record["result"]["modules"].as_array();
    let found = modules.and_then(|modules| modules.iter().find(|it| it["name"] == "scripted"));
    found.unwrap_or_else(|| panic!("no module scripted: {record:#}"))
}

#[test]
fn budgets_that_a_unit_does_not_grant_are_warned_about_and_cut_so_that_it_kills_nobody() {
    let test =
        "budgets_that_a_unit_does_not_grant_are_warned_about_and_cut_so_that_it_kills_nobody";
    let Some(up) = boot(test, "cut") else { return };
    let agent = inside(scripted_binary());
    up.write(DROP_IN, &format!("[Service]\nTimeoutStopSec=3\n{DEAF}"));
    up.install(&agent, "scripted:\n  stop: [hang]\n");
    until(&up, "the warning", || !warnings(&up, "limits_clamped").is_empty());
    let warning = "restart.timeout 30s is more than TimeoutStopSec 3s of unit wazuh-agent.service, after which systemd \
                   kills the agent; so these hold: ready_timeout 1s + save_timeout 500ms + 2 x stop_timeout 500ms = \
                   2500ms within timeout 3s; raise TimeoutStopSec= of unit wazuh-agent.service to 30s, or lower \
                   restart.timeout to 3s and the others as shown";
    assert_eq!(warnings(&up, "limits_clamped"), [warning]);
    assert!(up.journal().contains(warning), "{}", up.journal());

    let (code, record) = up.agent(&agent, &["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["outcome"], "restarted_forced", "{record:#}");
    assert_eq!(
        record["result"]["why"], "not every module was ready, saved and stopped by itself",
        "{record:#}"
    );
    assert_eq!(scripted(&record)["ended"], "abandoned", "{record:#}");
    let notes = ["stop timeout", "stop timeout", "abandoned: it did not stop"];
    assert_eq!(scripted(&record)["notes"], serde_json::json!(notes), "{record:#}");
    assert!(warnings(&up, "unclean_stop").is_empty(), "{}", up.journal());
    assert!(!up.journal().contains("Killing process"), "{}", up.journal());
}

#[test]
fn the_shipped_unit_and_the_default_configuration_fit_and_nobody_is_warned() {
    let test = "the_shipped_unit_and_the_default_configuration_fit_and_nobody_is_warned";
    let Some(up) = boot(test, "fit") else { return };
    up.install(&inside(binary()), "agent:\n  log_level: debug\n");
    let known = "the unit's stop timeout is known unit=\"wazuh-agent.service\" after=30s";
    until(&up, "the answer of systemd", || up.journal().contains(known));
    assert!(!up.journal().contains("limits_clamped"), "{}", up.journal());
    assert!(warnings(&up, "limits_clamped").is_empty(), "{}", up.journal());
}

#[test]
fn modules_that_make_progress_are_not_killed_when_the_units_time_is_up() {
    let test = "modules_that_make_progress_are_not_killed_when_the_units_time_is_up";
    let Some(up) = boot(test, "progress") else { return };
    let agent = inside(scripted_binary());
    let slow = "scripted:\n  save: [ok-after-ms: 1500]\n  stop: [ok-after-ms: 1500]\n";
    up.install(&agent, &format!("agent:\n  log_level: debug\n{slow}"));
    until(&up, "the answer of systemd", || up.journal().contains("stop timeout is known"));
    // The agent has asked before, so its own budgets do not know of this.
    up.write(DROP_IN, "[Service]\nTimeoutStopSec=2\n");
    up.sh("systemctl daemon-reload");
    let (code, record) = up.agent(&agent, &["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["outcome"], "restarted", "{record:#}\n{}", up.journal());
    assert_eq!(scripted(&record)["ended"], "stopped", "{record:#}");
}

#[test]
fn a_slow_start_within_the_agents_own_limit_is_not_cut_off_by_the_unit() {
    let test = "a_slow_start_within_the_agents_own_limit_is_not_cut_off_by_the_unit";
    let Some(up) = boot(test, "slow") else { return };
    up.write(DROP_IN, "[Service]\nTimeoutStartSec=1\n");
    up.install(&inside(scripted_binary()), "scripted:\n  start: [ok-after-ms: 3000]\n");
    assert_eq!(up.property("ActiveState"), "active");
    assert_eq!(up.property("NRestarts"), "0", "{}", up.journal());
}

#[test]
fn an_exec_in_place_within_a_unit_is_not_taken_for_its_end() {
    let test = "an_exec_in_place_within_a_unit_is_not_taken_for_its_end";
    let Some(up) = boot(test, "exec") else { return };
    let agent = inside(scripted_binary());
    up.install(&agent, "restart:\n  method: exec\n");
    let (code, record) = up.agent(&agent, &["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["outcome"], "restarted", "{record:#}");
    assert_eq!(up.property("SubState"), "running", "{}", up.journal());
}

/// What an agent run by hand told the manager at `NOTIFY_SOCKET` until it was stopped by SIGTERM: the kind of each message,
/// with the seconds of an extension. Signs of life for the watchdog are not asked for.
fn told_until_stopped(config: &str) -> Vec<String> {
    let mut agent = TestAgent::new(scripted_binary(), config);
    let path = agent.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (messages, told) = mpsc::channel();
    // Reads on meanwhile, because a manager that does not read is another case.
    let reading = std::thread::spawn(move || {
        let mut bytes = [0; 512];
        loop {
            let length = socket.recv(&mut bytes).expect("a message, or the end");
            match std::str::from_utf8(&bytes[..length]).unwrap() {
                "the test is over" => break,
                message => messages.send(message.to_owned()).unwrap(),
            }
        }
    });
    let mut command = agent.command("run");
    agent.spawn(command.env("NOTIFY_SOCKET", &path));
    kill(agent.pid(), Signal::TERM);
    assert_eq!(agent.reap().unwrap().code(), Some(0));
    UnixDatagram::unbound().unwrap().send_to(b"the test is over", &path).unwrap();
    reading.join().unwrap();
    told.iter().map(|message| message.replace("\n", " ")).collect()
}

#[test]
fn every_step_of_the_end_extends_the_managers_patience_and_nothing_else_does() {
    // The start of modules has 10 s, and 5 s are for the rest. Then each step of two modules is one message: logcollector is
    // ready, saved and stopped; scripted is ready, hangs in save until that is given up, and is stopped. A stop has 5 s,
    // and what follows the modules 7 s.
    let config = "scripted:\n  save: [hang]\nrestart:\n  save_timeout: 2500ms\n";
    let step = "EXTEND_TIMEOUT_USEC=15000000";
    assert_eq!(
        told_until_stopped(config),
        [
            "FDSTORE=1 FDNAME=control",
            "EXTEND_TIMEOUT_USEC=15000000",
            "READY=1 STATUS=all modules were started",
            "STOPPING=1",
            step,
            step,
            step,
            step,
            step,
            step,
        ]
    );
}
