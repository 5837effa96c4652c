//! Accepts connections until told to stop, and sees the last of them off.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::ControlHandler;
use super::connection::{self, Shared};

/// The most connections that are open at once; others wait in the backlog of the socket. Far more than a machine's
/// operators and scripts need, far less than descriptors a process may have.
pub const MAX_CONNECTIONS: usize = 64;

/// The most bytes in the body of a request.
pub const MAX_BODY: usize = 1024 * 1024;

/// The longest time that a long poll waits.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// How long accepting rests after a failure, which is nearly always a lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may submit commands. Whoever may connect (the mode of the socket decides) may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlPolicy {
    /// User ids that may submit commands, besides root and the agent's own effective user.
    pub allowed_uids: Vec<u32>,
}

/// A running control server. Dropping it stops accepting, as [`stop_accepting`](Self::stop_accepting) does.
#[derive(Debug)]
pub struct ControlServer {
    stopping: watch::Sender<bool>,
    slots: Arc<Semaphore>,
    task: JoinHandle<()>,
}

/// Serves `listener` from a task of the current tokio runtime. Requests go to `handler`; `policy` says who may submit.
///
/// The listener is made non-blocking, also for whoever holds another descriptor of it.
///
/// # Errors
/// The kernel's, when the listener cannot be registered with the runtime.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
pub fn serve(
    listener: StdUnixListener,
    handler: Arc<dyn ControlHandler>,
    policy: ControlPolicy,
) -> std::io::Result<ControlServer> {
    let own_uid = rustix::process::geteuid().as_raw();
    serve_to(listener, handler, who_may_submit(policy, own_uid))
}

/// Root, the agent's own user and those of the policy, in order and each once.
pub(super) fn who_may_submit(policy: ControlPolicy, own_uid: u32) -> Vec<u32> {
    let mut may_submit = policy.allowed_uids;
    may_submit.extend([0, own_uid]);
    may_submit.sort_unstable();
    may_submit.dedup();
    may_submit
}

pub(super) fn serve_to(
    listener: StdUnixListener,
    handler: Arc<dyn ControlHandler>,
    may_submit: Vec<u32>,
) -> std::io::Result<ControlServer> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let (stopping, stop_seen) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let shared = Arc::new(Shared { handler, may_submit, stopping: stop_seen });
    let task = tokio::spawn(accept_until_stopped(listener, shared, Arc::clone(&slots)));
    Ok(ControlServer { stopping, slots, task })
}

impl ControlServer {
    /// Accepts no more. Connections in the backlog stay there for whoever else holds the listener; this server closes
    /// only its own descriptor. Requests in flight are finished, long polls are answered at once with what is known,
    /// and every answer from now on says `Connection: close`. Calling it again changes nothing.
    pub fn stop_accepting(&self) {
        self.stopping.send_replace(true);
    }

    /// Stops accepting, waits until every accepted request is answered, at most for `within`, and answers how many
    /// connections were cut off (0: none). A submission that was cut off still runs to its end in the background.
    ///
    /// Clients that have sent no whole request or do not read their answer are not waited for longer than a moment.
    pub async fn finished(mut self, within: Duration) -> usize {
        self.stop_accepting();
        match tokio::time::timeout(within, &mut self.task).await {
            Ok(Ok(())) => 0,
            Ok(Err(error)) => {
                tracing::error!(%error, "the control server has failed");
                0
            }
            Err(_) => {
                let cut_off = MAX_CONNECTIONS - self.slots.available_permits();
                self.task.abort();
                cut_off
            }
        }
    }
}

async fn accept_until_stopped(listener: UnixListener, shared: Arc<Shared>, slots: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // Stop goes first, so that nobody is accepted who could wait for the successor.
            biased;
            () = shared.stopped() => break,
            Some(ended) = connections.join_next() => report(ended),
            (stream, slot) = accept(&listener, &slots) => {
                connections.spawn(connection::converse(stream, Arc::clone(&shared), slot));
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
    wait_for_submissions(&slots).await;
}

/// Waits for a free slot, then for a client. May be dropped at any await.
async fn accept(
    listener: &UnixListener,
    slots: &Arc<Semaphore>,
) -> (UnixStream, OwnedSemaphorePermit) {
    loop {
        let accepted = match Arc::clone(slots).acquire_owned().await {
            Ok(slot) => listener.accept().await.map(|(stream, _)| (stream, slot)),
            Err(closed) => Err(std::io::Error::other(closed)),
        };
        match accepted {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept a control connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A submission whose client went away has no connection any more, but it still holds the slot of the one it had.
async fn wait_for_submissions(slots: &Semaphore) {
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    if let Err(error) = slots.acquire_many(all).await {
        tracing::error!(%error, "could not wait for the last submissions");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a control connection has failed");
    }
}
