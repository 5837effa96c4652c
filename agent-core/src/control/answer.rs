//! Turns one HTTP request into a question to the handler, and what comes back into an HTTP response.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinSet};

use super::connection::Shared;
use super::route::{Route, Write, route};
use super::{ApiAnswer, ApiRequest, ErrorKind, MAX_BODY, PeerCred};

/// How long a client may take for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the requests of one connection have in common.
#[derive(Debug)]
pub(super) struct Exchange {
    shared: Arc<Shared>,
    peer: PeerCred,
    /// True while the handler works for this connection.
    busy: watch::Sender<bool>,
    /// Shared with submissions, which may outlive the connection.
    slot: Arc<OwnedSemaphorePermit>,
}

impl Exchange {
    pub(super) fn new(
        shared: Arc<Shared>,
        peer: PeerCred,
        busy: watch::Sender<bool>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { shared, peer, busy, slot: Arc::new(slot) }
    }

    /// Answers one request, whatever it is.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let mut allowed = None;
        let answer = match route(request.method(), request.uri().path(), request.uri().query()) {
            Route::Read(question) => self.ask(question).await,
            Route::Write(write) => self.write(write, request.into_body()).await,
            Route::WrongMethod { allow } => {
                allowed = Some(allow);
                let message =
                    format!("{} is not possible here; use {allow}", request.method().as_str());
                ApiAnswer::error(ErrorKind::MethodNotAllowed, message)
            }
            Route::Bad(answer) => answer,
        };
        let mut response = render(&answer);
        if let Some(allow) = allowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.shared.is_stopping() || matches!(answer.status, 408 | 413) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn write(&self, write: Write, body: Incoming) -> ApiAnswer {
        if self.shared.may_submit.binary_search(&self.peer.uid).is_err() {
            let allowed: Vec<String> = self.shared.may_submit.iter().map(u32::to_string).collect();
            let message = format!(
                "user {} may not submit commands; these user ids may: {}",
                self.peer.uid,
                allowed.join(", ")
            );
            self.shared.handler.refused(self.peer.clone(), &message);
            return ApiAnswer::error(ErrorKind::NotPermitted, message);
        }
        match receive(body).await {
            Ok(body) => self.ask(write.with(body)).await,
            Err(answer) => {
                let why = answer.body["error"]["message"].as_str().unwrap_or("no whole body");
                self.shared.handler.refused(self.peer.clone(), why);
                answer
            }
        }
    }

    async fn ask(&self, request: ApiRequest) -> ApiAnswer {
        let _busy = Busy::begin(&self.busy);
        if request.changes_something() {
            return self.handle_to_the_end(request).await;
        }
        let Some(at_once) = request.at_once() else { return self.handle(request).await };
        let answer = tokio::select! {
            biased;
            () = self.shared.stopped() => None,
            answer = self.handle(request) => Some(answer),
        };
        match answer {
            Some(answer) => answer,
            None => self.handle(at_once).await,
        }
    }

    /// Asks the handler in a task of its own, so that a panic is an answer; the task ends when this is dropped.
    async fn handle(&self, request: ApiRequest) -> ApiAnswer {
        let handler = Arc::clone(&self.shared.handler);
        let peer = self.peer.clone();
        let mut task = JoinSet::new();
        task.spawn(async move { handler.handle(peer, request).await });
        task.join_next().await.map_or_else(|| failed(None), answer_or_failure)
    }

    /// The same, but the task goes on when the client goes away.
    async fn handle_to_the_end(&self, request: ApiRequest) -> ApiAnswer {
        let handler = Arc::clone(&self.shared.handler);
        let peer = self.peer.clone();
        let slot = Arc::clone(&self.slot);
        let task = tokio::spawn(async move {
            let answer = handler.handle(peer, request).await;
            drop(slot);
            answer
        });
        answer_or_failure(task.await)
    }
}

/// Says that the handler works, until it is dropped.
struct Busy<'a>(&'a watch::Sender<bool>);

impl<'a> Busy<'a> {
    fn begin(busy: &'a watch::Sender<bool>) -> Self {
        busy.send_replace(true);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

fn answer_or_failure(result: Result<ApiAnswer, JoinError>) -> ApiAnswer {
    result.unwrap_or_else(|error| failed(Some(&error)))
}

fn failed(error: Option<&JoinError>) -> ApiAnswer {
    tracing::error!(?error, "the handler of control requests has failed");
    ApiAnswer::error(ErrorKind::Internal, "the agent failed while it worked on the request")
}

async fn receive(body: Incoming) -> Result<Bytes, ApiAnswer> {
    let too_large = || {
        let message = format!("the body has more than {MAX_BODY} bytes");
        ApiAnswer::error(ErrorKind::BodyTooLarge, message)
    };
    // What is announced is believed when it is too much, so that the client is told before it sends all of it.
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > MAX_BODY) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(broken_body(error.as_ref())),
        Err(_) => {
            let message = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
            Err(ApiAnswer::error(ErrorKind::RequestTimeout, message))
        }
    }
}

fn broken_body(error: &(dyn Error + Send + Sync)) -> ApiAnswer {
    ApiAnswer::error(ErrorKind::MalformedRequest, format!("the body could not be read: {error}"))
}

fn render(answer: &ApiAnswer) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // `Value` prints itself without an error.
    let text = format!("{}\n", answer.body);
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
