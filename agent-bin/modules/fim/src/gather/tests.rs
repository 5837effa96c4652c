//! Windows of notices, compared with a tree in which everything really happened.

use super::*;
use crate::entry::Kind;
use crate::entry::tests::{file, folder};

/// A baseline in memory.
#[derive(Default)]
struct Rows(BTreeMap<PathBytes, Entry>);

impl Known for Rows {
    type Error = std::convert::Infallible;

    fn folder_row(&mut self, folder: &Parent) -> Result<Option<PathBytes>, Self::Error> {
        let number = match folder {
            Parent::Watch(number) => *number as u64,
            Parent::Handle(handle) => u64::from(handle.bytes[0]),
        };
        let is_it = |entry: &Entry| entry.kind == Kind::Folder && entry.inode == number;
        Ok(self.0.iter().find(|(_, entry)| is_it(entry)).map(|(path, _)| path.clone()))
    }

    fn folder_gone(&mut self, _: &Parent) -> Result<Vec<(PathBytes, i64)>, Self::Error> {
        Ok(Vec::new())
    }

    fn folder_on_disk(&mut self, _: &Parent) -> Option<PathBytes> {
        None
    }

    fn row(&mut self, path: &PathBytes) -> Result<Option<Entry>, Self::Error> {
        Ok(self.0.get(path).cloned())
    }

    fn below(&mut self, path: &PathBytes) -> Result<Vec<(PathBytes, Entry)>, Self::Error> {
        let below =
            self.0.iter().rev().filter(|(one, _)| *one != path && one.below(path).is_some());
        Ok(below.map(|(path, entry)| (path.clone(), entry.clone())).collect())
    }

    fn may_be_folder(&mut self, path: &PathBytes, folder: &Handle) -> Result<bool, Self::Error> {
        let number = u64::from(folder.bytes[0]);
        Ok(self.0.get(path).is_some_and(|row| row.kind == Kind::Folder && row.inode == number))
    }

    fn may_be(&self, _: &Handle, _: &Entry) -> bool {
        true
    }

    fn watched(&self, path: &PathBytes) -> bool {
        path.below(&PathBytes::new("/w")).is_some()
    }
}

/// A baseline: `/w` is folder 1; each path is a file, or a folder with this number.
fn rows(entries: &[(&str, Option<u64>)]) -> Rows {
    let mut rows = Rows::default();
    rows.0.insert(PathBytes::new("/w"), folder(1));
    for (path, number) in entries {
        rows.0.insert(PathBytes::new(*path), number.map_or_else(|| file(1), folder));
    }
    rows
}

fn handle(number: u8) -> Handle {
    Handle { filesystem: 1, sort: 1, bytes: vec![number] }
}

fn created(parent: Parent, name: &str) -> Notice {
    Notice { created: true, ..touched(parent, name) }
}

fn touched(parent: Parent, name: &str) -> Notice {
    Notice::of(parent, name.as_bytes())
}

fn renamed_to(from: (i32, &str), to: (i32, &str)) -> Notice {
    let to = (Parent::Watch(to.0), to.1.as_bytes().to_vec());
    Notice { renamed_to: Some(to), ..touched(Parent::Watch(from.0), from.1) }
}

/// What the notices come to: moves and deletions in order, then the paths to look at.
fn gathered(notices: &[Notice], rows: &mut Rows) -> (Vec<String>, Vec<String>) {
    gathered_of(notices, true, rows)
}

/// The same, where the kernel may have more to tell of what the rows say.
fn gathered_of(notices: &[Notice], all: bool, rows: &mut Rows) -> (Vec<String>, Vec<String>) {
    let mut gathered = Gathered::default();
    let Ok(()) = gathered.all(notices, all, rows);
    let Settled { changes, hints, ended, .. } = gathered.settle();
    let change = |change: &Change| match &change.what {
        What::Moved { from, .. } => format!("moved {from} {}", change.path),
        What::Deleted(_) => format!("deleted {}", change.path),
        What::Created(_) | What::Modified { .. } | What::ShortLived { .. } => "?".to_owned(),
    };
    let hint = |(path, hint): (&PathBytes, &Hint)| {
        let inside = match hint.inside {
            Inside::Nothing => "",
            Inside::Names => " names",
            Inside::Everything => " everything",
        };
        let ended =
            ended.get(path).map_or(String::new(), |lives| format!(" ended {}", lives.len()));
        format!("{path}{}{inside}{ended}", if hint.life.is_some() { " created" } else { "" })
    };
    (changes.iter().map(change).collect(), hints.iter().map(hint).collect())
}

#[test]
fn what_is_told_of_a_name_is_to_be_looked_at() {
    let notices = [created(Parent::Watch(1), "a"), touched(Parent::Watch(1), "a")];
    let (changes, hints) = gathered(&notices, &mut rows(&[]));
    assert_eq!((changes, hints), (vec![], vec!["/w/a created".to_owned()]));
}

