//! What a scripted module writes down: every call, when it came, and how it ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// One call that a scripted module received. Times are those of tokio's clock, which tests may pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method's name.
    pub method: &'static str,
    /// When it came.
    pub at: Instant,
    /// When and how it ended; `None` while it is under way.
    pub ended: Option<CallEnd>,
}

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallEnd {
    /// When.
    pub at: Instant,
    /// HowEnded.
    pub how: HowEnded,
}

/// HowEnded a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HowEnded {
    /// It gave its answer, which may be that it failed.
    Answered,
    /// The caller dropped it before there was an answer.
    GivenUp,
    /// It panicked.
    Panicked,
}

/// The calls of one instance.
#[derive(Debug, Default)]
pub(super) struct Record {
    calls: Mutex<Vec<Call>>,
}

impl Record {
    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().clone()
    }

    /// Notes that `method` is called. What is returned is dropped with the call, and notes its end.
    pub(super) fn begin(&self, method: &'static str) -> Under<'_> {
        let mut calls = self.lock();
        let number = calls.iter().filter(|call| call.method == method).count();
        calls.push(Call { method, at: Instant::now(), ended: None });
        Under { record: self, index: calls.len() - 1, number, how: None }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Under<'a> {
    record: &'a Record,
    index: usize,
    /// HowEnded many calls of this method came before.
    pub(super) number: usize,
    how: Option<HowEnded>,
}

impl Under<'_> {
    /// The answer is there.
    pub(super) fn answered(mut self) {
        self.how = Some(HowEnded::Answered);
    }

    /// The call is about to panic.
    pub(super) fn panicking(mut self) {
        self.how = Some(HowEnded::Panicked);
    }
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let how = self.how.unwrap_or(HowEnded::GivenUp);
        if let Some(call) = self.record.lock().get_mut(self.index) {
            call.ended = Some(CallEnd { at: Instant::now(), how });
        }
    }
}
