//! The checks before a restart: shown by a dry run, made by every restart, and overridden only where that is possible.

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

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use support::{TestAgent, binary};
use systemd_box::{boot, inside};

/// An agent that was started from a copy of the binary, which can be replaced. It is asked by the original.
fn started_from_a_copy() -> TestAgent {
    let mut agent = TestAgent::new(binary(), "");
    agent.binary = agent.path("wazuh-agent");
    fs::copy(binary(), &agent.binary).unwrap();
    agent.start();
    agent.binary = binary();
    agent
}

/// Puts another program in place of the copy, as a package manager does: written elsewhere, then renamed. It is written by
/// a process of its own, because a child of another test could inherit this one's descriptor, and keep the program busy.
fn install(agent: &TestAgent, program: &[u8]) {
    let (bytes, new) = (agent.path("bytes"), agent.path("wazuh-agent.new"));
    fs::write(&bytes, program).unwrap();
    fs::set_permissions(&bytes, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Command::new("cp").arg(bytes).arg(&new).status().unwrap().success());
    fs::rename(new, agent.path("wazuh-agent")).unwrap();
}

/// A program that behaves like the agent, but for what `cases` say about its first argument.
fn agent_but(cases: &str) -> Vec<u8> {
    let real = binary().display().to_string();
    format!("#!/bin/sh\ncase \"$1\" in\n{cases}\nesac\nexec {real} \"$@\"\n").into_bytes()
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap_or_else(|| panic!("no report: {report:#}"));
    checks.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}: {report:#}"))
}

fn commands(agent: &TestAgent) -> usize {
    agent.json(&["commands", "list"]).1["commands"].as_array().unwrap().len()
}

/// The texts of the steps of a command that are about the checks.
fn steps(record: &Value) -> Vec<String> {
    let history = record["history"].as_array().unwrap();
    let steps = history.iter().filter(|entry| entry["stage"] == "preflight");
    steps.map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
}

/// The texts of the events about overridden checks.
fn overridden(agent: &TestAgent) -> Vec<String> {
    let events = fs::read_to_string(agent.path("state/events.ndjson")).unwrap_or_default();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["event"]["action"] == "preflight_overridden")
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

/// Asserts that dry run and restart are refused for the check `name`, that nothing was stopped, and returns the report.
fn is_refused(agent: &TestAgent, words: &[&str], name: &str, text: &str) -> Value {
    let (pid, before) = (agent.pid(), commands(agent));
    let (code, report) = agent.json(&[&["restart", "--dry-run"], words].concat());
    assert_eq!(code, Some(4), "{report:#}");
    let found = check(&report, name);
    assert_eq!(found["result"], "refused", "{report:#}");
    assert!(found["text"].as_str().unwrap().contains(text), "{report:#}");
    assert_eq!(commands(agent), before, "a dry run is no command");
    let (code, record) = agent.json(&[&["restart"], words].concat());
    assert_eq!(code, Some(4), "{record:#}");
    assert_eq!(record["result"]["outcome"], "not_restarted", "{record:#}");
    assert!(record["result"]["reason"].as_str().unwrap().contains(text), "{record:#}");
    let told = steps(&record);
    let told = told.iter().filter(|step| step.starts_with(&format!("{name}: ")));
    assert_eq!(told.count(), 1, "{record:#}");
    assert_eq!(agent.pid(), pid);
    let running = agent.status().unwrap();
    assert_eq!(running["modules"][0]["run"], 1, "nothing was stopped: {running:#}");
    report
}

#[test]
fn a_dry_run_shows_each_check_and_changes_nothing() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let pid = agent.pid();
    let (code, report) = agent.json(&["restart", "--dry-run"]);
    assert_eq!((code, report["verdict"].as_str()), (Some(0), Some("go")), "{report:#}");
    for name in [
        "under_way",
        "hourly_limit",
        "lock",
        "configuration",
        "program",
        "state_folder",
        "controller",
    ] {
        assert_eq!(check(&report, name)["result"], "ok", "{report:#}");
        assert!(check(&report, name)["duration_ms"].is_u64(), "{report:#}");
    }
    let same = check(&report, "program_configuration");
    assert_eq!(same["result"], "skipped", "no child for the running program: {report:#}");

    let shown = agent.cli(&["restart", "--dry-run"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("state_folder           ok"), "{shown}");
    assert!(shown.ends_with("the restart would go\n"), "{shown}");
    assert!(!agent.path("state/.preflight").exists());
    assert_eq!((agent.pid(), commands(&agent)), (pid, 0));
    assert_eq!(agent.status().unwrap()["generation"], 1);
}

