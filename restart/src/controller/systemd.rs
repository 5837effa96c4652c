//! Replaces the process by asking systemd to restart the unit whose main process it is.
//!
//! Asked in this order, until one works: D-Bus, `systemctl`, and the exit status that the unit lists under
//! `RestartForceExitStatus=`. The restart itself lives in PID 1, so no process of ours has to outlive the agent.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Method, ProcessController, Refusal, ReplaceError, Requested};
use crate::hand_over::check_names;
use crate::{CommittedTicket, DescriptorStore, StartEnvironment, StopTimeout};

mod facts;
mod job;
mod kept;
mod manager;
mod private;
mod systemctl;

use facts::restarts_on_75;
pub use facts::{StartLimit, UnitFacts};
pub use manager::SystemdError;
use manager::{OwnUnit, find_own_unit};

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
    store: DescriptorStore,
    /// Whether the restart was asked for by `systemctl`, so that its job is not watched.
    unwatched: AtomicBool,
    /// Whether the unit restarts on status 75, as systemd said when it could be asked last.
    comes_back_by_status: Mutex<Option<bool>>,
}

impl SystemdController {
    /// A controller for this process, which was started with `environment` and whose descriptors are in `store`.
    #[must_use]
    pub fn new(environment: StartEnvironment, store: DescriptorStore) -> Self {
        let (unwatched, comes_back_by_status) = (AtomicBool::new(false), Mutex::new(None));
        Self { environment, store, unwatched, comes_back_by_status }
    }

    /// What systemd says about the unit of this process now.
    ///
    /// # Errors
    /// [`SystemdError`]: there is no such unit, or systemd cannot be asked.
    pub async fn unit_facts(&self) -> Result<UnitFacts, SystemdError> {
        let facts = find_own_unit(&self.environment).await?.facts().await?;
        self.remember(&facts);
        Ok(facts)
    }

    /// By the environment, or because systemd has said so before.
    fn is_known_as_a_unit(&self) -> bool {
        self.environment.systemd_exec_pid == Some(self.environment.pid)
            || self.comes_back_by_status().is_some()
    }

    fn comes_back_by_status(&self) -> Option<bool> {
        *self.comes_back_by_status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, facts: &UnitFacts) {
        let comes_back = restarts_on_75(facts);
        *self.comes_back_by_status.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(comes_back);
    }

    /// Whether exit status 75 would bring the agent back. What systemd says now counts, else what it said last; one that
    /// could never be asked is trusted to have the unit that is shipped.
    async fn by_status(&self, unit: Option<&OwnUnit>) -> Result<Requested, String> {
        let facts = match unit {
            Some(unit) => unit
                .facts()
                .await
                .inspect_err(
                    |error| tracing::debug!(%error, "systemd does not say what the unit is like"),
                )
                .ok(),
            None => None,
        };
        if let Some(facts) = &facts {
            self.remember(facts);
            facts.check().map_err(|refusal| refusal.to_string())?;
        }
        match self.comes_back_by_status() {
            Some(false) => Err("and the unit has no RestartForceExitStatus=75".to_owned()),
            Some(true) | None => Ok(Requested::ExitWith75),
        }
    }
}

#[async_trait]
impl ProcessController for SystemdController {
    fn method(&self) -> Method {
        Method::Systemd
    }

    async fn preflight(&self) -> Result<Vec<String>, Refusal> {
        match self.unit_facts().await {
            Ok(facts) => facts.check().map(|()| facts.warnings()),
            // Whatever is asked for, nobody would start this process again.
            Err(error) if !self.is_known_as_a_unit() => {
                Err(Refusal::NotAUnit { reason: error.to_string() })
            }
            Err(error) => Ok(vec![format!(
                "systemd cannot be asked whether the unit can be restarted: {error}"
            )]),
        }
    }

    async fn request(
        &self,
        ticket: &mut CommittedTicket,
        fds: Vec<(String, OwnedFd)>,
        _remaining: Duration,
    ) -> Result<Requested, ReplaceError> {
        check_names(fds.iter().map(|(name, _)| name.as_str())).map_err(ReplaceError::HandOver)?;
        kept::keep_all(&self.store, fds).await?;
        if let Err(reason) = self.settle_descriptors().await {
            // The next process finds out what is missing and makes it good; the restart itself is not at stake.
            tracing::warn!(%reason, "the next process does without some descriptors");
        }
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
                // Nobody watches the job: it is asked for once more when the modules have ended.
                self.unwatched.store(true, Ordering::Relaxed);
                let (_, fate) = oneshot::channel();
                return Ok(Requested::SigtermWillCome { fate, call_off: None });
            }
            Err(error) => error,
        };
        tracing::warn!(error = %second, "systemctl does not work either, trying exit status 75");

        let third = self.by_status(found.as_ref().ok()).await;
        third.map_err(|third| ReplaceError::Systemd(format!("{first}; {second}; {third}")))
    }

    async fn is_being_restarted(&self) -> bool {
        let job = match find_own_unit(&self.environment).await {
            Ok(unit) => unit.job().await,
            Err(error) => Err(error),
        };
        match job {
            Ok(job) => job.as_deref() == Some("restart"),
            Err(error) => {
                tracing::warn!(%error, "systemd does not say whose SIGTERM it was; it is taken for an operator's stop");
                false
            }
        }
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

    async fn why_lost(&self) -> Option<String> {
        if !self.unwatched.load(Ordering::Relaxed) {
            return None;
        }
        // By the name of its control group: to look for the unit over D-Bus, which has failed, could take ten seconds.
        match systemctl::job().await {
            Ok(Some(job)) if job != "stop" => None,
            Ok(Some(_)) => Some("a stop has taken the place of the restart".to_owned()),
            Ok(None) => Some("the job of the restart was cancelled".to_owned()),
            Err(error) => {
                tracing::warn!(%error, "whether systemd still means to start the agent is not known");
                None
            }
        }
    }

    async fn stop_timeout(&self) -> Option<StopTimeout> {
        let asked = match find_own_unit(&self.environment).await {
            Ok(unit) => {
                // Asked while it can be: when systemd cannot be asked any more, this decides whether the agent may go.
                match unit.facts().await {
                    Ok(facts) => self.remember(&facts),
                    Err(error) => {
                        tracing::debug!(%error, "systemd does not say what the unit is like")
                    }
                }
                unit.stop_timeout().await
            }
            Err(error) => Err(error),
        };
        asked.unwrap_or_else(|error| {
            tracing::warn!(%error, "systemd does not say how long the agent may take to stop; restart.timeout holds as it is");
            None
        })
    }

    async fn settle_descriptors(&self) -> Result<(), String> {
        kept::settle(&self.store, || async {
            find_own_unit(&self.environment).await?.kept_descriptors().await
        })
        .await
    }
}
