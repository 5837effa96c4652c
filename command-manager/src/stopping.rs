//! The wish to stop, as the tasks of this crate see it.

use tokio::sync::watch;

/// Becomes true once a stop was asked for; a sender that is gone counts as that.
#[derive(Debug, Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub(crate) fn new(stop: watch::Receiver<bool>) -> Self {
        Self(stop)
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns once a stop is asked for. Cancel safe.
    pub(crate) async fn asked(&mut self) {
        // An error means that the sender is gone.
        drop(self.0.wait_for(|stop| *stop).await);
    }
}
