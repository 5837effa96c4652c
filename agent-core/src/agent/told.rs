//! What the main loop tells an operation while it is under way.

use std::future::pending;

use tokio::sync::watch;

use super::replace::Requests;

/// For what an operation on modules has to make way, the weakest claim first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// Nobody's: it goes on.
    #[default]
    Nobody,
    /// That of an order of any kind.
    AnOrder,
    /// That of a restart of the whole agent.
    ARestart {
        /// Whether that does not wait for busy modules.
        force: bool,
    },
    /// That of an operator's stop.
    AStop,
}

/// What reaches an operation from outside.
pub(crate) struct Told {
    /// Signals and orders for the shutdown loop.
    pub(crate) requests: Requests,
    /// What to make way for.
    pub(crate) make_way: watch::Receiver<Claim>,
}

/// Returns once `claim`, or a stronger one, is made; never without one. Cancel safe.
pub(super) async fn until(make_way: &mut watch::Receiver<Claim>, claim: Claim) {
    if make_way.wait_for(|made| *made >= claim).await.is_err() {
        // Nobody is left who could make one.
        pending::<()>().await;
    }
}
