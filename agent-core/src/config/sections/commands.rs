//! Section `commands`: how commands are treated, and whether its values fit together.

use std::time::Duration;

use command_manager::{Settings, TimeToLive};
use module_api::units::format_duration;
use serde::Deserialize;

use super::super::values::{
    duration_between, number_between, optional_duration_between, subsection,
};
use super::RestartConfig;

/// Section `commands`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandsConfig {
    /// `max_attempts`: a command in the middle of which the agent was killed this often is given up. Default 2, 1 to 10.
    #[serde(deserialize_with = "number_between::<1, 10, _, _>")]
    pub max_attempts: u32,
    /// `max_restarts_per_hour`: further restarts of the agent are refused with the time to wait. Default 60, 0 to 1,000; 0
    /// means that no number is too many. A restart that joins another does not count.
    #[serde(deserialize_with = "number_between::<0, 1_000, _, _>")]
    pub max_restarts_per_hour: u32,
    /// `timeout`: a command that is under way for longer ends as `timeout`. 1 s to 1 d, and not less than what a restart of
    /// the agent may take. `None`: 5 min, or what a restart may take if that is more.
    #[serde(deserialize_with = "optional_duration_between::<1_000, 86_400_000, _>")]
    pub timeout: Option<Duration>,
    /// `time_to_live`: how long a command waits for its turn at most, unless it says so itself.
    #[serde(deserialize_with = "subsection")]
    pub time_to_live: TimeToLiveConfig,
    /// `keep_finished`: how many of the newest commands are kept with all details. Default 10,000, 1,000 to 1,000,000.
    #[serde(deserialize_with = "number_between::<1_000, 1_000_000, _, _>")]
    pub keep_finished: u32,
    /// `keep_for`: how long a finished command is kept so. Default 7 d, 1 h to 366 d.
    #[serde(deserialize_with = "duration_between::<3_600_000, 31_622_400_000, _>")]
    pub keep_for: Duration,
    /// `remember_ids_for`: how long after its end the id of a command is known, so that it has no second effect. Default
    /// 30 d, 1 h to 3,660 d, at least `keep_for`.
    #[serde(deserialize_with = "duration_between::<3_600_000, 316_224_000_000, _>")]
    pub remember_ids_for: Duration,
    /// `report_for`: how long a result is sent again to a receiver that does not acknowledge it. Default 7 d, 1 min to
    /// 366 d.
    #[serde(deserialize_with = "duration_between::<60_000, 31_622_400_000, _>")]
    pub report_for: Duration,
}

/// Section `commands.time_to_live`, by the type of command. A stop has none: it waits for no turn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimeToLiveConfig {
    /// `restart-agent`. Default 1 h, 1 s to 366 d, as for the others.
    #[serde(deserialize_with = "duration_between::<1_000, 31_622_400_000, _>")]
    pub restart_agent: Duration,
    /// `restart-module`.
    #[serde(deserialize_with = "duration_between::<1_000, 31_622_400_000, _>")]
    pub restart_module: Duration,
    /// `reload`.
    #[serde(deserialize_with = "duration_between::<1_000, 31_622_400_000, _>")]
    pub reload: Duration,
    /// `check-config`.
    #[serde(deserialize_with = "duration_between::<1_000, 31_622_400_000, _>")]
    pub check_config: Duration,
}

/// Values of the section that contradict each other or those of `restart`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::config) enum CommandsError {
    /// A restart that goes as it may would be called a failure.
    #[error(
        "timeout {} is less than a restart of the agent may take: restart.timeout {} + start_timeout {} + \
         confirm_timeout {}",
        format_duration(*.timeout),
        format_duration(.restart.timeout),
        format_duration(.restart.start_timeout),
        format_duration(.restart.confirm_timeout)
    )]
    TimeoutBelowRestart {
        /// `commands.timeout`.
        timeout: Duration,
        /// Section `restart`.
        restart: Box<RestartConfig>,
    },
    /// An id is known for as long as its command is kept.
    #[error(
        "remember_ids_for {} is less than keep_for {}",
        format_duration(*.remembered),
        format_duration(*.kept)
    )]
    RememberedBelowKept {
        /// `remember_ids_for`.
        remembered: Duration,
        /// `keep_for`.
        kept: Duration,
    },
}

impl CommandsError {
    /// The key that is to blame.
    pub(in crate::config) fn key(&self) -> &'static str {
        match self {
            Self::TimeoutBelowRestart { .. } => "timeout",
            Self::RememberedBelowKept { .. } => "remember_ids_for",
        }
    }
}

/// How long a command may be under way if nobody said and no restart takes longer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl CommandsConfig {
    /// What the command manager does, without any reporters.
    pub(crate) fn settings(&self, restart: &RestartConfig) -> Settings {
        let most = longest_restart(restart);
        let TimeToLiveConfig { restart_agent, restart_module, reload, check_config } =
            self.time_to_live;
        Settings {
            max_attempts: self.max_attempts,
            max_restarts_per_hour: self.max_restarts_per_hour,
            timeout: self.timeout.unwrap_or_else(|| DEFAULT_TIMEOUT.max(most)),
            time_to_live: TimeToLive { restart_agent, restart_module, reload, check_config },
            keep_finished: self.keep_finished,
            keep_for: self.keep_for,
            remember_ids_for: self.remember_ids_for,
            report_for: self.report_for,
            reporters: Vec::new(),
            reporters_on_demand: Vec::new(),
        }
    }

    pub(in crate::config) fn check(&self, restart: &RestartConfig) -> Result<(), CommandsError> {
        if let Some(timeout) = self.timeout.filter(|timeout| *timeout < longest_restart(restart)) {
            return Err(CommandsError::TimeoutBelowRestart {
                timeout,
                restart: Box::new(restart.clone()),
            });
        }
        if self.remember_ids_for < self.keep_for {
            let (remembered, kept) = (self.remember_ids_for, self.keep_for);
            return Err(CommandsError::RememberedBelowKept { remembered, kept });
        }
        Ok(())
    }
}

/// What a restart of the agent may take from its beginning to its confirmation.
fn longest_restart(restart: &RestartConfig) -> Duration {
    restart.timeout + restart.start_timeout + restart.confirm_timeout
}

impl Default for CommandsConfig {
    fn default() -> Self {
        Self {
            max_attempts: 2,
            max_restarts_per_hour: 60,
            timeout: None,
            time_to_live: TimeToLiveConfig::default(),
            keep_finished: 10_000,
            keep_for: DAY * 7,
            remember_ids_for: DAY * 30,
            report_for: DAY * 7,
        }
    }
}

impl Default for TimeToLiveConfig {
    fn default() -> Self {
        Self { restart_agent: HOUR, restart_module: HOUR, reload: HOUR, check_config: HOUR }
    }
}
