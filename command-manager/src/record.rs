//! A command with everything that is known about it, in the form shown to people and programs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CommandId, CommandType, Count, Origin, Peer, Status, Step, Target, WireForm, wire};

/// A command and its life so far. Its JSON is what the control API and the command line show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// See [`CommandId`].
    pub id: CommandId,
    /// The wire form in which it came, and in which it is answered.
    pub form: WireForm,
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
    /// When it expires: from then on it is not begun any more.
    pub expires_at: Option<Timestamp>,
    /// Whether the asker said when it expires; otherwise that follows from its type.
    pub expiry_given: bool,
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
    /// How many of how many are through this stage, where there is something to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
    /// What a person is told.
    pub text: String,
}

impl HistoryEntry {
    pub(crate) fn new(seq: u64, at: Timestamp, status: Status, step: Step) -> Self {
        let Step { stage, module, count, text } = step;
        Self { seq, at, status, stage, module, count, text }
    }
}

/// One change of any command, as subscribers get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// Its number among the changes of all commands. It grows, and is never given twice, also across processes.
    pub change: u64,
    /// The command.
    pub id: CommandId,
    /// What was asked; `type` in JSON.
    #[serde(rename = "type")]
    pub kind: CommandType,
    /// How it ended, once it has: the number of an [`ErrorCode`](crate::ErrorCode).
    pub error: i32,
    /// What happened.
    #[serde(flatten)]
    pub entry: HistoryEntry,
}

/// Changes after a given one, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<StatusChange>,
    /// Whether some that were asked for are gone, because their commands are not kept any more.
    pub gap: bool,
}

impl CommandRecord {
    /// The number of the newest entry of the history; pass it to [`CommandManager::wait`](crate::CommandManager::wait).
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.history.last().map_or(0, |entry| entry.seq)
    }

    /// Whether its time has passed at `now` before its turn came. A stop does not wait for a turn: what was accepted before
    /// it expired takes effect.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.kind != CommandType::Stop && self.expires_at.is_some_and(|at| at <= now)
    }

    /// How it ended in words, or the newest step while it has not.
    #[must_use]
    pub fn text(&self) -> &str {
        self.history.last().map_or("", |entry| entry.text.as_str())
    }

    /// The answer in the wire form in which the command came: what was received with `id`, status, error and result filled
    /// in; see [`wire::answer`].
    #[must_use]
    pub fn to_answer(&self) -> Value {
        let answer = wire::Answer {
            id: &self.id,
            status: self.status,
            error: self.error,
            result: self.result.as_ref(),
            text: self.text(),
        };
        wire::answer(self.form, self.received.clone(), &answer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            form: WireForm::Envelope,
            expires_at: None,
            expiry_given: false,
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
                count: None,
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
                "id": "c-1", "form": "envelope", "type": "restart-module", "target": ["fim"], "force": true,
                "status": "in_progress", "error": 0, "reason": "new rules",
                "requester": {"uid": 0, "gid": 0, "pid": 7, "executable": null},
                "origin": {"moduleName": "client", "serverName": ""},
                "accepted_at": "2026-03-01T10:00:00Z", "expires_at": null, "expiry_given": false, "finished_at": null,
                "attempts": 1,
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
            finished.to_answer(),
            json!({"id": "c-1", "command": {"type": "restart-module"}, "trace": 7,
                "parameters": {"data": ["fim"], "error": 6, "status": "failure", "x": true},
                "result": {"failed": ["sca"]}})
        );
    }

    #[test]
    fn an_envelope_without_parameters_is_answered_with_some() {
        assert_eq!(
            record().to_answer()["parameters"],
            json!({"status": "in_progress", "error": 0})
        );
    }
}
