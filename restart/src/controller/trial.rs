//! Tries out the program that the successor will run: in a child that is alone, bounded, and never left behind.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal as SignalName;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;

use super::LaunchPlan;

/// Variables by which the child could pass for the agent, or for the main process of its unit.
const OF_THE_AGENT: [&str; 10] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "SYSTEMD_EXEC_PID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MAINPID",
];

/// The most that is kept of what the child writes to one stream, in bytes; the rest is read and dropped.
const MOST_KEPT: usize = 64 * 1024;

/// How often a child is looked at on kernels without pidfds (before 5.3).
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How a program that was tried out has ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its exit status.
    pub status: i32,
    /// The start of its standard output.
    pub stdout: String,
    /// The start of its standard error.
    pub stderr: String,
}

/// A program that was tried out and did not come to an end of its own.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The kernel does not start it.
    #[error("cannot be started: {reason}")]
    CannotStart {
        /// Why.
        reason: String,
    },
    /// It crashed, or somebody killed it.
    #[error("was killed by {signal}{}", after_colon(.said))]
    Killed {
        /// The name of the signal.
        signal: String,
        /// What it had written to standard error.
        said: String,
    },
    /// It hung, and was killed for it.
    #[error("did not end within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It was started, but its end cannot be learned.
    #[error("cannot be watched: {0}")]
    Watch(#[from] io::Error),
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl LaunchPlan {
    /// Runs the program of this plan with other arguments, and waits for its end, `within` at most.
    ///
    /// The child has the plan's working directory and variables, but for those that would make it pass for the agent;
    /// nothing on standard input, and a process group of its own. It is ended, with its group, before this returns, and
    /// also when the call is dropped.
    ///
    /// # Errors
    /// [`TrialError`]. An exit status other than 0 is none.
    pub async fn try_out(
        &self,
        arguments: Vec<OsString>,
        within: Duration,
    ) -> Result<Trial, TrialError> {
        let plan = self.clone();
        let started = tokio::task::spawn_blocking(move || start(&plan, &arguments)).await;
        let mut tried = started.map_err(io::Error::other)??;
        let [stdout, stderr] = tried.streams()?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let in_time = tokio::select! {
            in_time = tokio::time::timeout(within, tried.ended()) => in_time,
            never = hear_both([(&stdout, &mut out), (&stderr, &mut err)]) => match never {},
        };
        let status = tried.end();
        match in_time {
            Err(_) => return Err(TrialError::TimedOut(within)),
            Ok(watched) => watched?,
        }
        // What it wrote last, and nothing of what a child of its own may still write.
        take(&stdout, &mut out)?;
        take(&stderr, &mut err)?;
        let [stdout, stderr] =
            [out, err].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let status = status?;
        match status.code() {
            Some(status) => Ok(Trial { status, stdout, stderr }),
            None => Err(TrialError::Killed { signal: signal_of(status), said: stderr }),
        }
    }
}

fn signal_of(status: ExitStatus) -> String {
    let number = status.signal().unwrap_or(0);
    SignalName::try_from(number).map_or_else(|_| format!("signal {number}"), |it| it.to_string())
}

/// A child that is being tried out. Dropping it ends it.
struct Tried {
    /// Until it is reaped: as long as that, its pid means no other process.
    child: Option<Child>,
    pid: Pid,
}

#[expect(clippy::disallowed_methods, reason = "controllers are where processes are started")]
fn start(plan: &LaunchPlan, arguments: &[OsString]) -> Result<Tried, TrialError> {
    let of_the_agent = |name: &OsStr| OF_THE_AGENT.iter().any(|other| name == *other);
    let variables = plan.env.iter().filter(|(name, _)| !of_the_agent(name));
    let program = plan.program();
    let mut command = Command::new(program);
    // Nothing that would make std fork by itself: this process has threads, so it has to be posix_spawn.
    command
        .args(arguments)
        .env_clear()
        .envs(variables.map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // A folder that was deleted would be taken for a program that is missing.
    if plan.cwd.is_dir() {
        command.current_dir(&plan.cwd);
    }
    let child = command
        .spawn()
        .map_err(|error| TrialError::CannotStart { reason: why_not_started(&error, program) })?;
    let pid = Pid::from_child(&child);
    Ok(Tried { child: Some(child), pid })
}

fn why_not_started(error: &io::Error, executable: &Path) -> String {
    let meaning = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOEXEC) => "it is damaged, or made for another kind of machine",
        Some(Errno::NOENT) if executable.exists() => {
            "the loader or interpreter that it names is missing"
        }
        Some(Errno::ACCESS) => "it may not be executed",
        Some(Errno::TXTBSY) => "it is being written; try again when that is done",
        Some(_) | None => return error.to_string(),
    };
    format!("{error}: {meaning}")
}

impl Tried {
    /// Both streams of the child, for this process to read.
    fn streams(&mut self) -> io::Result<[Receiver; 2]> {
        let missing = || io::Error::other("the child has no pipes");
        let child = self.child.as_mut().ok_or_else(missing)?;
        let stdout = child.stdout.take().map(OwnedFd::from).ok_or_else(missing)?;
        let stderr = child.stderr.take().map(OwnedFd::from).ok_or_else(missing)?;
        Ok([Receiver::from_owned_fd(stdout)?, Receiver::from_owned_fd(stderr)?])
    }

    /// Returns when the child has ended; it is not reaped yet.
    async fn ended(&self) -> io::Result<()> {
        if let Ok(pidfd) = pidfd_open(self.pid, PidfdFlags::empty()) {
            drop(registered(pidfd)?.readable().await?);
            return Ok(());
        }
        let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(self.pid), looking)?.is_none() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Kills the child, if it still runs, and all that it has started in its group; reaps it.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let Some(mut child) = self.child.take() else {
            return Err(io::Error::other("the child has ended before"));
        };
        match kill_process_group(self.pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::debug!(%error, "cannot end what the child has started"),
        }
        child.kill()?;
        child.wait()
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        if self.child.is_some()
            && let Err(error) = self.end()
        {
            tracing::warn!(%error, pid = %self.pid, "cannot end a program that was tried out");
        }
    }
}

#[expect(unsafe_code, reason = "tokio leaves it to the caller that the descriptor stays the same")]
fn registered(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` has one descriptor, which is open for as long as it lives, and the `AsyncFd` owns it.
    let registered = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    registered.map_err(io::Error::from)
}

/// Reads both streams for as long as it is polled.
async fn hear_both(streams: [(&Receiver, &mut Vec<u8>); 2]) -> std::convert::Infallible {
    let [first, second] = streams;
    tokio::join!(hear(first.0, first.1), hear(second.0, second.1));
    std::future::pending().await
}

/// Reads until the stream is closed or fails.
async fn hear(stream: &Receiver, heard: &mut Vec<u8>) {
    while stream.readable().await.is_ok() {
        match take(stream, heard) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, fd = ?stream.as_fd(), "cannot read what a program said");
                return;
            }
        }
    }
}

/// Takes what is there; `false` when the stream is closed.
fn take(stream: &Receiver, heard: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 4096];
    loop {
        match stream.try_read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(read) => {
                let room = MOST_KEPT.saturating_sub(heard.len()).min(read);
                heard.extend_from_slice(&chunk[..room]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
