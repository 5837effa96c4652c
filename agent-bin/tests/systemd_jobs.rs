//! Jobs of others for the agent's unit that meet its restart: a stop or a shutdown wins, a restart is joined.

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

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{PATIENCE, binary, scripted_binary};
use systemd_box::{SystemdBox, boot, inside};

fn until(up: &SystemdBox, what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "never: {what}\n{}", up.journal());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Orders a restart, and returns when the journal has `stage` of it.
fn restart_until(up: &SystemdBox, stage: &str) {
    let (code, record) = up.agent(&inside(scripted_binary()), &["restart", "--no-wait"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    until(up, stage, || up.journal().contains(stage));
}

/// The restart, once it is finished.
fn finished(up: &SystemdBox) -> Value {
    let agent = inside(scripted_binary());
    let list = || up.agent(&agent, &["commands", "list"]).1["commands"][0].clone();
    until(up, "the restart ends", || list()["finished_at"].is_string());
    list()
}

fn generation(up: &SystemdBox) -> Value {
    up.agent(&inside(scripted_binary()), &["status"]).1["generation"].clone()
}

#[test]
fn a_stop_while_the_modules_are_asked_wins_over_the_restart() {
    let test = "a_stop_while_the_modules_are_asked_wins_over_the_restart";
    let Some(up) = boot(test, "asked") else { return };
    up.install(&inside(scripted_binary()), "scripted:\n  ready: [busy]\n");
    restart_until(&up, "busy as scripted");
    up.sh("systemctl stop wazuh-agent");
    assert_eq!(up.property("ActiveState"), "inactive");
    assert_eq!(up.property("Result"), "success", "{}", up.journal());
    assert_eq!(up.property("NRestarts"), "0");
    up.sh("systemctl start wazuh-agent");
    let restart = finished(&up);
    assert_eq!(restart["result"]["outcome"], "stopped_instead", "{restart:#}\n{}", up.journal());
    assert_eq!(generation(&up), 2, "nobody was started in between");
}

/// A unit that is stopped before the agent, and takes until `/run/go` is there.
const BEFORE: &str = "[Unit]\nRequires=wazuh-agent.service\nAfter=wazuh-agent.service\n[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sh -c 'until [ -e /run/go ]; do sleep 0.05; done'\nTimeoutStopSec=120\n";

#[test]
fn a_stop_that_waits_for_another_unit_is_not_cancelled_by_a_restart() {
    let test = "a_stop_that_waits_for_another_unit_is_not_cancelled_by_a_restart";
    let Some(up) = boot(test, "waits") else { return };
    up.write("/etc/systemd/system/before.service", BEFORE);
    up.install(&inside(scripted_binary()), "scripted:\n  ready: [busy]\n");
    up.sh("systemctl start before");
    restart_until(&up, "busy as scripted");
    up.sh("systemctl --no-block stop wazuh-agent");
    // No SIGTERM yet: only the job tells.
    let restart = finished(&up);
    assert_eq!(restart["result"]["outcome"], "not_restarted", "{restart:#}\n{}", up.journal());
    assert_eq!(generation(&up), 1);
    let (code, report) = up.agent(&inside(scripted_binary()), &["restart", "--dry-run"]);
    assert_eq!(code, Some(4), "{report:#}\n{}", up.journal());
    assert!(report.to_string().contains("is being stopped"), "{report:#}");
    up.sh("touch /run/go");
    until(&up, "the stop", || up.property("ActiveState") == "inactive");
    assert_eq!(up.property("NRestarts"), "0", "{}", up.journal());
}

#[test]
fn a_shutdown_under_way_is_not_held_up_by_a_restart() {
    let test = "a_shutdown_under_way_is_not_held_up_by_a_restart";
    let Some(up) = boot(test, "shutdown") else { return };
    up.write("/etc/systemd/system/before.service", BEFORE);
    let agent = inside(scripted_binary());
    up.install(&agent, "");
    up.sh("systemctl start before");
    let pid = up.property("MainPID");
    up.sh("systemctl --no-block --job-mode=replace-irreversibly start poweroff.target");
    let (code, report) = up.agent(&agent, &["restart", "--dry-run", "--force"]);
    assert_eq!(code, Some(4), "{report:#}");
    assert!(report.to_string().contains("the system is being shut down"), "{report:#}");
    let (code, record) = up.agent(&agent, &["restart", "--force"]);
    assert_eq!(code, Some(4), "{record:#}");
    assert_eq!(up.property("MainPID"), pid, "it goes on until it is its turn to stop");
}

#[test]
fn a_restart_by_an_operator_while_the_modules_are_asked_is_joined_and_both_are_answered() {
    let test =
        "a_restart_by_an_operator_while_the_modules_are_asked_is_joined_and_both_are_answered";
    let Some(up) = boot(test, "joined") else { return };
    let long = "scripted:\n  ready: [busy]\nrestart:\n  ready_timeout: 15s\n";
    up.install(&inside(scripted_binary()), long);
    restart_until(&up, "busy as scripted");
    up.sh("systemctl restart wazuh-agent");
    let restart = finished(&up);
    assert_eq!(restart["status"], "success", "{restart:#}\n{}", up.journal());
    // The module that was busy is not waited for any more.
    assert_eq!(restart["result"]["outcome"], "restarted_forced", "{restart:#}");
    assert!(up.journal().contains("somebody else restarts the agent"), "{}", up.journal());
    assert_eq!(generation(&up), 2, "one restart for both: {}", up.journal());
    assert_eq!(up.property("NRestarts"), "0");
}

#[test]
fn a_restart_by_an_operator_while_the_modules_close_is_one_with_ours() {
    let test = "a_restart_by_an_operator_while_the_modules_close_is_one_with_ours";
    let Some(up) = boot(test, "merged") else { return };
    up.install(&inside(scripted_binary()), "scripted:\n  stop: [ok-after-ms: 2000]\n");
    restart_until(&up, "the modules are closed");
    up.sh("systemctl restart wazuh-agent");
    let restart = finished(&up);
    assert_eq!(restart["result"]["outcome"], "restarted", "{restart:#}\n{}", up.journal());
    assert_eq!(generation(&up), 2, "one restart for both: {}", up.journal());
}

#[test]
fn a_unit_whose_program_is_gone_is_refused_before_anything_stops() {
    let test = "a_unit_whose_program_is_gone_is_refused_before_anything_stops";
    let Some(up) = boot(test, "gone") else { return };
    let agent = inside(binary());
    up.write("/usr/lib/start-agent", &format!("#!/bin/sh\nexec {} run\n", agent.display()));
    up.sh("chmod +x /usr/lib/start-agent");
    up.write(
        "/etc/systemd/system/wazuh-agent.service.d/start.conf",
        "[Service]\nExecStart=\nExecStart=/usr/lib/start-agent\n",
    );
    up.install(&agent, "");
    assert_eq!(up.agent(&agent, &["restart"]).0, Some(0), "{}", up.journal());
    let pid = up.property("MainPID");
    up.sh("rm /usr/lib/start-agent");
    for words in [&["restart", "--dry-run"][..], &["restart"], &["restart", "--force"]] {
        let (code, answer) = up.agent(&agent, words);
        assert_eq!(code, Some(4), "{answer:#}\n{}", up.journal());
        assert!(answer.to_string().contains("cannot start /usr/lib/start-agent"), "{answer:#}");
    }
    assert_eq!(up.property("MainPID"), pid);
}
