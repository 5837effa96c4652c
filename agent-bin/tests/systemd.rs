//! The agent as a unit of a real systemd: restarted over D-Bus, killed, stopped.

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

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use support::{PATIENCE, binary, delivered_in, scripted_binary};
use systemd_box::{SystemdBox, boot, inside};

const CONFIG: &str =
    "logcollector:\n  files: [/srv/app.log]\n  read_interval: 20ms\n  start_at: beginning\n";

/// How often each line was delivered.
fn delivered(up: &SystemdBox) -> BTreeMap<String, u32> {
    delivered_in(&up.sh("cat /var/lib/wazuh-agent/events.ndjson || true"))
}

fn until_delivered(up: &SystemdBox, lines: usize) -> BTreeMap<String, u32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let delivered = delivered(up);
        if delivered.len() >= lines {
            return delivered;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {lines} lines\n{}",
            delivered.len(),
            up.journal()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn ten_restarts_in_a_row_succeed_each_with_another_pid() {
    let Some(up) = boot("ten_restarts_in_a_row_succeed_each_with_another_pid", "ten") else {
        return;
    };
    let agent = inside(binary());
    up.install(&agent, CONFIG);
    // A writer of its own, so that lines arrive at every moment of every restart.
    up.sh("systemd-run --quiet --unit=writer bash -c 'for i in $(seq 20000); do echo line $i; [ $((i % 10)) = 0 ] && sleep 0.005; done >>/srv/app.log'");
    let mut pids = BTreeSet::from([up.property("MainPID")]);
    for round in 1..=10 {
        let (code, record) = up.agent(&agent, &["restart"]);
        assert_eq!(
            (code, &record["status"]),
            (Some(0), &"success".into()),
            "round {round}: {record:#}\n{}",
            up.journal()
        );
        assert_eq!(record["result"]["outcome"], "restarted", "round {round}: {record:#}");
        assert_eq!(record["result"]["method"], "systemd");
        pids.insert(up.property("MainPID"));
    }
    assert_eq!(pids.len(), 11, "{pids:?}");
    up.sh("systemctl stop writer; true");
    let written = up.sh("cat /srv/app.log");
    let written: BTreeSet<String> = written.lines().map(str::to_owned).collect();
    let delivered = until_delivered(&up, written.len());
    assert_eq!(delivered.keys().cloned().collect::<BTreeSet<_>>(), written);
    assert!(delivered.values().all(|count| *count == 1), "some line was delivered twice");
    assert_eq!(up.property("NFileDescriptorStore"), "1");
}

#[test]
fn after_kill_minus_nine_systemd_starts_the_agent_and_no_line_is_lost() {
    let test = "after_kill_minus_nine_systemd_starts_the_agent_and_no_line_is_lost";
    let Some(up) = boot(test, "kill") else { return };
    let agent = inside(binary());
    up.install(&agent, CONFIG);
    let mut lines = 0;
    for _ in 0..3 {
        up.sh(&format!(
            "for i in $(seq {} {}); do echo line $i; done >>/srv/app.log",
            lines + 1,
            lines + 500
        ));
        lines += 500;
        until_delivered(&up, lines - 499);
        let pid = up.property("MainPID");
        up.sh("systemctl kill --signal=KILL --kill-who=main wazuh-agent");
        // The control socket stays open meanwhile, so the question is answered by the successor.
        let deadline = Instant::now() + PATIENCE;
        while up.property("MainPID") == pid || up.property("ActiveState") != "active" {
            assert!(Instant::now() < deadline, "{}", up.journal());
        }
        assert_eq!(up.agent(&agent, &["status"]).0, Some(0));
    }
    let delivered = until_delivered(&up, lines);
    assert!(delivered.values().all(|count| *count == 1), "some line was delivered twice");
    let events = up.sh("cat /var/lib/wazuh-agent/events.ndjson");
    assert!(events.contains("unclean_stop"), "the kill is reported");
}

#[test]
fn a_stop_by_systemctl_stays_a_stop() {
    let Some(up) = boot("a_stop_by_systemctl_stays_a_stop", "stop") else { return };
    let agent = inside(binary());
    up.install(&agent, CONFIG);
    up.sh("systemctl stop wazuh-agent");
    assert_eq!(up.property("ActiveState"), "inactive");
    assert_eq!(up.property("Result"), "success");
    let (code, answer) = up.agent(&agent, &["status"]);
    assert_eq!(code, Some(5), "{answer:#}");
}

#[test]
fn a_stop_by_command_stops_the_unit_although_it_always_restarts() {
    let test = "a_stop_by_command_stops_the_unit_although_it_always_restarts";
    let Some(up) = boot(test, "order") else { return };
    let agent = inside(binary());
    up.install(&agent, CONFIG);
    assert_eq!(up.property("Restart"), "always");
    let (code, answer) = up.agent(&agent, &["stop"]);
    assert_eq!(code, Some(0), "{answer:#}\n{}", up.journal());
    // Waits until systemd has nothing left to do for the unit.
    up.sh("systemctl stop wazuh-agent");
    assert_eq!(up.property("ActiveState"), "inactive");
    assert_eq!(up.property("NRestarts"), "0");
    up.sh("systemctl start wazuh-agent");
    let events = up.sh("cat /var/lib/wazuh-agent/events.ndjson || true");
    assert!(!events.contains("unclean_stop"), "{events}");
}

#[test]
fn a_systemctl_stop_during_a_restart_is_not_taken_for_the_restart_later() {
    let test = "a_systemctl_stop_during_a_restart_is_not_taken_for_the_restart_later";
    let Some(up) = boot(test, "cancel") else { return };
    let agent = inside(scripted_binary());
    up.install(&agent, "scripted:\n  stop: [ok-after-ms: 2000]\n");
    assert_eq!(up.agent(&agent, &["restart", "--no-wait"]).0, Some(0));
    let deadline = Instant::now() + PATIENCE;
    while !up.journal().contains("the modules are closed") {
        assert!(Instant::now() < deadline, "{}", up.journal());
    }
    up.sh("systemctl stop wazuh-agent");
    assert_eq!(up.property("ActiveState"), "inactive");
    up.sh("systemctl start wazuh-agent");
    let commands = up.agent(&agent, &["commands", "list"]).1;
    assert_eq!(commands["commands"][0]["status"], "failure", "{commands:#}\n{}", up.journal());
    assert_eq!(commands["commands"][0]["result"]["outcome"], "stopped_instead");
}

#[test]
fn a_broken_configuration_stops_the_start_for_good_with_status_78() {
    let test = "a_broken_configuration_stops_the_start_for_good_with_status_78";
    let Some(up) = boot(test, "broken") else { return };
    let agent = inside(binary());
    up.install(&agent, CONFIG);
    up.write("/etc/wazuh-agent/wazuh-agent.yml", "no_such_section: 1\n");
    let (code, record) = up.agent(&agent, &["restart"]);
    assert_eq!(code, Some(4), "{record:#}");
    assert_eq!(up.property("ActiveState"), "active", "the running agent stays");
    assert!(!up.exec(&["systemctl", "restart", "wazuh-agent"]).status.success());
    assert_eq!(up.property("ExecMainStatus"), "78");
    assert_eq!(up.property("ActiveState"), "failed");
}

#[test]
fn the_demonstration_under_systemd_loses_nothing() {
    let Some(up) = boot("the_demonstration_under_systemd_loses_nothing", "demo") else { return };
    let (code, report) = up.agent(&inside(binary()), &["demo", "--systemd"]);
    assert_eq!(code, Some(0), "{report:#}\n{}", up.journal());
    let restarts = report["restarts"].as_array().unwrap();
    assert_eq!(restarts.len(), 5);
    assert!(restarts.iter().all(|restart| restart["method"] == "systemd"), "{report:#}");
    assert_eq!(
        (&report["events"]["lost"], &report["events"]["duplicated"]),
        (&0.into(), &0.into())
    );
    assert_eq!(
        up.sh("ls /run/systemd/system /tmp | grep wazuh || true"),
        "",
        "nothing is left behind"
    );
}