#[test]
fn a_known_name_that_is_moved_is_one_move() {
    let mut rows = rows(&[("/w/a", None)]);
    let (changes, hints) = gathered(&[renamed_to((1, "a"), (1, "b"))], &mut rows);
    assert_eq!(changes, ["moved /w/a /w/b"]);
    assert_eq!(hints, ["/w/a", "/w/b"]);
}

#[test]
fn what_is_overwritten_by_a_move_is_gone_before_it() {
    let mut rows = rows(&[("/w/a", None), ("/w/b", None)]);
    let (changes, _) = gathered(&[renamed_to((1, "a"), (1, "b"))], &mut rows);
    assert_eq!(changes, ["deleted /w/b", "moved /w/a /w/b"]);
}

#[test]
fn a_new_name_that_is_moved_over_a_known_one_changes_the_known_one() {
    let mut rows = rows(&[("/w/b", None)]);
    let notices = [created(Parent::Watch(1), "a"), renamed_to((1, "a"), (1, "b"))];
    let (changes, hints) = gathered(&notices, &mut rows);
    assert_eq!((changes.len(), hints), (0, vec!["/w/a".to_owned(), "/w/b created".to_owned()]));
}

#[test]
fn names_in_a_folder_follow_it_when_it_is_moved() {
    let mut rows = rows(&[("/w/d", Some(2)), ("/w/d/x", None)]);
    let notices = [
        touched(Parent::Watch(2), "x"),
        Notice { folder: true, ..renamed_to((1, "d"), (1, "e")) },
        created(Parent::Watch(2), "y"),
    ];
    let (changes, hints) = gathered(&notices, &mut rows);
    assert_eq!(changes, ["moved /w/d /w/e"]);
    assert_eq!(hints, ["/w/d", "/w/d/y", "/w/e", "/w/e/x", "/w/e/y created"]);
}

#[test]
fn a_folder_that_was_made_and_removed_still_names_what_was_in_it() {
    let folder = Notice { folder: true, target: Some(handle(9)), ..created(Parent::Watch(1), "d") };
    let mut moved = renamed_to((1, "d"), (1, "e"));
    moved.folder = true;
    let inside = |name| created(Parent::Handle(handle(9)), name);
    let (_, hints) = gathered(&[folder, inside("x"), moved, inside("y")], &mut rows(&[]));
    assert_eq!(hints, ["/w/d", "/w/e created everything", "/w/e/x created", "/w/e/y created"]);
}

#[test]
fn what_leaves_or_comes_in_is_looked_at() {
    let mut rows = rows(&[("/w/a", None), ("/elsewhere", Some(3))]);
    let out = renamed_to((1, "a"), (3, "a"));
    let incoming = Notice { folder: true, ..renamed_to((3, "d"), (1, "d")) };
    let (changes, hints) = gathered(&[out, incoming], &mut rows);
    assert_eq!((changes.len(), hints), (0, vec!["/w/a".to_owned(), "/w/d everything".to_owned()]));
}

#[test]
fn what_is_told_of_a_folder_that_is_gone_is_left_out() {
    let mut rows = rows(&[("/w/d", Some(2))]);
    rows.0.insert(PathBytes::new("/elsewhere"), folder(3));
    let out = Notice { folder: true, ..renamed_to((1, "d"), (3, "d")) };
    let (_, hints) = gathered(&[out, touched(Parent::Watch(2), "x")], &mut rows);
    assert_eq!(hints, ["/w/d"], "its rows go with it when it was looked at");
}

fn deleted(parent: Parent, name: &str) -> Notice {
    Notice { deleted: true, ..touched(parent, name) }
}

#[test]
fn each_life_of_a_name_is_known_for_itself() {
    let w = || Parent::Watch(1);
    let lives = [
        created(w(), "a"),
        deleted(w(), "a"),
        created(w(), "a"),
        deleted(w(), "a"),
        created(w(), "a"),
    ];
    let (_, hints) = gathered(&lives, &mut rows(&[]));
    assert_eq!(hints, ["/w/a created ended 2"]);
}

#[test]
fn what_the_kernel_says_at_once_of_one_file_is_in_this_order_made_and_removed() {
    let both = |number| Notice {
        target: Some(handle(number)),
        ..Notice { created: true, ..deleted(Parent::Watch(1), "a") }
    };
    let (_, hints) = gathered(&[both(1), both(2)], &mut rows(&[]));
    assert_eq!(hints, ["/w/a ended 2"]);
}

