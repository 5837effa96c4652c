//! What has to hold after a cut, whatever was cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::api::{effects_of, journal_of, reports_of};
use crate::history::{COMMANDS, Plot, Told, plot_of};

/// How many attempts a command gets, unless somebody says otherwise.
const MAX_ATTEMPTS: u32 = 2;

/// What of a record never changes after the acceptance.
const CONTENT: [&str; 9] =
    ["id", "type", "target", "force", "reason", "requester", "origin", "accepted_at", "received"];

/// How the history ended for each command: what its asker is answered.
pub(crate) type Answers = BTreeMap<String, Value>;

/// Checks a history that was cut and went on, by what was told before and after; `uncut` are the answers of one that was
/// not cut. Says how many commands were given up because of the cuts.
pub(crate) fn check(
    folder: &Path,
    (before, after): (&[Told], &[Told]),
    uncut: &Answers,
    cuts: i64,
) -> usize {
    what_was_accepted_is_there(before, after);
    what_was_final_is_final(before, after);
    let effects = effects(folder);
    let records = last_records(after);
    assert_eq!(records.len(), COMMANDS.len());
    reports_are_whole(folder, &records);
    let given_up = records.iter().filter(|(id, record)| {
        is_complete(record);
        let given_up = record["answer"] != uncut[*id];
        assert!(!given_up || is_lawfully_given_up(record, cuts), "{record:#}");
        let succeeded = record["status"] == "success";
        assert_eq!(effects.get(*id).copied().unwrap_or(0), usize::from(succeeded), "{record:#}");
        given_up
    });
    let given_up = given_up.count();
    is_sound(folder);
    given_up
}

/// The answers at the end.
pub(crate) fn answers(told: &[Told]) -> Answers {
    let answer = |(id, record): (String, Value)| (id, record["answer"].clone());
    last_records(told).into_iter().map(answer).collect()
}

/// Every acceptance that was told is there with the same content, and is not accepted again.
fn what_was_accepted_is_there(before: &[Told], after: &[Told]) {
    let mut accepted = BTreeMap::new();
    for told in before.iter().chain(after) {
        match told {
            Told::New(record) => {
                let id = record["id"].as_str().unwrap();
                let known = accepted.insert(id, record);
                assert_eq!(known, None, "{id} was told to be accepted, and is accepted again");
            }
            Told::Known(record) => {
                let id = record["id"].as_str().unwrap();
                // Where the acceptance was cut before it was told, the command may be there all the same.
                let first = *accepted.entry(id).or_insert(record);
                for field in CONTENT {
                    assert_eq!(record[field], first[field], "{field} of {id}");
                }
                assert_eq!(record["history"][0], first["history"][0], "{id}");
            }
            Told::Conflict(id) => assert!(accepted.contains_key(id.as_str()), "{id}"),
            Told::Final(_) => {}
        }
    }
}

/// A record that was told to be final never changes.
fn what_was_final_is_final(before: &[Told], after: &[Told]) {
    let mut finals: BTreeMap<&str, &Value> = BTreeMap::new();
    for told in before.iter().chain(after) {
        let (Told::Final(record) | Told::Known(record)) = told else { continue };
        let id = record["id"].as_str().unwrap();
        if let Some(first) = finals.get(id) {
            assert_eq!(record, *first, "{id} was final");
        }
        if let Told::Final(_) = told {
            finals.insert(id, record);
        }
    }
}

/// A command whose second attempt was cut before it had an effect is given up: that it comes to an end is worth more
/// than a third attempt. One cut can do that only to the command which takes two attempts anyway.
fn is_lawfully_given_up(record: &Value, cuts: i64) -> bool {
    let has_second_attempt =
        cuts > 1 || plot_of(record["id"].as_str().unwrap()) == Plot::SecondAttempt;
    has_second_attempt && record["error"] == 3 && record["attempts"] == MAX_ATTEMPTS
}

/// Nothing is missing in the record of a finished command.
fn is_complete(record: &Value) {
    let history = record["history"].as_array().unwrap();
    let numbers: Vec<_> = history.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=history.len() as u64).collect::<Vec<_>>(), "{record:#}");
    let last = history.last().unwrap();
    assert_eq!((&last["stage"], &last["status"]), (&"finished".into(), &record["status"]));
    assert_eq!(last["at"], record["finished_at"]);
    let attempts = history.iter().filter(|entry| entry["stage"] == "started").count();
    assert_eq!(record["attempts"], attempts, "{record:#}");
    assert!(attempts <= MAX_ATTEMPTS as usize, "{record:#}");
}

fn last_records(told: &[Told]) -> BTreeMap<String, Value> {
    let finals = told.iter().filter_map(|told| match told {
        Told::Final(record) => Some(record),
        Told::New(_) | Told::Known(_) | Told::Conflict(_) => None,
    });
    finals.map(|record| (record["id"].as_str().unwrap().to_owned(), record.clone())).collect()
}

/// Every result was brought, those of one command always under one number, and in the order of these.
fn reports_are_whole(folder: &Path, finished: &BTreeMap<String, Value>) {
    let mut numbers = BTreeMap::new();
    let mut last = 0;
    for line in fs::read_to_string(reports_of(folder)).unwrap().lines() {
        let (number, id) = line.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let known = *numbers.entry(id.to_owned()).or_insert(number);
        assert_eq!(known, number, "{id} was reported under two numbers");
        assert!(number >= last, "{id} was reported after a later one");
        last = number;
    }
    let (reported, finished): (Vec<_>, Vec<_>) =
        (numbers.keys().collect(), finished.keys().collect());
    assert_eq!(reported, finished);
}

/// How often each command had its effect.
fn effects(folder: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(effects_of(folder)).unwrap().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

/// The closed journal is one file without any damage, and none was set aside.
fn is_sound(folder: &Path) {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["commands.db", "effects", "reports"]);
    let connection = Connection::open(journal_of(folder)).unwrap();
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let orphans: Option<i64> = connection
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(orphans, Some(0));
}
