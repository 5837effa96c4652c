//! Modules that failed: when each is started again, and its start.

use std::collections::BTreeMap;
use std::sync::Arc;

use module_api::ModuleName;
use module_api::units::format_duration;
use tokio::time::Instant;

use super::core::Core;
use crate::supervisor::{Backoff, Failure};

/// Failed modules and when they are started again.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    due: BTreeMap<ModuleName, Instant>,
}

impl Retries {
    /// When the next module is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Takes a failure: the module is due after its back-off, unless it is not meant to run.
    pub(crate) fn failed(&mut self, core: &Arc<Core>, failure: &Failure) {
        let supervision = &core.config().config.supervision;
        let backoff = Backoff {
            initial: supervision.backoff_initial,
            max: supervision.backoff_max,
            reset: supervision.backoff_reset,
        };
        let Some(delay) = core.supervisor.failed(failure, &backoff) else { return };
        self.due.insert(failure.module.clone(), Instant::now() + delay);
        let text = format!(
            "module {} failed and is started again in {}: {}",
            failure.module,
            format_duration(delay),
            failure.reason
        );
        let core = Arc::clone(core);
        tokio::spawn(async move { core.warn("module_failed", &text).await });
    }

    /// Starts what is due and still waits for it: a module may have been started, or switched off, by other means.
    pub(crate) fn start_due(&mut self, core: &Arc<Core>) {
        let now = Instant::now();
        let due: Vec<ModuleName> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.due.remove(&name);
            if !core.supervisor.awaits_retry(&name) {
                continue;
            }
            let core = Arc::clone(core);
            let within = core.config().config.restart.start_timeout;
            tokio::spawn(async move {
                if let Err(error) = core.supervisor.start(&name, within).await {
                    core.supervisor.report_failure(&name, error.to_string());
                }
            });
        }
    }
}
