//! One call to the module: with a deadline, a panic as a value, or dropped on purpose after some polls.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Panicked(String),
    TooLate(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::TooLate(limit) => write!(f, "did not return within {limit:?}"),
        }
    }
}

/// Waits for `call`, which is dropped when the time is over.
pub(super) async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, Fault> {
    match timeout(limit, polled(usize::MAX, call)).await {
        Ok(Some(answer)) => answer.map_err(Fault::Panicked),
        Ok(None) | Err(_) => Err(Fault::TooLate(limit)),
    }
}

/// Drops `call` when it has been polled so often without an answer, or when the time is over. Says whether there was an
/// answer, so that more polls make no difference.
pub(super) async fn dropped_after<T>(
    polls: usize,
    limit: Duration,
    call: impl Future<Output = T>,
) -> bool {
    matches!(timeout(limit, polled(polls, call)).await, Ok(Some(_)))
}

/// Runs a piece of work to its end; a panic is an error with its message.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    polled(usize::MAX, work).await.unwrap_or_else(|| Err("it was polled too often".to_owned()))
}

/// `None` when all polls are used up.
async fn polled<T>(mut polls: usize, call: impl Future<Output = T>) -> Option<Result<T, String>> {
    let mut call = pin!(call);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
        Ok(Poll::Ready(answer)) => Poll::Ready(Some(Ok(answer))),
        Err(panic) => Poll::Ready(Some(Err(message(panic.as_ref())))),
        Ok(Poll::Pending) => {
            polls = polls.saturating_sub(1);
            if polls == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it said nothing".to_owned())
}
