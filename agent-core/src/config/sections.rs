//! The agent's own sections as types: what each key means, its default and its range.

mod commands;
mod supervision;

use std::path::PathBuf;
use std::time::Duration;

use restart::{Limits, LimitsDoNotFit};
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use super::values::{
    Named, duration_between, mode, named, number_between, path, size_between, socket_path,
    subsection,
};

pub use commands::{CommandsConfig, TimeToLiveConfig};
pub use supervision::SupervisionConfig;

/// Names of the sections, which no module can have.
pub(super) const NAMES: [&str; 6] =
    ["agent", "restart", "supervision", "commands", "control", "events"];

/// Section `agent`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// `log_level`: the least important records that are still logged. Default `info`.
    #[serde(deserialize_with = "named")]
    pub log_level: LogLevel,
}

/// How much is logged: records of this level and of all above it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Something was lost or refused.
    Error,
    /// Something was not as expected, and the agent coped.
    Warn,
    /// What an operator wants to read afterwards: starts, stops, restarts.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

impl Named for LogLevel {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// Section `restart`. The budgets of one module, `ready_timeout + save_timeout + 2 x stop_timeout`, fit into
/// `timeout`; modules are stopped side by side.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartConfig {
    /// `method`: how the process is replaced. Default `auto`.
    #[serde(deserialize_with = "named")]
    pub method: RestartMethod,
    /// `timeout`: from the order to the last module ended, whatever modules do. Default 30 s, 1 s to 10 min.
    #[serde(deserialize_with = "duration_between::<1_000, 600_000, _>")]
    pub timeout: Duration,
    /// `ready_timeout`: how long a busy module is waited for. Default 10 s, 10 ms to 10 min.
    #[serde(deserialize_with = "duration_between::<10, 600_000, _>")]
    pub ready_timeout: Duration,
    /// `ready_poll`: pause between two questions to a busy module. Default 100 ms, 10 ms to 10 s.
    #[serde(deserialize_with = "duration_between::<10, 10_000, _>")]
    pub ready_poll: Duration,
    /// `save_timeout`: for a module to hand out its state. Default 5 s, 10 ms to 10 min.
    #[serde(deserialize_with = "duration_between::<10, 600_000, _>")]
    pub save_timeout: Duration,
    /// `stop_timeout`: for each of the two attempts to stop a module. Default 5 s, 10 ms to 10 min.
    #[serde(deserialize_with = "duration_between::<10, 600_000, _>")]
    pub stop_timeout: Duration,
    /// `start_timeout`: for a module to start. Default 10 s, 10 ms to 10 min.
    #[serde(deserialize_with = "duration_between::<10, 600_000, _>")]
    pub start_timeout: Duration,
    /// `confirm_timeout`: from when all modules of the new process have started or failed until all wanted ones run.
    /// Default 15 s, 10 ms to 10 min.
    #[serde(deserialize_with = "duration_between::<10, 600_000, _>")]
    pub confirm_timeout: Duration,
    /// `escalate`: whether the restart of a module of which something cannot be stopped becomes a restart of the whole
    /// agent. Default yes: only the end of the process frees what hangs.
    pub escalate: bool,
}

/// How the process is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestartMethod {
    /// Whichever of the others fits this process.
    #[default]
    Auto,
    /// systemd restarts the unit.
    Systemd,
    /// A helper process waits for the end of this one and starts the next.
    Helper,
    /// This process executes the new binary in its place.
    Exec,
}

impl Named for RestartMethod {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("systemd", Self::Systemd),
        ("helper", Self::Helper),
        ("exec", Self::Exec),
    ];
}

impl RestartConfig {
    /// The budgets of the shutdown loop. What the section has no key for is the loop's default.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            ready: self.ready_timeout,
            poll: self.ready_poll,
            save: self.save_timeout,
            stop: self.stop_timeout,
            overall: self.timeout,
            ..Limits::default()
        }
    }

    pub(super) fn check(&self) -> Result<(), LimitsDoNotFit> {
        self.limits().check().map(drop)
    }
}

impl Default for RestartConfig {
    fn default() -> Self {
        Self {
            method: RestartMethod::Auto,
            timeout: Duration::from_secs(30),
            ready_timeout: Duration::from_secs(10),
            ready_poll: Duration::from_millis(100),
            save_timeout: Duration::from_secs(5),
            stop_timeout: Duration::from_secs(5),
            start_timeout: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(15),
            escalate: true,
        }
    }
}

/// Section `control`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// `socket`: the control socket, an absolute path of at most 107 bytes. `None`: `control.sock` in the run folder.
    #[serde(deserialize_with = "socket_path")]
    pub socket: Option<PathBuf>,
    /// `mode`: the socket's permission bits, which decide who may connect. Default `0660`.
    #[serde(deserialize_with = "mode")]
    pub mode: u32,
    /// `allowed_uids`: users who may give orders, besides root and the agent's own user. Default none.
    pub allowed_uids: Vec<u32>,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self { socket: None, mode: 0o660, allowed_uids: Vec::new() }
    }
}

/// Section `events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// `max_stored`: events that may wait in the spool; when it is full, modules wait. Default 1,000,000, 1 to
    /// 1,000,000,000.
    #[serde(deserialize_with = "number_between::<1, 1_000_000_000, _, _>")]
    pub max_stored: u64,
    /// `file`: the output to a file.
    #[serde(deserialize_with = "subsection")]
    pub file: EventFileConfig,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { max_stored: 1_000_000, file: EventFileConfig::default() }
    }
}

/// Section `events.file`: events as NDJSON, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFileConfig {
    /// `enabled`: whether there is such a file. Default yes.
    pub enabled: bool,
    /// `path`: the file, an absolute path. `None`: `events.ndjson` in the state folder.
    #[serde(deserialize_with = "path")]
    pub path: Option<PathBuf>,
    /// `rotate_size`: bytes from which on a new file is begun. Default 100 MB, 1 KB to 100 GB.
    #[serde(deserialize_with = "size_between::<1_000, 100_000_000_000, _>")]
    pub rotate_size: u64,
    /// `keep`: older files that are kept beside the current one. Default 5, 0 to 1,000.
    #[serde(deserialize_with = "number_between::<0, 1_000, _, _>")]
    pub keep: u32,
}

impl Default for EventFileConfig {
    fn default() -> Self {
        Self { enabled: true, path: None, rotate_size: 100_000_000, keep: 5 }
    }
}
