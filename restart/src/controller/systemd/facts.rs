//! What systemd says about the unit, and whether it could be started again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zbus::OwnedObjectPath;

use super::kept::Kept;
use super::manager::{MANAGER, MANAGER_PATH, OwnUnit, SERVICE, SystemdError, UNIT};
use crate::StopTimeout;
use crate::controller::launch::why_not_executable;
use crate::controller::{EXIT_RESTART, Refusal};

/// The exec line of a unit as systemd shows it: program, arguments, whether failure is ignored, and when it ran how.
type ExecLine = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// What systemd says about the unit of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFacts {
    /// The unit's name.
    pub unit: String,
    /// `LoadState`: `loaded` for a unit that can be started.
    pub load_state: String,
    /// `UnitFileState`: what is on disk, `masked` for instance.
    pub unit_file_state: String,
    /// The unit's files have changed since systemd read them.
    pub needs_daemon_reload: bool,
    /// The programs of `ExecStart=`. Empty when they lie in a root of their own and cannot be looked at from here.
    pub programs: Vec<PathBuf>,
    /// The job under way for the unit: `stop`, `restart`, …
    pub job: Option<String>,
    /// How the manager is: `stopping` during shutdown.
    pub manager_state: String,
    /// `TimeoutStopUSec`: after this long systemd kills the stopping process. `None` is never.
    pub stop_timeout: Option<Duration>,
    /// `Restart=`.
    pub restart: String,
    /// The exit statuses of `RestartForceExitStatus=`.
    pub forced_by_status: Vec<i32>,
    /// The exit statuses of `RestartPreventExitStatus=`.
    pub prevented_by_status: Vec<i32>,
    /// How often the unit may be started before systemd leaves it stopped; `None` without a limit.
    pub start_limit: Option<StartLimit>,
    /// `FileDescriptorStoreMax=`.
    pub most_descriptors: u32,
    /// `NFileDescriptorStore`: how many are kept now.
    pub kept_descriptors: u32,
}

/// The start limit of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartLimit {
    /// `StartLimitBurst=`: how many starts.
    pub starts: u32,
    /// `StartLimitIntervalSec=`: within which time.
    pub interval: Duration,
    /// `StartLimitAction=`: what systemd does when it is hit, `none` or for instance `reboot`.
    pub action: String,
    /// Whether this process may reset the counter without a rule of polkit that allows it.
    pub may_be_reset: bool,
}

impl OwnUnit {
    pub(super) async fn facts(&self) -> Result<UnitFacts, SystemdError> {
        let own_root = !self.property::<String>(SERVICE, "RootDirectory").await?.is_empty()
            || !self.property::<String>(SERVICE, "RootImage").await?.is_empty();
        let lines: Vec<ExecLine> = self.property(SERVICE, "ExecStart").await?;
        let programs = lines.into_iter().map(|line| PathBuf::from(line.0)).collect();
        let (forced_by_status, _): (Vec<i32>, Vec<i32>) =
            self.property(SERVICE, "RestartForceExitStatus").await?;
        let (prevented_by_status, _): (Vec<i32>, Vec<i32>) =
            self.property(SERVICE, "RestartPreventExitStatus").await?;
        Ok(UnitFacts {
            unit: self.id.clone(),
            load_state: self.property(UNIT, "LoadState").await?,
            unit_file_state: self.property(UNIT, "UnitFileState").await?,
            needs_daemon_reload: self.property(UNIT, "NeedDaemonReload").await?,
            programs: if own_root { Vec::new() } else { programs },
            job: self.job().await?,
            manager_state: self.property_of(MANAGER_PATH, MANAGER, "SystemState").await?,
            stop_timeout: self.stop_timeout().await?.map(|timeout| timeout.after),
            restart: self.property(SERVICE, "Restart").await?,
            forced_by_status,
            prevented_by_status,
            start_limit: self.start_limit().await?,
            most_descriptors: self.property(SERVICE, "FileDescriptorStoreMax").await?,
            kept_descriptors: self.property(SERVICE, "NFileDescriptorStore").await?,
        })
    }

    async fn start_limit(&self) -> Result<Option<StartLimit>, SystemdError> {
        let interval: u64 = self.property(UNIT, "StartLimitIntervalUSec").await?;
        let starts: u32 = self.property(UNIT, "StartLimitBurst").await?;
        let action = self.property(UNIT, "StartLimitAction").await?;
        let interval = Duration::from_micros(interval);
        let may_be_reset = self.of_user || rustix::process::geteuid().is_root();
        let limit = StartLimit { starts, interval, action, may_be_reset };
        Ok((starts > 0 && !interval.is_zero()).then_some(limit))
    }

