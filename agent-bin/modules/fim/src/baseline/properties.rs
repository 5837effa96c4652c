//! The baseline against a model that is too simple to be wrong: a map of paths.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{entry, path};
use super::*;
use crate::entry::{Entry, Kind, Unhashed};
use crate::path_bytes::PathBytes;

#[derive(Debug, Clone, PartialEq, Default)]
struct Model {
    rows: BTreeMap<PathBytes, Row>,
    roots: Vec<PathBytes>,
    ignored: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    entry: Entry,
    text: Option<String>,
    scanned: u64,
    watch: Option<i32>,
}

impl Model {
    fn apply(&mut self, op: &Op) {
        let known = match op {
            Op::Put { path, entry, root, .. } => self.put(path, entry, *root),
            Op::Remove { path } => {
                let known = self.knows_folder_of(path);
                self.remove(path);
                known
            }
            Op::Move { from, to } => self.rename(from, to),
            Op::Scanned { path, number } => self.with_folder(path, |row| row.scanned = *number),
            Op::Ghost { .. } => true,
            Op::Watch { path, watch } => self.with_folder(path, |row| row.watch = *watch),
            Op::Text { path, text } => match self.rows.get_mut(path) {
                Some(row) if row.entry.kind == Kind::File => {
                    row.text.clone_from(text);
                    true
                }
                _ => text.is_none() && self.knows_folder_of(path),
            },
        };
        self.ignored += u64::from(!known);
    }

    fn remove(&mut self, path: &PathBytes) {
        self.rows.retain(|other, _| !within(&self.roots, other, path));
        self.roots.retain(|other| other != path);
    }

    fn knows_folder_of(&self, path: &PathBytes) -> bool {
        let folder = path.split().and_then(|(folder, _)| self.rows.get(&folder));
        self.roots.contains(path) || folder.is_some_and(|row| row.entry.kind == Kind::Folder)
    }

    fn put(&mut self, path: &PathBytes, entry: &Entry, root: bool) -> bool {
        if !root && !self.knows_folder_of(path) {
            return false;
        }
        if root && !self.roots.contains(path) {
            self.roots.push(path.clone());
        }
        let old = self.rows.get(path).cloned();
        let was = |kind| old.as_ref().filter(|row| row.entry.kind == kind && entry.kind == kind);
        let row = Row {
            entry: entry.clone(),
            text: was(Kind::File).and_then(|row| row.text.clone()),
            scanned: was(Kind::Folder).map_or(0, |row| row.scanned),
            watch: was(Kind::Folder).and_then(|row| row.watch),
        };
        if entry.kind != Kind::Folder {
            let roots = self.roots.clone();
            self.rows.retain(|other, _| !within(&roots, other, path));
        }
        self.rows.insert(path.clone(), row);
        true
    }

    fn rename(&mut self, from: &PathBytes, to: &PathBytes) -> bool {
        if from.below(to).is_some() || to.below(from).is_some() {
            return from == to;
        }
        if !self.rows.contains_key(from) || !self.knows_folder_of(to) {
            return false;
        }
        let to_root = self.roots.contains(to);
        self.remove(to);
        let roots = &self.roots;
        let moved: Vec<_> =
            self.rows.keys().filter(|other| within(roots, other, from)).cloned().collect();
        for old in moved {
            let mut new = to.as_bytes().to_vec();
            new.extend(&old.as_bytes()[from.as_bytes().len()..]);
            let new = PathBytes::new(new);
            let row = self.rows.remove(&old).unwrap();
            let gives_way = |root: &PathBytes| {
                root != to && root.below(to).is_some() && new.below(root).is_some()
            };
            if !self.roots.iter().any(gives_way) {
                self.rows.insert(new, row);
            }
        }
        self.roots.retain(|root| root != from);
        self.roots.extend(to_root.then(|| to.clone()));
        true
    }

    fn with_folder(&mut self, path: &PathBytes, change: impl FnOnce(&mut Row)) -> bool {
        let folder = self.rows.get_mut(path).filter(|row| row.entry.kind == Kind::Folder);
        folder.map(change).is_some()
    }
}

/// Whether `other` is `path` or below it, and in the same root.
fn within(roots: &[PathBytes], other: &PathBytes, path: &PathBytes) -> bool {
    other.below(path).is_some()
        && roots
            .iter()
            .all(|root| root == path || root.below(path).is_none() || other.below(root).is_none())
}

