//! Whether the program on disk can follow the one that runs: it is executed, and reads the configuration.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use restart::{LaunchPlan, Trial, TrialError};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::report::Looked;
use crate::agent::core::Paths;

/// How long the program may take for its version, or for a look at the configuration. Both take milliseconds; a machine
/// that swaps may need seconds.
const TRIAL_LIMIT: Duration = Duration::from_secs(5);

/// The most that is passed on of what the program says, in characters.
const MOST_PASSED_ON: usize = 500;

/// Whether another program than the running one lies at `executable`.
///
/// The kernel lets nobody write to a program that runs, so the same file is the same program. That one runs, and reads the
/// configuration in this very process: no child has to prove it.
pub(super) fn is_another(executable: &Path) -> bool {
    let file = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let running = file(Path::new("/proc/self/exe"));
    running.is_none() || running != file(executable)
}

/// The SHA-256 of a file that may be executed.
pub(super) fn hash_executable(path: &Path) -> io::Result<String> {
    access(path, AccessFlags::X_OK)?;
    let mut file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&chunk[..read]);
    }
}

/// Asks the program for its version: whoever cannot say it cannot run here.
pub(super) async fn says_its_version(launch: &LaunchPlan) -> Looked {
    let tried = launch.try_out(vec!["--version".into()], TRIAL_LIMIT).await;
    judge_version(launch.program(), tried)
}

fn judge_version(path: &Path, tried: Result<Trial, TrialError>) -> Looked {
    let path = path.display();
    match tried {
        Ok(trial) if trial.status == 0 => {
            let version = first(trial.stdout.lines().next().unwrap_or_default());
            Looked::ok(format!("{path} is another program than the running one: {version}"))
        }
        Ok(trial) => Looked::refused(format!(
            "{path} --version ended with status {}: {}; install it again",
            trial.status,
            said(&trial)
        )),
        Err(error @ TrialError::TimedOut(_)) => Looked::refused_unless_forced(format!(
            "{path} --version {error}; install it again, or find out what it waits for"
        )),
        Err(error) => Looked::refused(format!("{path} --version {error}; install it again")),
    }
}

/// Has the program check the configuration that it would be started with.
pub(super) async fn takes_the_configuration(launch: &LaunchPlan, paths: &Paths) -> Looked {
    let tried = launch.try_out(check_config(paths), TRIAL_LIMIT).await;
    judge_configuration(launch.program(), &paths.config, tried)
}

/// The arguments by which the agent's program checks what this agent was started with.
fn check_config(paths: &Paths) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["check-config".into(), "--json".into()];
    let mut option = |name: &str, value: &Path| words.extend([name.into(), value.into()]);
    // Unless it was named it may be missing, also for the other program.
    if paths.config_is_given {
        option("--config", &paths.config);
    }
    option("--state-dir", &paths.state_dir);
    option("--run-dir", &paths.run_dir);
    if let Some(socket) = &paths.socket {
        option("--socket", socket);
    }
    words
}

fn judge_configuration(path: &Path, config: &Path, tried: Result<Trial, TrialError>) -> Looked {
    let (path, config) = (path.display(), config.display());
    let trial = match tried {
        Ok(trial) => trial,
        Err(error) => {
            return Looked::refused_unless_forced(format!(
                "{path} check-config {error}; install it again"
            ));
        }
    };
    let answer: Value = serde_json::from_str(&trial.stdout).unwrap_or(Value::Null);
    match answer["problems"].as_array() {
        Some(problems) if problems.is_empty() && trial.status == 0 => {
            Looked::ok(format!("{path} accepts {config}"))
        }
        Some(problems) if !problems.is_empty() => {
            let problems: Vec<String> = problems.iter().map(problem).collect();
            Looked::refused_unless_forced(format!(
                "{path} does not accept the configuration; correct it and try again: {}",
                first(&problems.join("; "))
            ))
        }
        Some(_) | None => Looked::refused_unless_forced(format!(
            "{path} check-config ended with status {} and says nothing that this program understands: {}",
            trial.status,
            said(&trial)
        )),
    }
}

/// `FILE:LINE: KEY: MESSAGE`, as far as the other program tells.
fn problem(problem: &Value) -> String {
    let text = |field: &str| problem[field].as_str().map(str::to_owned);
    let place = text("file").map(|file| match problem["line"].as_u64() {
        Some(line) => format!("{file}:{line}"),
        None => file,
    });
    let parts = [place, text("key"), text("message")].into_iter().flatten();
    parts.collect::<Vec<_>>().join(": ")
}

/// What it said, on one line.
fn said(trial: &Trial) -> String {
    let said = if trial.stderr.is_empty() { &trial.stdout } else { &trial.stderr };
    if said.is_empty() {
        return "it said nothing".to_owned();
    }
    first(&said.lines().map(str::trim).collect::<Vec<_>>().join("; "))
}

fn first(text: &str) -> String {
    text.chars().take(MOST_PASSED_ON).collect()
}

#[cfg(test)]
mod tests;
