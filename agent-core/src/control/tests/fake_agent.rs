//! A handler whose answers show what it was asked, and a server in front of it.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use crate::control::server::serve_to;
use crate::control::{
    ApiAnswer, ApiRequest, ControlClient, ControlHandler, ControlPolicy, ControlServer, PeerCred,
    bind, serve,
};

/// Answers with its name and with what it was asked.
#[derive(Debug)]
pub(super) struct FakeAgent {
    name: &'static str,
    /// A permit for each call that has begun.
    pub(super) begun: Semaphore,
    /// Submissions wait for a permit.
    pub(super) gate: Semaphore,
    /// A permit for each submission that was run to its end.
    pub(super) submitted: Semaphore,
    pub(super) peers: Mutex<Vec<PeerCred>>,
    /// Who was refused before the handler was asked, and why.
    pub(super) refused: Mutex<Vec<(u32, String)>>,
    at_once: AtomicUsize,
    pub(super) most_at_once: AtomicUsize,
}

impl FakeAgent {
    pub(super) fn named(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            begun: Semaphore::new(0),
            gate: Semaphore::new(0),
            submitted: Semaphore::new(0),
            peers: Mutex::default(),
            refused: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        })
    }

    async fn answer(&self, request: ApiRequest) -> ApiAnswer {
        match request {
            ApiRequest::Status => {
                tokio::task::yield_now().await;
                ApiAnswer::ok(json!({ "name": self.name }))
            }
            // 8 MB: more than a socket holds.
            ApiRequest::Modules => ApiAnswer::ok(Value::String("x".repeat(8_000_000))),
            ApiRequest::ListCommands { limit } => ApiAnswer::ok(json!({ "limit": limit })),
            ApiRequest::ShowCommand { id, .. } if id == "panic" => panic!("as the test asked"),
            ApiRequest::ShowCommand { id, .. } if id == "odd" => {
                ApiAnswer { status: 99, body: json!(null) }
            }
            ApiRequest::ShowCommand { id, after, wait } => {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                let wait_ms = u64::try_from(wait.as_millis()).unwrap();
                ApiAnswer::ok(json!({ "id": id, "after": after, "wait_ms": wait_ms }))
            }
            ApiRequest::Changes { after, limit, wait } => {
                let wait = u64::try_from(wait.as_millis()).unwrap();
                ApiAnswer::ok(json!({ "after": after, "limit": limit, "wait_ms": wait }))
            }
            ApiRequest::Preflight { modules, force, wait } => {
                tokio::time::sleep(wait).await;
                ApiAnswer::ok(json!({ "modules": modules, "force": force }))
            }
            ApiRequest::Results { wait } => {
                ApiAnswer::ok(json!({ "wait_ms": u64::try_from(wait.as_millis()).unwrap() }))
            }
            ApiRequest::CancelCommand { id, body } => {
                ApiAnswer::ok(json!({ "cancel": id, "text": String::from_utf8_lossy(&body) }))
            }
            ApiRequest::AcknowledgeResult { change } => ApiAnswer::ok(json!({ "ack": change })),
            ApiRequest::AskModule { name, body } => {
                ApiAnswer::ok(json!({ "ask": name, "text": String::from_utf8_lossy(&body) }))
            }
            ApiRequest::SubmitCommand { body } => {
                self.gate.acquire().await.unwrap().forget();
                self.submitted.add_permits(1);
                let text = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
                ApiAnswer { status: 202, body: json!({ "bytes": body.len(), "text": text }) }
            }
        }
    }
}

#[async_trait]
impl ControlHandler for FakeAgent {
    async fn handle(&self, peer: PeerCred, request: ApiRequest) -> ApiAnswer {
        self.peers.lock().unwrap().push(peer);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.begun.add_permits(1);
        let answer = self.answer(request).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    fn refused(&self, peer: PeerCred, why: &str) {
        self.refused.lock().unwrap().push((peer.uid, why.to_owned()));
    }
}

/// A fake agent behind a socket in a folder of its own.
pub(super) struct Scene {
    pub(super) agent: Arc<FakeAgent>,
    pub(super) server: ControlServer,
    /// Another descriptor of the listener, as the next process has one.
    pub(super) listener: UnixListener,
    pub(super) socket: PathBuf,
    pub(super) client: ControlClient,
    _folder: TempDir,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(|listener, agent| serve(listener, agent, ControlPolicy::default()))
    }

    /// A server that lets nobody submit but this user id.
    pub(super) fn only_for(uid: u32) -> Self {
        Self::with(|listener, agent| serve_to(listener, agent, vec![uid]))
    }

    fn with(
        serve: impl FnOnce(UnixListener, Arc<FakeAgent>) -> std::io::Result<ControlServer>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = bind(&socket, 0o660).unwrap();
        let agent = FakeAgent::named("first");
        let server = serve(listener.try_clone().unwrap(), Arc::clone(&agent)).unwrap();
        let client = ControlClient::new(&socket);
        Self { agent, server, listener, socket, client, _folder: folder }
    }

    pub(super) async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }

    /// Sends `bytes` and reads until the server closes; a broken pipe while sending is the server's right.
    pub(super) async fn raw(&self, bytes: &[u8]) -> String {
        let (mut reader, mut writer) = self.connect().await.into_split();
        let sending = async {
            if let Err(error) = writer.write_all(bytes).await {
                assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            }
        };
        let (text, ()) = tokio::join!(read_to_end(&mut reader), sending);
        text
    }
}

/// All that arrives until the end; a reset after that counts as the end.
pub(super) async fn read_to_end(reader: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = reader.read_to_end(&mut bytes).await {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(bytes).unwrap()
}
