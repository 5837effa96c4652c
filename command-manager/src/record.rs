//! A command with everything that is known about it, in the form shown to people and programs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{CommandId, CommandType, Origin, Peer, Status, Target};

/// A command and its life so far. Its JSON is what the control API and the command line show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// See [`CommandId`].
    pub id: CommandId,
    /// What was asked; `type` in JSON.
    #[serde(rename = "type")]
    pub kind: CommandType,
    /// Of whom.
    pub target: Target,
    /// Whether it may skip what would make it wait.
    pub force: bool,
    /// Where it is in its life.
    pub status: Status,
    /// How it ended: the number of an [`ErrorCode`](crate::ErrorCode), 0 until it is finished.
    pub error: i32,
    /// Why it was asked, in the asker's words.
    pub reason: Option<String>,
    /// Who asked over the local socket, if it came that way.
    pub requester: Option<Peer>,
    /// Where it comes from, as the asker says.
    pub origin: Origin,
    /// When it became durable.
    pub accepted_at: Timestamp,
    /// When it ended, if it has.
    pub finished_at: Option<Timestamp>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// What happened to it, oldest first; never empty.
    pub history: Vec<HistoryEntry>,
    /// What a program is told about its end.
    pub result: Option<Value>,
    /// The envelope as it came in, with the fields that nobody here knows.
    pub received: Value,
}

/// One thing that happened to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its number within the command: 1, 2, 3 …
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The command's status from then on.
    pub status: Status,
    /// Which part of the work: `accepted`, `started`, `requeued` and `finished` are written here, the others by the
    /// executor.
    pub stage: String,
    /// The module it is about, if it is about one.
    pub module: Option<String>,
    /// What a person is told.
    pub text: String,
}

impl CommandRecord {
    /// The number of the newest entry of the history; pass it to [`CommandManager::wait`](crate::CommandManager::wait).
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.history.last().map_or(0, |entry| entry.seq)
    }

    /// The answer in wire form: the envelope as received, with `id`, `parameters.status`, `parameters.error` and
    /// `result` filled in (`result` is null when there is none).
    #[must_use]
    pub fn to_envelope(&self) -> Value {
        let mut fields = object(self.received.clone());
        let mut parameters = object(fields.remove("parameters").unwrap_or_default());
        parameters.insert("status".into(), json!(self.status));
        parameters.insert("error".into(), json!(self.error));
        fields.insert("parameters".into(), Value::Object(parameters));
        fields.insert("id".into(), json!(self.id));
        fields.insert("result".into(), self.result.clone().unwrap_or_default());
        Value::Object(fields)
    }
}

/// The fields of `value`; an envelope that left out its parameters is answered with some all the same.
fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> CommandRecord {
        let at: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        CommandRecord {
            id: CommandId::new("c-1").unwrap(),
            kind: CommandType::RestartModule,
            target: Target::Modules(vec!["fim".into()]),
            force: true,
            status: Status::InProgress,
            error: 0,
            reason: Some("new rules".into()),
            requester: Some(Peer { uid: 0, gid: 0, pid: Some(7), executable: None }),
            origin: Origin {
                module_name: "client".into(),
                server_name: String::new(),
                user: String::new(),
            },
            accepted_at: at,
            finished_at: None,
            attempts: 1,
            history: vec![HistoryEntry {
                seq: 1,
                at,
                status: Status::Pending,
                stage: "accepted".into(),
                module: None,
                text: String::new(),
            }],
            result: None,
            received: json!({"command": {"type": "restart-module"}, "trace": {"span": 7}}),
        }
    }

    #[test]
    fn the_json_has_the_documented_names() {
        let shown = serde_json::to_value(record()).unwrap();
        assert_eq!(
            shown,
            json!({
                "id": "c-1", "type": "restart-module", "target": ["fim"], "force": true,
                "status": "in_progress", "error": 0, "reason": "new rules",
                "requester": {"uid": 0, "gid": 0, "pid": 7, "executable": null},
                "origin": {"moduleName": "client", "serverName": ""},
                "accepted_at": "2026-03-01T10:00:00Z", "finished_at": null, "attempts": 1,
                "history": [{"seq": 1, "at": "2026-03-01T10:00:00Z", "status": "pending",
                             "stage": "accepted", "module": null, "text": ""}],
                "result": null,
                "received": {"command": {"type": "restart-module"}, "trace": {"span": 7}},
            })
        );
        assert_eq!(serde_json::from_value::<CommandRecord>(shown).unwrap(), record());
    }

    #[test]
    fn the_answer_is_the_envelope_received_with_the_outcome_filled_in() {
        let mut finished = record();
        finished.status = Status::Failure;
        finished.error = 6;
        finished.result = Some(json!({"failed": ["sca"]}));
        finished.received = json!({"command": {"type": "restart-module"}, "trace": 7,
            "parameters": {"data": ["fim"], "error": 0, "status": "pending", "x": true}});
        assert_eq!(
            finished.to_envelope(),
            json!({"id": "c-1", "command": {"type": "restart-module"}, "trace": 7,
                "parameters": {"data": ["fim"], "error": 6, "status": "failure", "x": true},
                "result": {"failed": ["sca"]}})
        );
    }

    #[test]
    fn an_envelope_without_parameters_is_answered_with_some() {
        assert_eq!(
            record().to_envelope()["parameters"],
            json!({"status": "in_progress", "error": 0})
        );
    }
}
