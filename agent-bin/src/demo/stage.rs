//! The temporary folder of the demonstration and the agent in it, by hand or as a unit; both are gone at the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use agent_core::control::ControlClient;
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::json;

use super::unit::Unit;

/// How long the agent may take to end when it is stopped: its own budget is 30 s.
const STOP_PATIENCE: Duration = Duration::from_secs(35);

/// Folder, configuration and agent.
#[derive(Debug)]
pub(super) struct Stage {
    folder: PathBuf,
    log_file: PathBuf,
    events: PathBuf,
    socket: PathBuf,
    arguments: Vec<OsString>,
    unit: Option<Unit>,
}

impl Stage {
    /// Makes the folder with an empty log and a configuration; starts nothing yet.
    pub(super) fn set_up(systemd: bool) -> Result<Self> {
        let name = format!("wazuh-agent-demo-{}", uuid::Uuid::now_v7().simple());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log_file = folder.join("app.log");
        let config = folder.join("wazuh-agent.yml");
        let arguments = [
            std::env::current_exe().context("cannot tell this program's own path")?.into(),
            "run".into(),
            "--config".into(),
            config.clone().into(),
            "--state-dir".into(),
            folder.join("state").into(),
            "--run-dir".into(),
            folder.join("run").into(),
        ];
        let mut stage = Self {
            events: folder.join("state/events.ndjson"),
            socket: folder.join("run/control.sock"),
            arguments: arguments.to_vec(),
            log_file,
            folder,
            unit: None,
        };
        File::create(&stage.log_file)?;
        let text = format!(
            "logcollector:\n  files: [{}]\n  read_interval: 10ms\n  start_at: beginning\n\
             commands:\n  max_restarts_per_hour: 0\n",
            json!(stage.log_file)
        );
        fs::write(config, text)?;
        if systemd {
            stage.unit = Some(Unit::install(&name, &stage.arguments)?);
        }
        Ok(stage)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn log_file(&self) -> &Path {
        &self.log_file
    }

    pub(super) fn events(&self) -> &Path {
        &self.events
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// How the agent is run, for people.
    pub(super) fn how(&self) -> String {
        self.unit
            .as_ref()
            .map_or_else(|| "by hand".to_owned(), |unit| format!("as {}", unit.name()))
    }

    /// Starts the agent; it may not be ready on return.
    #[expect(
        clippy::disallowed_methods,
        reason = "the demonstration runs an agent as a person would"
    )]
    pub(super) fn start_agent(&self) -> Result<()> {
        if let Some(unit) = &self.unit {
            return unit.start();
        }
        let log = File::create(self.folder.join("agent.log"))?;
        let child = Command::new(&self.arguments[0])
            .args(&self.arguments[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the agent")?;
        // It ends at the first restart, long before this process; its end is seen through the lock file's holder.
        std::thread::Builder::new().name("reap".to_owned()).spawn(move || {
            let mut child = child;
            child.wait()
        })?;
        Ok(())
    }

    /// Stops whatever agent works in the folder and waits for its end.
    pub(super) async fn stop_agent(&self) -> Result<()> {
        if let Some(unit) = &self.unit {
            return unit.stop();
        }
        let client = ControlClient::new(&self.socket);
        let status =
            client.get("/v1/status").await.context("the agent does not answer any more")?;
        let pid = status.body["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).context("the agent does not tell its pid")?;
        let process = pidfd_open(pid, PidfdFlags::empty()).context("the agent has ended")?;
        pidfd_send_signal(&process, Signal::TERM).context("the agent cannot be stopped")?;
        let within = Timespec { tv_sec: i64::try_from(STOP_PATIENCE.as_secs())?, tv_nsec: 0 };
        let waiting = tokio::task::spawn_blocking(move || {
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&within))
        });
        if waiting.await?? == 0 {
            bail!(
                "the agent (pid {}) did not stop; its log:\n{}",
                pid.as_raw_nonzero(),
                self.agent_log()
            );
        }
        Ok(())
    }

    /// How many lines were delivered so far.
    pub(super) fn delivered(&self) -> Result<u64> {
        let Ok(file) = File::open(&self.events) else { return Ok(0) };
        let mut lines = 0;
        for line in BufReader::new(file).lines() {
            lines += u64::from(line?.contains("\"module\":\"logcollector\""));
        }
        Ok(lines)
    }

    /// What the agent logged.
    pub(super) fn agent_log(&self) -> String {
        match &self.unit {
            Some(unit) => unit.journal(),
            None => fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default(),
        }
    }

    /// Kills the agent if it still works in the folder: nothing is left behind when the demonstration fails.
    fn kill_agent(&self) -> Option<()> {
        let text = fs::read_to_string(self.folder.join("state/agent.lock")).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let ours = self.folder.as_os_str().as_encoded_bytes();
        words.windows(ours.len()).find(|window| *window == ours)?;
        pidfd_send_signal(&process, Signal::KILL).ok()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The unit stops its agent when it is dropped; by hand there may be one left after a failure.
        if self.unit.take().is_none() && self.kill_agent().is_some() {
            tracing::debug!("the agent of the demonstration was killed");
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "cannot remove {}", self.folder.display());
        }
    }
}
