//! Modules that failed: when each is started again, and its start.

use std::collections::BTreeMap;
use std::sync::Arc;

use module_api::ModuleName;
use module_api::units::format_duration;
use tokio::time::Instant;

use super::core::Core;
use crate::supervisor::{Failure, Policy, Reaction, Supervisor};

/// Failed modules and when they are started again.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    due: BTreeMap<ModuleName, Instant>,
}

/// What an operator is told about a failure: the kind of the event and its text.
type Notice = (&'static str, String);

impl Retries {
    /// When the next module is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Takes a failure: the module is due after its back-off, or quarantined; unless it is not meant to run.
    pub(crate) fn failed(&mut self, core: &Arc<Core>, failure: &Failure) {
        let policy = core.config().config.supervision.policy();
        let draw = fastrand::u32(..);
        let Some((kind, text)) =
            self.take(&core.supervisor, failure, &policy, Instant::now(), draw)
        else {
            return;
        };
        let core = Arc::clone(core);
        tokio::spawn(async move { core.warn(kind, &text).await });
    }

    /// The same with the time and the random number as arguments; returns what is to be told.
    fn take(
        &mut self,
        supervisor: &Supervisor,
        failure: &Failure,
        policy: &Policy,
        now: Instant,
        draw: u32,
    ) -> Option<Notice> {
        let Failure { module, reason, .. } = failure;
        match supervisor.failed(failure, policy, now, draw)? {
            Reaction::StartAgain { after } => {
                self.due.insert(module.clone(), now + after);
                let after = format_duration(after);
                let text =
                    format!("module {module} failed and is started again in {after}: {reason}");
                Some(("module_failed", text))
            }
            Reaction::Quarantined { failures } => {
                let window = format_duration(policy.quarantine.window);
                let text = format!(
                    "module {module} failed {failures} times within {window} and is quarantined; the last failure: \
                     {reason}; when its cause is removed, start it with `wazuh-agent restart --module {module}`"
                );
                Some(("module_quarantined", text))
            }
        }
    }

    /// These had to make way for something else: they are due at once.
    pub(crate) fn still_due(&mut self, names: Vec<ModuleName>) {
        let now = Instant::now();
        self.due.extend(names.into_iter().map(|name| (name, now)));
    }

    /// Takes what is due and still waits for it: a module may have been started, or switched off, by other means.
    pub(crate) fn take_due(&mut self, supervisor: &Supervisor, now: Instant) -> Vec<ModuleName> {
        let due: Vec<ModuleName> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
        for name in &due {
            self.due.remove(name);
        }
        due.into_iter().filter(|name| supervisor.awaits_retry(name)).collect()
    }
}

#[cfg(test)]
mod tests;
