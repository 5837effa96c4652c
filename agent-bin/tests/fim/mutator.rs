//! Random operations on a tree, the same for the same seed. It knows nothing of who watches.

#[path = "mutator/files.rs"]
mod files;
#[path = "mutator/folders.rs"]
mod folders;
#[path = "mutator/kinds.rs"]
mod kinds;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::forest::{Forest, Kind};
use crate::names::name;
pub(crate) use kinds::Operation;

/// What the operations are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Whether owners may be changed; takes root.
    pub(crate) chown: bool,
    /// Whether short-lived files are only made in folders that are as old as the tree: a watch of each folder alone cannot
    /// see what is gone before the watch.
    pub(crate) short_lived_in_old_folders: bool,
    /// About as many names are kept in the tree.
    pub(crate) most: usize,
}

/// Something that was done.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) number: usize,
    pub(crate) operation: Operation,
    pub(crate) path: PathBuf,
    pub(crate) other: Option<PathBuf>,
    /// Since the mutator was made.
    pub(crate) at: Duration,
}

impl Done {
    /// Whether it touched what is at `path`, or a folder above it.
    pub(crate) fn is_about(&self, path: &Path) -> bool {
        let touches = |it: &PathBuf| it == path || (self.is_of_folder() && path.starts_with(it));
        self.paths().any(touches)
    }

    /// Whether it touched all that is below its paths as well.
    fn is_of_folder(&self) -> bool {
        !matches!(self.operation, Operation::Chmod | Operation::Chown)
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.path), self.other.as_ref()].into_iter().flatten()
    }
}

/// All paths with which anything was done.
#[derive(Debug)]
pub(crate) struct Touched<'a> {
    all: HashSet<&'a Path>,
    /// Those below which everything was touched.
    folders: HashSet<&'a Path>,
}

impl<'a> Touched<'a> {
    fn of(history: &'a [Done]) -> Self {
        let paths = |of: &mut dyn Iterator<Item = &'a Done>| {
            of.flat_map(Done::paths).map(PathBuf::as_path).collect()
        };
        let folders = paths(&mut history.iter().filter(|done| done.is_of_folder()));
        Self { all: paths(&mut history.iter()), folders }
    }

    /// Whether anything was done with what is at `path`, or with a folder above it.
    pub(crate) fn is_about(&self, path: &Path) -> bool {
        self.all.contains(path) || path.ancestors().any(|above| self.folders.contains(above))
    }
}

/// A tree, a folder beside it, and what was done there.
#[derive(Debug)]
pub(crate) struct Mutator {
    seed: u64,
    rng: fastrand::Rng,
    options: Options,
    inside: Forest,
    outside: Forest,
    root: PathBuf,
    root_outside: PathBuf,
    next: u32,
    /// The files that had two names at some time.
    linked: HashSet<u32>,
    short_lived: Vec<PathBuf>,
    history: Vec<Done>,
    began: Instant,
}

/// How deep folders are made.
const DEPTH: usize = 5;
/// As many names are kept beside the tree.
const MOST_OUTSIDE: usize = 150;

