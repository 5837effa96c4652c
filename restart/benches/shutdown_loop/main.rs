//! Measures the shutdown loop in real time, and prints one JSON object for `cargo xtask bench loop` to judge.
//!
//! `cargo bench -p restart --bench shutdown_loop -- [--modules N ...]`. The object holds `settings`, what was measured in
//! words, and `measures`; their format is that of `xtask/src/bench/measure.rs`. Progress goes to stderr.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that measures and prints")]

mod against_join_all;
mod memory;
mod pace;
mod slow_module;
mod stage;
mod whole_loop;

use std::env;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// Rounds of everything that is measured in real time; each round measures all that is compared, one after the other.
const ROUNDS: usize = 15;

/// As many workers as the agent's own runtime has.
const WORKERS: usize = 2;

/// What the issue asks about, and thrice as many to see whether the growth goes on.
const MODULES: [usize; 4] = [1_000, 3_000, 10_000, 30_000];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing is measured without optimisation; run `cargo xtask bench loop`");
        return ExitCode::SUCCESS;
    }
    match sizes(&arguments).and_then(|sizes| measure(&sizes)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("shutdown_loop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sizes(arguments: &[String]) -> Result<Vec<usize>, String> {
    let numbers = arguments.iter().filter(|argument| !argument.starts_with("--"));
    let mut sizes = numbers
        .map(|text| match text.parse() {
            Ok(size) if size > 0 => Ok(size),
            Ok(_) | Err(_) => Err(format!("{text:?} is not a number of modules")),
        })
        .collect::<Result<Vec<usize>, String>>()?;
    if sizes.is_empty() {
        sizes.extend(MODULES);
    }
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

fn measure(sizes: &[usize]) -> Result<Value, String> {
    // First, while the memory of the process is untouched.
    let mut measures = memory::measure()?;
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    measures.extend(whole_loop::measure(&runtime, sizes)?);
    measures.extend(against_join_all::measure(&runtime)?);
    measures.extend(slow_module::measure(&runtime)?);
    let settings = json!({
        "runtime": format!("tokio multi thread, {WORKERS} workers; the loop runs in a task on one of them"),
        "rounds": ROUNDS,
        "ready_at_once": "each call answers without an await",
        "join_all": "one future per module that awaits ready_for_shutdown, save_state and stop of the same \
                     Arc<dyn Module>, all awaited by one futures_util::future::join_all in one task",
        "join_all_of_tasks": "the same, with each of the three calls in a tokio task of its own, which is what keeps \
                              a module that panics or blocks from harming others",
    });
    Ok(json!({ "settings": settings, "measures": measures }))
}

/// Runs `work` where the agent runs the loop: in a task on a worker.
fn on_a_worker<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    runtime.block_on(runtime.spawn(work)).map_err(|error| error.to_string())?
}
