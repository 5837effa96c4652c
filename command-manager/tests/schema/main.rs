//! The published schemas and the parsers accept the same commands.
//!
//! What a schema cannot say is listed by rule in `beyond.rs`, and nothing else may differ.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod beyond;
mod edges;
mod keywords;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use command_manager::wire::MAX_BODY;
use command_manager::{
    CommandType, Envelope, WireError, WireForm, parse_command, parse_document, parse_envelope,
};
use jsonschema::Validator;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

static ENVELOPE: LazyLock<Validator> = LazyLock::new(|| validator(&schema(WireForm::Envelope)));
static DOCUMENT: LazyLock<Validator> = LazyLock::new(|| validator(&schema(WireForm::Document)));

fn schema(form: WireForm) -> Value {
    let text = match form {
        WireForm::Envelope => include_str!("../../schema/envelope.schema.json"),
        WireForm::Document => include_str!("../../schema/document.schema.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn validator(schema: &Value) -> Validator {
    // Draft 2020-12 leaves it to the validator whether `format` is checked; here the calendar depends on it.
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

fn schema_accepts(form: WireForm, command: &Value) -> bool {
    match form {
        WireForm::Envelope => ENVELOPE.is_valid(command),
        WireForm::Document => DOCUMENT.is_valid(command),
    }
}

fn parse(form: WireForm, bytes: &[u8]) -> Result<Envelope, WireError> {
    match form {
        WireForm::Envelope => parse_envelope(bytes),
        WireForm::Document => parse_document(bytes),
    }
}

/// What schema and parser say about `command`; an error where they differ and no listed rule explains it.
fn compare(form: WireForm, command: &Value) -> Result<&'static str, String> {
    let parsed = parse(form, command.to_string().as_bytes());
    match (schema_accepts(form, command), parsed) {
        (true, Ok(_)) => Ok("accepted"),
        (false, Err(_)) => Ok("refused"),
        (false, Ok(_)) => Err(format!("only the schema refuses {command}")),
        (true, Err(refusal)) => beyond::rule_of(form, command, &refusal)
            .ok_or_else(|| format!("only the parser refuses {command}\nbecause {refusal}")),
    }
}

/// Tries commands around the edges of `form`; how often each thing came out.
fn try_edges(form: WireForm, cases: u32) -> BTreeMap<&'static str, u32> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let seen = std::cell::RefCell::new(BTreeMap::new());
    let tried = TestRunner::new(config).run(&edges::commands(form), |command| {
        let outcome = compare(form, &command).map_err(TestCaseError::fail)?;
        *seen.borrow_mut().entry(outcome).or_default() += 1;
        Ok(())
    });
    tried.unwrap_or_else(|difference| panic!("{form}: {difference}"));
    seen.into_inner()
}

#[test]
fn schema_and_parser_accept_the_same_commands() {
    let cases = 4096;
    for form in WireForm::ALL {
        let seen = try_edges(form, cases);
        // A generator that makes only good or only bad commands would prove nothing.
        for outcome in ["accepted", "refused"] {
            let count = seen.get(outcome).copied().unwrap_or(0);
            assert!(
                count > cases / 10,
                "{form}: {outcome} only {count} times of {cases}: {seen:?}"
            );
        }
    }
}

#[test]
fn every_rule_beyond_the_schema_is_needed() {
    for form in WireForm::ALL {
        for rule in beyond::RULES {
            let witness = (rule.witness)(form);
            assert_eq!(compare(form, &witness), Ok(rule.name), "{form}: {witness}");
        }
    }
}

#[test]
fn a_schema_sees_values_and_not_the_bytes_they_came_in() {
    for (form, good) in [
        (WireForm::Envelope, r#"{"command":{"type":"stop"}}"#),
        (WireForm::Document, r#"{"document_id":"d","action":{"name":"stop"}}"#),
    ] {
        let value: Value = serde_json::from_str(good).unwrap();
        assert_eq!(compare(form, &value), Ok("accepted"));
        let twice = good.replacen('{', r#"{"x":1,"x":1,"#, 1);
        let large = format!("{good}{}", " ".repeat(MAX_BODY));
        let mut not_utf8 = good.as_bytes().to_vec();
        not_utf8.push(0xff);
        for bytes in [twice.as_bytes(), large.as_bytes(), &not_utf8] {
            assert!(parse(form, bytes).is_err());
        }
    }
}

#[test]
fn the_schemas_are_schemas() {
    for form in WireForm::ALL {
        assert!(jsonschema::meta::is_valid(&schema(form)), "{form}");
    }
}

#[test]
fn the_documented_examples_are_valid() {
    let envelope = json!({"id": "optional", "command": {"name": "local_agent", "type": "restart-agent"},
        "origin": {"moduleName": "client", "serverName": ""}, "expires_at": "2026-01-31T08:30:00Z",
        "parameters": {"data": "all", "error": 0, "extra_args": [], "status": "pending", "reason": "…", "force": false}});
    let document = json!({"document_id": "c-17", "action": {"name": "restart-agent", "version": "1.0", "args": {"reason": "…"}},
        "source": "engine", "user": "ana", "target": {"type": "agent", "id": "001"}, "expires_at": "2026-01-31T08:30:00Z"});
    assert_eq!(compare(WireForm::Envelope, &envelope), Ok("accepted"));
    assert_eq!(compare(WireForm::Document, &document), Ok("accepted"));
}

#[test]
fn the_schemas_list_every_type_there_is() {
    for kind in CommandType::ALL {
        let name = kind.as_str();
        let envelope = json!({"command": {"type": name}, "parameters": {"data": "all"}});
        let document =
            json!({"document_id": "d", "action": {"name": name, "args": {"modules": "all"}}});
        assert_eq!(compare(WireForm::Envelope, &envelope), Ok("accepted"));
        assert_eq!(compare(WireForm::Document, &document), Ok("accepted"));
    }
}

#[test]
fn an_answer_is_valid_by_the_schema_of_its_form() {
    use command_manager::Status;
    use command_manager::wire::{Answer, answer};
    for sent in [
        json!({"command": {"type": "stop"}}),
        json!({"document_id": "d", "action": {"name": "stop"}}),
    ] {
        let read = parse_command(sent.to_string().as_bytes()).unwrap();
        let id = "d".parse().unwrap();
        let end =
            Answer { id: &id, status: Status::Failure, error: 1, result: None, text: "no rights" };
        assert!(schema_accepts(read.form, &answer(read.form, read.received, &end)));
    }
}
