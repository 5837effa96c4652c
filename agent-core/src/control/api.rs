//! What the control server asks of the agent, and what it gets back.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::ErrorKind;

/// Who is at the other end of a connection, as the kernel says; kept in the audit record of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCred {
    /// Effective user id at the time of connecting.
    pub uid: u32,
    /// Effective group id at the time of connecting.
    pub gid: u32,
    /// Process that connected; `None` when it lives in a pid namespace that this process cannot see.
    pub pid: Option<i32>,
    /// Where `/proc/PID/exe` of that process pointed when the connection was accepted; `None` when it was gone by then or
    /// may not be read. The process can have executed another program since it connected: a hint, not a proof.
    pub executable: Option<String>,
}

/// A request that passed every check of the server: path, method, query, permission, size of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiRequest {
    /// `GET /v1/status`.
    Status,
    /// `GET /v1/modules`.
    Modules,
    /// `GET /v1/commands`.
    ListCommands {
        /// How many at most, newest first; 1 to 1000.
        limit: usize,
    },
    /// `GET /v1/commands/{id}`.
    ShowCommand {
        /// The id as the client wrote it, decoded but not checked.
        id: String,
        /// Only history entries with a greater sequence number are news. `None`: all are.
        after: Option<u64>,
        /// How long to wait for news of a command that is not finished, at most [`MAX_WAIT`](super::MAX_WAIT). Zero: answer
        /// at once.
        wait: Duration,
    },
    /// `GET /v1/changes`.
    Changes {
        /// Only changes with a greater number.
        after: u64,
        /// How many at most; 1 to 1000.
        limit: usize,
        /// How long to wait for the first one, at most [`MAX_WAIT`](super::MAX_WAIT). Zero: answer at once.
        wait: Duration,
    },
    /// `GET /v1/results`.
    Results {
        /// How long to wait for a result, at most [`MAX_WAIT`](super::MAX_WAIT). Zero: answer at once.
        wait: Duration,
    },
    /// `GET /v1/preflight`.
    Preflight {
        /// The modules whose restart is meant, not checked; none for the whole agent.
        modules: Vec<String>,
        /// Whether the restart would be forced.
        force: bool,
        /// How long to wait for checks that others have made. Zero: answer at once with what is known without any.
        wait: Duration,
    },
    /// `POST /v1/commands` by somebody who may.
    SubmitCommand {
        /// The command, not parsed; at most [`MAX_BODY`](super::MAX_BODY) bytes.
        body: Bytes,
    },
    /// `POST /v1/commands/{id}/cancel` by somebody who may.
    CancelCommand {
        /// The id as the client wrote it, decoded but not checked.
        id: String,
        /// Why, not parsed; at most [`MAX_BODY`](super::MAX_BODY) bytes.
        body: Bytes,
    },
    /// `POST /v1/results/{change}/ack` by somebody who may.
    AcknowledgeResult {
        /// The number of the result.
        change: u64,
    },
    /// `POST /v1/modules/{name}/ask` by somebody who may submit commands: the answer may name files.
    AskModule {
        /// The name as the client wrote it, not checked.
        name: String,
        /// The question, not parsed; at most [`MAX_BODY`](super::MAX_BODY) bytes.
        body: Bytes,
    },
}

impl ApiRequest {
    /// The same request without waiting, if it is one that waits.
    pub(super) fn at_once(&self) -> Option<Self> {
        let mut at_once = self.clone();
        match &mut at_once {
            Self::ShowCommand { wait, .. }
            | Self::Changes { wait, .. }
            | Self::Preflight { wait, .. }
            | Self::Results { wait } => {
                let waits = !wait.is_zero();
                *wait = Duration::ZERO;
                waits.then_some(at_once)
            }
            Self::Status
            | Self::Modules
            | Self::ListCommands { .. }
            | Self::SubmitCommand { .. }
            | Self::CancelCommand { .. }
            | Self::AcknowledgeResult { .. }
            | Self::AskModule { .. } => None,
        }
    }

    /// Whether it changes something, so that it is carried out to its end even when the client goes away. A question to a module is
    /// given up then: nobody would read the answer.
    pub(super) fn changes_something(&self) -> bool {
        match self {
            Self::SubmitCommand { .. }
            | Self::CancelCommand { .. }
            | Self::AcknowledgeResult { .. } => true,
            Self::Status
            | Self::Modules
            | Self::ListCommands { .. }
            | Self::ShowCommand { .. }
            | Self::Changes { .. }
            | Self::Preflight { .. }
            | Self::Results { .. }
            | Self::AskModule { .. } => false,
        }
    }
}

/// The answer to a request: an HTTP status and a JSON body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiAnswer {
    /// An HTTP status, 200 to 599; anything else is sent as 500.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl ApiAnswer {
    /// The answer 200 with `body`.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    /// The answer that reports an error of this kind, with its HTTP status.
    #[must_use]
    pub fn error(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self {
            status: kind.status(),
            body: json!({ "error": { "code": kind.as_str(), "message": message.to_string() } }),
        }
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The agent, as the control server sees it.
#[async_trait]
pub trait ControlHandler: Send + Sync + 'static {
    /// Answers one request. Called side by side for up to [`MAX_CONNECTIONS`](super::MAX_CONNECTIONS) connections.
    ///
    /// What the server guarantees: what changes something is always run to its end, even when the client goes away
    /// meanwhile. Every other call may be dropped at any await: when the client goes away, and one that waits also when
    /// the server stops (it is then asked again with a wait of zero).
    ///
    /// A call that panics is answered with 500. A call that hangs costs its connection; the stop does not wait longer for
    /// it than [`ControlServer::finished`](super::ControlServer::finished) is told.
    async fn handle(&self, peer: PeerCred, request: ApiRequest) -> ApiAnswer;

    /// Learns that the server has refused to pass on what `peer` wanted to change, and why, for the audit trail. Must not
    /// block.
    fn refused(&self, peer: PeerCred, why: &str);
}
