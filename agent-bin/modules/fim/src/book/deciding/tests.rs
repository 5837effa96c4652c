//! Decisions over a real tree, and what they lead to.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::baseline::Baseline;
use crate::config::{Config, Directory};
use crate::look::Looker;
use crate::rules::Rules;
use crate::watch::filesystems::Filesystems;

struct Fixture {
    tree: tempfile::TempDir,
    _state: tempfile::TempDir,
    root: PathBytes,
    book: Book,
}

impl Fixture {
    fn new() -> Self {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = tree.path().canonicalize().unwrap();
        let root = PathBytes::new(path.as_os_str().as_encoded_bytes());
        let directory = Directory { path: PathBuf::from(&path), ..Directory::default() };
        let config = Config { directories: vec![directory], ..Config::default() };
        let rules = Arc::new(Rules::new(&config, |_| root.clone()));
        let looker = Looker::new(&config, Vec::new());
        let baseline = Baseline::open(state.path()).unwrap().baseline;
        let book = Book::new(baseline, rules, looker, Filesystems::default(), 0);
        Self { tree, _state: state, root, book }
    }

    /// Looks at these names, applies what was decided, and returns the names that are to be looked at after that.
    fn decide(&mut self, names: &[&str]) -> Vec<String> {
        let hints = names.iter().map(|name| {
            let path = if name.is_empty() { self.root.clone() } else { self.at(name) };
            (path, Hint::of(Detected::Realtime))
        });
        let hints = hints.collect();
        let decided = self.book.decide(hints, &mut Ended::new()).unwrap();
        let operations = decided.outcomes.into_iter().flat_map(|outcome| outcome.operations);
        self.book.note(&operations.collect::<Vec<_>>()).unwrap();
        let name = |path: &PathBytes| path.split().unwrap().1.to_vec();
        decided.more.keys().map(|path| String::from_utf8(name(path)).unwrap()).collect()
    }

    fn at(&self, name: &str) -> PathBytes {
        self.root.join(name.as_bytes())
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.tree.path().join(name), content).unwrap();
    }
}

#[test]
fn a_file_with_two_names_is_looked_at_under_both_whichever_was_looked_at_first() {
    let mut fixture = Fixture::new();
    fixture.write("a", "1");
    fixture.decide(&["", "a"]);
    fs::hard_link(fixture.tree.path().join("a"), fixture.tree.path().join("b")).unwrap();
    // It may change between the two looks, and the notice of that comes later.
    assert_eq!(fixture.decide(&["a", "b"]), ["a"]);
    assert_eq!(fixture.decide(&["b"]), ["a"], "although nothing has changed");
    assert_eq!(fixture.decide(&["a"]), ["b"]);
}

#[test]
fn a_folder_that_was_replaced_is_looked_at_before_what_is_in_it() {
    let mut fixture = Fixture::new();
    let [sub, other] = ["sub", "other"].map(|name| fixture.tree.path().join(name));
    fs::create_dir(&sub).unwrap();
    fixture.write("sub/old", "1");
    fixture.decide(&["", "sub", "sub/old"]);
    fs::rename(&sub, &other).unwrap();
    fs::create_dir(&sub).unwrap();
    fixture.write("sub/new", "1");
    fixture.decide(&["sub/new"]);
    let row = |fixture: &mut Fixture, name: &str| fixture.book.row(&fixture.at(name)).unwrap();
    use std::os::unix::fs::MetadataExt;
    let inode = fs::metadata(&sub).unwrap().ino();
    assert_eq!(row(&mut fixture, "sub").unwrap().inode, inode);
    assert!(row(&mut fixture, "sub/new").is_some());
}
