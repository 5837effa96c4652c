//! Which unit the agent is: asked of systemd by the pid, whatever the unit is called and whatever the environment says.

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
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{PATIENCE, binary};
use systemd_box::{SystemdBox, boot, inside};

/// Where the files of the agent called `name` are, as options.
fn places(name: &str) -> [String; 6] {
    let [config, state, run] = ["--config", "--state-dir", "--run-dir"].map(str::to_owned);
    let folder = |top: &str| format!("{top}/agents/{name}");
    [config, folder("/etc") + "/agent.yml", state, folder("/var/lib"), run, folder("/run")]
}

/// The unit that is shipped, for agents with folders of their own: `%i` is the name.
fn template() -> String {
    let shipped = include_str!("../packaging/wazuh-agent.service");
    let run = format!("{} run {}", inside(binary()).display(), places("%i").join(" "));
    let own = |line: &&str| !line.contains("Directory");
    let lines: Vec<&str> = shipped.lines().filter(own).collect();
    lines.join("\n").replace("/usr/bin/wazuh-agent run", &run)
}

/// Runs `systemctl` without a shell, which would take names apart.
fn systemctl(up: &SystemdBox, words: &[&str]) -> String {
    let output = up.exec(&[&["systemctl"], words].concat());
    assert!(output.status.success(), "{words:?}: {output:?}\n{}", up.journal());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn main_pid(up: &SystemdBox, unit: &str) -> String {
    systemctl(up, &["show", "--value", "--property=MainPID", "--", unit])
}

/// Restarts the agent called `name` and returns the record, which has to be a success.
fn restart(up: &SystemdBox, name: &str) -> Value {
    let places = places(name);
    let words: Vec<&str> =
        ["restart"].into_iter().chain(places.iter().map(String::as_str)).collect();
    let (code, record) = up.agent(&inside(binary()), &words);
    assert_eq!(code, Some(0), "{name}: {record:#}\n{}", up.journal());
    assert_eq!(record["result"]["outcome"], "restarted", "{name}: {record:#}");
    record
}

fn configure(up: &SystemdBox, name: &str) {
    let folder = up.root().join("etc/agents").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("agent.yml"), "").unwrap();
}

#[test]
fn an_instance_of_a_template_is_restarted_under_its_name_and_no_other_is() {
    let test = "an_instance_of_a_template_is_restarted_under_its_name_and_no_other_is";
    let Some(up) = boot(test, "names") else { return };
    let units = up.root().join("etc/systemd/system");
    // Escapes, dots, and a name that systemd escapes once more for the control group.
    for (file, unit, name) in [
        (r"odd\x2dname@.service", r"odd\x2dname@tenant-1.service", "tenant-1"),
        (r"odd\x2dname@.service", r"odd\x2dname@tenant-2.service", "tenant-2"),
        ("agent.of.two@.service", r"agent.of.two@a\x2fb:c.service", r"a\x2fb:c"),
        ("_pids@.service", "_pids@underscore.service", "underscore"),
    ] {
        fs::write(units.join(file), template()).unwrap();
        configure(&up, name);
        systemctl(&up, &["daemon-reload"]);
        systemctl(&up, &["start", "--", unit]);
    }
    let bystander = main_pid(&up, r"odd\x2dname@tenant-2.service");
    for (unit, name) in [
        (r"odd\x2dname@tenant-1.service", "tenant-1"),
        (r"agent.of.two@a\x2fb:c.service", r"a\x2fb:c"),
        ("_pids@underscore.service", "underscore"),
    ] {
        for _ in 0..2 {
            let before = main_pid(&up, unit);
            let record = restart(&up, name);
            assert_eq!(record["result"]["method"], "systemd", "{unit}: {record:#}");
            assert_eq!(record["result"]["new"]["pid"].to_string(), main_pid(&up, unit), "{unit}");
            assert_ne!(main_pid(&up, unit), before, "{unit}");
        }
    }
    assert_eq!(main_pid(&up, r"odd\x2dname@tenant-2.service"), bystander);
    assert!(!up.journal().contains("trying systemctl"), "{}", up.journal());
}

