//! `cargo xtask bench`: measures with optimisation, judges what was measured, and prints it for people or programs.

mod judge;
mod machine;
mod measure;
mod report;

use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

use crate::workspace::Workspace;
use judge::judge;
use measure::Measured;
use report::Report;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The shutdown loop: its time, growth and memory, and what it costs more than `join_all`
    Loop {
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
        /// Numbers of modules for the whole loop [default: 1000 3000 10000 30000]
        #[arg(long, num_args = 1.., value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        modules: Vec<u32>,
    },
    /// The journal of commands: how long an acceptance takes, alone, among many, and when the journal is full
    Journal {
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// What a restart costs: size, start, downtime by helper, in place and by systemd, each beside the least a program needs
    Restart {
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
        /// Measure what each line of a sandbox adds to the downtime in the systemd box instead
        #[arg(long)]
        sandbox: bool,
    },
    /// What file integrity monitoring costs: scans, memory, restarts with a million files, latency, an idle watch
    Fim {
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
        /// Measure small trees in one round and judge nothing: a test of the bench itself
        #[arg(long)]
        quick: bool,
    },
}

/// Fails when something that has a target misses it.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<ExitCode> {
    let (name, measured, json) = match bench {
        Bench::Loop { json, modules } => {
            let mut arguments = Vec::new();
            if !modules.is_empty() {
                arguments.push("--modules".to_owned());
                arguments.extend(modules.iter().map(ToString::to_string));
            }
            ("loop", measured_by(workspace, "restart", "shutdown_loop", &arguments)?, *json)
        }
        Bench::Journal { json } => {
            ("journal", measured_by(workspace, "command-manager", "journal", &[])?, *json)
        }
        Bench::Restart { json, sandbox } => {
            build_what_is_compared(workspace)?;
            let arguments = if *sandbox { vec!["--sandbox".to_owned()] } else { Vec::new() };
            ("restart", measured_by(workspace, "agent-bin", "restart", &arguments)?, *json)
        }
        Bench::Fim { json, quick } => {
            let arguments = if *quick { vec!["--quick".to_owned()] } else { Vec::new() };
            ("fim", measured_by(workspace, "agent-bin", "fim", &arguments)?, *json)
        }
    };
    let lines = measured.measures.iter().map(judge).collect::<Result<_>>()?;
    let Measured { settings, skipped, .. } = measured;
    let report = Report { bench: name, settings, lines, skipped };
    let machine = machine::facts();
    if json {
        println!("{}", report.json(machine));
    } else {
        print!("{}", report.table(&machine));
    }
    Ok(if report.has_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program that the agent is compared with, optimised in the same way.
fn build_what_is_compared(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--locked", "--release", "--package", "agent-bin"]);
    let status = cargo.args(["--example", "minimal_tokio"]).status();
    let status = status.context("cannot start cargo build")?;
    ensure!(status.success(), "the example minimal_tokio was not built: {status}");
    Ok(())
}

/// Builds and runs a bench of a crate; its progress goes to stderr.
fn measured_by(
    workspace: &Workspace,
    package: &str,
    bench: &str,
    arguments: &[String],
) -> Result<Measured> {
    let mut cargo = workspace.cargo();
    cargo.args(["bench", "--quiet", "--locked", "--package", package, "--bench", bench, "--"]);
    let output = cargo
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo bench")?;
    ensure!(output.status.success(), "the bench {bench} failed: {}", output.status);
    Measured::parse(&output.stdout).with_context(|| format!("cannot read what {bench} printed"))
}
