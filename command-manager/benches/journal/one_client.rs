//! How long one client waits until its command is durable, against what the disk needs at least.

use std::sync::Arc;
use std::time::Duration;

use command_manager::CommandManager;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::append::Appended;
use crate::disk::Disk;
use crate::percentile::Times;
use crate::{ROUNDS, on_a_worker, subject};

/// Commands in each round: so many that SQLite moves its log into the file once, after some 200.
const COMMANDS: usize = 250;

/// The p50 against one append: a commit waits for the disk once, and the rest must cost less than that.
const TARGET: f64 = 2.0;

pub(crate) fn measure(runtime: &Runtime, disk: &Disk) -> Result<Vec<Value>, String> {
    eprintln!("measuring one client, {ROUNDS} times {COMMANDS} commands");
    let (mut appends, mut accepts) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut file = Appended::create(&disk.path(&format!("append-{round}")))?;
        let manager = subject::open(&disk.path(&format!("one-client-{round}.db")))?;
        let (mut appended, mut accepted) = (Vec::new(), Vec::new());
        for _ in 0..COMMANDS {
            appended.push(file.append()?);
            accepted.push(time_to_accept(runtime, &manager)?);
        }
        appends.push(Times::new(appended));
        accepts.push(Times::new(accepted));
    }
    let of = |times: &[Times], percent| -> Vec<f64> {
        times.iter().map(|round| round.percentile(percent)).collect()
    };
    let shown = |name: &str, times: &[Times], percent| json!({ "name": format!("{name}, p{percent}"), "unit": "ms", "of": of(times, percent) });
    Ok(vec![
        shown("append", &appends, 50),
        shown("append", &appends, 99),
        shown("accept, one client", &accepts, 50),
        shown("accept, one client", &accepts, 95),
        shown("accept, one client", &accepts, 99),
        json!({
            "name": "accept, one client / append, p50", "unit": "times",
            "of": of(&accepts, 50), "per": of(&appends, 50), "at_most": TARGET,
        }),
    ])
}

/// How long one command takes in a task of its own, from the call to the answer.
pub(crate) fn time_to_accept(
    runtime: &Runtime,
    manager: &Arc<CommandManager>,
) -> Result<Duration, String> {
    let (manager, envelope) = (Arc::clone(manager), subject::envelope()?);
    on_a_worker(runtime, async move {
        let began = Instant::now();
        subject::accept(&manager, envelope).await?;
        Ok(began.elapsed())
    })
}
