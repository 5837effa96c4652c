//! The wall clock, for time stamps that people read; never for deadlines.

use jiff::Timestamp;

/// The time of day now, in UTC.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one home of the wall clock in this crate"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