    /// `TimeoutStopUSec` alone, which is one call; `None` is never.
    pub(super) async fn stop_timeout(&self) -> Result<Option<StopTimeout>, SystemdError> {
        let micros: u64 = self.property(SERVICE, "TimeoutStopUSec").await?;
        Ok(after(micros).map(|after| StopTimeout { unit: self.id.clone(), after }))
    }

    /// `NFileDescriptorStore` and `FileDescriptorStoreMax` alone.
    pub(super) async fn kept_descriptors(&self) -> Result<Kept, SystemdError> {
        Ok(Kept {
            now: self.property(SERVICE, "NFileDescriptorStore").await?,
            most: self.property(SERVICE, "FileDescriptorStoreMax").await?,
        })
    }

    /// The job under way for the unit: `stop`, `restart`, …
    pub(super) async fn job(&self) -> Result<Option<String>, SystemdError> {
        let (job, path): (u32, OwnedObjectPath) = self.property(UNIT, "Job").await?;
        Ok(if job == 0 { None } else { self.job_type(&path).await })
    }

    /// `None` also when the job has ended since.
    async fn job_type(&self, path: &OwnedObjectPath) -> Option<String> {
        let kind = self.property_of(path.as_str(), "org.freedesktop.systemd1.Job", "JobType").await;
        kind.inspect_err(|error| tracing::debug!(%error, "the unit's job is gone")).ok()
    }
}

/// What `TimeoutStopUSec` says. `infinity` is shown as the greatest number, and so is 0, which means the same in a unit.
fn after(micros: u64) -> Option<Duration> {
    (micros != u64::MAX).then(|| Duration::from_micros(micros))
}

impl UnitFacts {
    /// Whether systemd could stop the unit and start it again.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.check_with(why_not_executable)
    }

    /// What does not keep systemd from restarting the unit, and should be known.
    pub(super) fn warnings(&self) -> Vec<String> {
        let unit = &self.unit;
        let mut warnings = Vec::new();
        if self.needs_daemon_reload {
            warnings.push(format!(
                "the file of {unit} has changed, and systemd uses what it read before; run systemctl daemon-reload"
            ));
        }
        if let Some(StartLimit { starts, interval, action, may_be_reset }) = &self.start_limit {
            let limit = format!("{starts} starts within {} s", interval.as_secs_f64());
            if !may_be_reset {
                warnings.push(format!(
                    "this user may not reset the counter of starts: after {limit} systemd leaves {unit} stopped; run the agent as root, or set StartLimitIntervalSec=0"
                ));
            }
            if action != "none" {
                warnings.push(format!(
                    "after {limit} systemd carries out StartLimitAction={action} of {unit}; the counter is reset before each restart, but not before starts by others"
                ));
            }
        }
        warnings
    }

    fn check_with(&self, why_not: impl Fn(&Path) -> Option<String>) -> Result<(), Refusal> {
        let unit = self.unit.clone();
        if self.manager_state == "stopping" {
            return Err(Refusal::ShuttingDown);
        }
        if self.job.as_deref() == Some("stop") {
            return Err(Refusal::BeingStopped { unit });
        }
        if self.load_state == "masked" || self.unit_file_state.starts_with("masked") {
            let reason = format!("it is masked; run systemctl unmask {unit}");
            return Err(Refusal::Unit { unit, reason });
        }
        if self.load_state != "loaded" {
            let reason = format!("its state is {}; see systemctl status {unit}", self.load_state);
            return Err(Refusal::Unit { unit, reason });
        }
        for program in &self.programs {
            if let Some(reason) = why_not(program) {
                return Err(Refusal::Executable { path: program.clone(), reason });
            }
        }
        Ok(())
    }
}

