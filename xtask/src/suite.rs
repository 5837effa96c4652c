//! `cargo xtask test`: all tests, and an account of those that this machine could not run.
//!
//! A test that cannot run here appends a line `NAME<tab>REASON` to the file that the variable
//! `WAZUH_TEST_SKIPS` names, and returns; the test framework has no word for that.

mod tally;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use tally::Tally;

/// Runs the tests with their output passed on as it comes, and closes with the counts.
pub(crate) fn run(
    workspace: &Workspace,
    skip_e2e: bool,
    arguments: &[OsString],
) -> Result<ExitCode> {
    let skips = workspace.target().join("test-skips.tsv");
    start_empty(&skips)?;

    let mut command = workspace.cargo();
    // One set of features for tests, clippy and docs, so that nothing is built twice.
    command.args(["test", "--all-features", "--locked", "--no-fail-fast"]);
    if !chooses_packages(arguments) {
        command.arg("--workspace");
    }
    command.args(arguments).env("WAZUH_TEST_SKIPS", &skips).stdout(Stdio::piped());
    if skip_e2e {
        command.env("WAZUH_TEST_SKIP_E2E", "1");
    }
    let mut child = command.spawn().context("cannot start cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let mut tally = Tally::default();
    pass_on(output, io::stdout().lock(), &mut tally)
        .context("cannot pass on the output of cargo test")?;
    let status = child.wait().context("cannot wait for cargo test")?;

    tally.add_skips(
        &fs::read_to_string(&skips).with_context(|| format!("cannot read {}", skips.display()))?,
    );
    println!("\n{}", tally.report());
    if !status.success() {
        println!("cargo test failed: {status}");
    }
    Ok(if status.success() && tally.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start_empty(file: &Path) -> Result<()> {
    let folder = file.parent().context("the target folder has no parent")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))
}

/// Cargo's `--workspace` would win over a choice of packages.
fn chooses_packages(arguments: &[OsString]) -> bool {
    let of_cargo = arguments.iter().take_while(|argument| *argument != "--");
    of_cargo.filter_map(|argument| argument.to_str()).any(|argument| {
        argument == "--package" || argument.starts_with("--package=") || argument.starts_with("-p")
    })
}

/// Copies in pieces as they come, since a line may grow for as long as a test runs.
fn pass_on(mut output: impl Read, mut terminal: impl Write, tally: &mut Tally) -> io::Result<()> {
    let mut piece = [0; 8192];
    let mut line = Vec::new();
    loop {
        let length = output.read(&mut piece)?;
        if length == 0 {
            tally.add_line(&String::from_utf8_lossy(&line));
            return Ok(());
        }
        terminal.write_all(&piece[..length])?;
        terminal.flush()?;
        for byte in &piece[..length] {
            if *byte == b'\n' {
                tally.add_line(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(*byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_of_packages_is_seen_only_among_the_arguments_of_cargo() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(chooses_packages(&words("-p restart")));
        assert!(chooses_packages(&words("name --package=restart")));
        assert!(!chooses_packages(&words("name -- -p")));
    }

    #[test]
    fn output_is_passed_on_as_it_is_and_a_last_line_without_an_end_is_counted() {
        let output = "running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let mut terminal = Vec::new();
        let mut tally = Tally::default();
        pass_on(output.as_bytes(), &mut terminal, &mut tally).unwrap();
        assert_eq!(terminal, output.as_bytes());
        assert_eq!(tally.report(), "1 passed, 0 failed, 0 skipped");
    }
}
