//! The wall clock that stamps commands, injected so that tests can say what time it is.

use jiff::Timestamp;

/// Tells the time of day, which may jump. It stamps what people read, and decides what has to hold over processes and
/// reboots: when a command expires, how many restarts an hour has had, what is old enough to be retired. A clock that jumps
/// forward by days therefore expires, retires and forgets early. How long a command may be under way is not decided by it.
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
