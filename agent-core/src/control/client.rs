//! The other end of the control socket: one request, one answer, or why there was none.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::ApiAnswer;

/// How long one request may take unless told otherwise: longer than the longest wait of the server.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait before connecting again when the backlog of the socket is full.
const BACKLOG_PAUSE: Duration = Duration::from_millis(20);

/// The largest answer that is read, in bytes; a thousand commands with long histories are far below it.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket, or there is none.
    #[error("no agent answers on {socket}: {reason}")]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// This user may not connect.
    #[error("no permission to connect to {socket}")]
    PermissionDenied {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection broke before the answer was whole. The request may have been carried out or not: asking again is
    /// right for everything that is only read and for commands with an id.
    #[error("the connection broke before the answer was whole: {reason}")]
    Interrupted {
        /// How it broke.
        reason: String,
    },
    /// No answer within the time limit of the client.
    #[error("the agent did not answer in time")]
    TimedOut,
    /// What came back is not HTTP, not JSON or larger than 64 MiB.
    #[error("the answer cannot be understood: {reason}")]
    BadAnswer {
        /// What is wrong with it.
        reason: String,
    },
}

/// Asks the agent behind a control socket. Each request has a connection of its own.
#[derive(Debug, Clone)]
pub struct ControlClient {
    socket: PathBuf,
    timeout: Duration,
}

impl ControlClient {
    /// A client of the agent that listens on `socket`. Nothing is connected yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), timeout: DEFAULT_TIMEOUT }
    }

    /// The same client with another limit for each request as a whole (60 s unless told).
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Gets `path_and_query`, for example `/v1/status`. May be dropped at any await, which closes the connection.
    ///
    /// # Errors
    /// [`ClientError`]. An answer with an error status is an `Ok`.
    pub async fn get(&self, path_and_query: &str) -> Result<ApiAnswer, ClientError> {
        self.ask(Method::GET, path_and_query, Bytes::new()).await
    }

    /// Posts `body` to `path`. Dropping it does not call off what the agent was asked for.
    ///
    /// # Errors
    /// [`ClientError`]. An answer with an error status is an `Ok`.
    pub async fn post(&self, path: &str, body: Value) -> Result<ApiAnswer, ClientError> {
        self.ask(Method::POST, path, Bytes::from(body.to_string())).await
    }

    async fn ask(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<ApiAnswer, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::BadAnswer {
                reason: format!("{target:?} is not a path to ask for: {error}"),
            })?;
        tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(ClientError::TimedOut))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<ApiAnswer, ClientError> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(hyper_error)?;
        let mut answer = std::pin::pin!(async move {
            read_answer(sender.send_request(request).await.map_err(hyper_error)?).await
        });
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = connection => {
                // Whatever arrived before the end is still to be read; without a whole answer the next line says why.
                if let Err(error) = ended {
                    tracing::debug!(%error, "the control connection ended with an error");
                }
                answer.await
            }
        }
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        loop {
            let error = match UnixStream::connect(&self.socket).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            let socket = self.socket.clone();
            if error.kind() == io::ErrorKind::PermissionDenied {
                return Err(ClientError::PermissionDenied { socket });
            }
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(ClientError::NotRunning { socket, reason: error.to_string() });
            }
            // The backlog is full: somebody listens, but has not got round to accepting.
            tokio::time::sleep(BACKLOG_PAUSE).await;
        }
    }
}

async fn read_answer(response: Response<Incoming>) -> Result<ApiAnswer, ClientError> {
    let status = response.status().as_u16();
    let collected = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let bytes = collected.map_err(body_error)?.to_bytes();
    let body = serde_json::from_slice(&bytes).map_err(|error| ClientError::BadAnswer {
        reason: format!("status {status} with a body that is not JSON: {error}"),
    })?;
    Ok(ApiAnswer { status, body })
}

fn hyper_error(error: hyper::Error) -> ClientError {
    let reason = error.source().map_or_else(|| error.to_string(), |s| format!("{error}: {s}"));
    if error.is_parse() {
        ClientError::BadAnswer { reason }
    } else {
        ClientError::Interrupted { reason }
    }
}

fn body_error(error: Box<dyn Error + Send + Sync>) -> ClientError {
    match error.downcast::<hyper::Error>() {
        Ok(error) => hyper_error(*error),
        Err(error) if error.is::<LengthLimitError>() => {
            ClientError::BadAnswer { reason: format!("more than {MAX_ANSWER} bytes") }
        }
        Err(error) => ClientError::Interrupted { reason: error.to_string() },
    }
}