#[test]
fn a_notice_that_a_scan_was_faster_than_begins_no_life() {
    let w = || Parent::Watch(1);
    let (_, hints) =
        gathered(&[created(w(), "a"), deleted(w(), "a")], &mut rows(&[("/w/a", None)]));
    assert_eq!(hints, ["/w/a"]);
    let again = [deleted(w(), "a"), created(w(), "a"), deleted(w(), "a")];
    let (_, hints) = gathered(&again, &mut rows(&[("/w/a", None)]));
    assert_eq!(hints, ["/w/a ended 1"]);
}

#[test]
fn a_life_ends_under_the_name_it_was_made_with() {
    let w = || Parent::Watch(1);
    let notices = [
        created(w(), "a"),
        renamed_to((1, "a"), (1, "b")),
        created(w(), "c"),
        renamed_to((1, "c"), (1, "b")),
    ];
    let (_, hints) = gathered(&notices, &mut rows(&[]));
    assert_eq!(hints, ["/w/a ended 1", "/w/b created", "/w/c"]);
}

#[test]
fn what_is_moved_into_a_folder_that_is_new_is_gone_here_and_new_there() {
    let mut rows = rows(&[("/w/a", None)]);
    let folder = Notice { folder: true, target: Some(handle(9)), ..created(Parent::Watch(1), "d") };
    let to = (Parent::Handle(handle(9)), b"a".to_vec());
    let moved = Notice { renamed_to: Some(to), ..touched(Parent::Watch(1), "a") };
    let (changes, hints) = gathered(&[folder, moved], &mut rows);
    assert_eq!(changes.len(), 0);
    assert_eq!(hints, ["/w/a", "/w/d created names", "/w/d/a"]);
}

#[test]
fn a_new_file_under_the_name_of_a_removed_one_takes_no_row_along() {
    let mut rows = rows(&[("/w/a", None)]);
    let w = || Parent::Watch(1);
    let notices = [deleted(w(), "a"), created(w(), "a"), renamed_to((1, "a"), (1, "b"))];
    let (changes, hints) = gathered(&notices, &mut rows);
    assert_eq!((changes.len(), hints), (0, vec!["/w/a".to_owned(), "/w/b created".to_owned()]));
}

