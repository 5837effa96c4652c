//! Operations that move names, and those on folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{DEPTH, Mutator};
use crate::forest::{Item, Kind};

type Touched = Option<(PathBuf, Option<PathBuf>)>;

impl Mutator {
    /// Moves in memory what was moved on disk.
    fn moved(&mut self, from: &Path, to: &Path) {
        let items = self.inside.take(from);
        self.inside.take(to);
        self.inside.put(items, from, to, false);
    }

    pub(super) fn rename(&mut self) -> Touched {
        let from = self.inside.pick(&mut self.rng, |item| !item.is_folder())?.path;
        let to = self.place();
        fs::rename(&from, &to).unwrap();
        self.moved(&from, &to);
        Some((to, Some(from)))
    }

    pub(super) fn overwrite(&mut self) -> Touched {
        let from = self.inside.pick(&mut self.rng, |item| !item.is_folder())?;
        // Between two names of one file a rename does nothing.
        let other = |item: &Item| {
            !item.is_folder()
                && item.path != from.path
                && !(item.is_file() && item.kind == from.kind)
        };
        let to = self.inside.pick(&mut self.rng, other)?.path;
        fs::rename(&from.path, &to).unwrap();
        self.moved(&from.path, &to);
        Some((to, Some(from.path)))
    }

    pub(super) fn exchange(&mut self) -> Touched {
        let one = self.inside.pick(&mut self.rng, |_| true)?.path;
        let depth = self.inside.depth(&one);
        // At the same depth neither is in the other, and no tree grows deeper and deeper.
        let (inside, rng) = (&self.inside, &mut self.rng);
        let beside = |item: &Item| item.path != one && inside.depth(&item.path) == depth;
        let other = inside.pick(rng, beside)?.path;
        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
        let (of_one, of_other) = (self.inside.take(&one), self.inside.take(&other));
        self.inside.put(of_one, &one, &other, false);
        self.inside.put(of_other, &other, &one, false);
        Some((other, Some(one)))
    }

    pub(super) fn move_out(&mut self) -> Touched {
        let from = self.inside.pick(&mut self.rng, |_| true)?.path;
        let name = format!("o{}", self.number());
        let to = self.root_outside.join(name);
        fs::rename(&from, &to).unwrap();
        let items = self.inside.take(&from);
        self.outside.put(items, &from, &to, true);
        Some((from, Some(to)))
    }

    pub(super) fn move_in(&mut self) -> Touched {
        let root = self.root_outside.clone();
        let at_top = |item: &Item| item.path.parent() == Some(&root);
        let from = self.outside.pick(&mut self.rng, at_top)?.path;
        let to = self.place();
        fs::rename(&from, &to).unwrap();
        let items = self.outside.take(&from);
        self.inside.put(items, &from, &to, true);
        Some((to, Some(from)))
    }

    /// Deletes something beside the tree.
    pub(super) fn thin_out(&mut self) {
        let Some(item) = self.outside.pick(&mut self.rng, |_| true) else { return };
        if item.is_folder() {
            fs::remove_dir_all(&item.path).unwrap();
        } else {
            fs::remove_file(&item.path).unwrap();
        }
        self.outside.take(&item.path);
    }

    pub(super) fn make_folder(&mut self) -> Touched {
        let path = self.place();
        fs::create_dir(&path).unwrap();
        self.inside.add(path.clone(), Kind::Folder { old: false });
        Some((path, None))
    }

    pub(super) fn rename_folder(&mut self) -> Touched {
        let from = self.inside.pick(&mut self.rng, Item::is_folder)?.path;
        let (inside, rng) = (&self.inside, &mut self.rng);
        let height = inside.height(&from);
        let folder = inside.folder(rng, |item| {
            !item.path.starts_with(&from) && inside.depth(&item.path) + height < 2 * DEPTH
        });
        let to = self.place_in(&folder);
        fs::rename(&from, &to).unwrap();
        self.moved(&from, &to);
        Some((to, Some(from)))
    }

    pub(super) fn remove_tree(&mut self) -> Touched {
        let path = self.inside.pick(&mut self.rng, Item::is_folder)?.path;
        fs::remove_dir_all(&path).unwrap();
        self.inside.take(&path);
        Some((path, None))
    }

    /// A folder becomes a link at the same path.
    pub(super) fn folder_to_link(&mut self) -> Touched {
        let path = self.inside.pick(&mut self.rng, Item::is_folder)?.path;
        fs::remove_dir_all(&path).unwrap();
        self.inside.take(&path);
        symlink("..", &path).unwrap();
        self.inside.add(path.clone(), Kind::Link);
        Some((path, Some(PathBuf::from(".."))))
    }
}
