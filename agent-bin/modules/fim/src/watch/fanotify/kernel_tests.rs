//! What the kernel tells by fanotify.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::watch::filesystems::id_of;
use crate::watch::process::Processes;
use crate::watch::skipped;

/// Watches the file system of `folder`, or says why not.
fn group_of(test: &str, folder: &Path) -> Option<Group> {
    let made = Group::new(false).map_err(|error| error.to_string());
    let watched = made.and_then(|group| {
        let watching = group.watch(File::open(folder).unwrap().as_fd());
        watching.map(|()| group).map_err(|error| error.to_string())
    });
    watched.map_err(|error| skipped(test, error)).ok()
}

fn handle_of(folder: &Path) -> Handle {
    let opened = File::open(folder).unwrap();
    Handle::of(opened.as_fd(), id_of(opened.as_fd()).unwrap()).unwrap()
}

/// Everything in the queue that is about one of `folders`: the marks tell of whole file systems, so of other tests too.
fn drain(group: &Group, folders: &[Handle]) -> Vec<(Notice, i32)> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Ok(bytes) = rustix::io::read(group, &mut buffer) {
        for (told, pid) in parse(&buffer[..bytes]) {
            match told {
                Told::Notice(notice) => all.push((notice, pid)),
                Told::Overflow | Told::WatchGone(_) => panic!("{told:?}"),
            }
        }
    }
    let ours = |parent: &Parent| match parent {
        Parent::Handle(handle) => folders.contains(handle),
        Parent::Watch(_) => false,
    };
    all.retain(|(notice, _)| {
        ours(&notice.parent) || notice.renamed_to.as_ref().is_some_and(|to| ours(&to.0))
    });
    all
}

/// The name, whether it was made and removed, and the new name.
type Line = (String, bool, bool, Option<String>);

fn line(name: &str, created: bool, deleted: bool, to: Option<&str>) -> Line {
    (name.to_owned(), created, deleted, to.map(str::to_owned))
}

fn lines(told: &[(Notice, i32)]) -> Vec<Line> {
    let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
    let line = |(notice, _): &(Notice, i32)| {
        let to = notice.renamed_to.as_ref().map(|(_, name)| text(name));
        (text(&notice.name), notice.created, notice.deleted, to)
    };
    told.iter().map(line).collect()
}

#[test]
fn fanotify_tells_each_operation_with_file_and_process() {
    let folder = tempfile::tempdir().unwrap();
    let test = "fanotify_tells_each_operation_with_file_and_process";
    let Some(group) = group_of(test, folder.path()) else { return };
    let here = [handle_of(folder.path())];
    let [a, b, link, sub] = ["a", "b", "link", "sub"].map(|name| folder.path().join(name));
    let told = |expected: Line| {
        let told = drain(&group, &here);
        assert_eq!(lines(&told), [expected]);
        let itself = told[0].0.name.is_empty();
        assert!(itself || told[0].0.target.is_some(), "{told:?}");
        assert_eq!(told[0].1, std::process::id().cast_signed());
    };
    fs::write(&a, "x").unwrap();
    told(line("a", true, false, None));
    fs::set_permissions(&a, Permissions::from_mode(0o600)).unwrap();
    told(line("a", false, false, None));
    fs::rename(&a, &b).unwrap();
    told(line("a", false, false, Some("b")));
    fs::hard_link(&b, &link).unwrap();
    told(line("link", true, false, None));
    fs::remove_file(&link).unwrap();
    told(line("link", false, true, None));
    fs::create_dir(&sub).unwrap();
    told(line("sub", true, false, None));
    fs::rename(&b, sub.join("c")).unwrap();
    told(line("b", false, false, Some("c")));
    fs::rename(sub.join("c"), &b).unwrap();
    told(line("c", false, false, Some("b")));
    fs::remove_dir(&sub).unwrap();
    told(line("sub", false, true, None));
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    told(line("", false, false, None));
    fs::write(&link, "x").unwrap();
    fs::remove_file(&link).unwrap();
    told(line("link", true, true, None));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "another process has to do it")]
fn fanotify_tells_which_process_it_was_and_it_may_be_gone() {
    let folder = tempfile::tempdir().unwrap();
    let test = "fanotify_tells_which_process_it_was_and_it_may_be_gone";
    let Some(group) = group_of(test, folder.path()) else { return };
    let mut child =
        std::process::Command::new("mkdir").arg(folder.path().join("x")).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let told = drain(&group, &[handle_of(folder.path())]);
    assert_eq!(lines(&told), [line("x", true, false, None)]);
    let pid = child.id().cast_signed();
    assert_eq!(told[0].1, pid);
    assert!(Processes::default().ask(pid).unwrap().ended);
}

#[test]
fn a_file_that_leaves_an_ignored_folder_is_told_and_its_writes_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_file_that_leaves_an_ignored_folder_is_told_and_its_writes_are_not";
    let Some(group) = group_of(test, folder.path()) else { return };
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    if let Err(error) = group.ignore(File::open(&state).unwrap().as_fd()) {
        return skipped(test, error);
    }
    let both = [handle_of(folder.path()), handle_of(&state)];
    drain(&group, &both);
    fs::write(state.join("kept"), "x").unwrap();
    fs::write(state.join("leaves"), "x").unwrap();
    fs::remove_file(state.join("kept")).unwrap();
    assert_eq!(lines(&drain(&group, &both)), []);
    fs::rename(state.join("leaves"), folder.path().join("left")).unwrap();
    assert_eq!(lines(&drain(&group, &both)), [line("leaves", false, false, Some("left"))]);
    fs::write(folder.path().join("left"), "y").unwrap();
    assert_eq!(lines(&drain(&group, &both)), [line("left", false, false, None)]);
}

#[test]
fn whoever_adopts_the_group_goes_on_where_the_other_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let test = "whoever_adopts_the_group_goes_on_where_the_other_stopped";
    let Some(group) = group_of(test, folder.path()) else { return };
    let here = [handle_of(folder.path())];
    fs::create_dir(folder.path().join("one")).unwrap();
    let fd = group.into_fd();
    assert!(is_group(fd.as_fd()) && !is_group(File::open(folder.path()).unwrap().as_fd()));
    fs::create_dir(folder.path().join("two")).unwrap();
    let told = drain(&Group::adopt(fd), &here);
    assert_eq!(lines(&told), [line("one", true, false, None), line("two", true, false, None)]);
}