#[test]
fn what_was_moved_into_a_folder_is_gone_with_it() {
    let mut rows = rows(&[("/w/a", None), ("/w/d", Some(2)), ("/w/d/x", None), ("/w/e", Some(3))]);
    let into = renamed_to((1, "a"), (2, "a"));
    let over = Notice { folder: true, ..renamed_to((1, "e"), (1, "d")) };
    let (changes, _) = gathered(&[into, over], &mut rows);
    let expected = [
        "moved /w/a /w/d/a",
        "deleted /w/d/x",
        "deleted /w/d/a",
        "deleted /w/d",
        "moved /w/e /w/d",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn two_folders_that_change_places_are_looked_at_with_all_that_is_in_them() {
    let mut rows = rows(&[("/w/a", Some(2)), ("/w/b", Some(3)), ("/w/b/x", None)]);
    let folder = |notice| Notice { folder: true, ..notice };
    let notices = [
        folder(renamed_to((1, "a"), (1, "b"))),
        folder(renamed_to((1, "b"), (1, "a"))),
        created(Parent::Watch(3), "y"),
    ];
    let (changes, hints) = gathered(&notices, &mut rows);
    assert_eq!(changes.len(), 0);
    assert_eq!(hints, ["/w/a everything", "/w/a/y created", "/w/b everything", "/w/b/y"]);
}

#[test]
fn a_folder_that_is_new_under_a_name_stays_there_when_the_old_one_is_told_to_have_left() {
    let mut rows = rows(&[("/w/d", Some(2)), ("/w/a", None)]);
    let left = Notice { folder: true, target: Some(handle(9)), ..renamed_to((1, "d"), (1, "e")) };
    let to = (Parent::Handle(handle(2)), b"a".to_vec());
    let moved = Notice { renamed_to: Some(to), ..touched(Parent::Watch(1), "a") };
    let inside = [created, deleted].map(|told| told(Parent::Handle(handle(9)), "x"));
    let notices = [&[left, moved], &inside[..]].concat();
    let (changes, hints) = gathered_of(&notices, false, &mut rows);
    assert_eq!(changes, ["moved /w/a /w/d/a"]);
    assert_eq!(hints, ["/w/a", "/w/d", "/w/d/a", "/w/e everything", "/w/e/x ended 1"]);
}

#[test]
fn what_goes_into_a_watched_folder_that_nobody_knows_any_more_is_told_where_it_was() {
    let inside = [created, deleted].map(|told| told(Parent::Watch(2), "x"));
    let to = |number| Some((Parent::Handle(handle(number)), b"d".to_vec()));
    let moved = |stays, number| Notice {
        folder: true,
        stays,
        renamed_to: to(number),
        ..touched(Parent::Watch(1), "d")
    };
    let hints = |moved: Notice| {
        let mut rows = rows(&[("/w/d", Some(2)), ("/elsewhere", Some(3))]);
        gathered(&[&[moved], &inside[..]].concat(), &mut rows).1
    };
    assert_eq!(hints(moved(true, 9)), ["/w/d", "/w/d/x ended 1"]);
    assert_eq!(hints(moved(false, 9)), ["/w/d"]);
    assert_eq!(hints(moved(true, 3)), ["/w/d"], "it is known to be elsewhere");
}

#[test]
fn a_hint_that_comes_twice_asks_for_the_most() {
    let mut hints = BTreeMap::new();
    let path = PathBytes::new("/w/d");
    let everything = Hint { inside: Inside::Everything, ..Hint::of(Detected::Scan) };
    let life =
        Life { path: path.clone(), folder: true, mark: "1".to_owned(), by: None, target: None };
    let made =
        Hint { life: Some(life.clone()), mark: "2".to_owned(), ..Hint::of(Detected::Realtime) };
    for hint in [everything, made, Hint::of(Detected::Scan)] {
        hint.add_to(&mut hints, path.clone());
    }
    let hint = &hints[&path];
    assert_eq!((hint.inside, hint.detected), (Inside::Everything, Detected::Realtime));
    assert_eq!((hint.life.as_ref(), hint.mark.as_str()), (Some(&life), "2"));
}

#[test]
fn a_name_that_the_instance_before_saw_being_made_has_its_life_still() {
    let mut gathered = Gathered::default();
    let path = PathBytes::new("/w/a");
    let [first, second] = [created(Parent::Watch(1), "a"), deleted(Parent::Watch(1), "a")];
    let Ok(()) = gathered.all(&[first], true, &mut rows(&[]));
    let left = gathered.settle().hints;
    let mut next = Gathered::default();
    let Ok(()) = next.told_before(left.clone(), Whereabouts::new(), true, &mut rows(&[]));
    let hints = next.settle().hints;
    assert_eq!(hints, left);
    assert!(hints[&path].life.is_some());

    let mut next = Gathered::default();
    let Ok(()) = next.told_before(left, Whereabouts::new(), true, &mut rows(&[]));
    let Ok(()) = next.all(&[second], true, &mut rows(&[]));
    let Settled { hints, ended, .. } = next.settle();
    assert!(hints[&path].life.is_none());
    assert_eq!(ended[&path].len(), 1);
}

#[test]
fn a_folder_that_the_instance_before_saw_being_made_is_known_although_it_is_gone() {
    let folder = Notice { folder: true, target: Some(handle(9)), ..created(Parent::Watch(1), "d") };
    let gone = Notice { created: false, deleted: true, ..folder.clone() };
    let inside = [created, deleted].map(|told| told(Parent::Handle(handle(9)), "x"));
    let lost = |before: &[Notice]| {
        let mut first = Gathered::default();
        let Ok(()) = first.all(before, true, &mut rows(&[]));
        let Settled { hints, folders, .. } = first.settle();
        let mut next = Gathered::default();
        let Ok(()) = next.told_before(hints, folders, true, &mut rows(&[]));
        let Ok(()) = next.all(&inside, true, &mut rows(&[]));
        !next.settle().ended.contains_key(&PathBytes::new("/w/d/x"))
    };
    assert!(lost(&[]), "nobody knows of the folder");
    assert!(!lost(std::slice::from_ref(&folder)));
    assert!(!lost(&[folder, gone]));
}

#[test]
fn what_is_told_of_a_folder_whose_name_was_taken_is_told_under_that_name() {
    let mut rows = rows(&[("/w/d", Some(2)), ("/w/a", None)]);
    let w = || Parent::Watch(1);
    let gone = Notice { folder: true, ..deleted(w(), "d") };
    let inside = [created(Parent::Watch(2), "x"), deleted(Parent::Watch(2), "x")];
    let notices = [&[gone, renamed_to((1, "a"), (1, "d"))], &inside[..]].concat();
    let (_, hints) = gathered(&notices, &mut rows);
    assert!(hints.contains(&"/w/d/x ended 1".to_owned()), "{hints:?}");
}

#[test]
fn moves_that_contradict_each_other_since_some_were_lost_are_looked_at_as_well_as_can_be() {
    let moved = |number, parent, to| Notice {
        folder: true,
        target: Some(handle(number)),
        renamed_to: Some((Parent::Watch(1), to)),
        ..touched(Parent::Handle(handle(parent)), "d")
    };
    let notices = [moved(8, 9, b"e".to_vec()), moved(9, 8, b"f".to_vec())];
    let (changes, hints) = gathered(&notices, &mut rows(&[]));
    assert_eq!(
        (changes.len(), hints),
        (0, vec!["/w/e everything".to_owned(), "/w/e/d".to_owned(), "/w/f everything".to_owned()])
    );
}
