//! An agent that consists of a control server and one command, and a screen that can be read.

use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_core::control::{
    ApiAnswer, ApiRequest, ControlHandler, ControlPolicy, ControlServer, ErrorKind, PeerCred, bind,
    serve,
};
use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::args::{Args, Question, Verb};
use crate::cli::answer;
use crate::cli::paint::Paint;
use crate::cli::screen::Screen;
use crate::exit::Exit;

type Answering<'a> = Pin<Box<dyn Future<Output = ApiAnswer> + Send + 'a>>;

/// Keeps one command; what becomes of it is written by the test.
pub(super) struct FakeAgent {
    /// The record; null until something was submitted.
    pub(super) record: watch::Sender<Value>,
    /// Every envelope that came in.
    pub(super) submitted: Mutex<Vec<Value>>,
    pub(super) status: Mutex<Value>,
    /// How often somebody asked for the record.
    asked_for: watch::Sender<u32>,
    /// Whether the agent cannot see the pids of those who ask.
    pub(super) is_elsewhere: AtomicBool,
    /// What is answered to a submission instead of accepting it.
    pub(super) refusal: Mutex<Option<ApiAnswer>>,
}

impl FakeAgent {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            record: watch::Sender::new(Value::Null),
            submitted: Mutex::default(),
            status: Mutex::new(json!({})),
            asked_for: watch::Sender::new(0),
            is_elsewhere: AtomicBool::new(false),
            refusal: Mutex::default(),
        })
    }

    fn submit(&self, peer: &PeerCred, body: &[u8]) -> ApiAnswer {
        let envelope: Value = serde_json::from_slice(body).unwrap();
        self.submitted.lock().unwrap().push(envelope.clone());
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return refusal;
        }
        let pid = peer.pid.filter(|_| !self.is_elsewhere.load(Ordering::SeqCst));
        self.record.send_if_modified(|record| {
            let is_new = record.is_null();
            if is_new {
                *record = json!({
                    "id": envelope["id"], "type": envelope["command"]["type"],
                    "target": envelope["parameters"]["data"], "force": envelope["parameters"]["force"],
                    "reason": envelope["parameters"]["reason"], "status": "pending", "error": 0,
                    "requester": { "uid": peer.uid, "gid": peer.gid, "pid": pid },
                    "accepted_at": "2026-03-01T10:00:00Z", "history": [],
                });
                push(record, 0, "pending", "accepted", None, "waiting for its turn");
            }
            is_new
        });
        ApiAnswer { status: 202, body: envelope }
    }

    async fn show(&self, after: Option<u64>, wait: Duration) -> ApiAnswer {
        self.asked_for.send_modify(|times| *times += 1);
        let mut record = self.record.subscribe();
        let has_news = |record: &Value| {
            let last = record["history"].as_array().unwrap().last().unwrap()["seq"].as_u64();
            last > after || record["status"] == "success" || record["status"] == "failure"
        };
        if let Ok(Err(error)) = tokio::time::timeout(wait, record.wait_for(has_news)).await {
            return ApiAnswer::error(ErrorKind::Internal, error);
        }
        let body = record.borrow().clone();
        ApiAnswer::ok(body)
    }

    /// Adds an entry `millis` after the acceptance.
    pub(super) fn happens(
        &self,
        millis: u32,
        status: &str,
        stage: &str,
        module: Option<&str>,
        text: &str,
    ) {
        self.record.send_modify(|record| push(record, millis, status, stage, module, text));
    }

    /// Adds an entry about `module`, through whose stage so many of so many are.
    pub(super) fn counts(&self, millis: u32, stage: &str, module: &str, done: u32, total: u32) {
        self.record.send_modify(|record| {
            push(record, millis, "in_progress", stage, Some(module), "done");
            if let Some(entry) = record["history"].as_array_mut().and_then(|it| it.last_mut()) {
                entry["count"] = json!({ "done": done, "total": total });
            }
        });
    }

    /// Finishes the command.
    pub(super) fn finishes(
        &self,
        millis: u32,
        status: &str,
        error: i32,
        text: &str,
        result: Value,
    ) {
        self.record.send_modify(|record| {
            record["error"] = error.into();
            record["result"] = result;
            push(record, millis, status, "finished", None, text);
        });
    }

    /// Returns once somebody waits for news after the acceptance.
    pub(super) async fn is_followed(&self) {
        self.asked_for.subscribe().wait_for(|times| *times >= 2).await.unwrap();
    }

    /// Returns once something was submitted.
    pub(super) async fn is_asked(&self) {
        self.record.subscribe().wait_for(|record| !record.is_null()).await.unwrap();
    }
}

