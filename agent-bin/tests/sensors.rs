//! Kernel queues of modules over a change of the process: what happens while nobody reads is read by the next one.

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

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{PATIENCE, TestAgent, delivered_in, scripted_binary};
use systemd_box::{SystemdBox, boot, inside};

/// Each start of the module takes a while in which nobody reads the queue.
fn watching(folder: &Path) -> String {
    format!("scripted:\n  watch: {}\n  start: [ok-after-ms: 300]\n", folder.display())
}

fn one_event_for_each(files: u32) -> BTreeMap<String, u32> {
    (0..files).map(|number| (format!("created {number}"), 1)).collect()
}

/// Makes files until `done`; how many.
fn make_files(folder: &Path, done: &AtomicBool) -> u32 {
    let mut made = 0;
    while !done.load(Ordering::Relaxed) {
        std::fs::File::create(folder.join(made.to_string())).unwrap();
        made += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    made
}

fn restarts_lose_no_file(method: &str) {
    let mut agent = TestAgent::new(scripted_binary(), "");
    let folder = agent.path("incoming");
    std::fs::create_dir(&folder).unwrap();
    agent.configure(&format!("restart: {{method: {method}}}\n{}", watching(&folder)));
    agent.start();
    let done = AtomicBool::new(false);
    let (made, restarts) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| make_files(&folder, &done));
        let restarts: Vec<_> = (0..3).map(|_| agent.json(&["restart"])).collect();
        done.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), restarts)
    });
    for (code, record) in restarts {
        assert_eq!((code, &record["result"]["method"]), (Some(0), &method.into()), "{record:#}");
    }
    agent.until("every file", |agent| agent.delivered().len() >= made as usize);
    assert_eq!(agent.delivered(), one_event_for_each(made));
}

#[test]
fn files_made_during_restarts_through_the_helper_are_all_seen_once() {
    restarts_lose_no_file("helper");
}

#[test]
fn files_made_during_restarts_in_place_are_all_seen_once() {
    restarts_lose_no_file("exec");
}

/// Memory that changes while the module runs: what the last process had kept, or recorded, is what the next one remembers.
fn restarts_remember_what_was_seen(method: &str, how: &str) {
    let mut agent = TestAgent::new(scripted_binary(), "");
    let folder = agent.path("incoming");
    std::fs::create_dir(&folder).unwrap();
    let remember = format!("{}  {how}: true\n", watching(&folder));
    agent.configure(&format!("restart: {{method: {method}}}\n{remember}"));
    agent.start();
    for seen in 1..=3 {
        let file = format!("file-{seen}");
        std::fs::File::create(folder.join(&file)).unwrap();
        agent.until("it is seen", |agent| {
            agent.delivered().contains_key(&format!("created {file}"))
        });
        let (code, record) = agent.json(&["restart"]);
        assert_eq!((code, &record["result"]["outcome"]), (Some(0), &"restarted".into()));
        agent.until("it is remembered", |agent| {
            agent.delivered().contains_key(&format!("remembered {seen}"))
        });
    }
    assert_eq!(agent.delivered().len(), 6, "{:?}", agent.delivered());
}

#[test]
fn memory_that_was_replaced_is_what_the_next_process_gets_through_the_helper() {
    restarts_remember_what_was_seen("helper", "remember");
}

#[test]
fn what_was_recorded_is_what_the_next_process_gets_through_the_helper() {
    restarts_remember_what_was_seen("helper", "record");
}

#[test]
fn memory_that_was_replaced_is_what_the_next_process_gets_in_place() {
    restarts_remember_what_was_seen("exec", "remember");
}

#[test]
fn what_was_recorded_is_what_the_next_process_gets_in_place() {
    restarts_remember_what_was_seen("exec", "record");
}

#[test]
fn memory_that_was_replaced_is_what_the_next_process_gets_after_sigkill_under_systemd() {
    let test = "memory_that_was_replaced_is_what_the_next_process_gets_after_sigkill_under_systemd";
    kills_are_survived_by_what_was_seen(test, "memory", "remember");
}

#[test]
fn what_was_recorded_is_what_the_next_process_gets_after_sigkill_under_systemd() {
    let test = "what_was_recorded_is_what_the_next_process_gets_after_sigkill_under_systemd";
    kills_are_survived_by_what_was_seen(test, "record", "record");
}

fn kills_are_survived_by_what_was_seen(test: &str, name: &str, how: &str) {
    let Some(up) = boot(test, name) else { return };
    let agent = inside(scripted_binary());
    up.sh("mkdir -p /srv/incoming");
    let watching = watching(Path::new("/srv/incoming"));
    up.install(&agent, &format!("{watching}  {how}: true\n"));
    let seen = |text: &str| delivered(&up).contains_key(text);
    for round in 1..=3 {
        for file in [2 * round - 1, 2 * round] {
            up.sh(&format!(": >/srv/incoming/{file}"));
            until(&up, || seen(&format!("created {file}")));
        }
        let pid = up.property("MainPID");
        if round < 3 {
            up.sh(&format!("kill -KILL {pid}"));
        } else {
            assert_eq!(up.agent(&agent, &["restart"]).0, Some(0));
        }
        until(&up, || up.property("MainPID") != pid && up.property("ActiveState") == "active");
        until(&up, || seen(&format!("remembered {}", 2 * round)));
        assert_eq!(up.property("NFileDescriptorStore"), "3", "one of each name: {}", up.journal());
    }
}

