//! Where results go: reporters, which get every result until they acknowledge it.

use std::fmt;
use std::future::pending;

use async_trait::async_trait;
use serde_json::Value;

use crate::CommandRecord;

/// The end of a command, on its way to a reporter.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The number of the change by which the command ended. It grows from result to result and never repeats, so a
    /// receiver that remembers the last one can tell what it has had before.
    pub change: u64,
    /// The command.
    pub record: CommandRecord,
}

impl Report {
    /// The answer in the wire form in which the command came.
    #[must_use]
    pub fn answer(&self) -> Value {
        self.record.to_answer()
    }
}

/// Why a result was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The receiver cannot be reached, or did not acknowledge. The result is sent again, and those behind it wait.
    #[error("the receiver cannot be reached: {reason}")]
    Unreachable {
        /// What is known about it.
        reason: String,
    },
    /// The receiver will never take this result. It is dropped, logged, and the next one is sent: one bad result must not
    /// keep back all others.
    #[error("the receiver refuses the result: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Brings results to a receiver: a server, a file, a local program.
///
/// Results come in the order in which the commands ended, one at a time, each at least once: when the agent ends between
/// the acknowledgement and its record on disk, the next process sends the result again, with the same
/// [`change`](Report::change).
#[async_trait]
pub trait Reporter: Send + Sync {
    /// The name under which results are kept for it, one of [`Settings::reporters`](crate::Settings::reporters). The same
    /// in every process, or what is kept is lost.
    fn name(&self) -> &str;

    /// Brings `report` to the receiver and returns `Ok` once the receiver has acknowledged it for good.
    ///
    /// A call that takes longer than 30 s is dropped and counts as [`ReportError::Unreachable`]. It may be dropped at any
    /// await, also when the agent stops; it is made again then.
    async fn report(&self, report: &Report) -> Result<(), ReportError>;

    /// Returns when there is a reason to believe that a receiver that could not be reached can be reached now: the pause
    /// before the next attempt ends early. Without such a sign it waits for ever, and the pause takes its time.
    async fn reachable(&self) {
        pending().await
    }
}

impl fmt::Debug for dyn Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.name()).finish()
    }
}
