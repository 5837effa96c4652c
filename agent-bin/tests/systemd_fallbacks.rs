//! The second and third way to ask systemd for a restart, and what is done when all of them say no.

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
mod systemd_box;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use support::{PATIENCE, binary, scripted_binary};
use systemd_box::{SystemdBox, boot, inside};

/// All ways that lead to the system's manager.
const SOCKETS: [&str; 2] = ["/run/dbus/system_bus_socket", "/run/systemd/private"];
const NOT_OVER_D_BUS: &str = "systemd cannot be asked over D-Bus, trying systemctl";
const NOR_BY_SYSTEMCTL: &str = "systemctl does not work either, trying exit status 75";

/// A script that takes the manager's sockets away, or brings them back.
fn sockets(there: bool) -> String {
    let mv = |path: &str| match there {
        true => format!("mv {path}.away {path}"),
        false => format!("mv {path} {path}.away"),
    };
    SOCKETS.map(mv).join(" && ")
}

fn socket(up: &SystemdBox) -> u64 {
    up.root().join("run/wazuh-agent/control.sock").metadata().unwrap().ino()
}

/// How often the journal says that the next way is tried, for each of the two.
fn fallbacks(up: &SystemdBox) -> [usize; 2] {
    let journal = up.journal();
    [NOT_OVER_D_BUS, NOR_BY_SYSTEMCTL].map(|text| journal.matches(text).count())
}

fn until(up: &SystemdBox, what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "never: {what}\n{}", up.journal());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_agent_that_reaches_systemd_by_no_way_is_restarted_by_exit_status_75() {
    let test = "an_agent_that_reaches_systemd_by_no_way_is_restarted_by_exit_status_75";
    let Some(up) = boot(test, "status75") else { return };
    let agent = inside(binary());
    up.install(&agent, "");
    let inode = socket(&up);
    for round in 1..=2 {
        let pid = up.property("MainPID");
        up.sh(&sockets(false));
        let (code, report) = up.agent(&agent, &["restart", "--dry-run"]);
        assert_eq!(code, Some(0), "{report:#}");
        assert!(report.to_string().contains("systemd cannot be asked"), "{report:#}");
        let (code, record) = up.agent(&agent, &["restart"]);
        up.sh(&sockets(true));
        assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
        assert_eq!(record["result"]["outcome"], "restarted", "{record:#}\n{}", up.journal());
        assert_eq!(record["result"]["method"], "systemd", "{record:#}");
        assert_ne!(up.property("MainPID"), pid);
        assert_eq!(up.property("NRestarts"), round.to_string(), "{}", up.journal());
        assert_eq!(fallbacks(&up), [round, round], "{}", up.journal());
        assert_eq!(socket(&up), inode, "the same socket");
    }
    assert_eq!(up.property("ActiveState"), "active");
    assert_eq!(up.property("Result"), "success");
}

#[test]
fn an_older_systemd_that_went_silent_is_remembered_as_the_manager() {
    let test = "an_older_systemd_that_went_silent_is_remembered_as_the_manager";
    let Some(up) = boot(test, "silent") else { return };
    let agent = inside(binary());
    let older = format!(
        "[Service]\nExecStart=\nExecStart=/usr/bin/env -u SYSTEMD_EXEC_PID {} run\n",
        agent.display()
    );
    up.write("/etc/systemd/system/wazuh-agent.service.d/older.conf", &older);
    up.install(&agent, "agent:\n  log_level: debug\n");
    until(&up, "systemd was asked once", || up.journal().contains("stop timeout is known"));
    up.sh(&sockets(false));
    let (code, record) = up.agent(&agent, &["restart", "--no-wait"]);
    assert_eq!(code, Some(0), "{record:#}");
    // Before the next process looks for its unit.
    until(&up, "the exit", || fallbacks(&up) == [1, 1]);
    up.sh(&sockets(true));
    until(&up, "the next process", || {
        up.property("NRestarts") == "1" && up.property("ActiveState") == "active"
    });
}

