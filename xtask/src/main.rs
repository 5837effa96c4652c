//! Developer tasks: `cargo xtask TASK`, one match over them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developer's tool prints, starts processes and reads the environment"
)]

mod bench;
mod check;
mod e2e;
mod simulate;
mod suite;
mod systemd_box;
mod tidy;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Developer tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all tests, and name those that this machine cannot run
    Test {
        /// Leave out the tests that boot a systemd; they are named as skipped
        #[arg(long)]
        skip_e2e: bool,
        /// Further arguments for `cargo test`, such as a part of a test's name
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// Try every way to replace the process against everything that may happen meanwhile
    E2e(e2e::Arguments),
    /// Check format, lints, documentation and house rules; list all that failed
    Check,
    /// Check the house rules that the compiler does not know
    Tidy,
    /// Measure with optimisation, and judge the numbers
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run the shutdown loop under many seeded plans; say how many a second, and which seed breaks a promise
    Simulate(simulate::Arguments),
    /// Boot a real systemd in namespaces, to try units on (takes root)
    SystemdBox(systemd_box::Arguments),
    /// Run a real `systemd --user` in namespaces, to try units of a user on (takes root)
    UserBox(systemd_box::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match task {
        Task::Test { skip_e2e, arguments } => suite::run(&workspace, skip_e2e, &arguments),
        Task::E2e(arguments) => e2e::run(&workspace, &arguments),
        Task::Check => check::run(&workspace),
        Task::Tidy => tidy::run(&workspace),
        Task::Bench(bench) => bench::run(&workspace, &bench),
        Task::Simulate(arguments) => simulate::run(&workspace, &arguments),
        Task::SystemdBox(arguments) => {
            systemd_box::run(&workspace, systemd_box::Kind::System, &arguments)
        }
        Task::UserBox(arguments) => {
            systemd_box::run(&workspace, systemd_box::Kind::User, &arguments)
        }
    }
}
