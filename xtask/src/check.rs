//! `cargo xtask check`: all that is checked without running the project, listing all that failed.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::tidy;
use crate::workspace::Workspace;

/// Runs each check even when an earlier one failed, so that one round shows everything.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let mut failed = Vec::new();
    for (name, mut command) in commands(workspace) {
        eprintln!("xtask check: {name}");
        let status = command.status().with_context(|| format!("cannot start {name}"))?;
        if !status.success() {
            failed.push(name);
        }
    }
    eprintln!("xtask check: tidy");
    if tidy::run(workspace)? == ExitCode::FAILURE {
        failed.push("tidy");
    }
    if failed.is_empty() {
        println!("all checks passed");
        return Ok(ExitCode::SUCCESS);
    }
    println!("checks that failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn commands(workspace: &Workspace) -> [(&'static str, Command); 3] {
    let mut fmt = workspace.cargo();
    fmt.args(["fmt", "--all", "--", "--check"]);
    let mut clippy = workspace.cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]);
    let mut doc = workspace.cargo();
    doc.args(["doc", "--no-deps", "--workspace", "--all-features", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings");
    [("fmt", fmt), ("clippy", clippy), ("doc", doc)]
}
