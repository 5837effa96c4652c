//! The thread that owns the database, and the group commit.

use std::io;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

use super::JournalError;

/// How many requests may wait; more callers wait for room.
const WAITING: usize = 1024;

/// How many requests share one commit at most, so that a flood cannot keep the first of them waiting.
const SHARED: usize = 256;

/// The handle of the thread. Dropping it waits until what was sent is done and the database is closed.
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Box<dyn Work>>>,
    changes: watch::Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// `damaged` is told once if the file turns out to be damaged.
    pub(super) fn start(
        connection: Connection,
        damaged: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, waiting) = mpsc::channel(WAITING);
        let (changed, changes) = watch::channel(0);
        let thread = thread::Builder::new()
            .name("command-journal".to_owned())
            .spawn(move || serve(&connection, waiting, &changed, damaged))?;
        Ok(Self { requests: Some(requests), changes, thread: Some(thread) })
    }

    /// Performs `operation` and returns once its commit is on disk; right after the commit, `after` sees the answer.
    ///
    /// `operation` may be performed again when its commit failed, and changes nothing unless it returns `Ok` last. A
    /// call that is dropped is performed or not, as a whole; `after` is called if it is.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        operation: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, answered) = oneshot::channel();
        let request = Request { operation, after, done: None, answer };
        let requests = self.requests.as_ref().ok_or(JournalError::Closed)?;
        requests.send(Box::new(request)).await.map_err(|_| JournalError::Closed)?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// A number that changes after each commit that changed anything.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the thread of the command journal has panicked");
        }
    }
}

/// Something to do in a transaction, whose answer waits for the commit.
trait Work: Send {
    fn perform(&mut self, connection: &Connection) -> Result<(), JournalError>;
    fn answer(self: Box<Self>, committed: Result<(), JournalError>);
}

struct Request<F, A, T> {
    operation: F,
    after: A,
    done: Option<T>,
    answer: oneshot::Sender<Result<T, JournalError>>,
}

impl<F, A, T> Work for Request<F, A, T>
where
    F: FnMut(&Connection) -> Result<T, JournalError> + Send,
    A: FnOnce(&T) + Send,
    T: Send,
{
    fn perform(&mut self, connection: &Connection) -> Result<(), JournalError> {
        self.done = Some((self.operation)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), JournalError>) {
        let Request { after, done, answer, .. } = *self;
        let outcome = committed.and_then(|()| done.ok_or(JournalError::Closed));
        if let Ok(done) = &outcome {
            after(done);
        }
        // An asker that went away wants no answer; what it asked for is done all the same.
        drop(answer.send(outcome));
    }
}

fn serve(
    connection: &Connection,
    mut waiting: mpsc::Receiver<Box<dyn Work>>,
    changed: &watch::Sender<u64>,
    damaged: impl FnOnce(),
) {
    let mut damaged = Some(damaged);
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < SHARED
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let before = connection.total_changes();
        let answers = commit(connection, &mut batch);
        let one_was_done = answers.iter().any(Result::is_ok);
        if one_was_done && connection.total_changes() != before {
            changed.send_modify(|number| *number += 1);
        }
        let is_corrupt =
            |answer: &Result<(), JournalError>| matches!(answer, Err(JournalError::Corrupt { .. }));
        if answers.iter().any(is_corrupt)
            && let Some(damaged) = damaged.take()
        {
            damaged();
        }
        for (work, answer) in batch.into_iter().zip(answers) {
            work.answer(answer);
        }
    }
}

/// Commits the batch as one; if that fails, each by itself, so that one that cannot be done harms no other.
fn commit(connection: &Connection, batch: &mut [Box<dyn Work>]) -> Vec<Result<(), JournalError>> {
    match commit_together(connection, batch) {
        Ok(()) => vec![Ok(()); batch.len()],
        Err(reason) if batch.len() == 1 => vec![Err(reason)],
        Err(reason) => {
            warn!(%reason, requests = batch.len(), "a shared commit failed, committing one by one");
            batch.chunks_mut(1).map(|one| commit_together(connection, one)).collect()
        }
    }
}

