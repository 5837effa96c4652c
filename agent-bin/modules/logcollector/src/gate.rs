//! Lets the task begin a batch, or keeps it waiting while the module is drained, or tells it to end.

use tokio::sync::watch;

/// Shared by the module, which closes and opens it, and the task, which asks before each batch.
#[derive(Debug)]
pub(crate) struct Gate {
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Default)]
struct Phase {
    draining: bool,
    stopping: bool,
    /// What the batch under way holds, for people.
    publishing: Option<String>,
}

/// The module is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopping;

/// Shows that a batch is under way; dropping it says that it is not any more.
#[derive(Debug)]
#[must_use]
pub(crate) struct Publishing<'a> {
    gate: &'a Gate,
}

impl Gate {
    /// An open gate.
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::default()) }
    }

    /// From now on no batch is begun. Says what the batch under way holds, if there is one.
    pub(crate) fn drain(&self) -> Option<String> {
        self.phase.send_modify(|phase| phase.draining = true);
        self.phase.borrow().publishing.clone()
    }

    /// Batches may be begun again.
    pub(crate) fn resume(&self) {
        self.phase.send_modify(|phase| phase.draining = false);
    }

    /// The task is to end, even while a batch is under way.
    pub(crate) fn stop(&self) {
        self.phase.send_modify(|phase| phase.stopping = true);
    }

    /// Waits until batches may be begun.
    pub(crate) async fn opened(&self) -> Result<(), Stopping> {
        // The sender is this very gate, so waiting cannot fail; if it did, there would be nothing to wait for.
        match self.phase.subscribe().wait_for(|phase| phase.stopping || !phase.draining).await {
            Ok(phase) if !phase.stopping => Ok(()),
            Ok(_) | Err(_) => Err(Stopping),
        }
    }

    /// Waits until the task is to end.
    pub(crate) async fn stopped(&self) {
        // See `opened`.
        drop(self.phase.subscribe().wait_for(|phase| phase.stopping).await);
    }

    /// Waits until batches may be begun, and begins one that holds `what`.
    pub(crate) async fn begin(&self, what: &str) -> Result<Publishing<'_>, Stopping> {
        loop {
            self.opened().await?;
            // Looked at again in the same step that begins: the gate may have been closed in between.
            let begun = self.phase.send_if_modified(|phase| {
                let open = !phase.draining && !phase.stopping;
                if open {
                    phase.publishing = Some(what.to_owned());
                }
                open
            });
            if begun {
                return Ok(Publishing { gate: self });
            }
        }
    }
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        self.gate.phase.send_modify(|phase| phase.publishing = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn draining_names_the_batch_under_way_and_keeps_the_next_one_waiting() {
        let gate = Gate::new();
        let batch = gate.begin("3 lines").await.unwrap();
        assert_eq!(gate.drain().as_deref(), Some("3 lines"));
        drop(batch);
        assert_eq!(gate.drain(), None);
        let mut next = pin!(gate.begin("2 lines"));
        assert!(poll(next.as_mut()).is_pending());
        gate.resume();
        assert!(matches!(poll(next.as_mut()), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn stopping_ends_the_wait_of_a_drained_task() {
        let gate = Gate::new();
        assert_eq!(gate.drain(), None);
        let mut next = pin!(gate.begin("1 line"));
        assert!(poll(next.as_mut()).is_pending());
        gate.stop();
        assert!(matches!(poll(next.as_mut()), Poll::Ready(Err(Stopping))));
        gate.stopped().await;
    }
}
