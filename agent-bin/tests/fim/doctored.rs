//! The proof proves itself: right events pass, and each kind of fault is found in wrong ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::event::Reported;
use crate::fake::Fake;
use crate::mutator::{Mutator, Operation, Options};
use crate::replay::{Fault, Outcome, replay};
use crate::report::report;
use crate::snapshot::{Tree, snapshot};

struct Run {
    mutator: Mutator,
    before: Tree,
    after: Tree,
    lines: Vec<Value>,
    _folder: tempfile::TempDir,
}

fn options() -> Options {
    let chown = rustix::process::geteuid().is_root();
    Options { chown, short_lived_in_old_folders: false, most: 80 }
}

fn mutator(seed: u64, folder: &Path) -> (Mutator, PathBuf) {
    let (root, outside) = (folder.join("tree"), folder.join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    let mut mutator = Mutator::new(seed, &root, &outside, options());
    mutator.populate(40);
    (mutator, root)
}

/// Random operations under the eyes of a watcher that is always right.
fn run(seed: u64, operations: usize) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let (mut mutator, root) = mutator(seed, folder.path());
    let before = snapshot(&root);
    let mut fake = Fake::new(&root);
    for _ in 0..operations {
        let done = mutator.step();
        if done.operation == Operation::ShortLived {
            fake.short_lived(&done.path);
        }
        fake.look();
    }
    let after = snapshot(&root);
    Run { mutator, before, after, lines: fake.lines, _folder: folder }
}

impl Run {
    fn outcome(&self, lines: &[Value]) -> (Outcome, String) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let reported = Reported::read(&text);
        let outcome = replay(&self.before, &self.after, self.mutator.short_lived(), &reported);
        let told = report(&self.mutator, &reported, &outcome);
        (outcome, told)
    }

    /// The faults that are found once `doctor` has been at the event that it wants.
    fn doctored(
        &self,
        wanted: impl Fn(&Value) -> bool,
        doctor: impl Fn(&mut Vec<Value>, usize),
    ) -> BTreeSet<String> {
        let mut lines = self.lines.clone();
        let index = lines.iter().rposition(wanted).expect("there is such an event");
        doctor(&mut lines, index);
        let (outcome, told) = self.outcome(&lines);
        assert!(!outcome.problems.is_empty(), "nothing was found: {}", self.lines[index]);
        assert!(told.contains("done: ") || told.contains("event: "), "{told}");
        outcome.problems.iter().map(|problem| format!("{:?}", problem.fault)).collect()
    }
}

fn action(name: &'static str) -> impl Fn(&Value) -> bool {
    move |line| line["event"]["action"] == name && line["fim"]["short_lived"].is_null()
}

#[test]
fn the_events_of_a_watcher_that_is_always_right_pass() {
    for seed in 0..3 {
        let run = run(seed, 400);
        let (outcome, told) = run.outcome(&run.lines);
        assert!(outcome.problems.is_empty(), "{told}");
        assert_eq!(outcome.repeats, 0);
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let histories = [1, 1, 2].map(|seed| {
        let folder = tempfile::tempdir().unwrap();
        let (mut mutator, root) = mutator(seed, folder.path());
        mutator.run(2_000, 0);
        let done = mutator.history().iter().map(|done| {
            let path = done.path.strip_prefix(folder.path()).unwrap().to_owned();
            (done.operation as u8, path)
        });
        let names: Vec<PathBuf> = snapshot(&root)
            .keys()
            .map(|path| path.strip_prefix(&root).unwrap().to_owned())
            .collect();
        (done.collect::<Vec<_>>(), names)
    });
    assert_eq!(histories[0], histories[1]);
    assert_ne!(histories[0], histories[2]);
}

#[test]
fn every_operation_and_every_odd_name_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let (mut mutator, _) = mutator(7, folder.path());
    mutator.run(8_000, 0);
    let made: BTreeSet<u8> = mutator.history().iter().map(|done| done.operation as u8).collect();
    assert_eq!(made.len(), if options().chown { 23 } else { 22 });
    let paths = || mutator.history().iter().map(|done| &done.path);
    assert!(paths().any(|path| path.to_str().is_none()), "not UTF-8");
    assert!(paths().any(|path| path.to_string_lossy().contains('\n')));
    assert!(paths().filter_map(|path| path.file_name()).any(|name| name.len() == 255));
    let short: BTreeSet<_> = mutator.short_lived().iter().map(|path| path.file_name()).collect();
    assert_eq!(short.len(), mutator.short_lived().len(), "each has a name of its own");
    assert!(short.len() > 400);
}

#[test]
fn an_event_that_is_left_out_is_missed() {
    let run = run(3, 250);
    for name in ["created", "modified", "deleted", "moved"] {
        // What was changed and is gone in the end may have been gone before anybody looked.
        let stays = |line: &Value| {
            let path = line["file"]["path"].as_str().unwrap_or_default();
            name == "deleted" || run.after.contains_key(Path::new(path))
        };
        let wanted = |line: &Value| action(name)(line) && stays(line);
        let faults = run.doctored(wanted, |lines, index| {
            lines.remove(index);
        });
        assert!(faults.contains("Missed") || faults.contains("Invented"), "{name}: {faults:?}");
    }
}

#[test]
fn a_short_lived_file_needs_both_of_its_events() {
    let run = run(4, 300);
    for name in ["created", "deleted"] {
        let wanted =
            |line: &Value| line["fim"]["short_lived"] == true && line["event"]["action"] == name;
        let faults = run.doctored(wanted, |lines, index| {
            lines.remove(index);
        });
        assert!(faults.contains("Missed"), "{name}: {faults:?}");
    }
}

