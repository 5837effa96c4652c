//! What a journal full of finished commands costs: at opening and with each command that is accepted.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::disk::Disk;
use crate::one_client::time_to_accept;
use crate::percentile::Times;
use crate::{ROUNDS, clients, filled, on_a_worker, subject};

/// Commands in each round, in each of the two journals.
const COMMANDS: usize = 100;

/// ms that opening a full journal may take.
const OPENING: f64 = 20.0;

/// What accepting into a full journal may cost, as a multiple of the same in an empty one.
const SLOWER: f64 = 1.5;

/// Clients that accept at once, so that not the disk alone is seen.
const CLIENTS: usize = 64;

pub(crate) fn measure(runtime: &Runtime, disk: &Disk) -> Result<Vec<Value>, String> {
    let (full, empty) = (disk.path("full.db"), disk.path("empty.db"));
    eprintln!("making a journal of {} finished commands", subject::KEPT);
    filled::make(runtime, &full, subject::KEPT)?;
    drop(subject::open(&empty)?);
    let mut measures = opening(&full, &empty)?;
    is_full(runtime, &full)?;
    let bytes = fs::metadata(&full).map_err(|error| error.to_string())?.len() as f64;
    measures.push(json!({
        "name": "bytes of the file per finished command", "unit": "bytes", "of": [bytes], "per": [subject::KEPT],
    }));
    measures.extend(accepting(runtime, &full, &empty)?);
    measures.extend(many_accepting(runtime, disk, &full)?);
    Ok(measures)
}

fn opening(full: &Path, empty: &Path) -> Result<Vec<Value>, String> {
    eprintln!("measuring the opening of a full journal, {ROUNDS} times");
    let opened = |path: &Path| -> Result<f64, String> {
        let began = Instant::now();
        let manager = subject::open(path)?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        drop(manager);
        Ok(took)
    };
    // The first one warms up.
    opened(full)?;
    let (mut of, mut per) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of.push(opened(full)?);
        per.push(opened(empty)?);
    }
    let kept = subject::KEPT;
    Ok(vec![
        json!({ "name": format!("opening, {kept} finished commands"), "unit": "ms", "of": of, "at_most": OPENING }),
        json!({ "name": "opening, no commands", "unit": "ms", "of": per }),
    ])
}

/// Fails when something is missing that an agent would have kept: it would be measured without.
fn is_full(runtime: &Runtime, full: &Path) -> Result<(), String> {
    let manager = subject::open(full)?;
    let entries = on_a_worker(runtime, async move { subject::newest_history(&manager).await })?;
    match (filled::commands(full)?, entries) {
        (subject::KEPT, 3) => Ok(()),
        (commands, entries) => Err(format!(
            "the full journal holds {commands} commands, the newest with {entries} entries of history"
        )),
    }
}

fn accepting(runtime: &Runtime, full: &Path, empty: &Path) -> Result<Vec<Value>, String> {
    eprintln!("measuring one client of a full journal, {ROUNDS} times {COMMANDS} commands");
    let (full, empty) = (subject::open(full)?, subject::open(empty)?);
    let (mut of, mut per) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mut into_full, mut into_empty) = (Vec::new(), Vec::new());
        for _ in 0..COMMANDS {
            into_full.push(time_to_accept(runtime, &full)?);
            into_empty.push(time_to_accept(runtime, &empty)?);
        }
        of.push(Times::new(into_full).percentile(50));
        per.push(Times::new(into_empty).percentile(50));
    }
    Ok(vec![json!({
        "name": "accept, full / empty journal, one client, p50", "unit": "times",
        "of": of, "per": per, "at_most": SLOWER,
    })])
}

/// As times per command, so that more is worse here as well. Both are opened anew in each round, and the empty one is a new
/// file: a few windows of many clients would fill it.
fn many_accepting(runtime: &Runtime, disk: &Disk, full: &Path) -> Result<Vec<Value>, String> {
    eprintln!("measuring {CLIENTS} clients of a full journal, {ROUNDS} times");
    let (mut of, mut per) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let empty = disk.path(&format!("empty-{round}.db"));
        let seconds = |path: &Path| -> Result<f64, String> {
            let manager = subject::open(path)?;
            Ok(clients::rate(runtime, &manager, CLIENTS)?.per_second.recip())
        };
        of.push(seconds(full)?);
        per.push(seconds(&empty)?);
    }
    Ok(vec![json!({
        "name": format!("accept, full / empty journal, {CLIENTS} clients, time per command"), "unit": "times",
        "of": of, "per": per, "at_most": SLOWER,
    })])
}
