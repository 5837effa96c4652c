//! How the form of a command is told, and what both forms have in common.

use command_manager::wire::MAX_BODY;
use command_manager::{
    CommandType, WireError, WireForm, parse_command, parse_document, parse_envelope,
};
use serde_json::{Value, json};

fn bytes(command: &Value) -> Vec<u8> {
    command.to_string().into_bytes()
}

#[test]
fn each_form_is_recognised_and_read_as_by_its_own_parser() {
    let envelope = bytes(&json!({"id": "a", "command": {"type": "stop"}}));
    let document = bytes(&json!({"document_id": "a", "action": {"name": "stop"}}));
    let read = parse_command(&envelope).unwrap();
    assert_eq!((read.form, read.kind), (WireForm::Envelope, CommandType::Stop));
    assert_eq!(parse_envelope(&envelope), Ok(read));
    let read = parse_command(&document).unwrap();
    assert_eq!((read.form, read.kind), (WireForm::Document, CommandType::Stop));
    assert_eq!(parse_document(&document), Ok(read));
}

#[test]
fn half_a_document_is_refused_as_a_document_and_anything_else_as_an_envelope() {
    for (command, path) in [
        (json!({"document_id": "a"}), "action.name"),
        (json!({"action": {"name": "stop"}}), "document_id"),
        (json!({"action": null}), "document_id"),
        (json!({}), "command.type"),
        (json!({"parameters": {}}), "command.type"),
        (json!([{"action": 1}]), "the command"),
    ] {
        let refused = parse_command(&bytes(&command)).unwrap_err();
        assert!(
            matches!(&refused, WireError::Field { path: found, .. } if found == path),
            "{command}: {refused}"
        );
    }
}

#[test]
fn a_command_that_could_be_either_form_is_refused() {
    for mark in ["document_id", "action"] {
        let command = json!({mark: null, "command": {"type": "stop"}});
        assert_eq!(
            parse_command(&bytes(&command)).unwrap_err().to_string(),
            format!(
                "command: found {{\"type\":\"stop\"}}, expected no command beside {mark}, to tell the form by"
            )
        );
    }
}

#[test]
fn what_is_no_good_json_is_refused_before_its_form_is_told() {
    assert!(matches!(parse_command(&vec![b' '; MAX_BODY + 1]), Err(WireError::TooLarge { .. })));
    assert!(matches!(parse_command(b"\xff"), Err(WireError::NotUtf8 { .. })));
    assert!(matches!(parse_command(b"action"), Err(WireError::Malformed { .. })));
    let twice = br#"{"action":1,"action":2}"#;
    assert!(matches!(parse_command(twice), Err(WireError::DuplicateKey { .. })));
}

#[test]
fn both_forms_take_an_end_and_refuse_a_wrong_one_by_path() {
    let with_end = |end: &Value| {
        [
            json!({"command": {"type": "stop"}, "expires_at": end}),
            json!({"document_id": "a", "action": {"name": "stop"}, "expires_at": end}),
        ]
    };
    for command in with_end(&json!("2026-01-31T09:30:00.5+01:00")) {
        let end = parse_command(&bytes(&command)).unwrap().expires_at;
        assert_eq!(end, Some("2026-01-31T08:30:00.5Z".parse().unwrap()));
    }
    let expected = "a moment by RFC 3339 like 2026-01-31T08:30:00Z, with at most nine digits after the second and no leap second";
    for (end, expected) in [
        (json!("tomorrow"), expected),
        (json!("2026-01-31"), expected),
        (json!(""), expected),
        (json!(1), "a text"),
        (json!(null), "a text"),
    ] {
        for command in with_end(&end) {
            let refused = parse_command(&bytes(&command)).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("expires_at: found {end}, expected {expected}")
            );
        }
    }
}

#[test]
fn a_number_that_nobody_knows_is_sent_back_as_it_came() {
    for number in
        ["2.638344616030823e-256", "0.1", "123456789012345.67", "-5e-324", "18446744073709551615"]
    {
        let sent = format!(r#"{{"command":{{"type":"stop"}},"number":{number}}}"#);
        let read = parse_command(sent.as_bytes()).unwrap();
        assert_eq!(read.received["number"].to_string(), number);
    }
}
