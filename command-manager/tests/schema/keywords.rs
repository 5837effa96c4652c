//! Each keyword of the schemas matters: without it they would accept something else.

use command_manager::WireForm;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::{compare, edges, schema, validator};

#[test]
fn no_keyword_of_a_schema_can_be_lost_unnoticed() {
    for form in WireForm::ALL {
        let schema = schema(form);
        let sample = sample(form, 4096);
        for keyword in keywords(&schema, "") {
            let weaker = validator(&without(&schema, &keyword));
            let noticed = sample.iter().any(|(sent, accepted)| weaker.is_valid(sent) != *accepted);
            assert!(noticed, "{form}: nobody notices that {keyword} is lost");
        }
    }
}

/// The same commands each time, and whether each is accepted; none that a rule beyond the schema decides.
fn sample(form: WireForm, count: usize) -> Vec<(Value, bool)> {
    let mut runner = TestRunner::deterministic();
    let commands = edges::commands(form);
    let mut tried = || {
        let sent = commands.new_tree(&mut runner).unwrap().current();
        match compare(form, &sent) {
            Ok("accepted") => Some((sent, true)),
            Ok("refused") => Some((sent, false)),
            Ok(_) | Err(_) => None,
        }
    };
    (0..count).filter_map(|_| tried()).collect()
}

/// The paths of all keywords that say what is accepted.
fn keywords(schema: &Value, at: &str) -> Vec<String> {
    const OTHERS: [&str; 7] =
        ["$comment", "$defs", "$id", "$schema", "description", "properties", "title"];
    let mut found = Vec::new();
    match schema {
        Value::Object(entries) => {
            // The keys below are names of fields and definitions, not keywords.
            let are_names = at.ends_with("/properties") || at.ends_with("/$defs");
            for (key, value) in entries {
                let path = format!("{at}/{key}");
                found.extend(keywords(value, &path));
                if !are_names && !OTHERS.contains(&key.as_str()) {
                    found.push(path);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                found.extend(keywords(item, &format!("{at}/{index}")));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
    found
}

fn without(schema: &Value, keyword: &str) -> Value {
    let (object, key) = keyword.rsplit_once('/').unwrap();
    let mut schema = schema.clone();
    schema.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(key);
    schema
}
