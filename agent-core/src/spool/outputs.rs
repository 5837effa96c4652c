//! What outputs ask of the spool: events to deliver, and cursors that move when they are delivered.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::request::{Change, ChangeRequest, Request};
use super::{Spool, SpoolError, StoredEvent, store};

impl Spool {
    /// Makes an output known. Until then, and from then on until it has delivered them, events are kept for it.
    /// Nothing happens if it is known already.
    ///
    /// # Errors
    /// Closed or storage.
    pub async fn register_output(&self, output: &str) -> Result<(), SpoolError> {
        answer_of(self.ask(Change::Register { output: output.to_owned() })?.await)
    }

    /// As [`Spool::register_output`], for threads that may block; it must not be called from async code.
    pub(crate) fn register_output_blocking(&self, output: &str) -> Result<(), SpoolError> {
        answer_of(self.ask(Change::Register { output: output.to_owned() })?.blocking_recv())
    }

    /// Forgets an output that is no longer configured: nothing is kept for it any more. If it is registered again
    /// later, it begins with what is stored then.
    ///
    /// # Errors
    /// Closed or storage.
    pub async fn forget_output(&self, output: &str) -> Result<(), SpoolError> {
        answer_of(self.ask(Change::Forget { output: output.to_owned() })?.await)
    }

    /// Every registered output with the number of the last event that it has delivered. Blocks for a short read.
    ///
    /// # Errors
    /// Closed or storage.
    pub fn outputs(&self) -> Result<BTreeMap<String, u64>, SpoolError> {
        self.read("read the outputs", store::outputs)
    }

    /// Records durably that `output` has delivered everything up to `seq`, with a position of its own; drops events
    /// that every output has delivered and lets waiting publishers go on. A cursor never goes back: a smaller `seq`
    /// than recorded changes nothing.
    ///
    /// # Errors
    /// An unknown output, a `seq` that was never stored, closed, or storage.
    pub async fn delivered(
        &self,
        output: &str,
        seq: u64,
        position: Vec<u8>,
    ) -> Result<(), SpoolError> {
        answer_of(self.ask(Change::Delivered { output: output.to_owned(), seq, position })?.await)
    }

    /// As [`Spool::delivered`], for threads that may block; it must not be called from async code.
    pub(crate) fn delivered_blocking(
        &self,
        output: &str,
        seq: u64,
        position: Vec<u8>,
    ) -> Result<(), SpoolError> {
        let change = Change::Delivered { output: output.to_owned(), seq, position };
        answer_of(self.ask(change)?.blocking_recv())
    }

    /// Where an output is: the number of the last event that it has delivered, and its position. Blocks for a short
    /// read.
    ///
    /// # Errors
    /// An unknown output, closed, or storage.
    pub fn cursor(&self, output: &str) -> Result<(u64, Option<Vec<u8>>), SpoolError> {
        let found = self.read("read a cursor", |connection| store::cursor(connection, output))?;
        found.ok_or_else(|| SpoolError::UnknownOutput(output.to_owned()))
    }

    /// The first events after number `seq`, in order: `max` at most, and fewer, but at least one, when their texts are
    /// larger than 8 MiB together. Blocks for a read.
    ///
    /// # Errors
    /// Closed or storage.
    pub fn read_after(&self, seq: u64, max: usize) -> Result<Vec<StoredEvent>, SpoolError> {
        self.read("read events", |connection| store::read_after(connection, seq, max))
    }

    fn ask(&self, change: Change) -> Result<oneshot::Receiver<Result<(), SpoolError>>, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Change(ChangeRequest { change, reply });
        self.requests.send(request).map_err(|_| SpoolError::Closed)?;
        Ok(answer)
    }
}

/// The thread drops a request unanswered only when it ends before it.
fn answer_of(
    answer: Result<Result<(), SpoolError>, oneshot::error::RecvError>,
) -> Result<(), SpoolError> {
    answer.unwrap_or(Err(SpoolError::Closed))
}