/// Everything that the database says, asked in as many ways as there are.
fn check(baseline: &Baseline, model: &Model) {
    let mut all = BTreeMap::new();
    for root in baseline.roots().unwrap() {
        all.insert(root.clone(), baseline.find(&root).unwrap().unwrap());
        let mut below = Below::new(baseline, &root).unwrap();
        let mut seen = Vec::new();
        loop {
            let page = below.next(baseline, 3).unwrap();
            if page.is_empty() {
                break;
            }
            for (path, entry) in page {
                assert!(seen.iter().all(|seen| path.below(seen).is_none()), "deepest first");
                seen.push(path.clone());
                assert!(all.insert(path, entry).is_none(), "nothing is told twice");
            }
        }
    }
    let expected: BTreeMap<_, _> =
        model.rows.iter().map(|(path, row)| (path.clone(), row.entry.clone())).collect();
    assert_eq!(all, expected);
    let mut counts = Counts::default();
    for (path, row) in &model.rows {
        counts.add(counts::Counted::of(&row.entry));
        assert_eq!(baseline.find(path).unwrap().as_ref(), Some(&row.entry));
        assert_eq!(baseline.text(path).unwrap(), row.text);
        let id = baseline.folder_id(path).unwrap();
        assert_eq!(id.is_some(), row.entry.kind == Kind::Folder);
        if let Some(id) = id {
            assert_eq!(baseline.path_of(id).unwrap().as_ref(), Some(path));
            assert_eq!(baseline.scanned(id).unwrap(), row.scanned);
            assert_eq!(baseline.watch_of(id).unwrap(), row.watch);
        }
        let mut names = baseline.names_of_inode(1, row.entry.inode).unwrap();
        names.sort();
        let same =
            |other: &Row| other.entry.inode == row.entry.inode && other.entry.kind == Kind::File;
        let expected: Vec<_> = model.rows.iter().filter(|(_, other)| same(other)).collect();
        assert_eq!(
            names.iter().collect::<Vec<_>>(),
            expected.into_iter().map(|(p, _)| p).collect::<Vec<_>>()
        );
    }
    assert_eq!(baseline.counts().unwrap(), counts);
}

/// A few paths that meet often. `/r/root` is sometimes a root of its own.
fn paths() -> impl Strategy<Value = PathBytes> {
    let name = prop::sample::select(vec![&b"a"[..], b"a.b", b"\xff\n", b"root"]);
    let names = prop::collection::vec(name, 0..4);
    (prop::sample::select(vec!["/r", "/s"]), names).prop_map(|(root, names)| {
        names.iter().fold(PathBytes::new(root), |path, name| path.join(name))
    })
}

fn entries() -> impl Strategy<Value = Entry> {
    let kind = prop::sample::select(vec![Kind::Folder, Kind::Folder, Kind::File, Kind::Link]);
    (kind, 0..4_u64, prop::sample::select(vec![0, 1, 7, u64::MAX])).prop_map(
        |(kind, inode, size)| Entry {
            size,
            inode,
            target: (kind == Kind::Link).then(|| b"to\xfe".to_vec()),
            unhashed: (size > 1).then(|| Unhashed::Unreadable("because".to_owned())),
            ..entry(kind)
        },
    )
}

fn ops() -> impl Strategy<Value = Op> {
    let put = (paths(), entries()).prop_map(|(at, entry)| {
        let root = at == path("/r") || at == path("/s") || at == path("/r/root");
        Op::Put { path: at, entry, handle: None, root }
    });
    let text = prop::option::of("[a-z\n]{0,9}");
    prop_oneof![
        6 => put,
        1 => paths().prop_map(|path| Op::Remove { path }),
        2 => (paths(), paths()).prop_map(|(from, to)| Op::Move { from, to }),
        1 => (paths(), 1..9_u64).prop_map(|(path, number)| Op::Scanned { path, number }),
        1 => (paths(), any::<Option<i32>>()).prop_map(|(path, watch)| Op::Watch { path, watch }),
        1 => (paths(), text).prop_map(|(path, text)| Op::Text { path, text }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_leave_what_a_map_of_paths_would_have(
        lists in prop::collection::vec((prop::collection::vec(ops(), 0..25), any::<bool>()), 1..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut baseline = Baseline::open(folder.path()).unwrap().baseline;
        let mut model = Model::default();
        for (number, (list, reopened)) in (1..).zip(&lists) {
            list.iter().for_each(|op| model.apply(op));
            let text = serde_json::to_vec(list).unwrap();
            let list: Vec<Op> = serde_json::from_slice(&text).unwrap();
            let applied = baseline.apply(number, &list, &[]).unwrap();
            prop_assert_eq!(applied, Applied { ignored: model.ignored, repeated: false });
            model.ignored = 0;
            check(&baseline, &model);
            if *reopened {
                drop(baseline);
                let opened = Baseline::open(folder.path()).unwrap();
                prop_assert_eq!(opened.set_aside, None);
                baseline = opened.baseline;
            }
            prop_assert!(baseline.apply(number, &list, &[]).unwrap().repeated);
            check(&baseline, &model);
        }
    }
}
