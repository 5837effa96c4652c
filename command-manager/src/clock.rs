//! The wall clock that stamps commands, injected so that tests can say what time it is.

use jiff::Timestamp;

/// Tells the time of day. It may jump; nothing here is decided by it, it only stamps what people read.
pub trait WallClock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemWallClock;

impl WallClock for SystemWallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one wall clock of the crate")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
