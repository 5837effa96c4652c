//! The signals of the operating system that the agent listens to.

use std::io;

use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the kernel says about this process, its signals among it.
const STATUS: &str = "/proc/self/status";

/// The signals that mean something to an agent.
pub(crate) struct Signals {
    pub(crate) terminate: Listened,
    pub(crate) interrupt: Listened,
    pub(crate) hang_up: Listened,
}

/// A signal that is kept for the loop, or that was ignored at the start and stays so: it never comes.
pub(crate) struct Listened(Option<Signal>);

impl Listened {
    /// Returns when the signal has come.
    pub(crate) async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

impl Signals {
    /// From here on the signals are kept for the loop instead of ending the process.
    ///
    /// What whoever started the agent has set counts where it protects the agent: with SIGHUP ignored (`nohup`) or SIGINT
    /// ignored (`&` in a script) the terminal of somebody else is not the agent's business. It does not count where it
    /// would take the agent from its operator: SIGTERM is always heard, and none of the three stays blocked.
    pub(crate) fn install() -> io::Result<Self> {
        let ignored = ignored_at_start();
        let unless_ignored = |kind: SignalKind| {
            let is_ignored = ignored & (1 << (kind.as_raw_value() - 1)) != 0;
            if is_ignored { Ok(Listened(None)) } else { signal(kind).map(|it| Listened(Some(it))) }
        };
        let signals = Self {
            terminate: Listened(Some(signal(SignalKind::terminate())?)),
            interrupt: unless_ignored(SignalKind::interrupt())?,
            hang_up: unless_ignored(SignalKind::hangup())?,
        };
        let heard: SigSet = [Number::SIGTERM, Number::SIGINT, Number::SIGHUP].into_iter().collect();
        heard.thread_unblock()?;
        Ok(signals)
    }
}

/// The signals that are ignored now, a bit each, SIGHUP the lowest; none if `/proc` does not tell.
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_kernel() {
        // The runtime of Rust ignores it.
        assert_ne!(ignored_at_start() & (1 << (Number::SIGPIPE as u64 - 1)), 0);
        assert_eq!(ignored_at_start() & (1 << (Number::SIGKILL as u64 - 1)), 0);
    }
}
