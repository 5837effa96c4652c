//! What holds for any bytes, tried on few; the fuzz targets assert the same on millions.

#[path = "../../fuzz/rules.rs"]
mod rules;

use std::fs;
use std::path::Path;

use command_manager::{WireForm, parse_command};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value};

/// The good commands that fuzzing begins with, by form.
fn seeds() -> Vec<(WireForm, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let read = |form: WireForm| {
        let files = fs::read_dir(folder.join(form.as_str())).unwrap();
        files.map(move |file| (form, fs::read(file.unwrap().path()).unwrap()))
    };
    WireForm::ALL.into_iter().flat_map(read).collect()
}

/// The words that fuzzing puts in, as they are in JSON.
fn words() -> Vec<Vec<u8>> {
    let lines = include_str!("../../fuzz/words.dict").lines();
    let word = |line: &str| {
        let inner = line.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        inner.replace("\\\"", "\"").replace("\\\\", "\\").into_bytes()
    };
    lines.map(word).collect()
}

/// One damage to a command, done at some place in it.
#[derive(Debug, Clone)]
enum Damage {
    Replace(u8),
    Insert(Vec<u8>),
    Remove(usize),
    Repeat(usize),
    Cut,
}

fn damages() -> impl Strategy<Value = (Index, Damage)> {
    let damage = prop_oneof![
        any::<u8>().prop_map(Damage::Replace),
        select(words()).prop_map(Damage::Insert),
        (1usize..20).prop_map(Damage::Remove),
        (1usize..40).prop_map(Damage::Repeat),
        Just(Damage::Cut),
    ];
    (any::<Index>(), damage)
}

fn do_damage(bytes: &mut Vec<u8>, at: Index, damage: Damage) {
    let at = at.index(bytes.len() + 1);
    let end = |count: usize| (at + count).min(bytes.len());
    match damage {
        Damage::Replace(byte) => drop(bytes.splice(at..end(1), [byte])),
        Damage::Insert(word) => drop(bytes.splice(at..at, word)),
        Damage::Remove(count) => drop(bytes.drain(at..end(count))),
        Damage::Repeat(count) => {
            let again = bytes[at..end(count)].to_vec();
            bytes.splice(at..at, again);
        }
        Damage::Cut => bytes.truncate(at),
    }
}

/// JSON of any shape, with keys that mean something.
fn values() -> impl Strategy<Value = Value> {
    let words = words().into_iter().filter_map(|word| serde_json::from_slice(&word).ok());
    select(words.collect::<Vec<Value>>()).prop_recursive(5, 40, 6, |inner| {
        let entries = prop::collection::vec((keys(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            entries.prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn keys() -> impl Strategy<Value = String> {
    let known = [
        "command",
        "type",
        "parameters",
        "data",
        "extra_args",
        "origin",
        "id",
        "document_id",
        "action",
        "name",
        "args",
        "modules",
        "reason",
        "target",
        "expires_at",
    ];
    prop_oneof![select(known.to_vec()).prop_map(str::to_owned), "[a-z\u{e9}./~\"]{0,3}"]
}

/// Puts `value` under `key` into one of the objects of `command`, in the place of what is there.
fn graft(command: &mut Value, at: Index, key: String, value: Value) {
    let objects = objects(command, "");
    let object =
        command.pointer_mut(&objects[at.index(objects.len())]).and_then(Value::as_object_mut);
    object.unwrap().insert(key, value);
}

/// The paths of all objects in `value`, which is at the path `at` itself.
fn objects(value: &Value, at: &str) -> Vec<String> {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let mut found = Vec::new();
    if let Value::Object(fields) = value {
        found.push(at.to_owned());
        for (key, value) in fields {
            found.extend(objects(value, &format!("{at}/{}", escaped(key))));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(objects(item, &format!("{at}/{index}")));
    }
    found
}

#[test]
fn the_rules_hold_for_the_seeds_and_each_seed_is_good() {
    let seeds = seeds();
    assert!(seeds.len() >= 8, "only {} seeds", seeds.len());
    for (form, seed) in seeds {
        assert_eq!(parse_command(&seed).unwrap().form, form);
        rules::hold(form, &seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_rules_hold_for_any_bytes(
        form in select(WireForm::ALL.to_vec()), bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        rules::hold(form, &bytes);
    }

    #[test]
    fn the_rules_hold_for_good_commands_that_were_damaged(
        (form, mut bytes) in select(seeds()), damages in prop::collection::vec(damages(), 1..3),
    ) {
        for (at, damage) in damages {
            do_damage(&mut bytes, at, damage);
        }
        rules::hold(form, &bytes);
    }

    #[test]
    fn the_rules_hold_for_good_commands_with_other_json_in_them(
        (form, bytes) in select(seeds()),
        grafts in prop::collection::vec((any::<Index>(), keys(), values()), 1..4),
    ) {
        let mut command = serde_json::from_slice(&bytes).unwrap();
        for (at, key, value) in grafts {
            graft(&mut command, at, key, value);
        }
        rules::hold(form, command.to_string().as_bytes());
    }
}
