//! What the mutator has made in one folder, from memory: the disk's order of names is not the same everywhere.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file; names of one file share its number.
    File(u32),
    Link,
    Fifo,
    /// A folder, and whether it has been here since before anybody looked.
    Folder {
        old: bool,
    },
}

/// One name.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

impl Item {
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder { .. })
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }
}

/// All names in a folder, at any depth.
#[derive(Debug)]
pub(crate) struct Forest {
    root: PathBuf,
    items: Vec<Item>,
    paths: HashSet<PathBuf>,
}

/// How often one that fits is looked for by luck.
const TRIES: u32 = 40;

impl Forest {
    /// An empty folder.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), items: Vec::new(), paths: HashSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(crate) fn has(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    /// Folders between the root and `path`.
    pub(crate) fn depth(&self, path: &Path) -> usize {
        path.strip_prefix(&self.root).map_or(0, |rest| rest.components().count())
    }

    /// Levels below `path`.
    pub(crate) fn height(&self, path: &Path) -> usize {
        let below = self.items.iter().filter_map(|item| item.path.strip_prefix(path).ok());
        below.map(|rest| rest.components().count()).max().unwrap_or(0)
    }

    /// One that fits, if luck finds it.
    pub(crate) fn pick(
        &self,
        rng: &mut fastrand::Rng,
        fits: impl Fn(&Item) -> bool,
    ) -> Option<Item> {
        if self.items.is_empty() {
            return None;
        }
        let picked = (0..TRIES).map(|_| &self.items[rng.usize(..self.items.len())]);
        picked.into_iter().find(|item| fits(item)).cloned()
    }

    /// A folder that fits, else the root.
    pub(crate) fn folder(&self, rng: &mut fastrand::Rng, fits: impl Fn(&Item) -> bool) -> PathBuf {
        if rng.u8(..5) == 0 {
            return self.root.clone();
        }
        let folder = self.pick(rng, |item| item.is_folder() && fits(item));
        folder.map_or_else(|| self.root.clone(), |folder| folder.path)
    }

    pub(crate) fn add(&mut self, path: PathBuf, kind: Kind) {
        self.paths.insert(path.clone());
        self.items.push(Item { path, kind });
    }

    /// Takes out the path and everything below it.
    pub(crate) fn take(&mut self, path: &Path) -> Vec<Item> {
        let (taken, kept) = std::mem::take(&mut self.items)
            .into_iter()
            .partition::<Vec<_>, _>(|item| item.path.starts_with(path));
        self.items = kept;
        for item in &taken {
            self.paths.remove(&item.path);
        }
        taken
    }

    /// Puts in what was taken from another place, where `from` was. What comes from another tree is `new` here.
    pub(crate) fn put(&mut self, items: Vec<Item>, from: &Path, to: &Path, new: bool) {
        for item in items {
            let path = match item.path.strip_prefix(from) {
                Ok(rest) if !rest.as_os_str().is_empty() => to.join(rest),
                _ => to.to_owned(),
            };
            let kind = match item.kind {
                Kind::Folder { old } => Kind::Folder { old: old && !new },
                kind @ (Kind::File(_) | Kind::Link | Kind::Fifo) => kind,
            };
            self.add(path, kind);
        }
    }
}
