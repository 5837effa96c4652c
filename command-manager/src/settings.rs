//! What an agent decides about its commands: attempts, limits, times and how long things are kept.

use std::time::Duration;

use crate::CommandType;

/// How commands are treated. [`Settings::default`] is what an agent without a configuration does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many attempts a command gets, at least 1. One that did not come to an end in the last of them is given up: it
    /// is more likely the cause than the victim. Default 2.
    pub max_attempts: u32,
    /// How many restarts of the whole agent are accepted within an hour; 0 is no limit. Default 60. More than that is a
    /// storm, which costs the machine more than it gives.
    pub max_restarts_per_hour: u32,
    /// How long a command may be under way before it ends as `timeout`; [`Duration::MAX`] is for ever. Default 5 min: a
    /// restart of the agent takes 30 s at most, its confirmation 15 s, and the start in between what the modules take.
    pub timeout: Duration,
    /// How long a command that says nothing about it may wait for its turn.
    pub time_to_live: TimeToLive,
    /// How many of the newest commands are kept with everything that is known about them. Default 10,000, about 20 MiB.
    /// Commands that are not finished are kept beside them.
    pub keep_finished: u32,
    /// How long a finished command is kept so, if fewer are. Default 7 days.
    pub keep_for: Duration,
    /// How long after its end the id of a command is known, with its final answer: the same id again within this time has
    /// no second effect. Default 30 days. What a command is kept for counts as well.
    pub remember_ids_for: Duration,
    /// How long a result is sent again to a reporter that does not acknowledge it. Default 7 days.
    pub report_for: Duration,
    /// The reporters that get every result, by name. A result is kept for each of them until it is acknowledged; what is
    /// kept for others is dropped when the journal is opened.
    pub reporters: Vec<String>,
    /// The reporters for which results are kept only once somebody has asked for them
    /// ([`CommandManager::demand`](crate::CommandManager::demand)), and until nobody has taken one for
    /// [`report_for`](Self::report_for).
    pub reporters_on_demand: Vec<String>,
}

impl Settings {
    pub(crate) fn all_reporters(&self) -> Vec<String> {
        self.reporters.iter().chain(&self.reporters_on_demand).cloned().collect()
    }
}

/// How long a command may wait for its turn before it expires, by its type. Default 1 h each: an order that old was given
/// in another situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeToLive {
    /// Of [`CommandType::RestartAgent`].
    pub restart_agent: Duration,
    /// Of [`CommandType::RestartModule`].
    pub restart_module: Duration,
    /// Of [`CommandType::Reload`].
    pub reload: Duration,
    /// Of [`CommandType::CheckConfig`].
    pub check_config: Duration,
}

impl TimeToLive {
    /// Of this type; `None` for a stop, which waits for no turn.
    #[must_use]
    pub fn of(&self, kind: CommandType) -> Option<Duration> {
        match kind {
            CommandType::RestartAgent => Some(self.restart_agent),
            CommandType::RestartModule => Some(self.restart_module),
            CommandType::Reload => Some(self.reload),
            CommandType::CheckConfig => Some(self.check_config),
            CommandType::Stop => None,
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for TimeToLive {
    fn default() -> Self {
        Self { restart_agent: HOUR, restart_module: HOUR, reload: HOUR, check_config: HOUR }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_attempts: 2,
            max_restarts_per_hour: 60,
            timeout: Duration::from_secs(5 * 60),
            time_to_live: TimeToLive::default(),
            keep_finished: 10_000,
            keep_for: 7 * DAY,
            remember_ids_for: 30 * DAY,
            report_for: 7 * DAY,
            reporters: Vec::new(),
            reporters_on_demand: Vec::new(),
        }
    }
}
