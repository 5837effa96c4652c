//! Measures what file integrity monitoring costs, and prints one JSON object for `cargo xtask bench fim` to judge.
//!
//! `cargo bench -p agent-bin --bench fim`. The object holds `settings`, what was measured in words, `measures` and `skipped`;
//! their format is that of `xtask/src/bench/measure.rs`. Progress goes to stderr. `--quick` measures small trees in one round,
//! which shows that the bench works and says nothing of the module.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program that starts others, measures with a clock, and prints"
)]

#[path = "../restart/agent.rs"]
mod agent;
#[path = "../restart/by_helper.rs"]
mod by_helper;
mod idle;
mod latency;
mod many_files;
mod memory;
mod others;
#[path = "../restart/ready_socket.rs"]
mod ready_socket;
mod scale;
mod scan;
mod watched;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use scale::Scale;

/// What was measured, and what this machine cannot measure.
#[derive(Debug, Default)]
struct Findings {
    measures: Vec<Value>,
    skipped: Vec<Value>,
}

impl Findings {
    fn skip(&mut self, name: &str, reason: &str) {
        eprintln!("skipped: {name}: {reason}");
        self.skipped.push(json!({ "name": name, "reason": reason }));
    }
}

fn main() -> ExitCode {
    let given = |word: &str| env::args().any(|argument| argument == word);
    if !given("--bench") {
        eprintln!("nothing is measured without optimisation; run `cargo xtask bench fim`");
        return ExitCode::SUCCESS;
    }
    let scale = if given("--quick") { Scale::quick() } else { Scale::whole() };
    match measure(&scale) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(scale: &Scale) -> Result<Value, String> {
    let mut found = Findings::default();
    scan::measure(&mut found, scale)?;
    many_files::measure(&mut found, scale)?;
    latency::measure(&mut found, scale)?;
    idle::measure(&mut found, scale)?;
    let settings = json!({
        "rounds": scale.rounds,
        "quick": !scale.judged,
        "first scan": "last_scan.duration_ms of an agent with an empty state folder, warm page cache; in the same round the wall \
                       time of find -xdev -type f -print0 | xargs -0 -P$(nproc) -n 200 openssl dgst -sha256",
        "second scan": "the same of `wazuh-agent fim scan` with nothing changed",
        "memory": format!("VmHWM and VmRSS of an agent after both scans of {} empty and tiny files", scale.many),
        "downtime": format!("by helper: the old process's pidfd becomes readable, to READY=1 of the new one; {} files in the \
                             baseline beside {} in the same round", scale.many, scale.few),
        "latency": "from the return of the write, at 100 writes a second, until the event is in the event file; the debounce is \
                    100 ms",
        "idle": "voluntary context switches of all threads, less those of an agent that watches nothing at the same time",
    });
    Ok(json!({ "settings": settings, "measures": found.measures, "skipped": found.skipped }))
}

/// The program that is measured.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wazuh-agent"))
}

/// A folder on the disk that holds `target/`, removed in the end.
fn folder() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .map_err(|error| format!("no folder to work in: {error}"))
}
