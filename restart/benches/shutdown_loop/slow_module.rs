//! Whether slow modules delay the others, and each other.

use std::time::Duration;

use restart::Purpose;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::pace::{Pace, modules};
use crate::{ROUNDS, on_a_worker, stage};

const OTHERS: usize = 1_000;

/// More than one, so that the longest and the sum are not the same.
const SLOW: usize = 3;

/// How much of a slow module's time may show in the end of the others. One after the other it would be all of it, three times;
/// a hundredth is what the machine's own noise may be.
const SHARE: f64 = 0.01;

/// The whole loop against one slow module's time: the rest is the loop of the others. The sum would be `SLOW`.
const LONGEST: f64 = 1.05;

/// Measures `ROUNDS` short delays, and once the five seconds of the issue.
pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Value>, String> {
    let mut measures = Vec::new();
    for (delay, rounds) in [(Duration::from_millis(500), ROUNDS), (Duration::from_secs(5), 1)] {
        eprintln!("measuring {OTHERS} modules beside {SLOW} that take {delay:?}, {rounds} times");
        let (mut without, mut with, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            without.push(run(runtime, 0, delay)?.others.as_secs_f64() * 1e3);
            let took = run(runtime, SLOW, delay)?;
            with.push(took.others.as_secs_f64() * 1e3);
            whole.push(took.whole.as_secs_f64() * 1e3);
        }
        let slow = vec![delay.as_secs_f64() * 1e3; rounds];
        let later: Vec<f64> =
            with.iter().zip(&without).map(|(with, without)| with - without).collect();
        let beside = format!("{SLOW} that save for {delay:?}");
        measures.extend([
            json!({ "name": format!("{OTHERS} modules ended, alone"), "unit": "ms", "of": without }),
            json!({ "name": format!("{OTHERS} modules ended, beside {beside}"), "unit": "ms", "of": with }),
            json!({ "name": format!("delay of the others / {delay:?}"), "unit": "times", "of": later, "per": slow, "at_most": SHARE }),
            json!({ "name": format!("whole loop with {beside} / {delay:?}"), "unit": "times", "of": whole, "per": slow, "at_most": LONGEST }),
        ]);
    }
    Ok(measures)
}

fn run(runtime: &Runtime, slow: usize, delay: Duration) -> Result<stage::Took, String> {
    let slow = modules(stage::SLOW, slow, Pace::SavesFor(delay))?;
    let others = modules("module", OTHERS, Pace::AtOnce)?;
    on_a_worker(runtime, stage::run(Purpose::End, slow, others))
}
