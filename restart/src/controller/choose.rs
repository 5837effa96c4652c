//! Tells which way of being replaced fits this very process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::systemd::main_process_of_a_unit;
use super::{
    ExecController, HelperController, LaunchPlan, Method, ProcessController, StartEnvironment,
    SystemdController,
};
use crate::DescriptorStore;

/// Exists exactly while systemd is PID 1.
const SYSTEMD_RUNS: &str = "/run/systemd/system";

/// What the configuration says about the method (`restart.method`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MethodChoice {
    /// Whatever fits the process.
    #[default]
    Auto,
    /// See [`Method::Systemd`].
    Systemd,
    /// See [`Method::Helper`].
    Helper,
    /// See [`Method::Exec`].
    Exec,
}

/// What is known about this process and its surroundings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The pid of this process.
    pub pid: i32,
    /// Whether systemd is PID 1.
    pub systemd_runs: bool,
    /// `SYSTEMD_EXEC_PID`.
    pub systemd_exec_pid: Option<i32>,
    /// Whether systemd, asked, calls this process the main process of its unit. Asked only where `SYSTEMD_EXEC_PID` is
    /// missing (before systemd 248).
    pub is_main_process: bool,
}

impl Facts {
    /// Looks around. Asks systemd, for a few seconds at most, only where the environment does not tell.
    pub async fn gather(environment: &StartEnvironment) -> Self {
        let systemd_runs = std::path::Path::new(SYSTEMD_RUNS).is_dir();
        let ask = systemd_runs && environment.systemd_exec_pid.is_none() && environment.pid != 1;
        Self {
            pid: environment.pid,
            systemd_runs,
            systemd_exec_pid: environment.systemd_exec_pid,
            is_main_process: ask && main_process_of_a_unit(environment).await,
        }
    }
}

/// The method for a process of which `facts` are known. What is configured wins over what is found.
#[must_use]
pub fn choose(configured: MethodChoice, facts: &Facts) -> Method {
    match configured {
        MethodChoice::Systemd => Method::Systemd,
        MethodChoice::Helper => Method::Helper,
        MethodChoice::Exec => Method::Exec,
        MethodChoice::Auto if is_unit(facts) => Method::Systemd,
        // The children of a container's PID 1 die with it, so no helper could outlive it.
        MethodChoice::Auto if facts.pid == 1 => Method::Exec,
        MethodChoice::Auto => Method::Helper,
    }
}

/// The controller for `method`, for a process that was started as `launch` says and whose descriptors are in `store`.
#[must_use]
pub fn controller_for(
    method: Method,
    environment: &StartEnvironment,
    launch: &LaunchPlan,
    store: &DescriptorStore,
) -> Arc<dyn ProcessController> {
    match method {
        Method::Systemd => Arc::new(SystemdController::new(environment.clone(), store.clone())),
        Method::Helper => Arc::new(HelperController::new(launch.clone())),
        Method::Exec => Arc::new(ExecController::new(launch.clone())),
    }
}

/// `INVOCATION_ID` is not asked: everything that is started from within a unit inherits it.
fn is_unit(facts: &Facts) -> bool {
    facts.systemd_runs
        && match facts.systemd_exec_pid {
            Some(pid) => pid == facts.pid,
            None => facts.is_main_process,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_HAND: Facts =
        Facts { pid: 100, systemd_runs: true, systemd_exec_pid: None, is_main_process: false };

    #[test]
    fn only_the_main_process_of_a_unit_is_restarted_by_systemd() {
        let auto = |facts| choose(MethodChoice::Auto, &facts);
        assert_eq!(auto(BY_HAND), Method::Helper);
        assert_eq!(auto(Facts { systemd_exec_pid: Some(100), ..BY_HAND }), Method::Systemd);
        assert_eq!(auto(Facts { is_main_process: true, ..BY_HAND }), Method::Systemd);
        // Started by hand from within another unit, or by a wrapper script.
        assert_eq!(auto(Facts { systemd_exec_pid: Some(99), ..BY_HAND }), Method::Helper);
        let inherited = Facts { systemd_exec_pid: Some(99), is_main_process: true, ..BY_HAND };
        assert_eq!(auto(inherited), Method::Helper);
        // The variable came along into a container without systemd.
        let container = Facts { systemd_runs: false, systemd_exec_pid: Some(100), ..BY_HAND };
        assert_eq!(auto(container), Method::Helper);
    }

    #[test]
    fn the_first_process_of_a_container_execs_in_place() {
        assert_eq!(choose(MethodChoice::Auto, &Facts { pid: 1, ..BY_HAND }), Method::Exec);
    }

    #[test]
    fn what_is_configured_wins() {
        let unit = Facts { systemd_exec_pid: Some(100), ..BY_HAND };
        for (configured, method) in [
            (MethodChoice::Systemd, Method::Systemd),
            (MethodChoice::Helper, Method::Helper),
            (MethodChoice::Exec, Method::Exec),
        ] {
            assert_eq!(choose(configured, &unit), method);
            assert_eq!(choose(configured, &BY_HAND), method);
        }
    }

    #[test]
    fn the_names_in_the_configuration_are_those_of_the_methods() {
        for (text, choice) in [
            ("\"auto\"", MethodChoice::Auto),
            ("\"systemd\"", MethodChoice::Systemd),
            ("\"helper\"", MethodChoice::Helper),
            ("\"exec\"", MethodChoice::Exec),
        ] {
            assert_eq!(serde_json::from_str::<MethodChoice>(text).unwrap(), choice);
        }
    }
}