#[test]
fn a_dry_run_of_modules_makes_only_the_checks_that_they_need() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    for module in ["logcollector", "all"] {
        let (code, report) = agent.json(&["restart", "--dry-run", "--module", module]);
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(report["checks"].as_array().unwrap().len(), 2, "{report:#}");
    }
    let (code, report) = agent.json(&["restart", "--dry-run", "--module", "absent"]);
    assert_eq!(code, Some(4), "{report:#}");
    let text = check(&report, "under_way")["text"].as_str().unwrap().to_owned();
    assert!(text.contains("absent") && text.contains("logcollector"), "{text}");
    assert_eq!(commands(&agent), 0);
}

#[test]
fn a_broken_configuration_is_refused_also_by_force() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    agent.configure("restart:\n  timeout: soon\n");
    for words in [&[][..], &["--force"]] {
        let report = is_refused(&agent, words, "configuration", "restart.timeout");
        assert_eq!(check(&report, "configuration")["may_be_forced"], false, "{report:#}");
    }
    assert_eq!(overridden(&agent), [""; 0]);
}

#[test]
fn a_broken_program_is_named_and_refused_before_anything_stops_also_by_force() {
    let agent = started_from_a_copy();
    let real = fs::read(binary()).unwrap();
    let name = agent.path("wazuh-agent").display().to_string();
    for (program, text) in [
        (agent_but("*) echo broken >&2; exit 1;;"), "--version ended with status 1: broken"),
        (agent_but("*) kill -SEGV $$;;"), "--version was killed by SIGSEGV"),
        (b"#!/nowhere/sh\n".to_vec(), "loader or interpreter that it names is missing"),
        (real[..64].to_vec(), "--version"),
    ] {
        install(&agent, &program);
        for words in [&[][..], &["--force"]] {
            let report = is_refused(&agent, words, "program", text);
            let program = check(&report, "program");
            assert!(program["text"].as_str().unwrap().contains(&name), "{report:#}");
            assert_eq!(check(&report, "program_configuration")["result"], "skipped");
        }
    }
    fs::remove_file(agent.path("wazuh-agent")).unwrap();
    is_refused(&agent, &["--force"], "program", "cannot be executed");
}

