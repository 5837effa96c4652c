//! Answers: the command as it came in, with what became of it, in the form in which it came.

use serde_json::{Map, Value, json};

use super::WireForm;
use crate::{CommandId, Status};

/// What became of a command so far.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its id, which its sender does not know if the agent gave it.
    pub id: &'a CommandId,
    /// Where it is in its life.
    pub status: Status,
    /// The number of an [`ErrorCode`](crate::ErrorCode), 0 until it is finished.
    pub error: i32,
    /// What a program is told about its end.
    pub result: Option<&'a Value>,
    /// What a person is told.
    pub text: &'a str,
}

/// The answer to the command `received`, which came in the form `form`. Pure; nothing of `received` is lost but the
/// fields that are filled in.
///
/// An envelope gets `id`, `parameters.status`, `parameters.error` and `result` (null when there is none). A document
/// gets `status` and `result`: an object with `code` (0 success, 1 failure, 2 not finished, 3 timeout), `message` (the
/// text), `error` (the number) and `data` (the result, null when there is none).
#[must_use]
pub fn answer(form: WireForm, received: Value, end: &Answer<'_>) -> Value {
    let mut fields = object(received);
    match form {
        WireForm::Envelope => fill_envelope(&mut fields, end),
        WireForm::Document => fill_document(&mut fields, end),
    }
    Value::Object(fields)
}

fn fill_envelope(fields: &mut Map<String, Value>, end: &Answer<'_>) {
    let mut parameters = object(fields.remove("parameters").unwrap_or_default());
    parameters.insert("status".into(), json!(end.status));
    parameters.insert("error".into(), json!(end.error));
    fields.insert("parameters".into(), Value::Object(parameters));
    fields.insert("id".into(), json!(end.id));
    fields.insert("result".into(), json!(end.result));
}

fn fill_document(fields: &mut Map<String, Value>, end: &Answer<'_>) {
    let result = json!({
        "code": code(end.status),
        "message": end.text,
        "error": end.error,
        "data": end.result,
    });
    // What came may not be kept any more; whoever gets the answer knows the command by its id.
    fields.entry("document_id").or_insert_with(|| json!(end.id));
    fields.insert("status".into(), json!(end.status));
    fields.insert("result".into(), result);
}

/// The number by which servers know a status.
fn code(status: Status) -> i32 {
    match status {
        Status::Success => 0,
        Status::Failure => 1,
        Status::Pending | Status::InProgress => 2,
        Status::Timeout => 3,
    }
}

/// The fields of `value`; an envelope that left out its parameters is answered with some all the same.
fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(form: WireForm, received: Value, status: Status, result: Option<&Value>) -> Value {
        let id = CommandId::new("c-1").unwrap();
        let error = if status == Status::Failure { 6 } else { 0 };
        answer(form, received, &Answer { id: &id, status, error, result, text: "sca is down" })
    }

    #[test]
    fn an_envelope_is_sent_back_with_the_outcome_in_its_parameters() {
        let received = json!({"command": {"type": "restart-module"}, "trace": 7, "result": "old",
            "parameters": {"data": ["fim"], "error": 0, "status": "pending", "x": true}});
        let result = json!({"failed": ["sca"]});
        assert_eq!(
            answered(WireForm::Envelope, received, Status::Failure, Some(&result)),
            json!({"id": "c-1", "command": {"type": "restart-module"}, "trace": 7,
                "parameters": {"data": ["fim"], "error": 6, "status": "failure", "x": true},
                "result": {"failed": ["sca"]}})
        );
    }

    #[test]
    fn an_envelope_without_parameters_is_answered_with_some() {
        let received = json!({"id": "c-1", "command": {"type": "stop"}});
        assert_eq!(
            answered(WireForm::Envelope, received, Status::Pending, None),
            json!({"id": "c-1", "command": {"type": "stop"}, "result": null,
                "parameters": {"status": "pending", "error": 0}})
        );
    }

    #[test]
    fn a_document_is_sent_back_with_status_and_result() {
        let received = json!({"document_id": "c-1", "action": {"name": "restart"}, "status": "sent",
            "order_id": 9, "parameters": 1});
        let result = json!({"failed": ["sca"]});
        assert_eq!(
            answered(WireForm::Document, received, Status::Failure, Some(&result)),
            json!({"document_id": "c-1", "action": {"name": "restart"}, "status": "failure",
                "order_id": 9, "parameters": 1,
                "result": {"code": 1, "message": "sca is down", "error": 6, "data": {"failed": ["sca"]}}})
        );
    }

    #[test]
    fn every_status_has_the_number_that_servers_know() {
        for (status, code) in Status::ALL.into_iter().zip([2, 2, 0, 1, 3]) {
            let answer = answered(WireForm::Document, json!({}), status, None);
            assert_eq!(
                (&answer["status"], &answer["result"]["code"], &answer["result"]["data"]),
                (&json!(status.as_str()), &json!(code), &Value::Null)
            );
        }
    }
}
