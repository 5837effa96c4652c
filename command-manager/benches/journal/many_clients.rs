//! How many commands become durable in a second, with one client and with many that share commits.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::clients::{Rate, rate};
use crate::disk::Disk;
use crate::{ROUNDS, subject};

/// Numbers of clients; the first is what the others are compared with.
const CLIENTS: [usize; 3] = [1, 8, 64];

/// Who is judged, and how many times the rate of one client is asked for.
const TARGET: (usize, f64) = (64, 10.0);

pub(crate) fn measure(runtime: &Runtime, disk: &Disk) -> Result<Vec<Value>, String> {
    eprintln!("measuring the rates of {CLIENTS:?} clients, {ROUNDS} times");
    let manager = subject::open(&disk.path("many-clients.db"))?;
    let mut rates: BTreeMap<usize, Vec<Rate>> = BTreeMap::new();
    // The first round warms up.
    for round in 0..=ROUNDS {
        for count in CLIENTS {
            let rate = rate(runtime, &manager, count)?;
            if round > 0 {
                rates.entry(count).or_default().push(rate);
            }
        }
    }
    let mut measures = Vec::new();
    for (count, rates) in &rates {
        let of: Vec<f64> = rates.iter().map(|rate| rate.per_second).collect();
        let cpu: Option<Vec<f64>> = rates.iter().map(|rate| rate.cpu_per_command).collect();
        measures.push(
            json!({ "name": format!("accepts, {}", clients(*count)), "unit": "1/s", "of": of }),
        );
        if let Some(cpu) = cpu {
            let name = format!("the journal's processor time of an accept, {}", clients(*count));
            measures.push(json!({ "name": name, "unit": "us", "of": cpu }));
        }
    }
    let of = |count| -> Option<Vec<f64>> {
        rates.get(&count).map(|rates| rates.iter().map(|rate| rate.per_second).collect())
    };
    for count in &CLIENTS[1..] {
        let least = (*count == TARGET.0).then_some(TARGET.1);
        measures.push(json!({
            "name": format!("accepts, {} / {}", clients(*count), clients(CLIENTS[0])), "unit": "times",
            "of": of(*count), "per": of(CLIENTS[0]), "at_least": least,
        }));
    }
    Ok(measures)
}

fn clients(count: usize) -> String {
    if count == 1 { "1 client".to_owned() } else { format!("{count} clients") }
}
