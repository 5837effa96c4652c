//! One connection of a client, and how long it may do nothing.
//!
//! ```text
//! accepted ──> quiet ──a whole request──> busy (the handler works) ──answer──> quiet ──> ...
//!                │
//!                └── for too long: closed. Too long is QUIET_LIMIT, or QUIET_LIMIT_STOPPING once the server stops
//! ```
//!
//! Quiet covers all that depends on the client: it has not sent its request, or it does not read its answer. So
//! neither a silent nor a slow client can hold a slot for long, or hold up the stop.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::answer::Exchange;
use super::parse_error_io::ParseErrorIo;
use super::{ControlHandler, PeerCred};

/// How long a client may take for the head of a request; also the longest pause between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time in which a connection may wait for its client: head, body and reading the answer together.
const QUIET_LIMIT: Duration = Duration::from_secs(30);

/// The same once the server stops. Long enough for a client that has connected and is just about to write, short enough
/// not to be felt as downtime.
const QUIET_LIMIT_STOPPING: Duration = Duration::from_millis(50);

/// The most bytes in the head of a request; a real one has a few hundred.
const MAX_HEAD: usize = 32 * 1024;

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) handler: Arc<dyn ControlHandler>,
    /// User ids, in order.
    pub(super) may_submit: Vec<u32>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }

    /// Returns once the server is told to stop, or dropped, which means the same.
    pub(super) async fn stopped(&self) {
        let told = self.stopping.clone().wait_for(|stopping| *stopping).await.map(drop);
        if told.is_err() {
            tracing::trace!("the control server was dropped");
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("may_submit", &self.may_submit).finish_non_exhaustive()
    }
}

/// Serves one connection to its end and then gives back its slot.
pub(super) async fn converse(stream: UnixStream, shared: Arc<Shared>, slot: OwnedSemaphorePermit) {
    let peer = match peer_cred(&stream) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, "could not tell who is at the other end of a control connection");
            return;
        }
    };
    let (busy_sender, mut busy) = watch::channel(false);
    let exchange = Arc::new(Exchange::new(Arc::clone(&shared), peer, busy_sender, slot));
    let service = service_fn(move |request| {
        let exchange = Arc::clone(&exchange);
        async move { exchange.answer(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .auto_date_header(false)
        .serve_connection(ParseErrorIo::new(TokioIo::new(stream)), service);
    let mut connection = pin!(connection);
    loop {
        let stopping = shared.is_stopping();
        let limit = if stopping { QUIET_LIMIT_STOPPING } else { QUIET_LIMIT };
        let is_busy = *busy.borrow_and_update();
        tokio::select! {
            // The connection goes first, so that a request that has already arrived is read before anything is given up.
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a control connection ended early");
                }
                return;
            }
            Ok(()) = busy.changed() => {}
            () = shared.stopped(), if !stopping => {}
            () = tokio::time::sleep(limit), if !is_busy => {
                tracing::debug!(stopping, "closed a control connection that was quiet for too long");
                return;
            }
        }
    }
}

fn peer_cred(stream: &UnixStream) -> std::io::Result<PeerCred> {
    let cred = stream.peer_cred()?;
    // The kernel says 0 for a process in a pid namespace that is not visible from here.
    let pid = cred.pid().filter(|pid| *pid > 0);
    let executable = pid
        .and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok())
        .map(|path| path.to_string_lossy().into_owned());
    Ok(PeerCred { uid: cred.uid(), gid: cred.gid(), pid, executable })
}
