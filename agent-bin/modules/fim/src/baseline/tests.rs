//! The baseline as a whole: what is kept, what is refused, what a crash leaves.

use std::fs;
use std::sync::Arc;

use super::*;
use crate::entry::{Entry, Kind};
use crate::hash::Digests;
use crate::path_bytes::PathBytes;
use crate::sys::Handle;

pub(super) fn path(text: &str) -> PathBytes {
    PathBytes::new(text)
}

pub(super) fn entry(kind: Kind) -> Entry {
    Entry {
        kind,
        size: 7,
        mode: 0o644,
        uid: 0,
        gid: u32::MAX,
        user: Some(Arc::from("root")),
        group: None,
        mtime: -1,
        ctime: i64::MAX,
        inode: u64::MAX,
        device: 1,
        links: 1,
        target: None,
        digests: Digests { sha256: Some([7; 32]), ..Digests::default() },
        unhashed: None,
        settled: true,
    }
}

fn put(at: &str, kind: Kind) -> Op {
    let root = at == "/r";
    Op::Put { path: path(at), entry: entry(kind), handle: None, root }
}

fn open(folder: &Path) -> Baseline {
    let opened = Baseline::open(folder).unwrap();
    assert_eq!(opened.set_aside, None);
    opened.baseline
}

#[test]
fn a_folder_that_is_renamed_keeps_its_number_and_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut baseline = open(folder.path());
    let handle = Handle { filesystem: 1, sort: -2, bytes: vec![3; 9] };
    let known = Op::Put {
        path: path("/r/a"),
        entry: entry(Kind::Folder),
        handle: Some(handle.to_bytes()),
        root: false,
    };
    let ops = [
        put("/r", Kind::Folder),
        known,
        put("/r/a/b", Kind::Folder),
        put("/r/a/b/c", Kind::File),
        Op::Watch { path: path("/r/a/b"), watch: Some(5) },
        Op::Text { path: path("/r/a/b/c"), text: Some("hello".to_owned()) },
    ];
    baseline.apply(1, &ops, &[("key", b"one".to_vec())]).unwrap();
    let id = baseline.folder_id(&path("/r/a")).unwrap();
    assert!(id.is_some());
    baseline.apply(2, &[Op::Move { from: path("/r/a"), to: path("/r/z") }], &[]).unwrap();
    let reader = baseline.reader().unwrap();
    assert_eq!(reader.folder_by_handle(&handle).unwrap(), id);
    assert_eq!(reader.path_of(id.unwrap()).unwrap(), Some(path("/r/z")));
    let below = reader.folder_by_watch(5).unwrap().unwrap();
    assert_eq!(reader.path_of(below).unwrap(), Some(path("/r/z/b")));
    assert_eq!(reader.find(&path("/r/z/b/c")).unwrap(), Some(entry(Kind::File)));
    assert_eq!(reader.text(&path("/r/z/b/c")).unwrap().as_deref(), Some("hello"));
    assert_eq!(reader.find(&path("/r/a/b/c")).unwrap(), None);
    assert_eq!(reader.meta("key").unwrap(), Some(b"one".to_vec()));
    assert_eq!(reader.number().unwrap(), 2);
}

#[test]
fn a_folder_in_whose_place_another_one_is_found_takes_its_watch_along() {
    let directory = tempfile::tempdir().unwrap();
    let mut baseline = open(directory.path());
    let [old, new] = [1, 2].map(|byte| Handle { filesystem: 1, sort: 1, bytes: vec![byte] });
    let put_as = |handle: &Handle| Op::Put {
        path: path("/r/a"),
        entry: entry(Kind::Folder),
        handle: Some(handle.to_bytes()),
        root: false,
    };
    let watch = Op::Watch { path: path("/r/a"), watch: Some(5) };
    baseline.apply(1, &[put("/r", Kind::Folder), put_as(&old), watch], &[]).unwrap();
    baseline.apply(2, &[put_as(&old)], &[]).unwrap();
    assert!(baseline.folder_by_watch(5).unwrap().is_some(), "it is the same folder still");
    baseline.apply(3, &[put_as(&new)], &[]).unwrap();
    assert_eq!(baseline.folder_by_watch(5).unwrap(), None);
    assert_eq!(baseline.ghosts_by_watch(5).unwrap(), [(path("/r/a"), 3)]);
    assert_eq!(baseline.ghost_handle_by_watch(5).unwrap(), Some(old));
}