#[test]
fn a_program_that_does_not_accept_the_configuration_is_refused_and_force_goes_on_and_is_audited() {
    let agent = started_from_a_copy();
    let problems = r#"check-config) echo '{"problems":[{"file":"agent.yml","line":2,"key":"logcollector.files","message":"is called paths now"}]}'; exit 78;;"#;
    install(&agent, &agent_but(problems));
    let said = "agent.yml:2: logcollector.files: is called paths now";
    let report = is_refused(&agent, &[], "program_configuration", said);
    assert_eq!(check(&report, "configuration")["result"], "ok", "{report:#}");

    let (code, report) = agent.json(&["restart", "--dry-run", "--force"]);
    assert_eq!((code, report["verdict"].as_str()), (Some(0), Some("overridden")), "{report:#}");
    let pid = agent.pid();
    let (code, record) = agent.json(&["restart", "--force"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_ne!(agent.pid(), pid);
    let told = steps(&record);
    let audited = told.iter().filter(|step| step.starts_with("overridden by force: "));
    assert_eq!(audited.filter(|step| step.contains(said)).count(), 1, "{record:#}");
    agent.until("the warning is delivered", |agent| !overridden(agent).is_empty());
    let [warning] = &overridden(&agent)[..] else { panic!("one warning") };
    assert!(warning.contains(record["id"].as_str().unwrap()), "{warning}");
    assert!(warning.contains(said), "{warning}");
}

#[test]
fn a_program_that_hangs_is_refused_unless_forced() {
    let agent = started_from_a_copy();
    install(&agent, &agent_but("--version) sleep 1000;;"));
    let report = is_refused(&agent, &[], "program", "--version did not end within 5 s");
    assert_eq!(check(&report, "program")["may_be_forced"], true, "{report:#}");
    let (code, report) = agent.json(&["restart", "--dry-run", "--force"]);
    assert_eq!((code, report["verdict"].as_str()), (Some(0), Some("overridden")), "{report:#}");
}

#[test]
fn a_stop_does_not_wait_for_a_program_that_hangs() {
    let mut agent = started_from_a_copy();
    let tried = agent.path("tried");
    let hang = format!("--version) echo $$ >{}; exec sleep 1000;;", tried.display());
    install(&agent, &agent_but(&hang));
    let asked = std::thread::spawn({
        let mut command = agent.command("restart");
        move || command.arg("--json").output().unwrap()
    });
    agent.until("the program is tried out", |_| {
        fs::read_to_string(&tried).is_ok_and(|pid| pid.ends_with('\n'))
    });
    let child = fs::read_to_string(&tried).unwrap();
    let (code, report) = agent.json(&["restart", "--dry-run"]);
    assert_eq!(code, Some(0), "it would join the restart under way: {report:#}");
    assert_eq!(check(&report, "under_way")["result"], "warning", "{report:#}");
    assert_eq!(check(&report, "program")["result"], "skipped", "no second child: {report:#}");
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
    agent.reap();
    let left = std::path::Path::new("/proc").join(child.trim());
    assert!(!left.exists(), "no child is left");
    let answer = asked.join().unwrap();
    let record: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    assert_ne!(record["status"], "success", "{record:#}");
}

#[test]
fn a_newer_program_is_tried_out_and_followed() {
    let agent = started_from_a_copy();
    install(&agent, &fs::read(binary()).unwrap());
    let (code, report) = agent.json(&["restart", "--dry-run"]);
    assert_eq!(code, Some(0), "{report:#}");
    for name in ["program", "program_configuration"] {
        assert_eq!(check(&report, name)["result"], "ok", "{report:#}");
    }
    let (code, record) = agent.json(&["restart"]);
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(steps(&record).len(), 1, "what is well is not told: {record:#}");
}

#[test]
fn what_only_the_newer_program_understands_is_a_warning() {
    let agent = started_from_a_copy();
    let accepts = "check-config) echo '{\"problems\":[]}'; exit 0;;";
    install(&agent, &agent_but(accepts));
    agent.configure("news:\n  of_the_next_version: true\n");
    let (code, report) = agent.json(&["restart", "--dry-run"]);
    assert_eq!((code, report["verdict"].as_str()), (Some(0), Some("go")), "{report:#}");
    assert_eq!(check(&report, "configuration")["result"], "warning", "{report:#}");
}

#[test]
fn a_unit_with_a_harmful_start_limit_is_a_warning_and_a_masked_one_is_refused_also_by_force() {
    const NAME: &str =
        "a_unit_with_a_harmful_start_limit_is_a_warning_and_a_masked_one_is_refused_also_by_force";
    let Some(up) = boot(NAME, "preflight") else {
        return;
    };
    let binary = inside(binary());
    up.install(&binary, "logcollector:\n  files: [/srv/app.log]\n");
    let ask = |words: &[&str], code: i32| {
        let (ended, answer) = up.agent(&binary, &[&["restart"], words].concat());
        assert_eq!(ended, Some(code), "{answer:#}\n{}", up.journal());
        answer
    };
    let controller = |result: &str, code: i32| {
        let report = ask(&["--dry-run", "--force"], code);
        let found = check(&report, "controller");
        assert_eq!(found["result"], result, "{report:#}");
        found["text"].as_str().unwrap().to_owned()
    };
    controller("ok", 0);

    let limit = "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=7\nStartLimitAction=reboot\n";
    up.write("/etc/systemd/system/wazuh-agent.service.d/limit.conf", limit);
    up.sh("echo '# changed' >>/etc/systemd/system/wazuh-agent.service");
    let text = controller("warning", 0);
    assert!(text.contains("systemctl daemon-reload"), "{text}");
    up.sh("systemctl daemon-reload");
    let text = controller("warning", 0);
    assert!(text.contains("7 starts within 60 s"), "{text}");
    assert!(text.contains("StartLimitAction=reboot"), "{text}");

    let unit = "/etc/systemd/system/wazuh-agent.service";
    up.sh(&format!("rm {unit} && ln -s /dev/null {unit} && systemctl daemon-reload"));
    let pid = up.property("MainPID");
    let text = controller("refused", 4);
    assert!(text.contains("systemctl unmask wazuh-agent.service"), "{text}");
    let record = ask(&["--force"], 4);
    assert!(record["result"]["reason"].as_str().unwrap().contains("masked"), "{record:#}");
    assert_eq!(up.property("MainPID"), pid);
    assert_eq!(up.property("ActiveState"), "active");
}
