//! What the loop costs more than awaiting the same calls with `join_all`, and nothing else.
//!
//! Judged against the same futures that the driver awaits: a task per call, which is what keeps a module that blocks its
//! thread or panics from harming anybody else. The bare calls, polled in one task, are shown for information: a task
//! alone costs several times what such a call does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use module_api::{Module, Readiness};
use restart::{Clock, Purpose, TokioClock};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::pace::{Pace, modules};
use crate::{ROUNDS, on_a_worker, stage};

/// What is granted, as a multiple of `join_all`.
const TARGET: f64 = 3.0;

/// Who is measured. Only modules that are ready at once are judged; the others show what is left of the difference as soon
/// as modules do something.
const KINDS: [(&str, usize, Pace, bool); 4] = [
    ("1000 modules ready at once", 1_000, Pace::AtOnce, true),
    ("10000 modules ready at once", 10_000, Pace::AtOnce, true),
    ("1000 modules that yield once per call", 1_000, Pace::Yields, false),
    ("1000 modules that wait 1 ms per call", 1_000, Pace::Waits(Duration::from_millis(1)), false),
];

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Value>, String> {
    let mut measures = Vec::new();
    for (who, count, pace, judged) in KINDS {
        eprintln!("measuring the loop against join_all: {who}");
        let (mut ours, mut bare, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms up.
        for round in 0..=ROUNDS {
            let modules = modules("module", count, pace)?;
            let took =
                on_a_worker(runtime, stage::run(Purpose::End, Vec::new(), modules.clone()))?.whole;
            let awaited = on_a_worker(runtime, timed(await_bare(modules.clone())))?;
            let spawned = on_a_worker(runtime, timed(await_in_tasks(modules)))?;
            if round > 0 {
                ours.push(took.as_secs_f64() * 1e3);
                bare.push(awaited.as_secs_f64() * 1e3);
                tasks.push(spawned.as_secs_f64() * 1e3);
            }
        }
        let target = judged.then_some(TARGET);
        measures.extend([
            json!({ "name": format!("join_all, {who}"), "unit": "ms", "of": bare }),
            json!({ "name": format!("loop / join_all of tasks, {who}"), "unit": "times", "of": ours, "per": tasks, "at_most": target }),
            json!({ "name": format!("loop / join_all of bare calls, {who}"), "unit": "times", "of": ours, "per": bare }),
        ]);
    }
    Ok(measures)
}

async fn timed(work: impl Future<Output = bool>) -> Result<Duration, String> {
    let began = TokioClock.now();
    let clean = work.await;
    let took = TokioClock.now().saturating_duration_since(began);
    clean.then_some(took).ok_or_else(|| "a module did not end as it should".to_owned())
}

async fn await_bare(modules: Vec<Arc<dyn Module>>) -> bool {
    let ends = modules.iter().map(|module| async move {
        module.ready_for_shutdown().await == Readiness::Ready
            && module.save_state().await.is_ok()
            && module.stop().await.is_ok()
    });
    join_all(ends).await.into_iter().all(|clean| clean)
}

async fn await_in_tasks(modules: Vec<Arc<dyn Module>>) -> bool {
    let ends = modules.into_iter().map(|module| async move {
        let (ask, save) = (Arc::clone(&module), Arc::clone(&module));
        let ready = tokio::spawn(async move { ask.ready_for_shutdown().await }).await;
        let saved = tokio::spawn(async move { save.save_state().await.is_ok() }).await;
        let stopped = tokio::spawn(async move { module.stop().await.is_ok() }).await;
        ready.is_ok_and(|answer| answer == Readiness::Ready)
            && saved.unwrap_or(false)
            && stopped.unwrap_or(false)
    });
    join_all(ends).await.into_iter().all(|clean| clean)
}