/// Whether systemd restarts the unit when its main process exits with status 75.
pub(super) fn restarts_on_75(facts: &UnitFacts) -> bool {
    let status = i32::from(EXIT_RESTART);
    let on_failure = matches!(facts.restart.as_str(), "always" | "on-failure");
    let forced = facts.forced_by_status.contains(&status);
    (on_failure || forced) && !facts.prevented_by_status.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> UnitFacts {
        UnitFacts {
            unit: "agent.service".to_owned(),
            load_state: "loaded".to_owned(),
            unit_file_state: "enabled".to_owned(),
            needs_daemon_reload: true,
            programs: vec!["/usr/bin/agent".into()],
            job: None,
            manager_state: "running".to_owned(),
            stop_timeout: Some(Duration::from_secs(90)),
            restart: "no".to_owned(),
            forced_by_status: Vec::new(),
            prevented_by_status: Vec::new(),
            start_limit: None,
            most_descriptors: 64,
            kept_descriptors: 0,
        }
    }

    fn check(change: impl Fn(&mut UnitFacts)) -> Result<(), Refusal> {
        let mut facts = facts();
        change(&mut facts);
        facts.check_with(|_| None)
    }

    #[test]
    fn a_stop_timeout_of_infinity_is_none() {
        assert_eq!(after(u64::MAX), None);
        assert_eq!(after(1_500_000), Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn a_loaded_unit_can_be_restarted_also_when_its_file_has_changed_or_the_system_is_degraded() {
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|facts| facts.manager_state = "degraded".to_owned()), Ok(()));
        assert_eq!(check(|facts| facts.job = Some("restart".to_owned())), Ok(()));
    }

    #[test]
    fn a_changed_file_and_a_start_limit_that_can_do_harm_are_warned_about() {
        let warnings = |change: &dyn Fn(&mut UnitFacts)| {
            let mut facts = UnitFacts { needs_daemon_reload: false, ..facts() };
            change(&mut facts);
            facts.warnings().join("|")
        };
        let limit = |action: &str, may_be_reset| {
            let (starts, interval) = (5, Duration::from_secs(10));
            Some(StartLimit { starts, interval, action: action.to_owned(), may_be_reset })
        };
        assert_eq!(warnings(&|_| ()), "");
        assert_eq!(warnings(&|facts| facts.start_limit = limit("none", true)), "");
        let changed = warnings(&|facts| facts.needs_daemon_reload = true);
        assert!(changed.contains("systemctl daemon-reload"), "{changed}");
        let reboot = warnings(&|facts| facts.start_limit = limit("reboot", true));
        assert!(reboot.contains("5 starts within 10 s"), "{reboot}");
        assert!(reboot.contains("StartLimitAction=reboot"), "{reboot}");
        let denied = warnings(&|facts| facts.start_limit = limit("none", false));
        assert!(denied.contains("may not reset the counter of starts"), "{denied}");
    }

    #[test]
    fn a_unit_that_systemd_would_not_start_is_refused() {
        for state in ["masked", "not-found", "bad-setting", "error"] {
            let refusal = check(|facts| facts.load_state = state.to_owned()).unwrap_err();
            assert!(matches!(&refusal, Refusal::Unit { .. }), "{refusal}");
            assert!(refusal.to_string().contains(state), "{refusal}");
        }
        let masked =
            check(|facts| facts.unit_file_state = "masked-runtime".to_owned()).unwrap_err();
        assert!(masked.to_string().contains("systemctl unmask agent.service"), "{masked}");
        let refusal = facts().check_with(|_| Some("gone".to_owned())).unwrap_err();
        assert!(refusal.to_string().contains("/usr/bin/agent: gone"), "{refusal}");
    }

    #[test]
    fn a_shutdown_and_an_operators_stop_win() {
        assert_eq!(
            check(|facts| facts.manager_state = "stopping".to_owned()),
            Err(Refusal::ShuttingDown)
        );
        assert!(matches!(
            check(|facts| facts.job = Some("stop".to_owned())),
            Err(Refusal::BeingStopped { .. })
        ));
    }

    #[test]
    fn status_75_is_only_used_where_the_unit_restarts_on_it() {
        let with = |restart: &str, forced: &[i32], prevented: &[i32]| {
            restarts_on_75(&UnitFacts {
                restart: restart.to_owned(),
                forced_by_status: forced.to_vec(),
                prevented_by_status: prevented.to_vec(),
                ..facts()
            })
        };
        assert!(!with("no", &[], &[]));
        assert!(with("no", &[75], &[]));
        assert!(with("always", &[], &[]));
        assert!(with("on-failure", &[], &[]));
        assert!(!with("on-abnormal", &[], &[]));
        assert!(!with("always", &[75], &[75]));
    }
}
