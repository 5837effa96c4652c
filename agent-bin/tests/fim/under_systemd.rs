//! The proof under a real systemd: 1,000 operations a second, short-lived files among them, during restarts and kills.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::proof::{Agent, Proof, Watcher, cell};
use crate::support::{PATIENCE, binary};
use crate::systemd_box::{SystemdBox, inside};

const COLUMN: &str = "systemd D-Bus";
const PER_SECOND: u32 = 1_000;
/// Operations at least, also when the restarts are quick.
const LEAST: usize = 2_000;

/// What befalls the agent.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Restart,
    Kill,
}

struct Unit {
    up: SystemdBox,
    program: PathBuf,
}

impl Agent for Unit {
    fn events(&self) -> PathBuf {
        self.up.root().join("var/lib/wazuh-agent/events.ndjson")
    }

    fn fim_status(&self) -> Option<Value> {
        let program = self.program.to_str()?;
        let output = self.up.exec(&[program, "fim", "status", "--json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    fn log(&self) -> String {
        self.up.journal()
    }

    fn scan(&self) {
        let output = self.up.exec(&[self.program.to_str().unwrap(), "fim", "scan"]);
        assert!(output.status.success(), "{output:?}");
    }
}

impl Unit {
    fn suffer(&self, blow: Blow) {
        match blow {
            Blow::Restart => {
                let (code, record) = self.up.agent(&self.program, &["restart"]);
                assert_eq!(code, Some(0), "{record:#}\n{}", self.log());
            }
            Blow::Kill => {
                let pid = self.up.property("MainPID");
                self.up.sh("systemctl reset-failed wazuh-agent; systemctl kill --signal=KILL --kill-who=main wazuh-agent");
                let deadline = Instant::now() + PATIENCE;
                while self.up.property("MainPID") == pid
                    || self.up.property("ActiveState") != "active"
                {
                    assert!(Instant::now() < deadline, "{}", self.log());
                }
            }
        }
    }
}

fn prove(row: &str, watcher: Watcher, seed: u64, blow: Blow, times: u32) {
    cell(row, COLUMN, || {
        if let Some(obstacle) = watcher.obstacle() {
            return Err(obstacle.to_owned());
        }
        let unit = Unit { up: SystemdBox::up(&format!("fim{seed}"))?, program: inside(binary()) };
        // Shown inside at its own place, as all of the target folder.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut proof = Proof::new(folder.path(), watcher, seed, 600);
        unit.up.install(&unit.program, &proof.config());
        proof.begin(&unit);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mutating = scope.spawn(|| {
                proof.mutator.run_until(PER_SECOND, LEAST, || over.load(Ordering::Acquire));
            });
            let suffered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for _ in 0..times {
                    unit.suffer(blow);
                    // So that some happens between two blows as well.
                    std::thread::sleep(Duration::from_millis(150));
                }
            }));
            // Also after a failure, or nobody would ever end.
            over.store(true, Ordering::Release);
            mutating.join().unwrap();
            suffered.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        Ok(proof.judge(&unit, true))
    });
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn fanotify_loses_nothing_during_restarts() {
    prove("fim_3_restarts_fanotify", Watcher::Fanotify, 21, Blow::Restart, 3);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn inotify_loses_nothing_during_restarts() {
    prove("fim_3_restarts_inotify", Watcher::Inotify, 22, Blow::Restart, 3);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn fanotify_loses_nothing_when_the_agent_is_killed() {
    prove("fim_3_kills_fanotify", Watcher::Fanotify, 23, Blow::Kill, 3);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn inotify_loses_nothing_when_the_agent_is_killed() {
    prove("fim_3_kills_inotify", Watcher::Inotify, 24, Blow::Kill, 3);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn fanotify_loses_nothing_during_twenty_restarts() {
    prove("fim_20_restarts_fanotify", Watcher::Fanotify, 31, Blow::Restart, 20);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn inotify_loses_nothing_during_twenty_restarts() {
    prove("fim_20_restarts_inotify", Watcher::Inotify, 32, Blow::Restart, 20);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn fanotify_loses_nothing_when_the_agent_is_killed_twenty_times() {
    prove("fim_20_kills_fanotify", Watcher::Fanotify, 33, Blow::Kill, 20);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn inotify_loses_nothing_when_the_agent_is_killed_twenty_times() {
    prove("fim_20_kills_inotify", Watcher::Inotify, 34, Blow::Kill, 20);
}
