//! Runs one test of this very binary as a child process, reads what it acknowledges, and kills it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FOLDER: &str = "AGENT_CORE_TEST_CHILD_FOLDER";
const ROUND: &str = "AGENT_CORE_TEST_CHILD_ROUND";

/// Set apart from what the test harness prints.
const MARK: &str = "acknowledged ";

/// What the child was told: its folder and the number of its life. `None` when the test runs by itself and has
/// nothing to do.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment tells the child of a test what it is"
)]
pub(crate) fn told() -> Option<(PathBuf, u32)> {
    let folder = std::env::var_os(FOLDER)?;
    Some((PathBuf::from(folder), std::env::var(ROUND).ok()?.parse().ok()?))
}

/// Called by the child for each thing that it was told is durable.
pub(crate) fn acknowledge(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{what}").and_then(|()| out.flush()).unwrap();
}

/// Runs the test `path` (as `module_path!()` and a name give it), kills it with SIGKILL when it has acknowledged
/// `lines` things, and returns everything that it acknowledged until it was dead.
#[expect(clippy::disallowed_methods, reason = "a kill needs a process")]
pub(crate) fn run_and_kill(path: &str, folder: &Path, round: u32, lines: usize) -> Vec<String> {
    let (_this_crate, test) = path.split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let mut killed = false;
    // Reads on after the kill: what is in the pipe was acknowledged too.
    while let Some(Ok(line)) = out.next() {
        if let Some((_, what)) = line.split_once(MARK) {
            acknowledged.push(what.to_owned());
        }
        if acknowledged.len() >= lines && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(killed, "the child ended by itself ({status}) after {} lines", acknowledged.len());
    acknowledged
}