#[test]
fn the_same_event_twice_is_a_repeat_by_its_id_and_an_invention_without() {
    let run = run(5, 300);
    for name in ["created", "modified", "deleted", "moved"] {
        let index = run.lines.iter().rposition(action(name)).unwrap();
        let mut lines = run.lines.clone();
        lines.insert(index + 1, lines[index].clone());
        let (outcome, told) = run.outcome(&lines);
        assert!(outcome.problems.is_empty() && outcome.repeats == 1, "{name}: {told}");
        let faults = run.doctored(action(name), |lines, index| {
            let mut twice = lines[index].clone();
            twice["id"] = "another".into();
            lines.insert(index + 1, twice);
        });
        let expected = if name == "modified" { "Wrong" } else { "Invented" };
        assert!(faults.contains(expected), "{name}: {faults:?}");
    }
}

#[test]
fn two_events_with_one_id_are_not_taken_for_one() {
    let run = run(5, 300);
    let faults = run.doctored(action("created"), |lines, index| {
        let first = lines.iter().position(action("deleted")).unwrap();
        lines[index]["id"] = lines[first]["id"].clone();
    });
    assert!(faults.contains("Wrong"), "{faults:?}");
}

#[test]
fn what_cannot_have_happened_is_invented() {
    let run = run(6, 250);
    let elsewhere = json!("/nowhere/at/all");
    for name in ["created", "modified", "deleted"] {
        let faults = run.doctored(action(name), |lines, index| {
            lines[index]["file"]["path"] = elsewhere.clone();
            lines[index]["file"]["path_base64"].take();
        });
        assert!(faults.contains("Invented"), "{name}: {faults:?}");
    }
    let faults = run.doctored(action("moved"), |lines, index| {
        lines[index]["fim"]["previous_path"] = elsewhere.clone();
        lines[index]["fim"]["previous_path_base64"].take();
    });
    assert!(faults.contains("Invented"), "{faults:?}");
    let faults = run.doctored(action("created"), |lines, index| {
        let path = lines[index]["file"]["path"].as_str().unwrap().to_owned();
        lines[index]["file"]["path"] = format!("{path}/below/what/is/not/there").into();
        lines[index]["file"]["path_base64"].take();
    });
    assert!(faults.contains("Invented"), "{faults:?}");
}

#[test]
fn values_that_are_not_true_are_found() {
    let run = run(8, 250);
    let of_file = |line: &Value| {
        action("modified")(line)
            && line["file"]["type"] == "file"
            && line["fim"]["changed"].as_array().unwrap().iter().any(|name| name == "hash")
    };
    for (key, value) in [
        ("size", json!(123_456)),
        ("mode", json!("0001")),
        ("mtime", json!("1999-01-01T00:00:00Z")),
        ("hash", json!({"sha256": "00"})),
        ("uid", json!("77")),
    ] {
        let faults =
            run.doctored(of_file, |lines, index| lines[index]["file"][key] = value.clone());
        assert!(faults.contains("Wrong") || faults.contains("Missed"), "{key}: {faults:?}");
    }
    let faults = run.doctored(of_file, |lines, index| {
        lines[index]["fim"]["old"]["hash"] = json!({"sha256": "00"})
    });
    assert_eq!(faults, BTreeSet::from(["Wrong".to_owned()]));
    let faults = run.doctored(of_file, |lines, index| lines[index]["fim"]["changed"] = json!([]));
    assert_eq!(faults, BTreeSet::from(["Wrong".to_owned()]));
    let faults =
        run.doctored(of_file, |lines, index| lines[index]["event"]["type"] = json!(["creation"]));
    assert!(faults.contains("Wrong"), "{faults:?}");
}

#[test]
fn a_change_that_nobody_tells_of_is_missed() {
    let run = run(9, 200);
    let path = run.after.iter().rfind(|(_, is)| is.get("type") == Some("file")).unwrap().0;
    for name in ["size", "mode", "owner", "group", "mtime", "inode", "device", "hash"] {
        let mut after = run.after.clone();
        after.get_mut(path).unwrap().set(name, "other");
        let text: String = run.lines.iter().map(|line| format!("{line}\n")).collect();
        let outcome = replay(&run.before, &after, &[], &Reported::read(&text));
        assert_eq!((outcome.problems.len(), outcome.count(Fault::Missed)), (1, 1), "{name}");
        assert_eq!(&outcome.problems[0].path, path);
    }
}

#[test]
fn other_modules_and_states_are_no_events_and_gaps_are_counted() {
    let text = concat!(
        r#"{"id":"1","module":"logcollector","event":{"original":"x"}}"#,
        "\n",
        r#"{"id":"2","module":"fim","event":{"kind":"state","action":"baseline_created"}}"#,
        "\n",
        r#"{"id":"3","module":"fim","event":{"kind":"state","action":"gap"}}"#,
        "\n",
        r#"{"id":"4","module":"fim","event":{"kind":"event","action":"seen"}}"#,
        "\n",
        r#"{"id":"5","module":"fim","ev"#,
    );
    let reported = Reported::read(text);
    assert_eq!((reported.events.len(), reported.gaps(), reported.malformed.len()), (0, 1, 1));
    assert_eq!(reported.states["baseline_created"], 1);
}
