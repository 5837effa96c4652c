//! What the starter of this process told it through environment variables, read once.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::identity::own_pid;

/// The variables that systemd, a helper or an exec in place set for this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartEnvironment {
    /// The pid of this process.
    pub pid: i32,
    /// `LISTEN_PID`: whom the handed-over descriptors are meant for.
    pub listen_pid: Option<i32>,
    /// `LISTEN_FDS`: how many there are, from 3 on.
    pub listen_fds: Option<u32>,
    /// `LISTEN_FDNAMES`: their names, in order.
    pub listen_fdnames: Vec<String>,
    /// `NOTIFY_SOCKET`: where the state of the service is reported to.
    pub notify_socket: Option<OsString>,
    /// `WATCHDOG_USEC`: how long the service may be silent.
    pub watchdog: Option<Duration>,
    /// `WATCHDOG_PID`: who has to report.
    pub watchdog_pid: Option<i32>,
    /// `SYSTEMD_EXEC_PID` (systemd 248 and up): the main process of the unit.
    pub systemd_exec_pid: Option<i32>,
    /// `INVOCATION_ID`. Inherited by everything a unit starts, so it proves nothing about this process.
    pub invocation_id: Option<String>,
    /// `XDG_RUNTIME_DIR`: where a user's own service manager listens.
    pub runtime_dir: Option<PathBuf>,
    /// `DBUS_SESSION_BUS_ADDRESS`.
    pub session_bus: Option<String>,
}

impl StartEnvironment {
    /// Reads the variables of this process. Call it once, before any thread is started.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads these variables")]
    pub fn capture() -> Self {
        Self::from_lookup(own_pid(), |name| std::env::var_os(name))
    }

    /// The same from any source of variables. A value that is not of its documented form counts as absent.
    #[must_use]
    pub fn from_lookup(pid: i32, lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| lookup(name).and_then(|value| value.into_string().ok());
        let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
        let pid_of = |name: &str| number(name).and_then(|value| i32::try_from(value).ok());
        Self {
            pid,
            listen_pid: pid_of("LISTEN_PID"),
            listen_fds: number("LISTEN_FDS").and_then(|value| u32::try_from(value).ok()),
            listen_fdnames: text("LISTEN_FDNAMES")
                .map(|names| names.split(':').map(str::to_owned).collect())
                .unwrap_or_default(),
            notify_socket: lookup("NOTIFY_SOCKET").filter(|value| !value.is_empty()),
            watchdog: number("WATCHDOG_USEC").filter(|usec| *usec > 0).map(Duration::from_micros),
            watchdog_pid: pid_of("WATCHDOG_PID"),
            systemd_exec_pid: pid_of("SYSTEMD_EXEC_PID"),
            invocation_id: text("INVOCATION_ID"),
            runtime_dir: lookup("XDG_RUNTIME_DIR")
                .map(PathBuf::from)
                .filter(|dir| dir.is_absolute()),
            session_bus: text("DBUS_SESSION_BUS_ADDRESS").filter(|address| !address.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> StartEnvironment {
        StartEnvironment::from_lookup(7, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_empty_environment_says_nothing() {
        assert_eq!(from(&[]), StartEnvironment { pid: 7, ..StartEnvironment::default() });
    }

    #[test]
    fn every_variable_lands_in_its_field() {
        let environment = from(&[
            ("LISTEN_PID", "7"),
            ("LISTEN_FDS", "2"),
            ("LISTEN_FDNAMES", "control:fim.inotify"),
            ("NOTIFY_SOCKET", "@abc"),
            ("WATCHDOG_USEC", "1500000"),
            ("WATCHDOG_PID", "7"),
            ("SYSTEMD_EXEC_PID", "7"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ]);
        assert_eq!((environment.listen_pid, environment.listen_fds), (Some(7), Some(2)));
        assert_eq!(environment.listen_fdnames, ["control", "fim.inotify"]);
        assert_eq!(environment.watchdog, Some(Duration::from_millis(1500)));
        assert_eq!(environment.systemd_exec_pid, Some(7));
        assert_eq!(environment.runtime_dir, Some("/run/user/1000".into()));
    }

    #[test]
    fn values_of_another_form_count_as_absent() {
        let environment = from(&[
            ("LISTEN_PID", "-1"),
            ("LISTEN_FDS", "many"),
            ("NOTIFY_SOCKET", ""),
            ("WATCHDOG_USEC", "0"),
            ("SYSTEMD_EXEC_PID", "99999999999"),
            ("XDG_RUNTIME_DIR", "relative"),
        ]);
        assert_eq!(environment, StartEnvironment { pid: 7, ..StartEnvironment::default() });
    }
}
