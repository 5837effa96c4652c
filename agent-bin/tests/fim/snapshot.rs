//! A tree as it is on disk at one moment.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::attributes::Attributes;

/// Everything in a folder, and the folder itself, by path; what is in a folder follows it at once.
pub(crate) type Tree = BTreeMap<PathBuf, Attributes>;

/// Looks at everything in `root`. Nothing may change meanwhile.
pub(crate) fn snapshot(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut paths = vec![root.to_owned()];
    while let Some(path) = paths.pop() {
        let attributes = Attributes::of_disk(&path)
            .unwrap_or_else(|error| panic!("cannot look at {}: {error}", path.display()));
        if attributes.is_folder() {
            let names = std::fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let names = names.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            paths.extend(names.into_iter().map(|name| name.path()));
        }
        tree.insert(path, attributes);
    }
    tree
}

/// The path itself and everything below it.
pub(crate) fn with_all_below(tree: &Tree, path: &Path) -> Vec<PathBuf> {
    let from_here = tree.range(path.to_owned()..).map(|(path, _)| path);
    from_here.take_while(|below| below.starts_with(path)).cloned().collect()
}
