//! `cargo xtask simulate`: the deterministic simulation of the shutdown loop, with optimisation, over many seeds.
//!
//! The work is in the test `simulator` of `restart`, which spreads the seeds over all processors, prints how many it did in
//! a second, and fails with the first seed that breaks a promise: its plan, what happened, and which promise.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Replay this seed alone and print all that happens
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut command = workspace.cargo();
    command.args(["test", "--quiet", "--locked", "--release", "--package", "restart"]);
    command.args(["--test", "simulator", "--", "--nocapture", "--exact"]);
    match arguments.seed {
        Some(seed) => {
            command.arg("a_seed_replays_exactly").env("SIMULATE_SEED", seed.to_string());
        }
        None => {
            command
                .arg("two_thousand_seeds_keep_every_promise")
                .env("SIMULATE_FIRST", arguments.first.to_string())
                .env("SIMULATE_SEEDS", arguments.seeds.to_string());
        }
    }
    let status = command.status().context("cannot start cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
