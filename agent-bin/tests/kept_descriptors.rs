//! What outlives the process: the control socket over kills, and what becomes of descriptors that nobody wants.

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

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{PATIENCE, TestAgent, binary};
use systemd_box::{SystemdBox, boot, inside};

/// What the log says of each descriptor that is not taken.
const NOT_USED: &str = "a descriptor that was handed over is not used";

/// Kills the agent and waits until systemd has started the next one.
fn kill_and_wait(up: &SystemdBox) {
    let pid = up.property("MainPID");
    up.sh("systemctl kill --signal=KILL --kill-who=main wazuh-agent");
    let deadline = Instant::now() + PATIENCE;
    while up.property("MainPID") == pid || up.property("ActiveState") != "active" {
        assert!(Instant::now() < deadline, "{}", up.journal());
    }
}

/// Connects until `done`; how often that worked, or why it did not.
fn connect_until(done: &AtomicBool, socket: &Path) -> Result<u32, String> {
    let mut connected = 0;
    while !done.load(Ordering::Relaxed) {
        UnixStream::connect(socket).map_err(|error| format!("after {connected}: {error}"))?;
        connected += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(connected)
}

#[test]
fn connecting_never_fails_while_the_agent_is_killed_and_restarted() {
    let test = "connecting_never_fails_while_the_agent_is_killed_and_restarted";
    let Some(up) = boot(test, "connect") else { return };
    let agent = inside(binary());
    up.install(&agent, "");
    let socket = up.root().join("run/wazuh-agent/control.sock");
    let inode = socket.metadata().unwrap().ino();
    assert_eq!(up.property("NFileDescriptorStore"), "1", "stored at the start");
    let done = AtomicBool::new(false);
    let connected = std::thread::scope(|scope| {
        let client = scope.spawn(|| connect_until(&done, &socket));
        for round in 0..5 {
            kill_and_wait(&up);
            if round % 2 == 1 {
                let (code, record) = up.agent(&agent, &["restart"]);
                assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
            }
            assert_eq!(up.property("NFileDescriptorStore"), "1");
        }
        done.store(true, Ordering::Relaxed);
        client.join().unwrap()
    });
    let connected = connected.unwrap_or_else(|error| panic!("{error}\n{}", up.journal()));
    assert!(connected > 100, "{connected}");
    assert_eq!(socket.metadata().unwrap().ino(), inode, "the same socket all the time");
    assert!(!up.journal().contains(NOT_USED), "{}", up.journal());
}

#[test]
fn descriptors_that_nobody_wants_are_closed_and_removed_from_systemds_store() {
    let test = "descriptors_that_nobody_wants_are_closed_and_removed_from_systemds_store";
    let Some(up) = boot(test, "forged") else { return };
    let forger = binary().with_file_name("examples").join("store_descriptors");
    assert!(forger.exists(), "run `cargo build -p agent-bin --examples`");
    up.write(
        "/etc/systemd/system/wazuh-agent.service.d/forger.conf",
        &format!(
            "[Service]\nNotifyAccess=all\nExecStartPre={} control newer newer sensor.gone.inotify\n",
            inside(forger).display()
        ),
    );
    let agent = inside(binary());
    up.install(&agent, "");
    let warnings = |up: &SystemdBox| up.journal().matches(NOT_USED).count();
    assert_eq!(up.property("NFileDescriptorStore"), "1", "{}", up.journal());
    assert_eq!(warnings(&up), 4, "one for each: {}", up.journal());
    let socket = up.root().join("run/wazuh-agent/control.sock");
    let inode = socket.metadata().unwrap().ino();

    // Now the forged listener is the newest of its name, and the true one has to be told from it.
    let (code, record) = up.agent(&agent, &["restart"]);
    assert_eq!(code, Some(0), "{record:#}\n{}", up.journal());
    assert_eq!(socket.metadata().unwrap().ino(), inode, "{}", up.journal());
    assert_eq!(up.property("NFileDescriptorStore"), "1");
    assert_eq!(warnings(&up), 8, "{}", up.journal());
}

#[test]
fn a_unit_that_keeps_no_descriptors_is_warned_about() {
    let Some(up) = boot("a_unit_that_keeps_no_descriptors_is_warned_about", "nostore") else {
        return;
    };
    up.write(
        "/etc/systemd/system/wazuh-agent.service.d/no-store.conf",
        "[Service]\nFileDescriptorStoreMax=0\n",
    );
    up.install(&inside(binary()), "");
    let deadline = Instant::now() + PATIENCE;
    let events = || up.sh("cat /var/lib/wazuh-agent/events.ndjson || true");
    while !events().contains("descriptors_not_kept") {
        assert!(Instant::now() < deadline, "{}", up.journal());
    }
    assert!(events().contains("raise FileDescriptorStoreMax="), "{}", events());
}

/// An agent whose shell lays out descriptors for it and then becomes it.
fn start_with(agent: &mut TestAgent, layout: &str) {
    let run = agent.command("run");
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("{layout} exec \"$@\"")).arg("bash");
    shell.arg(run.get_program()).args(run.get_args());
    shell.env("PIPE", agent.path("pipe"));
    agent.spawn(&mut shell);
}

#[test]
fn forged_descriptors_are_closed_each_with_a_warning_and_the_agent_works() {
    let mut agent = TestAgent::new(binary(), "");
    start_with(
        &mut agent,
        "exec 3< <(true) 5</dev/null; readlink /proc/$$/fd/3 >\"$PIPE\"; \
         LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=control:closed:newer",
    );
    let log = agent.log();
    assert_eq!(log.matches(NOT_USED).count(), 3, "{log}");
    for reason in [
        "descriptor 3 \"control\": it does not listen at",
        // The number is free, or by now something that the agent has opened itself.
        "descriptor 4 \"closed\": ",
        "descriptor 5 \"newer\": nothing of this name",
    ] {
        assert!(log.contains(reason), "{reason}: {log}");
    }
    let pipe = std::fs::read_to_string(agent.path("pipe")).unwrap();
    assert!(pipe.starts_with("pipe:["), "{pipe}");
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
    for descriptor in descriptors.flatten() {
        let target = std::fs::read_link(descriptor.path()).unwrap_or_default();
        assert_ne!(target, Path::new(pipe.trim()), "the forged one is closed");
    }
    let (code, record) = agent.json(&["restart"]);
    assert_eq!((code, &record["result"]["outcome"]), (Some(0), &"restarted".into()), "{record:#}");
}

#[test]
fn descriptors_that_are_meant_for_another_process_are_left_alone() {
    let mut agent = TestAgent::new(binary(), "");
    start_with(
        &mut agent,
        "exec 3< <(true); readlink /proc/$$/fd/3 >\"$PIPE\"; \
         LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=control",
    );
    let log = agent.log();
    assert_eq!(log.matches(NOT_USED).count(), 1, "{log}");
    assert!(log.contains("LISTEN_PID says 1, not this process"), "{log}");
    let pipe = std::fs::read_to_string(agent.path("pipe")).unwrap();
    let third = std::fs::read_link(format!("/proc/{}/fd/3", agent.pid())).unwrap();
    assert_eq!(third, Path::new(pipe.trim()));
}
