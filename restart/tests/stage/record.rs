//! What really happened in one run, in its order and with the virtual millisecond.

use std::sync::Mutex;

use restart::{Progress, ShutdownOutcome};
use tokio::time::Instant;

use super::plan::Request;

/// Everything that happened, seen by the modules and the host and not by the loop.
#[derive(Debug, Clone)]
pub struct Record {
    pub entries: Vec<Entry>,
    pub outcome: ShutdownOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since the order.
    pub at: u64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A method of a module, by number, is called; or the host is asked to keep its state.
    Called(usize, Method),
    /// That call has come to an end.
    Ended(usize, Method, How),
    /// The host lets go of a module that has stopped.
    Released(usize),
    /// The host aborts a module.
    Abandoned(usize),
    /// A module publishes an event; whether it was taken.
    Published(usize, bool),
    /// The controller is asked.
    Requested,
    /// The controller has come to an end.
    Controller(How),
    /// A request is given to the loop.
    Sent(Request),
    /// The loop reports its progress.
    Reported(Progress),
    /// The loop has ended.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Ready,
    Save,
    Keep,
    Stop,
    Resume,
}

/// How a call came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Done,
    /// Busy, or for the controller: agreed, and waits for nothing.
    Otherwise,
    Failed,
    Panicked,
    /// It was given up: dropped before it had answered.
    Dropped,
}

/// Takes down what happens, from wherever it is seen.
pub struct Recorder {
    began: Instant,
    entries: Mutex<Option<Vec<Entry>>>,
}

impl Recorder {
    pub fn new() -> Self {
        Self { began: Instant::now(), entries: Mutex::new(Some(Vec::new())) }
    }

    pub fn add(&self, what: What) {
        let at = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        if let Some(entries) = self.entries.lock().unwrap().as_mut() {
            entries.push(Entry { at, what });
        }
    }

    /// Ends the record: what is dropped with the runtime did not happen in the run.
    pub fn take(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().take().unwrap()
    }

    /// The number of the last call of the loop to this module that is over; 0 if there is none.
    pub fn last_over(&self, module: usize) -> u32 {
        let entries = self.entries.lock().unwrap();
        let mut calls = 0;
        let mut over = true;
        for entry in entries.iter().flatten() {
            match entry.what {
                What::Called(of, Method::Ready | Method::Save | Method::Stop) if of == module => {
                    (calls, over) = (calls + 1, false);
                }
                // Writing the state is a part of that call.
                What::Ended(of, Method::Save, How::Done) if of == module => {}
                What::Ended(of, _, _) if of == module => over = true,
                What::Called(..)
                | What::Ended(..)
                | What::Released(_)
                | What::Abandoned(_)
                | What::Published(..)
                | What::Requested
                | What::Controller(_)
                | What::Sent(_)
                | What::Reported(_)
                | What::Over => {}
            }
        }
        if over { calls } else { calls - 1 }
    }
}

/// A call under way; says so when it is dropped before its end.
pub struct Underway<'a> {
    recorder: &'a Recorder,
    over: Option<fn(How) -> What>,
    of: Option<(usize, Method)>,
}

impl<'a> Underway<'a> {
    pub fn call(recorder: &'a Recorder, module: usize, method: Method) -> Self {
        recorder.add(What::Called(module, method));
        Self { recorder, over: None, of: Some((module, method)) }
    }

    pub fn request(recorder: &'a Recorder) -> Self {
        recorder.add(What::Requested);
        Self { recorder, over: Some(What::Controller), of: None }
    }

    pub fn ended(mut self, how: How) {
        self.end(how);
    }

    pub fn answered<T, E>(self, answer: Result<T, E>) -> Result<T, E> {
        self.ended(if answer.is_ok() { How::Done } else { How::Failed });
        answer
    }

    fn end(&mut self, how: How) {
        if let Some((module, method)) = self.of.take() {
            self.recorder.add(What::Ended(module, method, how));
        }
        if let Some(over) = self.over.take() {
            self.recorder.add(over(how));
        }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { How::Panicked } else { How::Dropped });
    }
}
