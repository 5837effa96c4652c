//! The whole loop, machine and driver, under seeded plans and virtual time: whatever happens, every promise is kept.
//!
//! `SIMULATE_FIRST` and `SIMULATE_SEEDS` choose the range of seeds; `SIMULATE_SEED` replays one and prints it. So do
//! `cargo xtask simulate --first N --seeds N` and `cargo xtask simulate --seed N`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "a test that is told by the environment what to simulate, prints what it found and fails by panicking"
)]

#[path = "simulator/doctored.rs"]
mod doctored;
#[path = "simulator/life.rs"]
mod life;
#[path = "simulator/rules.rs"]
mod rules;
#[path = "simulator/seed.rs"]
mod seed;
#[path = "stage/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rules::broken;
use seed::plan_of;
use stage::actor::play;
use stage::story::tell;

/// Seeds that a thread takes at a time.
const PORTION: u64 = 100;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// What there is to say about a seed that breaks a promise.
fn complaint(seed: u64) -> Option<String> {
    let plan = plan_of(seed);
    let record = play(&plan);
    let broken = broken(&plan, &record);
    let (rule, found) = broken.first()?;
    let story = tell(&format!("seed {seed}"), &plan, &record);
    Some(format!(
        "seed {seed} breaks a promise: {rule}: {found}\n\n{story}\n\
         To replay it: cargo xtask simulate --seed {seed}"
    ))
}

/// The first seed from `first` to `end` (without it) that breaks a promise, searched by all processors.
fn first_failing(first: u64, end: u64) -> Option<u64> {
    let (next, failing) = (AtomicU64::new(first), AtomicU64::new(u64::MAX));
    let search = || loop {
        let from = next.fetch_add(PORTION, Ordering::Relaxed);
        let until = end.min(from + PORTION).min(failing.load(Ordering::Relaxed));
        if from >= until {
            return;
        }
        if let Some(seed) = (from..until).find(|seed| complaint(*seed).is_some()) {
            failing.fetch_min(seed, Ordering::Relaxed);
        }
    };
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(search);
        }
    });
    Some(failing.into_inner()).filter(|seed| *seed != u64::MAX)
}

#[test]
fn two_thousand_seeds_keep_every_promise() {
    let first = number("SIMULATE_FIRST").unwrap_or(0);
    let seeds = number("SIMULATE_SEEDS").unwrap_or(2_000);
    let began = Instant::now();
    let failing = first_failing(first, first + seeds);
    let seconds = began.elapsed().as_secs_f64();
    if let Some(seed) = failing {
        panic!("{}", complaint(seed).unwrap_or_else(|| format!("seed {seed} does not replay")));
    }
    println!(
        "{seeds} seeds from {first} keep every promise: {:.0} seeds/s",
        seeds as f64 / seconds
    );
}

#[test]
fn a_seed_replays_exactly() {
    let chosen = number("SIMULATE_SEED");
    let seeds = chosen.map_or(0..300, |seed| seed..seed + 1);
    for seed in seeds {
        let (plan, again) = (plan_of(seed), plan_of(seed));
        let (record, second) = (play(&plan), play(&again));
        let story = tell(&format!("seed {seed}"), &plan, &record);
        assert_eq!(record.entries, second.entries, "seed {seed} does not replay");
        assert_eq!(story, tell(&format!("seed {seed}"), &again, &second));
        if chosen.is_some() {
            println!("{story}\nbroken promises: {:#?}", broken(&plan, &record));
        }
    }
}

/// What a run was about, in the words of its outcome.
fn themes(seed: u64) -> Vec<String> {
    let plan = plan_of(seed);
    let outcome = play(&plan).outcome;
    let ending = format!("{:?}, {:?}", plan.purpose, outcome.ending);
    let notes = outcome.modules.iter().flat_map(|module| module.notes.clone());
    let lost = outcome.replacement_lost.iter().map(|reason| format!("lost: {reason}"));
    let late = (outcome.late_answers > 0).then(|| "late answers".to_owned());
    let many = (outcome.modules.len() > 20).then(|| "many modules".to_owned());
    let unfit = plan.limits.check().is_err().then(|| "limits that do not fit".to_owned());
    notes.chain(lost).chain(late).chain(many).chain(unfit).chain([ending]).collect()
}

#[test]
fn the_seeds_are_not_dull() {
    let mut seen = BTreeMap::<String, u32>::new();
    for theme in (0..500).flat_map(themes) {
        *seen.entry(theme).or_default() += 1;
    }
    for theme in [
        "End, Ended",
        "End, StoppedInstead",
        "Replace, Ended",
        "Replace, StoppedInstead",
        "Replace, CalledOff(\"the unit is masked\")",
        "Replace, CalledOff(\"the request for the replacement was not answered in time\")",
        "Replace, CalledOff(\"SIGTERM did not come in time after the replacement was accepted\")",
        "Replace, CalledOff(\"panicked: the controller panics as scripted\")",
        "not ready: ready timeout",
        "not ready: forced",
        "ready_for_shutdown failed: panicked: ready_for_shutdown panics as scripted",
        "save timeout",
        "save_state failed: save_state fails as scripted",
        "save_state failed: panicked: save_state panics as scripted",
        "save_state failed: panicked: keep_state panics as scripted",
        "save_state failed: cannot write m0/state: disk full",
        "stop timeout",
        "stop failed: stop fails as scripted",
        "stop failed: panicked: stop panics as scripted",
        "abandoned: it did not stop",
        "abandoned: forced",
        "abandoned: overall deadline",
        "lost: the helper died",
        "lost: the unit is masked",
        "late answers",
        "many modules",
        "limits that do not fit",
    ] {
        assert!(seen.get(theme).is_some_and(|count| *count >= 2), "{theme}: too rare in {seen:#?}");
    }
}