fn push(
    record: &mut Value,
    millis: u32,
    status: &str,
    stage: &str,
    module: Option<&str>,
    text: &str,
) {
    record["status"] = status.into();
    let history = record["history"].as_array_mut().unwrap();
    history.push(json!({
        "seq": history.len() + 1, "at": format!("2026-03-01T10:00:{:06.3}Z", f64::from(millis) / 1000.0),
        "status": status, "stage": stage, "module": module, "text": text,
    }));
}

impl ControlHandler for FakeAgent {
    fn refused(&self, _: PeerCred, why: &str) {
        panic!("nobody is refused here: {why}");
    }

    fn handle<'a, 'b>(&'a self, peer: PeerCred, request: ApiRequest) -> Answering<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            match request {
                ApiRequest::Status => ApiAnswer::ok(self.status.lock().unwrap().clone()),
                ApiRequest::Modules => ApiAnswer::ok(json!({ "modules": [] })),
                ApiRequest::ListCommands { limit } => {
                    ApiAnswer::ok(json!({ "commands": [], "limit": limit }))
                }
                ApiRequest::ShowCommand { id, .. } if self.record.borrow()["id"] != *id => {
                    ApiAnswer::error(ErrorKind::NotFound, format!("there is no command {id}"))
                }
                ApiRequest::ShowCommand { after, wait, .. } => self.show(after, wait).await,
                ApiRequest::SubmitCommand { body } => self.submit(&peer, &body),
                // Asked for with `scripted_agent`, which shows the words of the question.
                ApiRequest::Changes { .. }
                | ApiRequest::Preflight { .. }
                | ApiRequest::Results { .. }
                | ApiRequest::CancelCommand { .. }
                | ApiRequest::AcknowledgeResult { .. }
                | ApiRequest::AskModule { .. } => {
                    ApiAnswer::error(ErrorKind::NotFound, "this agent keeps one command")
                }
            }
        })
    }
}

/// A folder with a control socket.
pub(super) struct Place {
    folder: TempDir,
}

/// What a run of the program printed, and how it ended.
#[derive(Debug, PartialEq)]
pub(super) struct Run {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub(super) fn listen(&self) -> UnixListener {
        bind(&self.socket(), 0o600).unwrap()
    }

    /// Lets `agent` answer.
    pub(super) fn serve(&self, agent: &Arc<FakeAgent>) -> ControlServer {
        serve(self.listen(), Arc::clone(agent) as _, ControlPolicy::default()).unwrap()
    }

    /// Stops answering: whoever connects is refused.
    pub(super) async fn go_away(&self, server: ControlServer) {
        assert_eq!(server.finished(Duration::from_secs(20)).await, 0);
    }

    /// Runs the program with `line` as its arguments. Socket paths are shown as `SOCKET`.
    pub(super) async fn run(&self, line: &str) -> Run {
        let args = Args::try_parse_from(["wazuh-agent"].into_iter().chain(line.split_whitespace()));
        let args = args.unwrap();
        let Verb::Ask(question) = args.verb else { panic!("{line} asks nothing") };
        self.ask(question, args.global.json).await
    }

    async fn ask(&self, question: Question, json: bool) -> Run {
        self.printed(json, async |screen| answer(&self.socket(), question, screen).await).await
    }

    /// What `act` prints, and how it ends.
    pub(super) async fn printed(
        &self,
        json: bool,
        act: impl AsyncFnOnce(&mut Screen) -> Exit,
    ) -> Run {
        let (out, err) = (Pane::default(), Pane::default());
        let paint = Paint { on: false };
        let mut screen = Screen::new(Box::new(out.clone()), Box::new(err.clone()), json, paint);
        let exit = act(&mut screen).await;
        let exit = screen.finish(exit);
        let shown = |pane: &Pane| pane.text().replace(self.socket().to_str().unwrap(), "SOCKET");
        Run { exit, out: shown(&out), err: shown(&err) }
    }
}

#[derive(Clone, Default)]
struct Pane(Arc<Mutex<Vec<u8>>>);

impl Pane {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Pane {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
