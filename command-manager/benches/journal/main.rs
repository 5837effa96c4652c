//! Measures what it takes to make a command durable, and prints one JSON object for `cargo xtask bench journal` to judge.
//!
//! `cargo bench -p command-manager --bench journal`. The object holds `settings`, what was measured in words, and
//! `measures`; their format is that of `xtask/src/bench/measure.rs`. Progress goes to stderr.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that measures and prints")]

mod append;
mod clients;
mod cpu;
mod disk;
mod filled;
mod full_journal;
mod many_clients;
mod one_client;
mod percentile;
mod subject;

use std::env;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use disk::Disk;

/// Rounds of everything that is measured; each round measures all that is compared, one after the other.
const ROUNDS: usize = 15;

/// As many workers as the agent's own runtime has.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    if !env::args().any(|argument| argument == "--bench") {
        eprintln!("nothing is measured without optimisation; run `cargo xtask bench journal`");
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("journal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Value, String> {
    let disk = Disk::below_target()?;
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let mut measures = one_client::measure(&runtime, &disk)?;
    measures.extend(many_clients::measure(&runtime, &disk)?);
    measures.extend(full_journal::measure(&runtime, &disk)?);
    let settings = json!({
        "runtime": format!("tokio multi thread, {WORKERS} workers; each client is a task that accepts in a loop"),
        "rounds": ROUNDS,
        "file_system": disk.file_system(),
        "append": "4 KiB added to the end of a file in the journal's folder, then fdatasync; after each one, one command \
                   is accepted",
        "command": "a restart of one module with a reason, over the local socket, with a new id made by the manager",
        "finished_command": "such a command with the three entries of history that an execution writes",
        "opening": "the whole of CommandManager::open, of a file that the page cache holds",
    });
    Ok(json!({ "settings": settings, "measures": measures }))
}

/// Runs `work` where the agent runs it: in a task on a worker.
fn on_a_worker<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    runtime.block_on(runtime.spawn(work)).map_err(|error| error.to_string())?
}
