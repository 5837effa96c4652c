//! What the kernel tells by inotify.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::watch::skipped;

fn instance_of(folder: &Path) -> (Inotify, i32) {
    let instance = Inotify::new().unwrap();
    let watch = instance.add(File::open(folder).unwrap().as_fd(), false).unwrap();
    (instance, watch)
}

/// Everything in the queue.
fn drain(instance: &Inotify) -> Vec<Told> {
    let (mut all, mut half) = (Vec::new(), None);
    let mut buffer = vec![0; 65_536];
    while let Ok(bytes) = rustix::io::read(instance, &mut buffer) {
        all.extend(parse(&buffer[..bytes], &mut half));
    }
    all.extend(half.map(|half| Told::Notice(half.into_notice())));
    all
}

/// The name, whether it was made and removed, and the new name.
type Line = (String, bool, bool, Option<String>);

fn line(name: &str, created: bool, deleted: bool, to: Option<&str>) -> Line {
    (name.to_owned(), created, deleted, to.map(str::to_owned))
}

fn lines(told: Vec<Told>) -> Vec<Line> {
    let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
    let line = |told| match told {
        Told::Notice(Notice { name, created, deleted, renamed_to, .. }) => {
            (text(&name), created, deleted, renamed_to.map(|(_, name)| text(&name)))
        }
        Told::Overflow | Told::WatchGone(_) => panic!("{told:?}"),
    };
    let mut lines: Vec<Line> = told.into_iter().map(line).collect();
    lines.dedup();
    lines
}

#[test]
fn inotify_tells_each_operation() {
    let folder = tempfile::tempdir().unwrap();
    let (instance, _) = instance_of(folder.path());
    let [a, b, link, sub] = ["a", "b", "link", "sub"].map(|name| folder.path().join(name));
    let told = |expected: &[Line]| assert_eq!(lines(drain(&instance)), expected);
    fs::write(&a, "x").unwrap();
    // Opened, written and closed: the last two look the same.
    told(&[line("a", true, false, None), line("a", false, false, None)]);
    fs::set_permissions(&a, Permissions::from_mode(0o600)).unwrap();
    told(&[line("a", false, false, None)]);
    fs::rename(&a, &b).unwrap();
    told(&[line("a", false, false, Some("b"))]);
    fs::hard_link(&b, &link).unwrap();
    told(&[line("link", true, false, None)]);
    fs::remove_file(&link).unwrap();
    told(&[line("link", false, true, None)]);
    fs::create_dir(&sub).unwrap();
    told(&[line("sub", true, false, None)]);
    fs::rename(&b, sub.join("c")).unwrap();
    told(&[line("b", false, true, None)]);
    fs::rename(sub.join("c"), &b).unwrap();
    told(&[line("b", false, false, None)]);
    fs::remove_dir(&sub).unwrap();
    told(&[line("sub", false, true, None)]);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    told(&[line("", false, false, None)]);
}

#[test]
fn more_changes_than_the_queue_takes_are_an_overflow() {
    let folder = tempfile::tempdir().unwrap();
    let (instance, _) = instance_of(folder.path());
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 200_000 {
        return skipped(
            "more_changes_than_the_queue_takes_are_an_overflow",
            format!("max_queued_events is {limit}"),
        );
    }
    for _ in 0..=limit / 2 {
        // Two events each.
        fs::create_dir(folder.path().join("x")).unwrap();
        fs::remove_dir(folder.path().join("x")).unwrap();
    }
    let told = drain(&instance);
    assert_eq!(told.iter().filter(|told| **told == Told::Overflow).count(), 1);
    assert_eq!(told.len(), limit + 1);
}

#[test]
fn a_watch_is_gone_with_its_folder_and_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let sub = folder.path().join("sub");
    fs::create_dir(&sub).unwrap();
    let (instance, watch) = instance_of(folder.path());
    let below = instance.add(File::open(&sub).unwrap().as_fd(), false).unwrap();
    assert_eq!(
        instance.add(File::open(&sub).unwrap().as_fd(), false).unwrap(),
        below,
        "it has one"
    );
    assert_eq!(instance.watches().unwrap(), 2);
    fs::remove_dir(&sub).unwrap();
    assert!(drain(&instance).contains(&Told::WatchGone(below)));
    inotify::remove_watch(&instance, watch).unwrap();
    assert_eq!(drain(&instance), [Told::WatchGone(watch)]);
    assert_eq!(instance.watches().unwrap(), 0);
}

#[test]
fn of_watched_folders_that_are_moved_the_root_tells_it_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Inotify::new().unwrap();
    let watches = ["root", "other"].map(|name| {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        instance.add(File::open(&path).unwrap().as_fd(), name == "root").unwrap()
    });
    for name in ["root", "other"] {
        fs::rename(folder.path().join(name), folder.path().join("moved")).unwrap();
        fs::remove_dir(folder.path().join("moved")).unwrap();
    }
    let told = drain(&instance);
    assert_eq!(told[0], Told::Notice(Notice::of(Parent::Watch(watches[0]), b"")));
    assert_eq!(told[1..], watches.map(Told::WatchGone));
}

#[test]
fn whoever_adopts_the_instance_goes_on_where_the_other_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (old, watch) = instance_of(folder.path());
    fs::create_dir(folder.path().join("one")).unwrap();
    let fd = old.as_fd().try_clone_to_owned().unwrap();
    drop(old);
    assert!(is_instance(fd.as_fd()) && !is_instance(File::open(folder.path()).unwrap().as_fd()));
    let new = Inotify::adopt(fd);
    fs::create_dir(folder.path().join("two")).unwrap();
    assert_eq!(
        lines(drain(&new)),
        [line("one", true, false, None), line("two", true, false, None)]
    );
    assert_eq!(new.add(File::open(folder.path()).unwrap().as_fd(), false).unwrap(), watch);
}
