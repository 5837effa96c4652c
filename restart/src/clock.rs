//! The monotonic clock that drives deadlines, injected so that tests can pause it.

use std::time::Instant;

use async_trait::async_trait;

/// Tells the time and waits for it.
// async_trait has to come first: below automock a mock could not hang.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now, on a clock that never goes back.
    fn now(&self) -> Instant;

    /// Returns at `deadline`, at once when it has passed. Cancel safe.
    async fn sleep_until(&self, deadline: Instant);
}

/// Tokio's clock, which tests may pause.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

#[async_trait]
impl Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline.into()).await;
    }
}
