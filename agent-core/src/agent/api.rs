//! What the control API answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use command_manager::{
    AcceptError, Acceptance, Cancelling, CommandId, CommandRecord, CommandType, Peer,
    audit_refused, parse_command,
};
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ask_module;
use super::core::Core;
use super::order::Urgent;
use super::reporters::ResultStream;
use crate::control::{ApiAnswer, ApiRequest, ControlHandler, ErrorKind, PeerCred};
use crate::preflight::dry_run;
use crate::wall_clock;

/// How long somebody who asks for results waits at least when there is one: it may have to be offered first.
const OFFERING: Duration = Duration::from_millis(500);

/// Answers requests from the journal and the supervisor; what changes something goes through the journal.
pub(crate) struct Api {
    pub(crate) core: Arc<Core>,
    /// What goes past the queue to the main loop.
    pub(crate) urgent: mpsc::Sender<Urgent>,
}

#[async_trait]
impl ControlHandler for Api {
    async fn handle(&self, peer: PeerCred, request: ApiRequest) -> ApiAnswer {
        match request {
            ApiRequest::Status => ApiAnswer::ok(self.core.status()),
            ApiRequest::Modules => {
                ApiAnswer::ok(json!({"modules": self.core.supervisor.statuses()}))
            }
            ApiRequest::ListCommands { limit } => match self.core.commands.list(limit).await {
                Ok(records) => {
                    let shown: Vec<Value> =
                        records.iter().map(|record| self.core.shown(record)).collect();
                    ApiAnswer::ok(json!({"commands": shown}))
                }
                Err(error) => ApiAnswer::error(ErrorKind::Storage, error),
            },
            ApiRequest::ShowCommand { id, after, wait } => self.show(&id, after, wait).await,
            ApiRequest::Changes { after, limit, wait } => self.changes(after, limit, wait).await,
            ApiRequest::Preflight { modules, force, wait } => {
                ApiAnswer::ok(json!(dry_run(&self.core, &modules, force, wait).await))
            }
            ApiRequest::Results { wait } => self.results(wait).await,
            ApiRequest::SubmitCommand { body } => self.submit(who(peer), &body).await,
            ApiRequest::CancelCommand { id, body } => self.cancel(&who(peer), &id, &body).await,
            ApiRequest::AcknowledgeResult { change } => self.acknowledge(change).await,
            ApiRequest::AskModule { name, body } => {
                ask_module::answer(&self.core.supervisor, &name, &body).await
            }
        }
    }

    fn refused(&self, peer: PeerCred, why: &str) {
        audit_refused(None, Some(&who(peer)), why, wall_clock::now());
    }
}

impl Api {
    async fn show(&self, id: &str, after: Option<u64>, wait: Duration) -> ApiAnswer {
        let Ok(id) = CommandId::new(id) else { return unknown(id) };
        if let Some(after) = after {
            // Whether it changed in time or not, the record as it is then is the answer.
            drop(timeout(wait, self.core.commands.wait(&id, after)).await);
        }
        match self.core.commands.show(&id).await {
            Ok(Some(record)) => ApiAnswer::ok(self.core.shown(&record)),
            Ok(None) => unknown(id.as_str()),
            Err(error) => ApiAnswer::error(ErrorKind::Storage, error),
        }
    }

    async fn changes(&self, after: u64, limit: usize, wait: Duration) -> ApiAnswer {
        let commands = &self.core.commands;
        let found = async {
            match timeout(wait, commands.changes(after, limit)).await {
                Ok(found) => found,
                Err(_) => commands.changes_so_far(after, limit).await,
            }
        };
        let (found, newest) = match (found.await, commands.newest_change().await) {
            (Ok(found), Ok(newest)) => (found, newest),
            (Err(error), _) | (_, Err(error)) => {
                return ApiAnswer::error(ErrorKind::Storage, error);
            }
        };
        ApiAnswer::ok(json!({"changes": found.changes, "gap": found.gap, "newest": newest}))
    }

    async fn results(&self, wait: Duration) -> ApiAnswer {
        let commands = &self.core.commands;
        // Nobody may ever ask, so results are kept from the first question on.
        if let Err(error) = commands.demand(ResultStream::NAME).await {
            return ApiAnswer::error(ErrorKind::Storage, error);
        }
        let wait = match commands.has_unreported(ResultStream::NAME).await {
            Ok(true) if self.core.activity().state == "running" => wait.max(OFFERING),
            Ok(_) => wait,
            Err(error) => return ApiAnswer::error(ErrorKind::Storage, error),
        };
        let next = timeout(wait, self.core.results.next()).await.ok().flatten();
        let results = next.iter().map(|report| {
            json!({"change": report.change, "id": report.record.id, "answer": report.answer()})
        });
        ApiAnswer::ok(json!({"results": results.collect::<Vec<_>>()}))
    }

    async fn acknowledge(&self, change: u64) -> ApiAnswer {
        let acknowledged = self.core.commands.acknowledge(ResultStream::NAME, change).await;
        self.core.results.acknowledge(change);
        match acknowledged {
            // Acknowledging twice is fine: the first answer may have been lost.
            Ok(was_waiting) => ApiAnswer::ok(json!({"change": change, "was_waiting": was_waiting})),
            Err(error) => ApiAnswer::error(ErrorKind::Storage, error),
        }
    }

