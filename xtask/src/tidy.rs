//! `cargo xtask tidy`: the rules of the house that neither compiler nor clippy know.

mod crates;
mod functions;
mod layout;
mod library_root;
mod machine_paths;
mod mask;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// One breach of a rule, printed as `file:line: rule: what to do`.
#[derive(Debug, PartialEq)]
struct Finding {
    file: PathBuf,
    line: usize,
    rule: &'static str,
    advice: String,
}

impl Finding {
    fn new(file: &Path, line: usize, rule: &'static str, advice: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, rule, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.file.display(), self.line, self.rule, self.advice)
    }
}

/// Prints all findings; fails when there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let mut findings = Vec::new();
    let files = workspace.files()?;
    for file in &files {
        let bytes = std::fs::read(workspace.root().join(file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        // What is not UTF-8 is test data or a picture, not something people wrote.
        if let Ok(text) = String::from_utf8(bytes) {
            findings.extend(findings_in(file, &text));
        }
    }
    findings.extend(crates::check(&metadata(workspace)?, workspace.root())?);
    for finding in &findings {
        println!("{finding}");
    }
    eprintln!("tidy: {} files, {} findings", files.len(), findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings_in(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = machine_paths::check(file, text);
    if file.extension().is_some_and(|extension| extension == "rs") {
        let code = mask::mask(text);
        findings.extend(layout::check(file, text, &code));
        findings.extend(functions::check(file, &code));
        findings.extend(library_root::check(file, &code));
    }
    findings
}

/// What cargo knows about the crates of the workspace, without asking the network.
fn metadata(workspace: &Workspace) -> Result<serde_json::Value> {
    let output = workspace
        .cargo()
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("cannot start cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")
}
