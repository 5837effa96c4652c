//! How long the loop takes when all modules are ready at once, and how that grows with their number.

use std::collections::BTreeMap;

use restart::Purpose;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::pace::{Pace, modules};
use crate::{ROUNDS, on_a_worker, stage};

/// Modules and the milliseconds that the issue grants for them.
const TARGETS: [(usize, f64); 2] = [(1_000, 50.0), (10_000, 1_000.0)];

/// The growth from here to ten times as many is judged. Above it the numbers are those of the memory: what is called at once
/// no longer fits into the caches. Judged are the fastest rounds: whatever else runs on the machine only adds time, and
/// more so to the longer run; the quotients of the rounds are shown beside it.
const JUDGED_FROM: usize = 1_000;

pub(crate) fn measure(runtime: &Runtime, sizes: &[usize]) -> Result<Vec<Value>, String> {
    eprintln!("measuring the whole loop of {sizes:?} modules");
    let mut taken: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    // The first round warms up.
    for round in 0..=ROUNDS {
        for size in sizes {
            let modules = modules("module", *size, Pace::AtOnce)?;
            let took = on_a_worker(runtime, stage::run(Purpose::Replace, Vec::new(), modules))?;
            if round > 0 {
                taken.entry(*size).or_default().push(took.whole.as_secs_f64() * 1e3);
            }
        }
    }
    let mut measures = Vec::new();
    for (size, of) in &taken {
        let target = TARGETS.iter().find(|(modules, _)| modules == size).map(|(_, ms)| ms);
        measures.push(json!({
            "name": format!("whole loop, {size} modules ready at once"),
            "unit": "ms",
            "of": of,
            "at_most": target,
        }));
    }
    for (size, per) in &taken {
        if let Some(of) = taken.get(&(size * 10)) {
            let target = (*size == JUDGED_FROM).then(|| json!({ "n_log_n": [size, size * 10] }));
            let name = format!("growth from {size} to {} modules", size * 10);
            measures.extend([
                json!({ "name": name, "unit": "times", "of": of, "per": per }),
                json!({
                    "name": format!("{name}, fastest rounds"),
                    "unit": "times",
                    "of": [fastest(of)],
                    "per": [fastest(per)],
                    "at_most": target,
                }),
            ]);
        }
    }
    Ok(measures)
}

fn fastest(rounds: &[f64]) -> f64 {
    rounds.iter().copied().fold(f64::INFINITY, f64::min)
}
