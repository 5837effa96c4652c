//! The statuses of a command and the one function that moves between them.
//!
//! ```text
//! pending ──Started──> in_progress ──Succeeded──> success
//!    │                  │  ^  │ └────Failed─────> failure
//!    │                  └──┘  └──────TimedOut───> timeout
//!    │                Started (another attempt)
//!    ├──Failed───> failure   (refused, overtaken or given up before it was begun)
//!    └──TimedOut─> timeout   (its turn never came)
//! ```
//! Nothing leads back, and a finished command never moves: each change of a status, by a live command or by one read
//! back after a crash, goes through [`next`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a command is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted and durable; its turn has not come.
    Pending,
    /// An attempt was begun (and perhaps broken off; then it is judged).
    InProgress,
    /// Done as asked.
    Success,
    /// Not done, or not done as asked; `error` says in what way.
    Failure,
    /// Not done within its time.
    Timeout,
}

/// What happened to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusEvent {
    /// An attempt is about to be made.
    Started,
    /// It was done.
    Succeeded,
    /// It was not done.
    Failed,
    /// Its time ran out.
    TimedOut,
}

/// A move that no command may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a command that is {from} cannot take the event {event:?}")]
pub struct IllegalMove {
    /// Where the command is, and stays.
    pub from: Status,
    /// What does not fit.
    pub event: StatusEvent,
}

impl Status {
    /// Every status there is.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::InProgress, Self::Success, Self::Failure, Self::Timeout];

    /// The name in the wire form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
        }
    }

    /// The status of this wire name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether the command has reached its end and never changes again.
    #[must_use]
    pub fn is_finished(self) -> bool {
        match self {
            Self::Pending | Self::InProgress => false,
            Self::Success | Self::Failure | Self::Timeout => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status after `event`, for every status and every event.
///
/// # Errors
/// [`IllegalMove`] when the command cannot take the event; it stays where it is.
pub fn next(status: Status, event: StatusEvent) -> Result<Status, IllegalMove> {
    use StatusEvent::{Failed, Started, Succeeded, TimedOut};
    match (status, event) {
        (Status::Pending | Status::InProgress, Started) => Ok(Status::InProgress),
        (Status::InProgress, Succeeded) => Ok(Status::Success),
        (Status::Pending | Status::InProgress, Failed) => Ok(Status::Failure),
        (Status::Pending | Status::InProgress, TimedOut) => Ok(Status::Timeout),
        (Status::Pending, Succeeded) | (Status::Success | Status::Failure | Status::Timeout, _) => {
            Err(IllegalMove { from: status, event })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [StatusEvent; 4] =
        [StatusEvent::Started, StatusEvent::Succeeded, StatusEvent::Failed, StatusEvent::TimedOut];

    #[test]
    fn the_whole_table_is_as_written() {
        let moves = |status| EVENTS.map(|event| next(status, event).ok());
        let (run, won, lost, late) = (
            Some(Status::InProgress),
            Some(Status::Success),
            Some(Status::Failure),
            Some(Status::Timeout),
        );
        assert_eq!(moves(Status::Pending), [run, None, lost, late]);
        assert_eq!(moves(Status::InProgress), [run, won, lost, late]);
        for finished in [Status::Success, Status::Failure, Status::Timeout] {
            assert_eq!(moves(finished), [None; 4]);
        }
    }

    #[test]
    fn a_refused_move_names_both_sides() {
        let refused = next(Status::Success, StatusEvent::Started).unwrap_err();
        assert_eq!(refused, IllegalMove { from: Status::Success, event: StatusEvent::Started });
        assert_eq!(refused.to_string(), "a command that is success cannot take the event Started");
    }

    #[test]
    fn the_name_of_a_status_is_the_same_in_json_and_in_text() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(Status::from_name(status.as_str()), Some(status));
        }
        assert_eq!(Status::from_name("InProgress"), None);
    }

    proptest! {
        #[test]
        fn no_run_of_events_leads_back_or_out_of_an_end(events in prop::collection::vec(0usize..4, 0..20)) {
            let mut status = Status::Pending;
            let mut ends = 0;
            for event in events {
                let Ok(after) = next(status, EVENTS[event]) else { continue };
                prop_assert!(!status.is_finished(), "{status} moved to {after}");
                prop_assert_ne!(after, Status::Pending);
                ends += usize::from(after.is_finished());
                status = after;
            }
            prop_assert_eq!(ends, usize::from(status.is_finished()));
        }
    }
}
