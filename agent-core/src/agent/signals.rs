//! The signals of the operating system that the agent listens to.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something to an agent.
pub(crate) struct Signals {
    pub(crate) terminate: Signal,
    pub(crate) interrupt: Signal,
    pub(crate) hang_up: Signal,
}

impl Signals {
    /// From here on the signals are kept for the loop instead of ending the process.
    pub(crate) fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}