/// The names of the variables of a process in the box.
fn variables(up: &SystemdBox, pid: &str) -> Vec<String> {
    let environment = up.sh(&format!("tr '\\0' '\\n' </proc/{pid}/environ"));
    environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn without_systemd_exec_pid_the_unit_is_known_by_its_main_process() {
    let test = "without_systemd_exec_pid_the_unit_is_known_by_its_main_process";
    let Some(up) = boot(test, "older") else { return };
    let agent = inside(binary());
    // systemd sets the variable from version 248 on.
    let older = format!(
        "[Service]\nExecStart=\nExecStart=/usr/bin/env -u SYSTEMD_EXEC_PID {} run\n",
        agent.display()
    );
    up.write("/etc/systemd/system/wazuh-agent.service.d/older.conf", &older);
    up.install(&agent, "");
    for _ in 0..2 {
        let pid = up.property("MainPID");
        let variables = variables(&up, &pid);
        assert!(variables.iter().any(|name| name == "INVOCATION_ID"), "{variables:?}");
        assert!(!variables.iter().any(|name| name == "SYSTEMD_EXEC_PID"), "{variables:?}");
        let (code, record) = up.agent(&agent, &["restart"]);
        assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
        assert_eq!(record["result"]["outcome"], "restarted", "{record:#}");
        assert_eq!(record["result"]["method"], "systemd", "{record:#}");
        assert_ne!(up.property("MainPID"), pid);
    }
    assert_eq!(up.property("NRestarts"), "0", "{}", up.journal());
}

/// Runs the agent called `name` below a shell that is the main process of the unit `shell`, restarts it once, and ends it.
fn run_from_within_a_unit(up: &SystemdBox, name: &str, through: &str, expected: &[(&str, bool)]) {
    configure(up, name);
    let agent = inside(binary()).display().to_string();
    let run = format!("{through} {agent} run {}", places(name).join(" "));
    // Not the last command of the shell, which would become it.
    up.sh(&format!("systemd-run --quiet --unit=shell bash -c '{run}; sleep infinity'"));
    let pid = || {
        let lock = up.root().join("var/lib/agents").join(name).join("agent.lock");
        fs::read_to_string(lock).unwrap_or_default().trim().to_owned()
    };
    let status = || {
        let words = [&["status".to_owned()], &places(name)[..]].concat();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        up.exec(&[&[agent.as_str()], &words[..]].concat()).status.success()
    };
    let deadline = Instant::now() + PATIENCE;
    while !status() {
        assert!(Instant::now() < deadline, "{}", up.journal());
        std::thread::sleep(Duration::from_millis(20));
    }
    let variables = variables(up, &pid());
    for (variable, there) in expected {
        assert_eq!(variables.iter().any(|name| name == variable), *there, "{variables:?}");
    }
    let (before, shell) = (pid(), main_pid(up, "shell.service"));
    let record = restart(up, name);
    assert_eq!(record["result"]["method"], "helper", "{record:#}\n{}", up.journal());
    assert_ne!(pid(), before);
    assert_eq!(main_pid(up, "shell.service"), shell, "the unit was not restarted");
    up.sh("systemctl stop shell");
    assert!(!Path::new(&up.root().join("proc").join(pid())).exists(), "it ended with the unit");
}

#[test]
fn an_agent_run_by_hand_from_within_another_unit_is_not_taken_for_that_unit() {
    let test = "an_agent_run_by_hand_from_within_another_unit_is_not_taken_for_that_unit";
    let Some(up) = boot(test, "within") else { return };
    let inherited = [("INVOCATION_ID", true), ("SYSTEMD_EXEC_PID", true)];
    run_from_within_a_unit(&up, "inherited", "", &inherited);
    let older = [("INVOCATION_ID", true), ("SYSTEMD_EXEC_PID", false)];
    run_from_within_a_unit(&up, "older", "env -u SYSTEMD_EXEC_PID", &older);
}

/// What a login would do: the user's runtime folder, and the manager with no PAM in between.
const NO_LOGIN: [(&str, &str); 2] = [
    (
        "/etc/systemd/system/user-runtime-dir@.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/install -d -m 700 -o %i -g %i /run/user/%i\n",
    ),
    (
        "/etc/systemd/system/user@.service.d/no-login.conf",
        "[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n",
    ),
];

#[test]
fn a_unit_of_a_user_is_not_taken_for_the_unit_that_runs_the_users_manager() {
    let test = "a_unit_of_a_user_is_not_taken_for_the_unit_that_runs_the_users_manager";
    let Some(up) = boot(test, "both") else { return };
    up.sh("echo 'someone:x:59999:59999::/run/someone:/bin/bash' >>/etc/passwd; echo 'someone:x:59999:' >>/etc/group");
    up.sh("install -d -o 59999 -g 59999 /run/someone");
    for (path, text) in NO_LOGIN {
        up.write(path, text);
    }
    let units = "/run/someone/.config/systemd/user";
    up.write(
        &format!("{units}/wazuh-agent.service"),
        include_str!("../packaging/user/wazuh-agent.service"),
    );
    let program = inside(binary());
    up.sh(&format!("install -D {} /run/someone/.local/bin/wazuh-agent", program.display()));
    up.sh("chown -R 59999:59999 /run/someone && systemctl daemon-reload && systemctl start user@59999");
    let as_user = |words: &str| {
        up.sh(&format!(
            "setpriv --reuid 59999 --regid 59999 --clear-groups env -u DBUS_SESSION_BUS_ADDRESS HOME=/run/someone XDG_RUNTIME_DIR=/run/user/59999 {words}"
        ))
    };
    as_user("systemctl --user start wazuh-agent");
    let own = || {
        as_user("systemctl --user show --value --property=MainPID wazuh-agent").trim().to_owned()
    };
    let manager = main_pid(&up, "user@59999.service");
    for _ in 0..2 {
        let before = own();
        let record = as_user("/run/someone/.local/bin/wazuh-agent restart --json");
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["result"]["outcome"], "restarted", "{record:#}\n{}", up.journal());
        assert_eq!(record["result"]["method"], "systemd", "{record:#}");
        assert_eq!(record["result"]["new"]["pid"].to_string(), own(), "{}", up.journal());
        assert_ne!(own(), before);
    }
    assert_eq!(main_pid(&up, "user@59999.service"), manager, "the manager was not restarted");
}
