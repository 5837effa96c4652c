//! A command's record as the control API shows it, read with tolerance: what is missing or of another type is absent.

use command_manager::ErrorCode;
use jiff::Timestamp;
use serde_json::Value;

use super::error::CliError;
use crate::exit::Exit;

/// A record. Other versions of the agent may know more fields or fewer; only `status` has to be there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record(Value);

impl Record {
    /// The record that `value` is.
    pub(super) fn new(value: Value) -> Result<Self, CliError> {
        if value["status"].is_string() {
            Ok(Self(value))
        } else {
            Err(CliError::Unexpected { what: "a command without a status" })
        }
    }

    /// The whole record.
    pub(super) fn value(&self) -> &Value {
        &self.0
    }

    /// The same record with this history.
    pub(super) fn with_history(mut self, history: Vec<Value>) -> Self {
        self.0["history"] = Value::Array(history);
        self
    }

    /// The text of a field; empty if there is none.
    pub(super) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or("")
    }

    /// The result, or null.
    pub(super) fn result(&self) -> &Value {
        &self.0["result"]
    }

    /// What happened so far, oldest first.
    pub(super) fn history(&self) -> &[Value] {
        list(&self.0["history"])
    }

    /// When the agent took it.
    pub(super) fn accepted_at(&self) -> Option<Timestamp> {
        timestamp(&self.0["accepted_at"])
    }

    /// The pid of the asker as the agent sees it.
    pub(super) fn requester_pid(&self) -> Option<i64> {
        self.0["requester"]["pid"].as_i64()
    }

    /// Whether nothing changes any more.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.text("status"), "success" | "failure" | "timeout")
    }

    /// The exit code that tells how the command ended.
    pub(super) fn exit(&self) -> Exit {
        let degraded = self.result()["outcome"] == "degraded";
        let number = self.0["error"].as_i64().and_then(|number| i32::try_from(number).ok());
        let code = number.and_then(|number| ErrorCode::try_from(number).ok());
        match (self.text("status"), code) {
            ("timeout", _) | (_, Some(ErrorCode::TimedOut)) => Exit::TimedOut,
            (_, Some(ErrorCode::Degraded)) => Exit::Degraded,
            _ if degraded => Exit::Degraded,
            ("success", _) => Exit::Success,
            (_, Some(ErrorCode::Refused)) => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}

/// The items of a list; none if it is not one.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The time that a text stands for.
pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn exit(record: Value) -> Exit {
        Record::new(record).unwrap().exit()
    }

    #[test]
    fn status_and_error_number_make_the_exit_code() {
        assert_eq!(exit(json!({"status": "success", "error": 0})), Exit::Success);
        assert_eq!(exit(json!({"status": "failure", "error": 1})), Exit::Failed);
        assert_eq!(exit(json!({"status": "failure", "error": 2})), Exit::Refused);
        assert_eq!(exit(json!({"status": "timeout", "error": 5})), Exit::TimedOut);
        assert_eq!(exit(json!({"status": "failure", "error": 6})), Exit::Degraded);
    }

    #[test]
    fn the_outcome_counts_where_the_number_says_nothing() {
        let result = json!({"outcome": "degraded"});
        assert_eq!(exit(json!({"status": "success", "result": result})), Exit::Degraded);
        assert_eq!(exit(json!({"status": "failure"})), Exit::Failed);
        assert_eq!(exit(json!({"status": "failure", "error": 99})), Exit::Failed);
        assert_eq!(exit(json!({"status": "failure", "error": "2"})), Exit::Failed);
    }

    #[test]
    fn a_record_of_only_a_status_can_be_read() {
        let record = Record::new(json!({"status": "new"})).unwrap();
        assert_eq!(
            (record.text("id"), record.history().len(), record.accepted_at()),
            ("", 0, None)
        );
        assert!(!record.is_finished());
        for value in [json!(null), json!([]), json!({}), json!({"status": 1})] {
            Record::new(value).unwrap_err();
        }
    }
}