#[test]
fn a_path_that_ceases_to_be_a_root_keeps_what_is_in_it_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let mut baseline = open(folder.path());
    baseline.apply(1, &[put("/r", Kind::Folder), put("/r/a", Kind::File)], &[]).unwrap();
    let top = Op::Put { path: path("/"), entry: entry(Kind::Folder), handle: None, root: true };
    let inner = Op::Put { path: path("/r"), entry: entry(Kind::Folder), handle: None, root: false };
    baseline.apply(2, &[top, inner], &[]).unwrap();
    assert_eq!(baseline.roots().unwrap(), [path("/")]);
    assert!(baseline.find(&path("/r/a")).unwrap().is_some());
    assert_eq!(baseline.counts().unwrap().folders, 2);
    baseline.apply(3, &[put("/r", Kind::Folder), Op::Remove { path: path("/") }], &[]).unwrap();
    assert_eq!(baseline.roots().unwrap(), [path("/r")]);
    assert!(baseline.find(&path("/r/a")).unwrap().is_some());
    assert_eq!(baseline.counts().unwrap().folders, 1);
}

#[test]
fn names_are_paged_in_the_order_of_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut baseline = open(folder.path());
    let names: [&[u8]; 4] = [b"\x01", b"a", b"a\n", b"\xff"];
    let mut ops = vec![put("/r", Kind::Folder)];
    for name in names.iter().rev() {
        let path = path("/r").join(name);
        ops.push(Op::Put { path, entry: entry(Kind::File), handle: None, root: false });
    }
    baseline.apply(1, &ops, &[]).unwrap();
    let id = baseline.folder_id(&path("/r")).unwrap().unwrap();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    loop {
        let page = baseline.children(id, seen.last().map(Vec::as_slice), 3).unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|(name, _)| name));
    }
    assert_eq!(seen, names);
}

#[test]
fn a_file_that_is_no_database_is_kept_and_a_fresh_one_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("baseline.db");
    for number in 1..=2 {
        fs::write(&file, "this is a text of some length, but surely no database".repeat(99))
            .unwrap();
        let opened = Baseline::open(folder.path()).unwrap();
        let kept = opened.set_aside.unwrap().kept_as;
        assert_eq!(kept, folder.path().join(format!("baseline.db.damaged-{number}")));
        assert!(fs::read_to_string(kept).unwrap().starts_with("this is a text"));
        assert_eq!(opened.baseline.counts().unwrap(), Counts::default());
    }
}

#[test]
fn a_database_of_somebody_else_is_kept_and_a_fresh_one_made() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = rusqlite::Connection::open(folder.path().join("baseline.db")).unwrap();
    foreign.execute_batch("CREATE TABLE state(number); PRAGMA user_version = 1").unwrap();
    drop(foreign);
    let opened = Baseline::open(folder.path()).unwrap();
    assert!(opened.set_aside.unwrap().reason.contains("not a baseline"));
}

#[test]
fn a_baseline_with_a_missing_table_is_kept_and_a_fresh_one_made() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let connection = rusqlite::Connection::open(folder.path().join("baseline.db")).unwrap();
    connection.execute_batch("DROP TABLE texts").unwrap();
    drop(connection);
    let opened = Baseline::open(folder.path()).unwrap();
    assert!(opened.set_aside.unwrap().reason.contains("texts"));
    assert_eq!(opened.baseline.number().unwrap(), 0);
}

#[test]
fn the_baseline_of_a_newer_agent_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let file = folder.path().join("baseline.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let before = fs::read(&file).unwrap();
    let error = Baseline::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("format 2"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_list_that_fails_in_the_middle_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut baseline = open(folder.path());
    baseline.apply(1, &[put("/r", Kind::Folder)], &[]).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("baseline.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER refuses BEFORE INSERT ON texts BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let text = Op::Text { path: path("/r/a"), text: Some(String::new()) };
    let ops = [put("/r/a", Kind::File), text];
    assert!(baseline.apply(2, &ops, &[("key", Vec::new())]).is_err());
    assert_eq!(baseline.find(&path("/r/a")).unwrap(), None);
    assert_eq!(baseline.counts().unwrap().files, 0);
    assert_eq!(baseline.meta("key").unwrap(), None);
    other.execute_batch("DROP TRIGGER refuses").unwrap();
    baseline.apply(2, &ops, &[]).unwrap();
    assert_eq!(baseline.text(&path("/r/a")).unwrap().as_deref(), Some(""));
}

#[test]
fn a_baseline_that_was_found_damaged_while_it_was_used_is_set_aside_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = Baseline::open(folder.path()).unwrap().baseline;
    old.apply(1, &[put("/r", Kind::Folder)], &[]).unwrap();
    old.mark_damaged("a page is wrong");
    drop(old);
    let opened = Baseline::open(folder.path()).unwrap();
    let kept = opened.set_aside.unwrap();
    assert!(kept.reason.contains("a page is wrong") && kept.kept_as.exists(), "{kept:?}");
    assert_eq!(opened.baseline.find(&path("/r")).unwrap(), None);
    drop(opened.baseline);
    assert_eq!(Baseline::open(folder.path()).unwrap().set_aside, None);
}
