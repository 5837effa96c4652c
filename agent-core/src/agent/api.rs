//! What the control API answers.

use std::sync::Arc;

use async_trait::async_trait;
use command_manager::{
    AcceptError, Acceptance, CommandId, CommandType, Peer, audit_refused, parse_envelope,
};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::core::Core;
use super::order::Urgent;
use crate::control::{ApiAnswer, ApiRequest, ControlHandler, ErrorKind, PeerCred};

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
            ApiRequest::Status => ApiAnswer { status: 200, body: self.core.status() },
            ApiRequest::Modules => {
                ApiAnswer { status: 200, body: json!({"modules": self.core.supervisor.statuses()}) }
            }
            ApiRequest::ListCommands { limit } => match self.core.commands.list(limit).await {
                Ok(records) => ApiAnswer { status: 200, body: json!({"commands": records}) },
                Err(error) => ApiAnswer::error(ErrorKind::Storage, error),
            },
            ApiRequest::ShowCommand { id, after, wait } => self.show(&id, after, wait).await,
            ApiRequest::SubmitCommand { body } => self.submit(peer, &body).await,
        }
    }
}

impl Api {
    async fn show(&self, id: &str, after: Option<u64>, wait: std::time::Duration) -> ApiAnswer {
        let unknown = || ApiAnswer::error(ErrorKind::NotFound, format!("there is no command {id}"));
        let Ok(id) = CommandId::new(id) else { return unknown() };
        if let Some(after) = after {
            // Whether it changed in time or not, the record as it is then is the answer.
            drop(tokio::time::timeout(wait, self.core.commands.wait(&id, after)).await);
        }
        match self.core.commands.show(&id).await {
            Ok(Some(record)) => ApiAnswer { status: 200, body: json!(record) },
            Ok(None) => unknown(),
            Err(error) => ApiAnswer::error(ErrorKind::Storage, error),
        }
    }

    async fn submit(&self, peer: PeerCred, body: &Bytes) -> ApiAnswer {
        let peer =
            Peer { uid: peer.uid, gid: peer.gid, pid: peer.pid, executable: peer.executable };
        let envelope = match parse_envelope(body) {
            Ok(envelope) => envelope,
            Err(error) => {
                audit_refused(None, Some(&peer), &error.to_string());
                return ApiAnswer::error(ErrorKind::BadRequest, error);
            }
        };
        match self.core.commands.accept(envelope, Some(peer)).await {
            Ok(Acceptance::New(record)) => {
                let urgent = match record.kind {
                    CommandType::Stop => Some(Urgent::Stop(record.id.clone())),
                    CommandType::RestartAgent | CommandType::RestartModule => {
                        Some(Urgent::Arrived(Box::new(record.clone())))
                    }
                    CommandType::Reload | CommandType::CheckConfig => None,
                };
                if let Some(urgent) = urgent
                    && self.urgent.send(urgent).await.is_err()
                {
                    tracing::info!(id = %record.id, "the agent is ending already");
                }
                ApiAnswer { status: 202, body: record.to_envelope() }
            }
            Ok(Acceptance::Known(record)) => ApiAnswer { status: 200, body: record.to_envelope() },
            Err(error @ AcceptError::Conflict { .. }) => {
                ApiAnswer::error(ErrorKind::Conflict, error)
            }
            Err(error) => ApiAnswer::error(ErrorKind::Storage, error),
        }
    }
}

impl Core {
    /// The agent's status, as `GET /v1/status` answers it.
    fn status(&self) -> Value {
        let spool = self.spool.stats();
        let activity = self.activity();
        let uptime = crate::wall_clock::now().duration_since(self.started_at).as_secs();
        json!({
            "version": self.version,
            "pid": self.identity.pid,
            "generation": self.generation,
            "method": self.controller.method(),
            "started_at": self.started_at,
            "uptime_s": uptime,
            "state": activity.state,
            "config": self.paths.config,
            "state_dir": self.paths.state_dir,
            "modules": self.supervisor.statuses(),
            "last_restart": activity.last_restart,
            "spool": {"accepted": spool.accepted_total, "stored": spool.stored},
        })
    }
}
