//! The proof with an agent that was started by hand: in peace, restarted, killed and stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::proof::{Agent, Proof, Watcher, cell, reported};
use crate::support::{TestAgent, binary, kill};

const COLUMN: &str = "helper";

impl Agent for TestAgent {
    fn events(&self) -> PathBuf {
        self.path("state/events.ndjson")
    }

    fn fim_status(&self) -> Option<Value> {
        let output = self.cli(&["fim", "status", "--json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    fn log(&self) -> String {
        Self::log(self)
    }

    fn scan(&self) {
        let output = self.cli(&["fim", "scan"]);
        assert!(output.status.success(), "{output:?}");
    }
}

/// A number of operations, how fast they come, and how often the agent is restarted meanwhile.
struct Load {
    operations: usize,
    per_second: u32,
    restarts: usize,
    most: usize,
}

fn start(watcher: Watcher, seed: u64, most: usize) -> Result<(TestAgent, Proof), String> {
    if let Some(obstacle) = watcher.obstacle() {
        return Err(obstacle.to_owned());
    }
    let mut agent = TestAgent::new(binary(), "");
    let mut proof = Proof::new(agent.folder.path(), watcher, seed, most);
    agent.configure(&proof.config());
    agent.start();
    proof.begin(&agent);
    Ok((agent, proof))
}

fn restart(agent: &TestAgent) {
    let (code, record) = agent.json(&["restart"]);
    let outcome = &record["result"]["outcome"];
    assert_eq!((code, outcome), (Some(0), &"restarted".into()), "{record:#}\n{}", agent.log());
}

/// The operations in as many parts as there are restarts and one; a restart runs beside each part but the first.
fn prove(row: &str, watcher: Watcher, seed: u64, load: &Load) {
    cell(row, COLUMN, || {
        let (agent, mut proof) = start(watcher, seed, load.most)?;
        for part in 0..=load.restarts {
            std::thread::scope(|scope| {
                let restarting = (part > 0).then(|| scope.spawn(|| restart(&agent)));
                proof.mutator.run(load.operations / (load.restarts + 1), load.per_second);
                restarting.map(std::thread::ScopedJoinHandle::join).transpose().unwrap();
            });
        }
        Ok(proof.judge(&agent, true))
    });
}

const QUICK: Load = Load { operations: 2_000, per_second: 0, restarts: 0, most: 400 };
const RESTARTED: Load = Load { operations: 2_000, per_second: 700, restarts: 3, most: 400 };
const LONG: Load = Load { operations: 100_000, per_second: 0, restarts: 0, most: 3_000 };
const LONG_RESTARTED: Load =
    Load { operations: 100_000, per_second: 1_000, restarts: 20, most: 3_000 };

#[test]
fn fanotify_misses_and_invents_nothing() {
    prove("fim_2000_operations_fanotify", Watcher::Fanotify, 1, &QUICK);
}

#[test]
fn inotify_misses_and_invents_nothing() {
    prove("fim_2000_operations_inotify", Watcher::Inotify, 2, &QUICK);
}

#[test]
fn fanotify_misses_and_invents_nothing_during_restarts() {
    prove("fim_3_restarts_fanotify", Watcher::Fanotify, 3, &RESTARTED);
}

#[test]
fn inotify_misses_and_invents_nothing_during_restarts() {
    prove("fim_3_restarts_inotify", Watcher::Inotify, 4, &RESTARTED);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn fanotify_misses_and_invents_nothing_in_a_long_time() {
    prove("fim_100000_operations_fanotify", Watcher::Fanotify, 11, &LONG);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn inotify_misses_and_invents_nothing_in_a_long_time() {
    prove("fim_100000_operations_inotify", Watcher::Inotify, 12, &LONG);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn fanotify_misses_and_invents_nothing_during_many_restarts() {
    prove("fim_20_restarts_fanotify", Watcher::Fanotify, 13, &LONG_RESTARTED);
}

#[test]
#[ignore = "run by `cargo xtask e2e fim`"]
fn inotify_misses_and_invents_nothing_during_many_restarts() {
    prove("fim_20_restarts_inotify", Watcher::Inotify, 14, &LONG_RESTARTED);
}

#[test]
fn what_changes_while_the_agent_is_not_there_is_reported_at_its_start() {
    cell("fim_stopped_and_started", COLUMN, || {
        let (mut agent, mut proof) = start(Watcher::Inotify, 5, 400)?;
        for _ in 0..3 {
            let output = agent.cli(&["stop"]);
            assert!(output.status.success(), "{output:?}");
            agent.reap();
            let before = reported(&agent).events.len();
            proof.mutator.run(500, 0);
            agent.start();
            // Nobody saw the files that came and went.
            proof.judge(&agent, false);
            let events = reported(&agent).events.split_off(before);
            // The sentinel was written when the agent ran again.
            let at_once = events.iter().filter(|event| event.line.contains("\"realtime\"")).count();
            assert!(
                at_once <= 2,
                "{at_once} of {} events were not detected by a scan",
                events.len()
            );
        }
        Ok(proof.judge(&agent, false))
    });
}

#[test]
fn what_changes_while_a_killed_agent_is_away_is_reported_once() {
    cell("fim_killed_and_started", COLUMN, || {
        let (mut agent, mut proof) = start(Watcher::Inotify, 6, 400)?;
        for _ in 0..3 {
            std::thread::scope(|scope| {
                let pid = agent.pid();
                let killing = scope.spawn(move || kill(pid, Signal::KILL));
                proof.mutator.run(300, 1_000);
                killing.join().unwrap();
            });
            agent.reap();
            proof.mutator.run(300, 0);
            agent.start();
            proof.mutator.run(300, 1_000);
        }
        Ok(proof.judge(&agent, false))
    });
}

/// Short runs in parts of one tree, so that what is wrong is a short story. `FIM_SEEDS` (`FROM..TO`) and `FIM_OPERATIONS` look
/// for shorter ones.
fn prove_in_short_runs(row: &str, watcher: Watcher) {
    let given = |name: &str| std::env::var(name).ok();
    let operations = given("FIM_OPERATIONS").map_or(40, |number| number.parse().unwrap());
    let seeds = given("FIM_SEEDS").unwrap_or_else(|| "0..12".to_owned());
    let (from, to) = seeds.split_once("..").expect("FROM..TO");
    cell(row, COLUMN, || {
        let (agent, _whole) = start(watcher, 0, 1)?;
        let mut failed = Vec::new();
        for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
            let folder = agent.path("tree").join(format!("run-{seed}"));
            let outside = agent.path("outside").join(format!("run-{seed}"));
            let mut proof = Proof::in_part(&folder, &outside, watcher, seed, 30);
            proof.begin_in_part(&agent);
            proof.mutator.run(operations, 0);
            // The next seed may tell a shorter story, or another one.
            let judged = catch_unwind(AssertUnwindSafe(|| proof.judge(&agent, true)));
            failed.extend(judged.is_err().then_some(seed));
        }
        assert!(failed.is_empty(), "with {operations} operations these seeds fail: {failed:?}");
        Ok(format!("seeds {seeds}, {operations} operations each"))
    });
}

#[test]
fn fanotify_misses_and_invents_nothing_in_short_runs() {
    prove_in_short_runs("fim_short_runs_fanotify", Watcher::Fanotify);
}

#[test]
fn inotify_misses_and_invents_nothing_in_short_runs() {
    prove_in_short_runs("fim_short_runs_inotify", Watcher::Inotify);
}
