//! Measures what a restart costs, and prints one JSON object for `cargo xtask bench restart` to judge.
//!
//! `cargo bench -p agent-bin --bench restart`, after the example `minimal_tokio` was built with the same profile. The object
//! holds `settings`, what was measured in words, `measures` and `skipped`; their format is that of
//! `xtask/src/bench/measure.rs`. Progress goes to stderr. `--sandbox` measures lines of the unit instead.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program that starts others, measures with a clock, and prints"
)]

mod agent;
mod by_hand;
mod by_helper;
mod floor;
mod loaded_folder;
mod minimal;
mod opened;
mod ready_socket;
mod sandbox;
mod size;
mod start;
mod systemd;
mod systemd_box;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

/// Rounds of everything that is measured; each round measures all that is compared, one after the other.
const ROUNDS: usize = 31;

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
        eprintln!("nothing is measured without optimisation; run `cargo xtask bench restart`");
        return ExitCode::SUCCESS;
    }
    let measured = if given("--sandbox") { sandbox::measure() } else { measure() };
    match measured {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("restart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Value, String> {
    let mut found = Findings::default();
    size::measure(&mut found)?;
    start::measure(&mut found)?;
    for method in ["helper", "exec"] {
        by_hand::measure(&mut found, method)?;
    }
    systemd::measure(&mut found)?;
    let settings = json!({
        "rounds": ROUNDS,
        "start": "from the spawn of the process to READY=1 on its notification socket; the folder holds 10,000 finished \
                  commands and 100,000 undelivered events, the file output is on, the page cache is warm",
        "minimal": "the example minimal_tokio, spawned to READY=1 in the same way, in the same round",
        "helper": "the old process's pidfd becomes readable, to READY=1 of the new one",
        "exec": "the program's file is opened by execve, to READY=1 of the new program",
        "systemd": "InactiveEnterTimestampMonotonic to ActiveEnterTimestampMonotonic of the unit; the floor is a static C \
                    program in the shipped unit",
        "rss": "VmRSS of an agent that has confirmed a restart and has nothing to do",
    });
    Ok(json!({ "settings": settings, "measures": found.measures, "skipped": found.skipped }))
}

/// The program that is measured.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wazuh-agent"))
}

/// The program that it is compared with.
fn minimal() -> Result<PathBuf, String> {
    let path = program().with_file_name("examples").join("minimal_tokio");
    let missing = || {
        format!("{} is missing; run `cargo xtask bench restart`, which builds it", path.display())
    };
    if path.exists() { Ok(path) } else { Err(missing()) }
}

/// A folder on the disk that holds `target/`, removed in the end.
fn folder() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .map_err(|error| format!("no folder to work in: {error}"))
}