#[test]
fn memory_that_somebody_could_change_is_refused_and_removed_from_the_store() {
    let test = "memory_that_somebody_could_change_is_refused_and_removed_from_the_store";
    let Some(up) = boot(test, "forged") else { return };
    let agent = inside(scripted_binary());
    up.sh("mkdir -p /srv/incoming");
    let watching = watching(Path::new("/srv/incoming"));
    up.install(&agent, &format!("{watching}  remember: true\n"));
    up.sh(": >/srv/incoming/1");
    until(&up, || delivered(&up).contains_key("created 1"));
    // From the next start on there is a newer one of the same name.
    let forger = agent.with_file_name("store_descriptors");
    let line = format!("{} unsealed=sensor.scripted.seen", forger.display());
    up.write(
        "/etc/systemd/system/wazuh-agent.service.d/forger.conf",
        &format!("[Service]\nNotifyAccess=all\nExecStartPre={line}\n"),
    );
    up.sh("systemctl daemon-reload");
    assert_eq!(up.agent(&agent, &["restart"]).0, Some(0), "{}", up.journal());
    until(&up, || delivered(&up).contains_key("remembered 1"));
    let journal = up.journal();
    assert!(journal.contains("is a memfd that is neither sealed nor of fixed size"), "{journal}");
    assert_eq!(up.property("NFileDescriptorStore"), "3", "one of each name: {journal}");
}

/// The events of files in the box.
fn delivered(up: &SystemdBox) -> BTreeMap<String, u32> {
    delivered_in(&up.sh("cat /var/lib/wazuh-agent/events.ndjson || true"))
}

fn until(up: &SystemdBox, met: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "{}", up.journal());
    }
}

#[test]
fn files_made_while_the_agent_is_killed_or_restarted_are_all_seen_once_under_systemd() {
    let test = "files_made_while_the_agent_is_killed_or_restarted_are_all_seen_once_under_systemd";
    let Some(up) = boot(test, "sensor") else { return };
    let agent = inside(scripted_binary());
    up.sh("mkdir -p /srv/incoming");
    up.install(&agent, &watching(Path::new("/srv/incoming")));
    assert_eq!(up.property("NFileDescriptorStore"), "2", "{}", up.journal());
    let mut made = 0;
    for _ in 0..3 {
        // Stopped in every thread, so that it is certain that the killed process has read none of them.
        let pid = up.property("MainPID");
        up.sh(&format!(
            "kill -STOP {pid}; while grep -L '^State:.T' /proc/{pid}/task/*/status | grep -q .; do :; done; \
             for i in $(seq {made} {}); do : >/srv/incoming/$i; done; kill -KILL {pid}",
            made + 99
        ));
        made += 100;
        until(&up, || up.property("MainPID") != pid && up.property("ActiveState") == "active");
        assert_eq!(up.property("NFileDescriptorStore"), "2", "{}", up.journal());
        // What a process has read and not yet published dies with it: that is the module's to make good.
        until(&up, || delivered(&up).len() >= made as usize);
    }
    up.sh(&format!(
        "systemd-run --quiet --unit=writer bash -c 'for i in $(seq {made} {}); do : >/srv/incoming/$i; sleep 0.001; done'",
        made + 999
    ));
    made += 1_000;
    let (code, record) = up.agent(&agent, &["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    let deadline = Instant::now() + PATIENCE;
    let mut seen = delivered(&up);
    while seen.len() < made as usize && Instant::now() < deadline {
        seen = delivered(&up);
    }
    assert_eq!(seen, one_event_for_each(made), "{}", up.journal());
    assert_eq!(up.property("NFileDescriptorStore"), "2");
}

#[test]
fn the_sensors_of_a_module_that_is_disabled_are_closed_and_removed() {
    let Some(up) = boot("the_sensors_of_a_module_that_is_disabled_are_closed_and_removed", "off")
    else {
        return;
    };
    let agent = inside(scripted_binary());
    let config = watching(Path::new("/srv"));
    let disabled = format!("{config}  enabled: false\n");
    let path = "/etc/wazuh-agent/wazuh-agent.yml";
    up.install(&agent, &config);
    assert_eq!(up.property("NFileDescriptorStore"), "2", "{}", up.journal());
    // While it runs.
    up.write(path, &disabled);
    assert_eq!(up.agent(&agent, &["reload"]).0, Some(0));
    until(&up, || up.property("NFileDescriptorStore") == "1");
    // Over a restart: the next process does not want what this one has handed over.
    up.write(path, &config);
    assert_eq!(up.agent(&agent, &["reload"]).0, Some(0));
    until(&up, || up.property("NFileDescriptorStore") == "2");
    up.write(path, &disabled);
    assert_eq!(up.agent(&agent, &["restart"]).0, Some(0));
    until(&up, || up.property("NFileDescriptorStore") == "1");
    let journal = up.journal();
    assert!(journal.contains("there is no module scripted, or it is disabled"), "{journal}");
}
