//! Numbers about the spool, for status and tests.

use serde::Serialize;

/// What the spool holds and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SpoolStats {
    /// Events that are stored because some output has not delivered them yet. Of a file that was not read as a whole when it
    /// was opened it may be too many until [`Spool::verify`](super::Spool::verify) has counted them.
    pub stored: u64,
    /// How many events it stores before publishers wait.
    pub max_events: u64,
    /// Events accepted since the spool was opened, without repeats.
    pub accepted_total: u64,
    /// Events that were published again while they were stored, since the spool was opened.
    pub repeated_total: u64,
    /// Number of the last accepted event; numbers only grow, also across restarts.
    pub last_seq: u64,
    /// Every output has delivered all events up to this number; 0 without outputs.
    pub delivered_seq: u64,
    /// Batches that wait for room now.
    pub waiting: u64,
    /// Transactions committed since the spool was opened; one holds the batches of all who asked meanwhile.
    pub commits: u64,
}