    async fn submit(&self, peer: Peer, body: &Bytes) -> ApiAnswer {
        let command = match parse_command(body) {
            Ok(command) => command,
            Err(error) => {
                audit_refused(None, Some(&peer), &error.to_string(), wall_clock::now());
                return ApiAnswer::error(ErrorKind::BadRequest, error);
            }
        };
        match self.core.commands.accept(command, Some(peer)).await {
            Ok(Acceptance::New(record)) => {
                self.tell_the_main_loop(&record).await;
                ApiAnswer { status: 202, body: record.to_answer() }
            }
            Ok(Acceptance::Known(record)) => ApiAnswer::ok(record.to_answer()),
            Err(error @ AcceptError::Conflict { .. }) => {
                ApiAnswer::error(ErrorKind::Conflict, error)
            }
            Err(error @ AcceptError::TooManyRestarts { wait, .. }) => {
                let mut answer = ApiAnswer::error(ErrorKind::TooManyRestarts, error);
                // Rounded up, so that whoever waits that long is not refused again for a fraction.
                answer.body["error"]["retry_after_s"] = json!(wait.as_secs() + 1);
                answer
            }
            Err(error @ AcceptError::Storage { .. }) => ApiAnswer::error(ErrorKind::Storage, error),
        }
    }

    /// What does not wait for its turn, or may be answered by what is under way.
    async fn tell_the_main_loop(&self, record: &CommandRecord) {
        if record.status.is_finished() {
            return;
        }
        let urgent = match record.kind {
            CommandType::Stop => Urgent::Stop(record.id.clone()),
            CommandType::RestartAgent | CommandType::RestartModule => {
                Urgent::Arrived(Box::new(record.clone()))
            }
            CommandType::Reload | CommandType::CheckConfig => return,
        };
        if self.urgent.send(urgent).await.is_err() {
            tracing::info!(id = %record.id, "the agent is ending already");
        }
    }

    async fn cancel(&self, peer: &Peer, id: &str, body: &Bytes) -> ApiAnswer {
        let Ok(id) = CommandId::new(id) else { return unknown(id) };
        let why = match reason(body) {
            Ok(why) => why,
            Err(error) => return ApiAnswer::error(ErrorKind::BadRequest, error),
        };
        match self.core.commands.cancel(&id, Some(peer), why.as_deref()).await {
            Ok(Cancelling::Cancelled(record)) => ApiAnswer::ok(json!(record)),
            Ok(Cancelling::AlreadyFinished(record)) => {
                let text = format!("the command {id} is finished already: {}", record.status);
                ApiAnswer::error(ErrorKind::Conflict, text)
            }
            Ok(Cancelling::UnderWay(_)) => {
                let text =
                    format!("the command {id} is under way; only one that waits can be cancelled");
                ApiAnswer::error(ErrorKind::Conflict, text)
            }
            Ok(Cancelling::Unknown) => unknown(id.as_str()),
            Err(error) => ApiAnswer::error(ErrorKind::Storage, error),
        }
    }
}

/// The body of a cancellation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

/// The longest reason of a cancellation, in bytes, as of a command.
const MAX_REASON: usize = command_manager::wire::MAX_REASON;

fn reason(body: &Bytes) -> Result<Option<String>, String> {
    if body.is_empty() {
        return Ok(None);
    }
    let why: Why = serde_json::from_slice(body)
        .map_err(|error| format!("expected nothing or {{\"reason\": \"…\"}}: {error}"))?;
    match why.reason {
        Some(text) if text.len() > MAX_REASON => {
            Err(format!("reason: found {} bytes, expected at most {MAX_REASON}", text.len()))
        }
        reason => Ok(reason),
    }
}

fn unknown(id: &str) -> ApiAnswer {
    ApiAnswer::error(ErrorKind::NotFound, format!("there is no command {id}"))
}

fn who(peer: PeerCred) -> Peer {
    Peer { uid: peer.uid, gid: peer.gid, pid: peer.pid, executable: peer.executable }
}

impl Core {
    /// A command, with the first events after its restart that have come since it was finished.
    fn shown(&self, record: &CommandRecord) -> Value {
        let mut shown = json!(record);
        if shown["result"]["events"].is_object()
            && let Some(restart) = self.history.of_command(record.id.as_str())
        {
            shown["result"]["events"] = json!(restart.events);
        }
        shown
    }

    /// The agent's status, as `GET /v1/status` answers it.
    fn status(&self) -> Value {
        let spool = self.spool.stats();
        let activity = self.activity();
        let uptime = wall_clock::now().duration_since(self.started_at).as_secs();
        json!({
            "version": self.version,
            "pid": self.identity.pid,
            "generation": self.generation,
            "method": self.controller.method(),
            "started_at": self.started_at,
            "uptime_s": uptime,
            "state": activity.state,
            "config": self.paths.config,
            "config_problem": self.config().instead_of,
            "state_dir": self.paths.state_dir,
            "modules": self.supervisor.statuses(),
            "last_restart": activity.last_restart,
            "restarts": self.history.summary(),
            "spool": {"accepted": spool.accepted_total, "stored": spool.stored},
        })
    }
}