#[test]
fn a_stop_by_command_that_systemd_cannot_be_told_of_is_refused_because_the_agent_would_come_back() {
    let test = "a_stop_by_command_that_systemd_cannot_be_told_of_is_refused_because_the_agent_would_come_back";
    let Some(up) = boot(test, "deafstop") else { return };
    let agent = inside(binary());
    up.install(&agent, "");
    let pid = up.property("MainPID");
    up.sh(&sockets(false));
    let (code, answer) = up.agent(&agent, &["stop"]);
    up.sh(&sockets(true));
    assert_eq!(code, Some(4), "{answer:#}\n{}", up.journal());
    assert!(answer.to_string().contains("stop its unit with systemctl"), "{answer:#}");
    assert_eq!(up.property("MainPID"), pid);
}

#[test]
fn what_d_bus_does_not_reach_systemctl_restarts_and_nothing_of_it_is_left() {
    let test = "what_d_bus_does_not_reach_systemctl_restarts_and_nothing_of_it_is_left";
    let Some(up) = boot(test, "systemctl") else { return };
    let agent = inside(binary());
    // A systemctl that has ways to systemd that the agent has not.
    let asked = format!(
        "#!/bin/sh\necho \"$@\" >>/run/asked\nif [ -e {0}.away ]; then {1}; fi\nexec /usr/bin/systemctl \"$@\"\n",
        SOCKETS[0],
        sockets(true)
    );
    up.write("/usr/lib/ways/systemctl", &asked);
    up.sh("chmod +x /usr/lib/ways/systemctl");
    up.write(
        "/etc/systemd/system/wazuh-agent.service.d/path.conf",
        "[Service]\nEnvironment=PATH=/usr/lib/ways:/usr/bin:/bin\n",
    );
    up.install(&agent, "");
    let (pid, inode) = (up.property("MainPID"), socket(&up));
    up.sh(&sockets(false));
    let (code, record) = up.agent(&agent, &["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["outcome"], "restarted", "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["method"], "systemd", "{record:#}");
    assert_ne!(up.property("MainPID"), pid);
    assert_eq!(up.property("NRestarts"), "0", "by a job, not by an exit status");
    assert_eq!(fallbacks(&up), [1, 0], "{}", up.journal());
    assert_eq!(socket(&up), inode, "the same socket");
    let asked = up.sh("cat /run/asked");
    let asked: Vec<&str> = asked.lines().collect();
    let options = "--no-block --no-ask-password";
    assert_eq!(
        asked,
        [
            format!("{options} reset-failed -- wazuh-agent.service"),
            format!("{options} --job-mode=fail restart -- wazuh-agent.service"),
            // Before the end: whether the restart still stands.
            "list-jobs --no-legend --plain -- wazuh-agent.service".to_owned()
        ]
    );
    let group = up.property("ControlGroup");
    let processes = up.sh(&format!("cat /sys/fs/cgroup{group}/cgroup.procs"));
    assert_eq!(processes.trim(), up.property("MainPID"), "no child is left in the unit");
}

/// A unit whose user may not ask for anything.
const OF_NOBODY: &str = "[Service]\nType=notify\nNotifyAccess=main\nUser=nobody\nStateDirectory=nobodys\nRuntimeDirectory=nobodys\nRuntimeDirectoryPreserve=restart\nFileDescriptorStoreMax=8\nRestart=always\nRestartSec=0\nRestartForceExitStatus=75\nSuccessExitStatus=75\nTimeoutStopSec=60\nExecStart=/usr/bin/scripted-agent run --config /etc/nobodys.yml --state-dir /var/lib/nobodys --run-dir /run/nobodys\n";
const NOBODYS: &[&str] = &[
    "--config",
    "/etc/nobodys.yml",
    "--state-dir",
    "/var/lib/nobodys",
    "--run-dir",
    "/run/nobodys",
];

fn install_of_nobody(up: &SystemdBox, config: &str) {
    // The target folder may lie where only root gets at it.
    up.sh(&format!("cp {} /usr/bin/scripted-agent", inside(scripted_binary()).display()));
    up.write("/etc/systemd/system/nobodys.service", OF_NOBODY);
    up.write("/etc/nobodys.yml", config);
    up.sh("systemctl daemon-reload && systemctl start nobodys");
}

fn of_nobody(up: &SystemdBox, name: &str) -> String {
    up.sh(&format!("systemctl show --value --property={name} nobodys")).trim().to_owned()
}

#[test]
fn a_unit_whose_user_may_ask_for_nothing_is_restarted_by_exit_status_75() {
    let test = "a_unit_whose_user_may_ask_for_nothing_is_restarted_by_exit_status_75";
    let Some(up) = boot(test, "nobody") else { return };
    install_of_nobody(&up, "");
    let pid = of_nobody(&up, "MainPID");
    let (code, record) =
        up.agent("/usr/bin/scripted-agent".as_ref(), &[&["restart"], NOBODYS].concat());
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["outcome"], "restarted", "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["method"], "systemd", "{record:#}");
    assert!(record.to_string().contains("may not reset the counter of starts"), "{record:#}");
    assert_ne!(of_nobody(&up, "MainPID"), pid);
    assert_eq!(of_nobody(&up, "NRestarts"), "1", "{}", up.journal());
    assert_eq!(fallbacks(&up), [1, 1], "{}", up.journal());
}

#[test]
fn a_unit_that_was_masked_after_the_checks_is_not_left_by_exit_status_75() {
    let test = "a_unit_that_was_masked_after_the_checks_is_not_left_by_exit_status_75";
    let Some(up) = boot(test, "masked") else { return };
    install_of_nobody(&up, "scripted:\n  ready: [busy]\nrestart:\n  ready_timeout: 10s\n");
    let pid = of_nobody(&up, "MainPID");
    let program = "/usr/bin/scripted-agent".as_ref();
    let (code, record) = up.agent(program, &[&["restart", "--no-wait"], NOBODYS].concat());
    assert_eq!(code, Some(0), "{record:#}");
    // The checks are over by then, and the module stays busy long enough for what comes now.
    until(&up, "the modules are asked", || up.journal().contains("busy as scripted"));
    let unit = "/etc/systemd/system/nobodys.service";
    up.sh(&format!("rm {unit} && ln -s /dev/null {unit} && systemctl daemon-reload"));
    let list = [&["commands", "list"], NOBODYS].concat();
    until(&up, "the restart ends", || {
        up.agent(program, &list).1["commands"][0]["finished_at"].is_string()
    });
    let command = &up.agent(program, &list).1["commands"][0];
    assert_eq!(command["result"]["outcome"], "not_restarted", "{command:#}\n{}", up.journal());
    assert!(command.to_string().contains("masked"), "{command:#}");
    assert_eq!(of_nobody(&up, "MainPID"), pid, "the agent goes on");
    assert_eq!(fallbacks(&up), [1, 1], "{}", up.journal());
    let (_, status) = up.agent(program, &[&["status"], NOBODYS].concat());
    assert_eq!(status["state"], "running", "{status:#}");
    fs::remove_file(up.root().join(&unit[1..])).unwrap();
}

#[test]
fn a_unit_that_exit_status_75_would_not_bring_back_is_not_left_when_systemd_cannot_be_asked() {
    let test =
        "a_unit_that_exit_status_75_would_not_bring_back_is_not_left_when_systemd_cannot_be_asked";
    let Some(up) = boot(test, "no75") else { return };
    let agent = inside(binary());
    up.write(
        "/etc/systemd/system/wazuh-agent.service.d/no-75.conf",
        "[Service]\nRestart=no\nRestartForceExitStatus=\n",
    );
    up.install(&agent, "agent:\n  log_level: debug\n");
    until(&up, "systemd was asked once", || up.journal().contains("stop timeout is known"));
    let pid = up.property("MainPID");
    up.sh(&sockets(false));
    let (code, record) = up.agent(&agent, &["restart"]);
    up.sh(&sockets(true));
    assert_eq!(code, Some(1), "{record:#}\n{}", up.journal());
    assert_eq!(record["result"]["outcome"], "not_restarted", "{record:#}");
    assert!(record.to_string().contains("RestartForceExitStatus=75"), "{record:#}");
    assert_eq!(up.property("MainPID"), pid, "the agent goes on");
    assert_eq!(up.property("ActiveState"), "active");
}
