//! An agent in a folder of its own, started, heard and ended by a bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::ready_socket::ReadySocket;

/// A folder with configuration, state and logs. What holds it at the end is killed.
pub(crate) struct Agent {
    folder: tempfile::TempDir,
    pub(crate) socket: ReadySocket,
    child: Option<Child>,
}

impl Agent {
    /// A folder with a configuration and no process yet; `extra` is added to the configuration.
    pub(crate) fn new(extra: &str) -> Result<Self, String> {
        let folder = crate::folder()?;
        let socket = ReadySocket::bind(folder.path())?;
        let agent = Self { folder, socket, child: None };
        agent.configure(extra)?;
        Ok(agent)
    }

    pub(crate) fn configure(&self, extra: &str) -> Result<(), String> {
        let logs = self.path("app.log");
        self.configure_wholly(&format!(
            "agent: {{log_level: warn}}\nlogcollector:\n  files: [{}]\n  start_at: beginning\n{extra}",
            logs.display()
        ))
    }

    /// Gives it `text` as its whole configuration.
    pub(crate) fn configure_wholly(&self, text: &str) -> Result<(), String> {
        fs::write(self.path("agent.yml"), text).map_err(|error| format!("agent.yml: {error}"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(crate::program());
        command.arg(verb).arg("--config").arg(self.path("agent.yml"));
        command.arg("--state-dir").arg(self.path("state")).arg("--run-dir").arg(self.path("run"));
        command.stdin(Stdio::null());
        command
    }

    /// Starts the agent and says how long it took until it was ready, in ms.
    pub(crate) fn start(&mut self) -> Result<f64, String> {
        let log = fs::File::create(self.path("agent.log")).map_err(|error| error.to_string())?;
        let mut command = self.command("run");
        command.env("NOTIFY_SOCKET", self.socket.path()).stdout(Stdio::null()).stderr(log);
        let (child, took) =
            until_ready(&mut command, &self.socket).map_err(|error| self.with_log(&error))?;
        self.child = Some(child);
        Ok(took)
    }

    /// Runs a verb of the command line, which has to succeed, and reads what it prints.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Value, String> {
        let mut command = self.command(words[0]);
        let output = command.args(&words[1..]).arg("--json").output();
        let output = output.map_err(|error| format!("{words:?}: {error}"))?;
        read(&output).map_err(|error| self.with_log(&format!("{words:?}: {error}")))
    }

    /// The pid of the process that holds the folder.
    pub(crate) fn pid(&self) -> Result<Pid, String> {
        let text = fs::read_to_string(self.path("state/agent.lock")).unwrap_or_default();
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| format!("no process holds {}", self.folder.path().display()))
    }

    /// Ends the agent and waits until it is gone.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.ask(&["stop"])?;
        self.reap();
        Ok(())
    }

    /// Kills whatever process holds the folder.
    pub(crate) fn kill(&mut self) {
        if let Ok(pid) = self.pid()
            && works_in(pid, self.folder.path())
            && let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
        {
            pidfd_send_signal(&process, Signal::KILL).ok();
        }
        self.reap();
    }

    /// Takes the end of the first process.
    pub(crate) fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().ok();
        }
    }

    fn with_log(&self, error: &str) -> String {
        format!(
            "{error}; its log:\n{}",
            fs::read_to_string(self.path("agent.log")).unwrap_or_default()
        )
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
        }
        self.kill();
    }
}

/// A pid may be another process by now, which is not ours to kill.
fn works_in(pid: Pid, folder: &Path) -> bool {
    let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let ours = folder.as_os_str().as_encoded_bytes();
    words.windows(ours.len()).any(|window| window == ours)
}

fn read(output: &Output) -> Result<Value, String> {
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Spawns, and says how long it took until READY=1, in ms. What is not ready is killed.
pub(crate) fn until_ready(
    command: &mut Command,
    socket: &ReadySocket,
) -> Result<(Child, f64), String> {
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    match socket.until_ready() {
        Ok(ready) => Ok((child, ready.duration_since(began).as_secs_f64() * 1e3)),
        Err(error) => {
            child.kill().ok();
            child.wait().ok();
            Err(error)
        }
    }
}
