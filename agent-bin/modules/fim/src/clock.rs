//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, as the times of files are given.
#[expect(clippy::disallowed_methods, reason = "this is the one wall clock of the crate")]
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The time that the kernel would give to a file that is changed now: up to a tick behind [`now`].
pub(crate) fn coarse() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}