fn commit_together(
    connection: &Connection,
    batch: &mut [Box<dyn Work>],
) -> Result<(), JournalError> {
    // Dropped without a commit, it rolls back.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for work in batch {
        work.perform(&transaction)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc as std_mpsc};

    use super::*;

    fn writer() -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER UNIQUE)").unwrap();
        Writer::start(connection, || ()).unwrap()
    }

    fn insert(x: i64) -> impl FnMut(&Connection) -> Result<i64, JournalError> + Send + 'static {
        move |connection| {
            connection.execute("INSERT INTO t VALUES (?1)", [x])?;
            Ok(x)
        }
    }

    fn rows(connection: &Connection) -> Result<Vec<i64>, JournalError> {
        let mut statement = connection.prepare("SELECT x FROM t ORDER BY x")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the thread busy with one request until `go` is dropped, so that the next ones wait together.
    async fn hold(writer: &Arc<Writer>) -> std_mpsc::Sender<()> {
        let (go, wait) = std_mpsc::channel::<()>();
        let (entered, has_entered) = oneshot::channel();
        let mut entered = Some(entered);
        let busy = move |_: &Connection| {
            entered.take().map(|entered| entered.send(()));
            Ok(wait.recv().is_err())
        };
        let writer = Arc::clone(writer);
        tokio::spawn(async move { writer.call(busy, |_| ()).await });
        has_entered.await.unwrap();
        go
    }

    #[tokio::test]
    async fn one_request_that_fails_harms_none_that_shares_its_commit() {
        let writer = Arc::new(writer());
        let go = hold(&writer).await;
        let (a, twice, b, ()) = tokio::join!(
            biased;
            writer.call(insert(1), |_| ()),
            writer.call(insert(1), |_| ()),
            writer.call(insert(2), |_| ()),
            async move { drop(go) },
        );
        assert_eq!((a, b), (Ok(1), Ok(2)));
        assert!(matches!(twice, Err(JournalError::Storage { .. })), "{twice:?}");
        assert_eq!(writer.call(rows, |_| ()).await, Ok(vec![1, 2]));
    }

    #[tokio::test]
    async fn requests_that_wait_together_are_committed_together_and_then_announced() {
        let writer = Arc::new(writer());
        let mut changes = writer.changes();
        let go = hold(&writer).await;
        let (a, b, ()) = tokio::join!(
            biased;
            writer.call(insert(1), |_| ()),
            writer.call(insert(2), |_| ()),
            async move { drop(go) },
        );
        assert_eq!((a, b), (Ok(1), Ok(2)));
        assert_eq!(*changes.borrow_and_update(), 1, "one commit, and none for the reader");
        assert_eq!(writer.call(rows, |_| ()).await, Ok(vec![1, 2]));
        assert!(!changes.has_changed().unwrap(), "reading changes nothing");
    }

    #[tokio::test]
    async fn what_was_sent_is_done_when_the_asker_and_the_handle_are_gone() {
        let writer = writer();
        let (seen, saw) = std_mpsc::channel();
        {
            let mut call = std::pin::pin!(writer.call(insert(7), move |x| seen.send(*x).unwrap()));
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(call.as_mut().poll(context).is_pending())
            });
            // Either way the request is sent; it is dropped unanswered if it was not served at once.
            polled.await;
        }
        drop(writer);
        assert_eq!(saw.try_recv(), Ok(7));
    }

    #[tokio::test]
    async fn after_a_panic_of_the_thread_every_call_says_closed() {
        let writer = writer();
        let panicked: Result<(), _> = writer.call(|_| panic!("as the test wants"), |()| ()).await;
        assert_eq!(panicked, Err(JournalError::Closed));
        assert_eq!(writer.call(rows, |_| ()).await, Err(JournalError::Closed));
        assert!(writer.changes().changed().await.is_err());
    }
}
