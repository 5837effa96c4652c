//! `cargo xtask e2e`: every way to replace the process against everything that may happen meanwhile, as a table.
//!
//! Each cell is a test of `agent-bin/tests/matrix.rs` or `agent-bin/tests/fim_restarts.rs`, which appends `ROW<tab>COLUMN<tab>RESULT<tab>WORD` to the file that
//! the variable `WAZUH_E2E_TABLE` names.

mod table;

use std::fs;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::Workspace;
use table::Table;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print only the table, not the output of the tests
    #[arg(long)]
    table: bool,
    /// Print the table as JSON, and nothing else
    #[arg(long)]
    json: bool,
    /// Run only the tests whose names contain one of these; `fim`: file integrity monitoring, the long ones too
    #[arg(value_name = "PART")]
    parts: Vec<String>,
}

/// Runs the cells; fails when one of them fails.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let file = workspace.target().join("e2e-table.tsv");
    fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
    let quiet = arguments.table || arguments.json;
    build(workspace)?;
    let mut command = workspace.cargo();
    command.args(["test", "--package=agent-bin", "--all-features", "--locked"]);
    // One that fails must not keep the other from its cells.
    command.args(["--no-fail-fast", "--test=matrix", "--test=fim_restarts"]);
    command.args(["--", "--include-ignored"]).args(&arguments.parts);
    command.env("WAZUH_E2E_TABLE", &file);
    if quiet {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    let status = command.status().context("cannot start cargo test")?;
    let lines =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let table = Table::read(&lines)?;
    if arguments.json {
        println!("{}", table.json());
    } else {
        println!("{}", table.text());
    }
    if !status.success() && quiet {
        eprintln!("cargo test failed: {status}; without --table its output says why");
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One test alone does not build the programs that it starts.
fn build(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args([
        "build",
        "--package=agent-bin",
        "--all-features",
        "--locked",
        "--bins",
        "--examples",
    ]);
    let status = command.stdout(Stdio::null()).status().context("cannot start cargo build")?;
    anyhow::ensure!(status.success(), "cargo build failed: {status}");
    Ok(())
}