impl Mutator {
    /// Works in `root`, and moves things between it and `outside`; both are empty folders of one file system.
    pub(crate) fn new(seed: u64, root: &Path, outside: &Path, options: Options) -> Self {
        Self {
            seed,
            rng: fastrand::Rng::with_seed(seed),
            options,
            inside: Forest::new(root),
            outside: Forest::new(outside),
            root: root.to_owned(),
            root_outside: outside.to_owned(),
            next: 0,
            linked: HashSet::new(),
            short_lived: Vec::new(),
            history: Vec::new(),
            began: Instant::now(),
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The short-lived files that were made in the tree; each had a name that nothing else ever had.
    pub(crate) fn short_lived(&self) -> &[PathBuf] {
        &self.short_lived
    }

    /// The names in the tree of files that had two names at some time.
    pub(crate) fn linked(&self) -> HashSet<PathBuf> {
        let is_linked = |kind| matches!(kind, Kind::File(file) if self.linked.contains(&file));
        let linked = self.inside.items().iter().filter(|item| is_linked(item.kind));
        linked.map(|item| item.path.clone()).collect()
    }

    /// All paths with which anything was done.
    pub(crate) fn touched(&self) -> Touched<'_> {
        Touched::of(self.history())
    }

    pub(crate) fn history(&self) -> &[Done] {
        &self.history
    }

    /// Makes the tree that is there before anybody looks; not in the history.
    pub(crate) fn populate(&mut self, names: usize) {
        while self.inside.len() < names {
            let operation = match self.rng.u32(..10) {
                0 | 1 => Operation::MakeFolder,
                2 => Operation::Link,
                3 => Operation::HardLink,
                4 => Operation::Fifo,
                _ => Operation::Create,
            };
            self.perform(operation);
        }
        for mut item in self.inside.take(&self.root.clone()) {
            if item.is_folder() {
                item.kind = Kind::Folder { old: true };
            }
            self.inside.add(item.path, item.kind);
        }
        self.short_lived.clear();
        self.history.clear();
        self.began = Instant::now();
    }

    /// Does the next thing and says what it was.
    pub(crate) fn step(&mut self) -> Done {
        let operation = if self.inside.len() > self.options.most && self.rng.bool() {
            Operation::Delete
        } else {
            Operation::random(&mut self.rng)
        };
        let possible = operation != Operation::Chown || self.options.chown;
        if !(possible && self.perform(operation)) {
            // There is nothing for it to work on.
            while !self.perform(Operation::Create) {}
        }
        while self.outside.len() > MOST_OUTSIDE {
            self.thin_out();
        }
        self.history[self.history.len() - 1].clone()
    }

    /// `operations` steps, at most `per_second` of them a second; 0: as fast as it can.
    pub(crate) fn run(&mut self, operations: usize, per_second: u32) {
        let began = Instant::now();
        for number in 1..=operations {
            self.step();
            self.pace(began, number, per_second);
        }
    }

    /// Steps until `over`, and at least `least` of them.
    pub(crate) fn run_until(&mut self, per_second: u32, least: usize, over: impl Fn() -> bool) {
        let began = Instant::now();
        let mut number = 0;
        while number < least || !over() {
            number += 1;
            self.step();
            self.pace(began, number, per_second);
        }
    }

    fn pace(&self, began: Instant, number: usize, per_second: u32) {
        if let Some(wanted) = Duration::from_secs(number as u64).checked_div(per_second) {
            std::thread::sleep(wanted.saturating_sub(began.elapsed()));
        }
    }

    /// `false` when there is nothing to do it on.
    fn perform(&mut self, operation: Operation) -> bool {
        let Some((path, other)) = self.try_to(operation) else { return false };
        let (number, at) = (self.history.len(), self.began.elapsed());
        self.history.push(Done { number, operation, path, other, at });
        true
    }

    fn try_to(&mut self, operation: Operation) -> Option<(PathBuf, Option<PathBuf>)> {
        match operation {
            Operation::Create => self.create(),
            Operation::Write => self.write(),
            Operation::Append => self.append(),
            Operation::Truncate => self.truncate(),
            Operation::Rewrite => self.rewrite(),
            Operation::Chmod => self.chmod(),
            Operation::Chown => self.chown(),
            Operation::SetTimes => self.set_times(),
            Operation::HardLink => self.hard_link(),
            Operation::Link => self.link(),
            Operation::SwapLink => self.swap_link(),
            Operation::Fifo => self.fifo(),
            Operation::ShortLived => self.make_short_lived(),
            Operation::Delete => self.delete(),
            Operation::Rename => self.rename(),
            Operation::Overwrite => self.overwrite(),
            Operation::Exchange => self.exchange(),
            Operation::MoveOut => self.move_out(),
            Operation::MoveIn => self.move_in(),
            Operation::MakeFolder => self.make_folder(),
            Operation::RenameFolder => self.rename_folder(),
            Operation::RemoveTree => self.remove_tree(),
            Operation::FolderToLink => self.folder_to_link(),
        }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A free name in some folder.
    fn place(&mut self) -> PathBuf {
        let (inside, rng) = (&self.inside, &mut self.rng);
        let folder = inside.folder(rng, |folder| inside.depth(&folder.path) < DEPTH);
        self.place_in(&folder)
    }

    fn place_in(&mut self, folder: &Path) -> PathBuf {
        let path = folder.join(name(&mut self.rng));
        if !self.inside.has(&path) && !self.outside.has(&path) {
            return path;
        }
        let number = self.number();
        folder.join(format!("u{number}"))
    }
}
