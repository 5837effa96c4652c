//! Reports the end of each command as an event, which goes wherever events go.

use std::sync::Arc;

use async_trait::async_trait;
use command_manager::{CommandRecord, Report, ReportError, Reporter, Status};
use module_api::EventId;
use serde_json::{Map, Value, json};

use crate::spool::Spool;

/// Publishes `command_finished` events. The event is acknowledged when it is durable in the spool, and the same result has
/// the same event id, however often it is sent.
pub(crate) struct EventReporter {
    spool: Arc<Spool>,
}

impl EventReporter {
    /// Its name in the journal.
    pub(crate) const NAME: &str = "events";

    pub(crate) fn new(spool: Arc<Spool>) -> Self {
        Self { spool }
    }
}

#[async_trait]
impl Reporter for EventReporter {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn report(&self, report: &Report) -> Result<(), ReportError> {
        let id = EventId(format!("command_finished-{}", report.record.id));
        let published = self.spool.publish_agent_event_as(id, fields(report)).await;
        published.map_err(|error| ReportError::Unreachable { reason: error.to_string() })
    }
}

/// What the event says, in ECS names where there are some.
fn fields(report: &Report) -> Map<String, Value> {
    let CommandRecord { id, kind, target, status, error, reason, requester, origin, .. } =
        &report.record;
    let outcome = if *status == Status::Success { "success" } else { "failure" };
    let fields = json!({
        "message": format!("command {id} ({kind}): {}", report.record.text()),
        "event": {
            "action": "command_finished",
            "outcome": outcome,
            "start": report.record.accepted_at,
            "end": report.record.finished_at,
        },
        "command": {
            "id": id,
            "type": kind,
            "target": target,
            "status": status,
            "error": error,
            "reason": reason,
            "requester": requester,
            "origin": origin,
            "change": report.change,
            "result": report.record.result,
        },
    });
    if let Value::Object(fields) = fields { fields } else { Map::new() }
}
