//! The agent as a unit of a user's own systemd: restarted with and without a bus, by exit status, killed, stopped.

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
#[path = "support/user_box.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod user_box;

use std::os::unix::fs::MetadataExt;

use support::binary;
use user_box::{Bus, UserBox, boot};

const CONFIG: &str = "logcollector:\n  files: [/run/user-box/home/app.log]\n  read_interval: 20ms\n  start_at: beginning\n";
/// Where the manager listens without a bus.
const PRIVATE: &str = "$XDG_RUNTIME_DIR/systemd/private";
const OVER_D_BUS: &str = "systemd was asked for the restart";
const NOT_OVER_D_BUS: &str = "systemd cannot be asked over D-Bus, trying systemctl";
const NOR_BY_SYSTEMCTL: &str = "systemctl does not work either, trying exit status 75";

/// The inode of the control socket: the same as long as nobody has bound another one.
fn socket(up: &UserBox) -> u64 {
    let root = up.home.ancestors().nth(3).unwrap();
    root.join("run/user/59999/wazuh-agent/control.sock").metadata().unwrap().ino()
}

/// Restarts the agent once, which has to be confirmed and to keep the control socket; returns the log of that.
fn restart(up: &UserBox) -> String {
    let (pid, inode, logged) = (up.property("MainPID"), socket(up), up.agent_log().len());
    up.sh("echo a line of round $(date +%s%N) >>~/app.log");
    let (code, record) = up.agent(&["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.log());
    assert_eq!(record["result"]["outcome"], "restarted", "{record:#}\n{}", up.log());
    assert_eq!(record["result"]["method"], "systemd", "{record:#}");
    assert_ne!(up.property("MainPID"), pid);
    assert_eq!(up.property("MainPID"), record["result"]["new"]["pid"].to_string());
    assert_eq!(socket(up), inode, "the same socket");
    assert_eq!(up.property("NFileDescriptorStore"), "1");
    up.agent_log().split_off(logged)
}

fn three_restarts_over_d_bus(up: &UserBox) {
    up.install(&binary(), CONFIG, "");
    assert_eq!(up.property("NFileDescriptorStore"), "1", "stored at the start");
    for _ in 0..3 {
        let log = restart(up);
        assert!(log.contains(OVER_D_BUS) && !log.contains(NOT_OVER_D_BUS), "{log}");
    }
    assert_eq!(up.property("NRestarts"), "0", "the manager was asked, no exit status");
    up.until("all lines are delivered", |up| up.events().matches("a line of round").count() >= 3);
    assert_eq!(up.events().matches("a line of round").count(), 3, "{}", up.events());
}

#[test]
fn a_unit_of_a_user_is_restarted_over_the_session_bus() {
    let test = "a_unit_of_a_user_is_restarted_over_the_session_bus";
    let Some(up) = boot(test, "bus", Bus::Session) else { return };
    three_restarts_over_d_bus(&up);
    // Nor does it take the private socket, which systemctl would take as well.
    let (pid, logged) = (up.property("MainPID"), up.agent_log().len());
    up.sh(&format!("mv {PRIVATE} {PRIVATE}.away"));
    let (code, record) = up.agent(&["restart"]);
    up.sh(&format!("mv {PRIVATE}.away {PRIVATE}"));
    assert_eq!(code, Some(0), "{record:#}\n{}", up.log());
    let log = up.agent_log().split_off(logged);
    assert!(log.contains(OVER_D_BUS) && !log.contains(NOT_OVER_D_BUS), "{log}");
    assert_ne!(up.property("MainPID"), pid);
}

#[test]
fn without_any_bus_a_unit_of_a_user_is_restarted_over_the_managers_private_socket() {
    let test = "without_any_bus_a_unit_of_a_user_is_restarted_over_the_managers_private_socket";
    let Some(up) = boot(test, "nobus", Bus::None) else { return };
    three_restarts_over_d_bus(&up);
}

#[test]
fn without_bus_and_private_socket_a_unit_of_a_user_is_restarted_by_exit_status_75() {
    let test = "without_bus_and_private_socket_a_unit_of_a_user_is_restarted_by_exit_status_75";
    let Some(up) = boot(test, "status", Bus::None) else { return };
    up.install(&binary(), CONFIG, "");
    let (pid, inode) = (up.property("MainPID"), socket(&up));
    up.sh(&format!("mv {PRIVATE} {PRIVATE}.away"));
    let (code, record) = up.agent(&["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.log());
    assert_eq!(record["result"]["outcome"], "restarted", "{record:#}");
    up.sh(&format!("mv {PRIVATE}.away {PRIVATE}"));
    assert_ne!(up.property("MainPID"), pid);
    assert_eq!(up.property("NRestarts"), "1", "{}", up.log());
    assert_eq!(socket(&up), inode);
    for fallback in [NOT_OVER_D_BUS, NOR_BY_SYSTEMCTL] {
        assert_eq!(up.agent_log().matches(fallback).count(), 1, "{}", up.agent_log());
    }
}

#[test]
fn after_kill_minus_nine_the_users_manager_starts_the_agent_with_the_same_socket() {
    let test = "after_kill_minus_nine_the_users_manager_starts_the_agent_with_the_same_socket";
    let Some(up) = boot(test, "kill", Bus::Session) else { return };
    up.install(&binary(), CONFIG, "");
    let (pid, inode) = (up.property("MainPID"), socket(&up));
    up.sh("systemctl --user kill --signal=KILL --kill-who=main wazuh-agent");
    up.until("the next process runs", |up| {
        up.property("MainPID") != pid && up.property("ActiveState") == "active"
    });
    assert_eq!(socket(&up), inode);
    up.until("the kill is reported", |up| up.events().contains("unclean_stop"));
    restart(&up);
}

#[test]
fn a_stop_of_a_users_unit_stays_a_stop_whoever_orders_it() {
    let test = "a_stop_of_a_users_unit_stays_a_stop_whoever_orders_it";
    let Some(up) = boot(test, "stop", Bus::Session) else { return };
    up.install(&binary(), CONFIG, "");
    let (code, answer) = up.agent(&["stop"]);
    assert_eq!(code, Some(0), "{answer:#}\n{}", up.log());
    // Waits until the manager has nothing left to do for the unit.
    up.sh("systemctl --user stop wazuh-agent");
    for _ in 0..2 {
        assert_eq!(up.property("ActiveState"), "inactive");
        assert_eq!(up.property("Result"), "success", "{}", up.log());
        assert_eq!(up.property("NRestarts"), "0");
        assert_eq!(up.agent(&["status"]).0, Some(5));
        up.sh("systemctl --user start wazuh-agent && systemctl --user stop wazuh-agent");
    }
    assert!(!up.events().contains("unclean_stop"), "{}", up.events());
}
