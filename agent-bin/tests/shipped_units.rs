//! The units that are shipped have every line that the agent relies upon, and systemd reads them as they are meant.

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
#[path = "support/user_box.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod user_box;

use std::time::{Duration, Instant};

use support::{PATIENCE, binary};
use systemd_box::{SystemdBox, boot, inside};
use user_box::Bus;

const SYSTEM: &str = include_str!("../packaging/wazuh-agent.service");
const USER: &str = include_str!("../packaging/user/wazuh-agent.service");

/// What both units say, as systemd shows it, and what breaks without it.
const RELIED_UPON: [(&str, &str, &str); 15] = [
    ("Type", "notify", "systemd would not know when the agent works"),
    ("NotifyAccess", "main", "a child of a module could speak for the agent"),
    ("Restart", "always", "the agent would stay off after a signal or a clean exit"),
    ("RestartUSec", "0", "each start by systemd would be late"),
    ("RestartForceExitStatus", "75", "an agent that cannot ask systemd would stay off"),
    ("SuccessExitStatus", "75", "that end would count as a failure"),
    ("RestartPreventExitStatus", "78", "a wrong configuration would be read again and again"),
    ("FileDescriptorStoreMax", "64", "a kill would close the control socket and the sensors"),
    ("WatchdogUSec", "30s", "an agent that hangs would not be noticed"),
    ("TimeoutStopUSec", "30s", "the budgets of the modules would be cut"),
    (
        "KillMode",
        "mixed",
        "children of modules would be sent SIGTERM before the modules are stopped",
    ),
    ("SendSIGKILL", "yes", "what hangs would hold up the next start"),
    ("StartLimitBurst", "20", "some starts by hand would leave the agent off"),
    ("StartLimitIntervalUSec", "10s", "a loop of an agent that dies at once would not end"),
    ("NoNewPrivileges", "yes", "a module could gain privileges by a program that it runs"),
];

/// What only the unit of the system says.
const OF_SYSTEM: [(&str, &str, &str); 4] = [
    ("RuntimeDirectoryPreserve", "restart", "the path of the kept socket would be removed"),
    ("RuntimeDirectory", "wazuh-agent", "there would be no place for the control socket"),
    ("StateDirectory", "wazuh-agent", "there would be no place for the journal"),
    ("StateDirectoryMode", "0700", "others could read what was seen on the machine"),
];

/// Asserts each property that `show` has printed.
fn assert_shown<'a>(
    shown: &str,
    expected: impl IntoIterator<Item = &'a (&'a str, &'a str, &'a str)>,
) {
    for (name, value, why) in expected {
        let line = format!("{name}={value}");
        assert!(shown.lines().any(|shown| shown == line), "{line} is missing: {why}\n{shown}");
    }
}

/// Only names that systemd knows: with one that it does not, it reads on without a word to the agent.
fn assert_verified(output: &std::process::Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{}: {said}", output.status);
}

#[test]
fn systemd_reads_the_shipped_unit_as_the_agent_relies_upon_it() {
    let test = "systemd_reads_the_shipped_unit_as_the_agent_relies_upon_it";
    let Some(up) = boot(test, "shipped") else { return };
    up.sh(&format!("cp {} /usr/bin/wazuh-agent", inside(binary()).display()));
    let path = "/etc/systemd/system/wazuh-agent.service";
    up.write(path, SYSTEM);
    assert_verified(&up.exec(&["systemd-analyze", "--man=no", "verify", path]));
    up.sh("systemctl daemon-reload && systemctl start wazuh-agent");
    let shown = up.sh("systemctl show wazuh-agent");
    assert_shown(&shown, RELIED_UPON.iter().chain(&OF_SYSTEM));
    assert_eq!(
        up.agent("/usr/bin/wazuh-agent".as_ref(), &["restart"]).0,
        Some(0),
        "{}",
        up.journal()
    );

    // A misspelt line is told, so the check above can fail.
    up.write(path, &SYSTEM.replace("KillMode=", "KilMode="));
    let verified = up.exec(&["systemd-analyze", "--man=no", "verify", path]);
    assert!(String::from_utf8_lossy(&verified.stderr).contains("KilMode"), "{verified:?}");
}

#[test]
fn the_manager_of_a_user_reads_the_shipped_unit_as_the_agent_relies_upon_it() {
    let test = "the_manager_of_a_user_reads_the_shipped_unit_as_the_agent_relies_upon_it";
    let Some(up) = user_box::boot(test, "shipped", Bus::None) else { return };
    up.install(&binary(), "", "");
    assert_shown(&up.sh("systemctl --user show wazuh-agent"), &RELIED_UPON);
    let said = up.sh(
        "systemd-analyze --user --man=no verify ~/.config/systemd/user/wazuh-agent.service 2>&1",
    );
    assert_eq!(said.trim(), "");
}

#[test]
fn both_units_say_the_same_of_a_restart() {
    let lines = |unit: &'static str| -> Vec<&str> {
        let said = |line: &&str| line.contains('=') && !line.starts_with(['#', ' ']);
        unit.lines().filter(said).collect()
    };
    for line in lines(USER) {
        let own = ["Description=", "ExecStart=", "UMask=", "WantedBy="];
        if !own.iter().any(|name| line.starts_with(name)) {
            assert!(lines(SYSTEM).contains(&line), "{line} is only in the unit for users");
        }
    }
    let timeout = format!("TimeoutStopSec={}", restart::Limits::default().overall.as_secs());
    assert!(lines(SYSTEM).contains(&timeout.as_str()), "{timeout}: the default restart.timeout");
    let status = format!("RestartForceExitStatus={}", restart::EXIT_RESTART);
    assert!(lines(SYSTEM).contains(&status.as_str()), "{status}");
}

fn until(up: &SystemdBox, what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "never: {what}\n{}", up.journal());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_main_loop_gives_signs_of_life_and_an_agent_without_is_killed_and_started_again() {
    let test = "the_main_loop_gives_signs_of_life_and_an_agent_without_is_killed_and_started_again";
    let Some(up) = boot(test, "watchdog") else { return };
    let short = "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n";
    up.write("/etc/systemd/system/wazuh-agent.service.d/watchdog.conf", short);
    up.install(&inside(binary()), "");
    let sign = || up.property("WatchdogTimestampMonotonic").parse::<u64>().unwrap();
    for _ in 0..3 {
        let last = sign();
        until(&up, "the next sign of life", || sign() > last);
    }
    assert_eq!(up.property("NRestarts"), "0", "{}", up.journal());
    let pid = up.property("MainPID");
    up.sh("systemctl kill --signal=STOP --kill-who=main wazuh-agent");
    until(&up, "the next process", || {
        up.property("MainPID") != pid && up.property("ActiveState") == "active"
    });
    assert_eq!(up.property("NRestarts"), "1", "{}", up.journal());
}
