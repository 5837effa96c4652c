//! Proves that systemd keeps what is in the store: it drops without a word what is beyond its limit.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::SystemdError;
use crate::controller::ReplaceError;
use crate::{DescriptorStore, KeepError};

/// How long systemd may take to come to what it was sent. It is one round trip unless PID 1 is stuck.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(5);

/// What systemd keeps for the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// How many descriptors there are now.
    pub(super) now: u32,
    /// How many there can be.
    pub(super) most: u32,
}

/// Puts what the next process is to receive into the store; what is there already is not sent again.
pub(super) async fn keep_all(
    store: &DescriptorStore,
    fds: Vec<(String, OwnedFd)>,
) -> Result<(), ReplaceError> {
    let store = store.clone();
    let keeping = move || -> Result<(), KeepError> {
        fds.iter().try_for_each(|(name, fd)| store.keep(name, fd.as_fd()))
    };
    let kept = tokio::task::spawn_blocking(keeping).await;
    Ok(kept.map_err(|error| ReplaceError::Systemd(error.to_string()))??)
}

/// Waits until systemd has dealt with everything, compares the numbers, and gives it all anew if they differ. `ask` is how
/// to learn the numbers.
pub(super) async fn settle<A, F>(store: &DescriptorStore, ask: A) -> Result<(), String>
where
    A: Fn() -> F,
    F: Future<Output = Result<Kept, SystemdError>>,
{
    let wanted = store.names();
    if wanted.is_empty() {
        return Ok(());
    }
    if !store.notifier().is_active() {
        return Err("there is no NOTIFY_SOCKET, so systemd keeps no descriptors".to_owned());
    }
    prove(store, false).await?;
    let Some(kept) = asked(&ask).await else { return Ok(()) };
    // Whoever has changed the store meanwhile makes the numbers differ; they are compared again before the next restart.
    if kept.now as usize == wanted.len() || store.names() != wanted {
        return Ok(());
    }
    tracing::debug!(?kept, ?wanted, "the descriptors are given to systemd again");
    prove(store, true).await?;
    match asked(&ask).await {
        Some(_) if store.names() != wanted => Ok(()),
        Some(Kept { now, most }) if (now as usize) < wanted.len() => Err(format!(
            "systemd keeps {now} of {} descriptors ({}); raise FileDescriptorStoreMax={most}",
            wanted.len(),
            wanted.join(", ")
        )),
        Some(Kept { now, .. }) if now as usize > wanted.len() => Err(format!(
            "systemd keeps {now} descriptors, {} more than the agent has given to it; the next start closes what it does not know",
            now as usize - wanted.len()
        )),
        Some(_) | None => Ok(()),
    }
}

/// The barrier alone proves what can be proven when the numbers cannot be asked for.
async fn asked<F>(ask: impl Fn() -> F) -> Option<Kept>
where
    F: Future<Output = Result<Kept, SystemdError>>,
{
    let asked = ask().await;
    asked
        .inspect_err(
            |error| tracing::debug!(%error, "cannot ask how many descriptors systemd keeps"),
        )
        .ok()
}

async fn prove(store: &DescriptorStore, again: bool) -> Result<(), String> {
    let store = store.clone();
    let proving = move || {
        if again {
            store.give_again()?;
        }
        store.prove(BARRIER_TIMEOUT)
    };
    match tokio::task::spawn_blocking(proving).await {
        Ok(proven) => proven.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
