//! Replaces the process by asking systemd to restart the unit whose main process it is.
//!
//! Asked in this order, until one works: D-Bus, `systemctl`, and the exit status that the unit lists under
//! `RestartForceExitStatus=`. The restart itself lives in PID 1, so no process of ours has to outlive the agent.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Method, ProcessController, Refusal, ReplaceError, Requested};
use crate::hand_over::check_names;
use crate::{CommittedTicket, Notifier, NotifyError, StartEnvironment, StopTimeout};

mod facts;
mod job;
mod manager;
mod private;
mod systemctl;

pub use facts::UnitFacts;
use facts::restarts_on_75;
pub use manager::SystemdError;
use manager::find_own_unit;

/// How long systemd may take to confirm that it keeps the descriptors. It is one round trip unless PID 1 is stuck.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether systemd calls this process the main process of one of its units. Takes a few seconds at most.
pub(super) async fn main_process_of_a_unit(environment: &StartEnvironment) -> bool {
    match find_own_unit(environment).await {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, "this process is not the main process of a unit");
            false
        }
    }
}

/// The controller for the main process of a systemd unit.
#[derive(Debug)]
pub struct SystemdController {
    environment: StartEnvironment,
    notifier: Notifier,
}

impl SystemdController {
    /// A controller for this process, which was started with `environment` and reports through `notifier`.
    #[must_use]
    pub fn new(environment: StartEnvironment, notifier: Notifier) -> Self {
        Self { environment, notifier }
    }

    /// What systemd says about the unit of this process now.
    ///
    /// # Errors
    /// [`SystemdError`]: there is no such unit, or systemd cannot be asked.
    pub async fn unit_facts(&self) -> Result<UnitFacts, SystemdError> {
        find_own_unit(&self.environment).await?.facts().await
    }

    /// Gives `fds` to systemd and waits until they are kept. What cannot be kept is not there after the restart, which
    /// the next process finds out and makes good; the restart itself is not at stake.
    async fn store(&self, fds: Vec<(String, OwnedFd)>) -> Result<(), ReplaceError> {
        if fds.is_empty() {
            return Ok(());
        }
        if !self.notifier.is_active() {
            tracing::warn!("no NOTIFY_SOCKET, so systemd cannot keep descriptors over the restart");
            return Ok(());
        }
        let count = fds.len();
        let notifier = self.notifier.clone();
        let stored = tokio::task::spawn_blocking(move || store_all(&notifier, &fds)).await;
        match stored.map_err(|error| ReplaceError::Systemd(error.to_string()))? {
            Ok(()) => {}
            Err(error @ NotifyError::BarrierTimeout(_)) => {
                tracing::warn!(%error, "systemd may not keep all descriptors over the restart");
            }
            Err(error) => return Err(error.into()),
        }
        match self.unit_facts().await {
            Ok(facts) if (facts.kept_descriptors as usize) < count => tracing::warn!(
                kept = facts.kept_descriptors,
                most = facts.most_descriptors,
                wanted = count,
                "systemd does not keep all descriptors; raise FileDescriptorStoreMax="
            ),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "cannot ask how many descriptors systemd keeps"),
        }
        Ok(())
    }
}

/// Anything kept under the same name is let go first: the next process takes one per name.
fn store_all(notifier: &Notifier, fds: &[(String, OwnedFd)]) -> Result<(), NotifyError> {
    for (name, fd) in fds {
        notifier.remove_fd(name)?;
        notifier.store_fd(name, fd.as_fd())?;
    }
    notifier.barrier(BARRIER_TIMEOUT)
}

#[async_trait]
impl ProcessController for SystemdController {
    fn method(&self) -> Method {
        Method::Systemd
    }

    async fn preflight(&self) -> Result<(), Refusal> {
        match self.unit_facts().await {
            Ok(facts) => {
                if facts.needs_daemon_reload {
                    let unit = &facts.unit;
                    tracing::warn!(%unit, "the unit file has changed; systemd uses what it read before");
                }
                facts.check()
            }
            // Whatever is asked for, nobody would start this process again.
            Err(error) if self.environment.systemd_exec_pid != Some(self.environment.pid) => {
                Err(Refusal::NotAUnit { reason: error.to_string() })
            }
            Err(error) => {
                tracing::warn!(%error, "systemd cannot be asked whether the unit can be restarted");
                Ok(())
            }
        }
    }

    async fn request(
        &self,
        ticket: &mut CommittedTicket,
        fds: Vec<(String, OwnedFd)>,
        _remaining: Duration,
    ) -> Result<Requested, ReplaceError> {
        check_names(fds.iter().map(|(name, _)| name.as_str())).map_err(ReplaceError::HandOver)?;
        self.store(fds).await?;
        ticket.record_request(None)?;

        let found = find_own_unit(&self.environment).await;
        let over_d_bus = match &found {
            Ok(unit) => job::restart(unit).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let first = match over_d_bus {
            Ok(fate) => return Ok(Requested::SigtermWillCome { fate, call_off: None }),
            Err(error) => error,
        };
        tracing::warn!(error = %first, "systemd cannot be asked over D-Bus, trying systemctl");

        let second = match systemctl::restart(found.as_ref().ok()).await {
            Ok(()) => {
                // Nobody watches the job, so nothing more will be known.
                let (_, fate) = oneshot::channel();
                return Ok(Requested::SigtermWillCome { fate, call_off: None });
            }
            Err(error) => error,
        };
        tracing::warn!(error = %second, "systemctl does not work either, trying exit status 75");

        let facts = match &found {
            Ok(unit) => unit.facts().await.ok(),
            Err(_) => None,
        };
        if facts.is_some_and(|facts| !restarts_on_75(&facts)) {
            let why = format!("{first}; {second}; and the unit has no RestartForceExitStatus=75");
            return Err(ReplaceError::Systemd(why));
        }
        Ok(Requested::ExitWith75)
    }

    async fn renounce(&self) -> Result<(), String> {
        let found = find_own_unit(&self.environment).await;
        let over_d_bus = match &found {
            Ok(unit) => job::stop(unit).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let Err(first) = over_d_bus else { return Ok(()) };
        tracing::warn!(error = %first, "systemd cannot be asked over D-Bus, trying systemctl");
        let second = systemctl::stop(found.as_ref().ok()).await;
        second.map_err(|second| format!("{first}; {second}"))
    }

    async fn stop_timeout(&self) -> Option<StopTimeout> {
        let asked = match find_own_unit(&self.environment).await {
            Ok(unit) => unit.stop_timeout().await,
            Err(error) => Err(error),
        };
        asked.unwrap_or_else(|error| {
            tracing::warn!(%error, "systemd does not say how long the agent may take to stop; restart.timeout holds as it is");
            None
        })
    }
}
