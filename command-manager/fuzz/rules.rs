//! What holds for any bytes that are read as a command: asserted by the fuzz targets, and by a test of the crate.

use std::collections::HashSet;

use command_manager::wire::{Answer, MAX_BODY, MAX_REASON, answer};
use command_manager::{
    CommandId, CommandType, Envelope, Status, Target, WireError, WireForm, parse_command,
    parse_document, parse_envelope,
};
use serde_json::{Value, json};

/// The longest refusal, in bytes: a path of 256 characters, a value of 60 and what is allowed.
const LONGEST_REFUSAL: usize = 2048;

/// Panics if a rule does not hold for `bytes`, read in the form `form`.
pub(crate) fn hold(form: WireForm, bytes: &[u8]) {
    match parse(form, bytes) {
        Ok(read) => {
            meaning_is_in_bounds(form, &read);
            reading_it_again_changes_nothing(&read);
            the_form_is_recognised(bytes, &read);
            for status in Status::ALL {
                an_answer_is_a_command_with_the_same_meaning(&read, status);
            }
        }
        Err(refusal) => {
            let length = refusal.to_string().len();
            assert!(length <= LONGEST_REFUSAL, "a refusal of {length} bytes: {refusal}");
        }
    }
}

fn parse(form: WireForm, bytes: &[u8]) -> Result<Envelope, WireError> {
    match form {
        WireForm::Envelope => parse_envelope(bytes),
        WireForm::Document => parse_document(bytes),
    }
}

fn meaning_is_in_bounds(form: WireForm, read: &Envelope) {
    assert_eq!(read.form, form);
    assert!(form == WireForm::Envelope || read.id.is_some(), "a document without an id");
    assert!(read.reason.as_ref().is_none_or(|reason| reason.len() <= MAX_REASON));
    if let Target::Modules(names) = &read.target {
        assert_eq!(read.kind, CommandType::RestartModule);
        assert!(!names.is_empty(), "no module named");
        assert!(!names.iter().any(|name| name.is_empty() || name == Target::ALL), "{names:?}");
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "a module named twice");
    }
}

fn reading_it_again_changes_nothing(read: &Envelope) {
    if let Some(again) = read_again(read.form, &read.received) {
        assert_eq!(again.as_ref(), Ok(read));
    }
}

fn the_form_is_recognised(bytes: &[u8], read: &Envelope) {
    match parse_command(bytes) {
        Ok(recognised) => assert_eq!(&recognised, read),
        Err(WireError::Field { path, .. }) if path == "command" => {
            let either = |key| read.received.get(key).is_some();
            assert!(either("command") && (either("document_id") || either("action")));
        }
        Err(refusal) => panic!("what its own parser reads is refused: {refusal}"),
    }
}

fn an_answer_is_a_command_with_the_same_meaning(read: &Envelope, status: Status) {
    let given = CommandId::generate();
    let id = read.id.as_ref().unwrap_or(&given);
    let result = json!({"failed": ["sca"]});
    let end = Answer { id, status, error: 6, result: Some(&result), text: "sca is \"down\"\n" };
    let answered = answer(read.form, read.received.clone(), &end);
    let text = answered.to_string();
    assert_eq!(serde_json::from_str::<Value>(&text).ok().as_ref(), Some(&answered));
    if let Some(again) = read_again(read.form, &answered) {
        let same = Envelope { id: Some(id.clone()), received: answered, ..read.clone() };
        assert_eq!(again, Ok(same));
    }
}

/// Reads `command` from its own JSON; nothing when that is too large, as `1e9` gets longer when it is written out.
fn read_again(form: WireForm, command: &Value) -> Option<Result<Envelope, WireError>> {
    let text = command.to_string();
    (text.len() <= MAX_BODY).then(|| parse(form, text.as_bytes()))
}
